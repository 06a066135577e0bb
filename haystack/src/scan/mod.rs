//! Reading a `.dat` from front to back: what recovery, `fsck` and the scrubber see of it.
//!
//! The walk goes from record to record and groups them by commit. Where a record cannot be walked over (its header is
//! damaged), the commit's checksum may tell how it was; else the walk goes on after the next commit record whose seal holds, or at the
//! next offset that an index names.

mod found;
mod loose;
mod mend;
mod window;

use std::io;
use std::ops::ControlFlow;

use bytes::Bytes;
use moongate_disk::DiskFile;

use crate::commit::{self, Before, CommitHasher, CommitRecord};
use crate::mutant::{self, Mutant};
use crate::needle::{
    ALIGNMENT_BYTES, DATA_BYTES_MAX, HEADER_BYTES, Header, Needle, NeedleError, Version,
    record_bytes,
};
pub use found::Found;
use found::inspect;
pub use loose::{Author, LooseRecords};
use mend::{Placed, next_commit_record};
use window::Window;

/// What the bytes of a commit are, by its checksum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// As they were written; and what had become of the bytes before the commit by then.
    Sound(Before),
    /// As they were written but for one bit, or for a few of the commit record: it was whole once, and decayed.
    Decayed(Before),
    /// Something else: torn, or decayed so far that nobody can tell.
    Broken,
}

impl Verdict {
    /// What was before a commit that was written whole.
    pub const fn whole(self) -> Option<Before> {
        match self {
            Self::Sound(before) | Self::Decayed(before) => Some(before),
            Self::Broken => None,
        }
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
        /// What its checksum says.
        verdict: Verdict,
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
/// The bytes since the last commit record were not all walked over.
const NO_BOUNDARY: u64 = u64::MAX;

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
            let read = self.record_at(self.at)?;
            if read.as_ref().is_none_or(|(found, _)| !found.sealed)
                && let Some(commit) = self.decayed_commit_record()?
            {
                return self.end_commit(commit, Verdict::Decayed).map(Some);
            }
            let Some((found, record)) = read else {
                return self.damage().map(Some);
            };
            if let Some(commit) = commit::decode(&record, self.version, self.at) {
                return self.end_commit(commit, Verdict::Sound).map(Some);
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
        let (version, file_end) = (self.version, self.window.end);
        let was_commit = found.header.key == commit::COMMIT_KEY && found.header.size > 0;
        if was_commit && self.after_ours {
            return Ok(false);
        }
        let window = &mut self.window;
        if self.after_ours
            && let Some((commit_at, _)) =
                mend::end_of_commit_around(window, version, found.offset, file_end)?
        {
            return self.leads_to(end, commit_at);
        }
        if found.fault.is_some() && !self.walkable(end)? {
            return Ok(false);
        }
        let may_be_ours = found.fault.is_some() || self.after_ours;
        Ok(!may_be_ours
            || (next_commit_record(&mut self.window, self.version, from, end)?.is_none()
                && self.next_chain(from, end)? == end))
    }

    /// Whether a sound record (or the end) is at an offset: then the record before it has its right length, damaged or not.
    fn walkable(&mut self, offset: u64) -> io::Result<bool> {
        Ok(offset == self.window.end
            || self
                .record_at(offset)?
                .is_some_and(|(found, _)| found.fault.is_none()))
    }

    /// A commit record to which records lead, if it decayed.
    fn decayed_commit_record(&mut self) -> io::Result<Option<CommitRecord>> {
        mend::commit_record_nearly_at(&mut self.window, self.version, self.at)
    }

    /// A commit record is where the walk stands. `whole` is the verdict if the commit's checksum matches.
    fn end_commit(
        &mut self,
        commit: CommitRecord,
        whole: fn(Before) -> Verdict,
    ) -> io::Result<Event> {
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
        let sound = Some(()).filter(|()| self.boundary == commit.start);
        let sound = sound.and_then(|()| commit.verify(self.hasher.finish()));
        let verdict = match sound {
            Some(before) => {
                // Vacuum takes damaged records along, with a header that is right.
                let unsealed = self.group.iter_mut().filter(|found| !found.sealed);
                unsealed.for_each(|found| found.fault = found.fault.or(Some(NeedleError::Seal)));
                whole(before)
            }
            None => self.mend((self.at, commit))?,
        };
        Ok(self.commit((self.at, commit), verdict))
    }

    /// Knows the records of a commit again of which one bit flipped. Of another that is broken, a record without a seal is
    /// damaged, whatever its header says.
    fn mend(&mut self, placed: Placed) -> io::Result<Verdict> {
        if let Some((records, verdict)) = mend::commit(&mut self.window, self.version, placed)? {
            self.group = records;
            return Ok(verdict);
        }
        self.group.iter_mut().for_each(Found::take_for_ours);
        Ok(Verdict::Broken)
    }

    /// The walk goes on behind a commit.
    fn commit(&mut self, (at, commit): Placed, verdict: Verdict) -> Event {
        let end = at + commit::commit_record_bytes(self.version);
        self.restart(end);
        Event::Commit {
            start: commit.start,
            end,
            records: std::mem::take(&mut self.group),
            verdict,
        }
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

    fn restart(&mut self, at: u64) {
        self.after_ours = true;
        self.at = at;
        self.boundary = at;
        self.hasher = CommitHasher::new(at);
    }

    /// The commit in which the walk came by damage, if its checksum can tell all of it.
    fn decayed_commit(&mut self) -> io::Result<Option<Event>> {
        if mutant::is(Mutant::SkipNeighbours) {
            return Ok(None);
        }
        let (damage, until) = (self.at, self.window.end);
        let window = &mut self.window;
        let Some(placed) = mend::end_of_commit_around(window, self.version, damage, until)? else {
            return Ok(None);
        };
        let Some((records, verdict)) = mend::commit(window, self.version, placed)? else {
            return Ok(None);
        };
        self.group.retain(|found| found.offset < placed.1.start);
        if !self.group.is_empty() {
            // The damage is met again, with nothing before it.
            return Ok(Some(Event::Loose(std::mem::take(&mut self.group))));
        }
        self.group = records;
        Ok(Some(self.commit(placed, verdict)))
    }

    /// What was walked so far first; then the damage itself, up to where the walk can go on.
    fn damage(&mut self) -> io::Result<Event> {
        if let Some(event) = self.decayed_commit()? {
            return Ok(event);
        }
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
        let next = next_commit_record(&mut self.window, self.version, from, until)?;
        if let (true, Some((at, _))) = (mutant::is(Mutant::SkipNeighbours), next) {
            return Ok(at);
        }
        let around = mend::end_of_commit_around(&mut self.window, self.version, damage, until)?;
        match (around, next) {
            (Some((at, _)), _) => self.next_chain(from, at),
            (None, Some((_, commit))) => Ok(commit.start),
            (None, None) => Ok(until),
        }
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
}

#[cfg(test)]
mod tests;
