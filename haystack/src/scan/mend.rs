//! What a damaged commit can still tell, from the checksums that it was written with.
//!
//! Most damage is one flipped bit. The commit's checksum then says which ([`crate::one_bit`]), wherever it is: in data, in a key, in the
//! length that leads to the next record. Nothing on the disk is changed, and the record that was hit stays damaged; but it is known
//! whose it is, and that the commit was whole once: it did not tear, it decayed.

use std::io;

use bytes::Bytes;

use super::Verdict;
use super::found::{Found, inspect};
use super::window::Window;
use crate::commit::{self, Before, CommitHasher, CommitRecord};
use crate::needle::{ALIGNMENT_BYTES, HEADER_BYTES, Header, Needle, Version, record_bytes};

/// Longer commits are not mended: it takes a step a bit.
const MEND_BYTES_MAX: u64 = 64 << 20;

/// A commit record, and where it stands.
pub(super) type Placed = (u64, CommitRecord);

/// Records of a commit that is whole, or of which one bit flipped: as they were written but for their faults. `None` if anything
/// else is wrong with it.
pub(super) fn commit(
    window: &mut Window<'_>,
    version: Version,
    (at, commit): Placed,
) -> io::Result<Option<(Vec<Found>, Verdict)>> {
    let len = at - commit.start;
    if len > MEND_BYTES_MAX {
        return Ok(None);
    }
    let stored = window.get(commit.start, len)?;
    let Some(stored) = stored else {
        return Ok(None);
    };
    let mut hasher = CommitHasher::new(commit.start);
    hasher.update(&stored);
    let checksum = hasher.finish();
    if let Some(before) = commit.verify(checksum) {
        let record = window.get(at, commit::commit_record_bytes(version))?;
        let is_sound = record.is_some_and(|r| commit::decode(&r, version, at).is_some());
        let verdict = if is_sound {
            Verdict::Sound(before)
        } else {
            Verdict::Decayed(before)
        };
        let records = whole_records(&stored, commit.start, version);
        return Ok(records.map(|records| (records, verdict)));
    }
    let mended = one_bit_flipped(&stored, &commit, checksum, version);
    Ok(mended.map(|(records, before)| (records, Verdict::Decayed(before))))
}

fn one_bit_flipped(
    stored: &Bytes,
    commit: &CommitRecord,
    checksum: u32,
    version: Version,
) -> Option<(Vec<Found>, Before)> {
    let (bit, before) = commit.one_flipped_bit(checksum, stored.len())?;
    let mut written = stored.to_vec();
    written[bit.byte] ^= bit.mask;
    let mut records = whole_records(&written.into(), commit.start, version)?;
    let hit = commit.start + bit.byte as u64;
    let hit = records.partition_point(|found| found.offset <= hit);
    if let Some(found) = hit.checked_sub(1).and_then(|n| records.get_mut(n)) {
        let from = (found.offset - commit.start) as usize;
        let to = (found.end(version) - commit.start) as usize;
        found.is_damaged_as(&stored.slice(from..to), version);
    }
    Some((records, before))
}

/// Records of ours that follow each other from front to back; `None` if not all of it is that.
fn whole_records(bytes: &Bytes, start: u64, version: Version) -> Option<Vec<Found>> {
    let (mut at, mut records) = (0, Vec::new());
    while at < bytes.len() {
        let header = Header::decode(&bytes[at..])?;
        let end = at.checked_add(usize::try_from(record_bytes(header.size, version)).ok()?)?;
        let record = (end <= bytes.len()).then(|| bytes.slice(at..end))?;
        let found = inspect(&record, header, version, start + at as u64);
        (found.sealed && found.fault.is_none()).then(|| records.push(found))?;
        at = end;
    }
    Some(records)
}

impl Found {
    /// Takes the faults of the record as it is stored; what is known of it otherwise stays.
    fn is_damaged_as(&mut self, stored: &Bytes, version: Version) {
        let fault = Needle::decode(stored.clone(), version, Some(self.offset)).err();
        self.sealed = Needle::header_holds(stored.clone(), version, self.offset);
        self.surely_sealed = self.sealed;
        self.mended = (!self.sealed).then_some(self.header);
        self.fault = fault;
    }
}

/// The commit record that ends the commit in which `damage` lies: one whose seal holds, or one with a few flipped bits that stands right
/// before the next commit or before `until`, where a record is known to start.
pub(super) fn end_of_commit_around(
    window: &mut Window<'_>,
    version: Version,
    damage: u64,
    until: u64,
) -> io::Result<Option<Placed>> {
    let from = damage + ALIGNMENT_BYTES;
    let near = until.min(damage.saturating_add(MEND_BYTES_MAX));
    let next = next_commit_record(window, version, from, near)?;
    if let Some((_, commit)) = next
        && commit.start <= damage
    {
        return Ok(next);
    }
    let Some(mut behind) = next
        .map(|(_, commit)| commit.start)
        .or((near == until).then_some(until))
    else {
        return Ok(None);
    };
    loop {
        let at = behind.saturating_sub(commit::commit_record_bytes(version));
        let before = (at >= from).then(|| commit_record_nearly_at(window, version, at));
        match before.transpose()?.flatten() {
            Some(commit) if commit.start <= damage => return Ok(Some((at, commit))),
            Some(commit) => behind = commit.start,
            None => return Ok(None),
        }
    }
}

/// A commit record of which bits may have flipped, at an offset to which records of ours lead.
pub(super) fn commit_record_nearly_at(
    window: &mut Window<'_>,
    version: Version,
    at: u64,
) -> io::Result<Option<CommitRecord>> {
    let bytes = window.get(at, commit::commit_record_bytes(version))?;
    let bytes = bytes.filter(|b| b[..HEADER_BYTES] != [0; HEADER_BYTES]);
    Ok(bytes.and_then(|bytes| commit::decode_nearly(&bytes, version, at)))
}

/// The first commit record whose seal holds.
pub(super) fn next_commit_record(
    window: &mut Window<'_>,
    version: Version,
    from: u64,
    until: u64,
) -> io::Result<Option<Placed>> {
    let len = commit::commit_record_bytes(version);
    let mut at = window.search_from(from);
    let mut found = None;
    while at < until
        && let Some(bytes) = window.peek(at, len)?
    {
        found = commit::decode(bytes, version, at).map(|commit| (at, commit));
        if found.is_some() {
            break;
        }
        at += ALIGNMENT_BYTES;
    }
    window.passed_over(from..at);
    Ok(found)
}
