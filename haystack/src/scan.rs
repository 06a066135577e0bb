//! Reading a `.dat` from front to back: what recovery, `fsck` and the scrubber see of it.
//!
//! The walk goes from record to record and groups them by commit. Where a record cannot be walked over (its header is
//! damaged), it goes on after the next commit record whose seal holds, or at the next offset that an index names.

use std::io;
use std::ops::ControlFlow;

use bytes::Bytes;
use moongate_disk::DiskFile;

use crate::commit::{self, Before, CommitHasher, CommitRecord};
use crate::id::NeedleKey;
use crate::mutant::{self, Mutant};
use crate::needle::{
    ALIGNMENT_BYTES, DATA_BYTES_MAX, HEADER_BYTES, Header, KEY_AT, Needle, NeedleError, Version,
    record_bytes, u64_at,
};

/// A record that was walked over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// Where it starts.
    pub offset: u64,
    /// Its header.
    pub header: Header,
    /// When it was appended, unix nanoseconds; 0 before version 3.
    pub appended_at_ns: u64,
    /// CRC field of a record without body: 0 in an empty object of SeaweedFS.
    pub checksum: u32,
    /// What is wrong with it, if anything.
    pub fault: Option<NeedleError>,
    /// Whether its seal holds: we wrote it for this place, and its header is right, though its data may be damaged.
    pub sealed: bool,
}

impl Found {
    /// Offset behind it.
    pub const fn end(&self, version: Version) -> u64 {
        self.offset + record_bytes(self.header.size, version)
    }
}

/// What the walk comes by, in order.
#[derive(Debug, PartialEq, Eq)]
pub enum Event {
    /// Records up to a commit record.
    Commit {
        /// Where the commit starts.
        start: u64,
        /// Offset behind its commit record.
        end: u64,
        /// Its records, the commit record not among them.
        records: Vec<Found>,
        /// If every byte is as it was written: what had become of the bytes before the commit by then.
        sound: Option<Before>,
    },
    /// Records that belong to no commit: SeaweedFS wrote them, or the commit is torn.
    Loose(Vec<Found>),
    /// Bytes that cannot be walked over.
    Damage {
        /// First of them.
        start: u64,
        /// Where the walk goes on (or the end of the file).
        end: u64,
    },
}

/// Most records that one of our commits holds; older ones of a group without commit record are loose.
pub const COMMIT_RECORDS_MAX: usize = 4096;
/// Few in tests, so that the window moves.
const WINDOW_BYTES: u64 = if cfg!(test) { 4 << 10 } else { 1 << 20 };
/// The bytes since the last commit record were not all walked over.
const NO_BOUNDARY: u64 = u64::MAX;

/// A part of a file in memory, moved along as it is asked for.
struct Window<'a> {
    file: &'a dyn DiskFile,
    end: u64,
    start: u64,
    bytes: Bytes,
}

impl<'a> Window<'a> {
    const fn new(file: &'a dyn DiskFile, end: u64) -> Self {
        Self {
            file,
            end,
            start: 0,
            bytes: Bytes::new(),
        }
    }

    /// The bytes at `offset`; `None` where they reach over the end.
    fn get(&mut self, offset: u64, len: u64) -> io::Result<Option<Bytes>> {
        let Some(to) = offset.checked_add(len).filter(|to| *to <= self.end) else {
            return Ok(None);
        };
        if offset < self.start || to > self.start + self.bytes.len() as u64 {
            let fetch = len.max(WINDOW_BYTES).min(self.end - offset);
            let len = usize::try_from(fetch).map_err(io::Error::other)?;
            self.bytes = moongate_disk::read_exact_at(self.file, offset, len)?.into();
            self.start = offset;
        }
        let from = (offset - self.start) as usize;
        Ok(Some(self.bytes.slice(from..from + len as usize)))
    }
}

/// One walk over a file.
pub struct Scan<'a> {
    window: Window<'a>,
    version: Version,
    at: u64,
    boundary: u64,
    hasher: CommitHasher,
    group: Vec<Found>,
    /// The record before is ours.
    after_ours: bool,
    anchors: &'a [u64],
}

impl<'a> Scan<'a> {
    /// Walks from `from`, which must be a record's start, to `end`. `anchors` are offsets, ascending, at which an index says
    /// that records start; empty where there is none.
    pub fn new(
        file: &'a dyn DiskFile,
        version: Version,
        from: u64,
        end: u64,
        anchors: &'a [u64],
    ) -> Self {
        let window = Window::new(file, end);
        Self {
            window,
            version,
            at: from,
            boundary: from,
            hasher: CommitHasher::new(from),
            group: Vec::new(),
            after_ours: true,
            anchors,
        }
    }

    /// Where the walk stands.
    pub const fn position(&self) -> u64 {
        self.at
    }

    /// Walks on to the next event; `None` at the end.
    pub fn next_event(&mut self) -> io::Result<Option<Event>> {
        while self.at < self.window.end {
            let Some((found, record)) = self.record_at(self.at)? else {
                return self.damage().map(Some);
            };
            if let Some(commit) = commit::decode(&record, self.version, self.at) {
                return self.end_commit(commit).map(Some);
            }
            if !found.sealed && !self.has_its_length(&found)? {
                return self.damage().map(Some);
            }
            self.after_ours = found.sealed;
            self.hasher.update(&record);
            self.group.push(found);
            self.at = found.end(self.version);
            if self.group.len() >= 2 * COMMIT_RECORDS_MAX {
                let newer = self.group.split_off(COMMIT_RECORDS_MAX);
                return Ok(Some(Event::Loose(std::mem::replace(
                    &mut self.group,
                    newer,
                ))));
            }
        }
        let rest = std::mem::take(&mut self.group);
        Ok((!rest.is_empty()).then_some(Event::Loose(rest)))
    }

    /// Feeds every event to `visit`, which may break off.
    pub fn each(mut self, mut visit: impl FnMut(Event) -> ControlFlow<()>) -> io::Result<()> {
        while let Some(event) = self.next_event()? {
            if visit(event).is_break() {
                break;
            }
        }
        Ok(())
    }

    /// The record at an offset with its bytes; `None` if no record can be there.
    fn record_at(&mut self, offset: u64) -> io::Result<Option<(Found, Bytes)>> {
        let Some(header) = self
            .window
            .get(offset, HEADER_BYTES as u64)?
            .and_then(|b| Header::decode(&b))
        else {
            return Ok(None);
        };
        let blank = header
            == Header {
                cookie: crate::id::Cookie(0),
                key: commit::COMMIT_KEY,
                size: 0,
            };
        if header.size as usize > DATA_BYTES_MAX + (1 << 17) || blank {
            return Ok(None);
        }
        let Some(record) = self
            .window
            .get(offset, record_bytes(header.size, self.version))?
        else {
            return Ok(None);
        };
        Ok(Some((
            inspect(&record, header, self.version, offset),
            record,
        )))
    }

    /// Whether a record without a seal is as long as its header says. A damaged length may lead to another record by chance; then
    /// records of ours lie within it, up to its end.
    fn has_its_length(&mut self, found: &Found) -> io::Result<bool> {
        let (from, end) = (found.offset + ALIGNMENT_BYTES, found.end(self.version));
        let was_commit = found.header.key == commit::COMMIT_KEY && found.header.size > 0;
        if was_commit && self.after_ours {
            return Ok(false);
        }
        if self.after_ours
            && let Some((commit_at, commit)) = self.next_commit_record(from, self.window.end)?
            && commit.start <= found.offset
        {
            return self.leads_to(end, commit_at);
        }
        if found.fault.is_some() && !self.walkable(end)? {
            return Ok(false);
        }
        let may_be_ours = found.fault.is_some() || self.after_ours;
        Ok(!may_be_ours
            || (self.next_commit_record(from, end)?.is_none()
                && self.next_chain(from, end)? == end))
    }

    /// Whether a sound record (or the end) is at an offset: then the record before it has its right length, damaged or not.
    fn walkable(&mut self, offset: u64) -> io::Result<bool> {
        Ok(offset == self.window.end
            || self
                .record_at(offset)?
                .is_some_and(|(found, _)| found.fault.is_none()))
    }

    fn end_commit(&mut self, commit: CommitRecord) -> io::Result<Event> {
        if self.boundary != commit.start {
            let inside = self
                .group
                .partition_point(|found| found.offset < commit.start);
            let inner = self.group.split_off(inside);
            let loose = std::mem::replace(&mut self.group, inner);
            if self
                .group
                .first()
                .is_some_and(|first| first.offset == commit.start)
            {
                self.rehash(commit.start)?;
            }
            if !loose.is_empty() {
                return Ok(Event::Loose(loose));
            }
        }
        let sound = if self.boundary == commit.start {
            commit.verify(self.hasher.finish())
        } else {
            None
        };
        if sound.is_none() {
            self.judge_unsealed(&commit)?;
        }
        let end = self.at + commit::commit_record_bytes(self.version);
        self.restart(end);
        Ok(Event::Commit {
            start: commit.start,
            end,
            records: std::mem::take(&mut self.group),
            sound,
        })
    }

    /// The group starts later than the bytes hashed so far: hash it again from its own start.
    fn rehash(&mut self, start: u64) -> io::Result<()> {
        self.boundary = start;
        self.hasher = CommitHasher::new(start);
        for found in self.group.clone() {
            let len = record_bytes(found.header.size, self.version);
            if let Some(bytes) = self.window.get(found.offset, len)? {
                self.hasher.update(&bytes);
            }
        }
        Ok(())
    }

    /// In a commit of ours a record without a seal is damaged, whatever its header says. Where one flipped bit of its key explains
    /// the commit's checksum, the key is known again.
    fn judge_unsealed(&mut self, commit: &CommitRecord) -> io::Result<()> {
        let mut unsealed = (0..self.group.len()).filter(|n| !self.group[*n].sealed);
        let (first, more) = (unsealed.next(), unsealed.next().is_some());
        if let (Some(n), false, true) = (first, more, self.boundary == commit.start) {
            self.mend_key(n, commit)?;
        }
        for found in self.group.iter_mut().filter(|found| !found.sealed) {
            found.fault = found.fault.or(Some(NeedleError::Seal));
        }
        Ok(())
    }

    fn mend_key(&mut self, n: usize, commit: &CommitRecord) -> io::Result<()> {
        let len = self.at - commit.start;
        let Some(bytes) = self.window.get(commit.start, len)? else {
            return Ok(());
        };
        let mut bytes = bytes.to_vec();
        let key_at = (self.group[n].offset - commit.start) as usize + KEY_AT;
        for bit in 0..u64::BITS as usize {
            bytes[key_at + bit / 8] ^= 1 << (bit % 8);
            let mut hasher = CommitHasher::new(commit.start);
            hasher.update(&bytes);
            if commit.verify(hasher.finish()).is_some() {
                let key = u64_at(&bytes, key_at).unwrap_or_default();
                self.group[n].header.key = NeedleKey(key);
                return Ok(());
            }
            bytes[key_at + bit / 8] ^= 1 << (bit % 8);
        }
        Ok(())
    }

    fn restart(&mut self, at: u64) {
        self.after_ours = true;
        self.at = at;
        self.boundary = at;
        self.hasher = CommitHasher::new(at);
    }

    /// What was walked so far first; then the damage itself, up to where the walk can go on.
    fn damage(&mut self) -> io::Result<Event> {
        if !self.group.is_empty() {
            self.boundary = NO_BOUNDARY;
            return Ok(Event::Loose(std::mem::take(&mut self.group)));
        }
        let start = self.at;
        let anchor = self
            .anchors
            .iter()
            .copied()
            .find(|a| *a > start && *a < self.window.end);
        let end = self.resume_after(start, anchor.unwrap_or(self.window.end))?;
        self.restart(end);
        self.boundary = NO_BOUNDARY;
        Ok(Event::Damage { start, end })
    }

    /// Where a record surely starts again: where the next commit does, or the next record of the damaged commit, or `until`.
    fn resume_after(&mut self, damage: u64, until: u64) -> io::Result<u64> {
        let from = damage + ALIGNMENT_BYTES;
        let Some((at, commit)) = self.next_commit_record(from, until)? else {
            return Ok(until);
        };
        if mutant::is(Mutant::SkipNeighbours) {
            return Ok(at);
        }
        if commit.start > damage {
            return Ok(commit.start);
        }
        self.next_chain(from, at)
    }

    /// The first offset from which records of ours lead to `to`; `to` itself if there is none.
    fn next_chain(&mut self, from: u64, to: u64) -> io::Result<u64> {
        let mut at = from;
        while at < to && !self.leads_to(at, to)? {
            at += ALIGNMENT_BYTES;
        }
        Ok(at)
    }

    /// Whether whole records of ours follow each other from one offset to another.
    fn leads_to(&mut self, from: u64, to: u64) -> io::Result<bool> {
        let mut at = from;
        while at < to {
            let header = self.window.get(at, HEADER_BYTES as u64)?;
            let header = header.and_then(|bytes| Header::decode(&bytes));
            let end = header.map(|h| at + record_bytes(h.size, self.version));
            // What reaches too far is not even read.
            match end.filter(|end| *end <= to) {
                Some(end) if self.is_whole(at, end)? => at = end,
                _ => return Ok(false),
            }
        }
        Ok(at == to)
    }

    fn is_whole(&mut self, at: u64, end: u64) -> io::Result<bool> {
        let record = self.window.get(at, end - at)?;
        Ok(record.is_some_and(|record| {
            Needle::header_holds(record.clone(), self.version, at)
                && Needle::decode(record, self.version, Some(at)).is_ok()
        }))
    }

    fn next_commit_record(
        &mut self,
        from: u64,
        until: u64,
    ) -> io::Result<Option<(u64, CommitRecord)>> {
        let len = commit::commit_record_bytes(self.version);
        let mut at = from;
        while let Some(bytes) = self.window.get(at, len).map(|b| b.filter(|_| at < until))? {
            if let Some(commit) = commit::decode(&bytes, self.version, at) {
                return Ok(Some((at, commit)));
            }
            at += ALIGNMENT_BYTES;
        }
        Ok(None)
    }
}

fn inspect(record: &Bytes, header: Header, version: Version, offset: u64) -> Found {
    let sealed = Needle::decode(record.clone(), version, Some(offset));
    let (fault, sealed, needle) = match sealed {
        Ok(needle) => (None, true, Some(needle)),
        Err(NeedleError::Seal) => (
            None,
            false,
            Needle::decode(record.clone(), version, None).ok(),
        ),
        Err(fault) => {
            let sealed = Needle::header_holds(record.clone(), version, offset);
            (Some(fault), sealed, None)
        }
    };
    let (checksum, appended_at_ns) = needle.map_or((0, 0), |n| (n.checksum, n.appended_at_ns));
    Found {
        offset,
        header,
        appended_at_ns,
        checksum,
        fault,
        sealed,
    }
}

#[cfg(test)]
mod tests {
    use moongate_disk::{Disk, OpenMode, SimDisk};
    use proptest::prelude::*;
    use std::path::Path;
    use std::sync::Arc;

    use super::*;
    use crate::id::Cookie;
    use crate::needle::{Draft, Stamp};

    const START: u64 = 8;

    /// Commits of needles with these lengths, as a `.dat` has them, and where each record starts.
    fn dat_of(commits: &[&[usize]]) -> (Vec<u8>, Vec<u64>) {
        let (mut dat, mut offsets) = (vec![3, 0, 0, 0, 0, 0, 0, 0], Vec::new());
        let mut key = 0;
        for lens in commits {
            let start = dat.len() as u64;
            let mut commit = Vec::new();
            for len in *lens {
                key += 1;
                let offset = start + commit.len() as u64;
                let stamp = Stamp {
                    key: NeedleKey(key),
                    cookie: Cookie(9),
                    appended_at_ns: 5,
                    offset,
                };
                let draft = Draft {
                    data: vec![key as u8; *len].into(),
                    ..Draft::default()
                };
                draft
                    .with_checksum()
                    .encode(&stamp, Version::V3, &mut commit);
                offsets.push(offset);
            }
            commit::seal_commit(&mut commit, start, Before::Durable, 6, Version::V3);
            dat.extend_from_slice(&commit);
        }
        (dat, offsets)
    }

    fn file_of(dat: &[u8]) -> Arc<dyn DiskFile> {
        let disk = SimDisk::new(0);
        let file = disk.open(Path::new("/1.dat"), OpenMode::CreateNew).unwrap();
        file.write_all_at(dat, 0).unwrap();
        file
    }

    fn walk(dat: &[u8]) -> Vec<Event> {
        let (file, mut events) = (file_of(dat), Vec::new());
        let scan = Scan::new(&*file, Version::V3, START, dat.len() as u64, &[]);
        scan.each(|event| {
            events.push(event);
            ControlFlow::Continue(())
        })
        .unwrap();
        events
    }

    fn sound_keys(events: &[Event]) -> Vec<u64> {
        let records = events.iter().flat_map(|event| match event {
            Event::Commit { records, .. } | Event::Loose(records) => &records[..],
            Event::Damage { .. } => &[],
        });
        let sound = records.filter(|r| r.sealed && r.fault.is_none());
        sound.map(|r| r.header.key.0).collect()
    }

    #[test]
    fn whole_commits_are_sound() {
        let (dat, _) = dat_of(&[&[1, 600], &[5000], &[]]);
        let events = walk(&dat);
        assert_eq!(events.len(), 3);
        let sound = |e: &Event| {
            matches!(
                e,
                Event::Commit {
                    sound: Some(Before::Durable),
                    ..
                }
            )
        };
        assert!(events.iter().all(sound));
        assert_eq!(sound_keys(&events), [1, 2, 3]);
    }

    #[test]
    fn a_key_with_one_flipped_bit_is_known_again() {
        let (mut dat, offsets) = dat_of(&[&[10, 20, 30]]);
        dat[offsets[1] as usize + KEY_AT + 7] ^= 1;
        let events = walk(&dat);
        let [
            Event::Commit {
                records,
                sound: None,
                ..
            },
        ] = &events[..]
        else {
            panic!("{events:?}")
        };
        assert_eq!(records[1].header.key, NeedleKey(2));
        assert_eq!(records[1].fault, Some(NeedleError::Seal));
    }

    proptest! {
        #[test]
        fn one_flipped_bit_costs_no_neighbour(at: usize, bit in 0u8..8) {
            let (mut dat, offsets) = dat_of(&[&[10, 600], &[30, 3, 700], &[8]]);
            let at = START as usize + at % (dat.len() - START as usize);
            dat[at] ^= 1 << bit;
            let keys = sound_keys(&walk(&dat));
            for (n, offset) in offsets.iter().enumerate() {
                let end = offset + record_bytes(dat_size(n), Version::V3);
                let hit = (*offset..end).contains(&(at as u64));
                prop_assert!(hit || keys.contains(&(n as u64 + 1)), "{} lost by {at}", n + 1);
            }
        }

        #[test]
        fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 8..600)) {
            walk(&bytes);
        }
    }

    fn dat_size(n: usize) -> u32 {
        [10, 600, 30, 3, 700, 8][n] + 5
    }
}
