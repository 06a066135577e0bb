//! Deciding, record by record, what of a tail counts.
//!
//! A commit whose checksum holds counts, and proves what is before it. What stands behind the last such commit is held until
//! something proves it; at the end of the file what is still held was never acknowledged.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::commit::{self, Before};
use crate::error::HaystackError;
use crate::id::Cookie;
use crate::idx::IdxEntry;
use crate::mutant::{self, Mutant};
use crate::needle::{Header, NeedleError, Version};
use crate::scan::{Author, Event, Found, LooseRecords, Verdict};
use crate::volume::replay::Replay;

/// What an `.idx` says of the record at an offset.
type Named = BTreeMap<u64, IdxEntry>;

fn named(entries: &[IdxEntry]) -> Named {
    entries
        .iter()
        .map(|entry| (entry.offset(), *entry))
        .collect()
}

/// What may or may not count, until it is known what comes behind it.
pub(super) enum Held {
    Record(Found),
    CommitEnd(u64),
}

/// Decides, record by record, what of a tail counts.
pub(super) struct Walk {
    pub(super) replay: Replay,
    /// Everything before was acknowledged, damaged or not.
    pub(super) acknowledged_to: u64,
    /// Behind the last that counts.
    pub(super) settled_to: u64,
    named: Named,
    /// Records outside commits count by their own checksum: nobody wrote commits, or nobody knows.
    pub(super) trust_loose: bool,
    loose: LooseRecords,
    /// Behind the last commit that counts.
    held: Vec<Held>,
    /// Among them are such as are surely ours, or damaged.
    holds_ours: bool,
    /// Among them are whole records that may be SeaweedFS's.
    pub(super) looks_foreign: bool,
    /// Bytes behind it cannot be read.
    torn: bool,
}

impl Walk {
    /// A walk that begins at `settled_to`.
    pub(super) fn new(replay: Replay, acknowledged_to: u64, settled_to: u64) -> Self {
        Self {
            replay,
            acknowledged_to,
            settled_to,
            named: Named::new(),
            trust_loose: false,
            loose: LooseRecords::default(),
            held: Vec::new(),
            holds_ours: false,
            looks_foreign: false,
            torn: false,
        }
    }

    /// The same with what an `.idx` says.
    pub(super) fn with_idx(self, entries: &[IdxEntry]) -> Self {
        Self {
            named: named(entries),
            ..self
        }
    }

    /// The index knows the volume: we may have written to it from its first record on.
    pub(super) const fn is_of_ours(&mut self) {
        self.loose.commit();
    }

    /// Takes an event; returns how many bytes it could not read.
    pub(super) fn event(&mut self, event: Event) -> Result<u64, HaystackError> {
        match event {
            Event::Commit {
                records,
                verdict,
                end,
                ..
            } => {
                self.loose.commit();
                if self.counts(verdict, end) {
                    self.accept_held()?;
                    records.iter().try_for_each(|found| self.accept(found))?;
                    self.accept_commit(end)?;
                } else {
                    self.holds_ours = true;
                    self.held.extend(records.into_iter().map(Held::Record));
                    self.held.push(Held::CommitEnd(end));
                }
            }
            Event::Loose(records) => {
                records
                    .iter()
                    .try_for_each(|found| self.loose_record(found))?;
                if self.held.is_empty() {
                    self.replay.settle()?;
                }
            }
            Event::Damage { start, end } => {
                self.loose.damage();
                self.torn |= end > self.acknowledged_to;
                self.accept_named(start..end.min(self.acknowledged_to))?;
                return Ok(end - start);
            }
        }
        Ok(0)
    }

    /// Whether a commit and all before it counts. What follows a torn one without having waited for it does not: a power cut
    /// took the one and spared the other.
    fn counts(&self, verdict: Verdict, end: u64) -> bool {
        let nothing_torn = self.held.is_empty() && !self.torn;
        match verdict.whole() {
            _ if end <= self.acknowledged_to => true,
            Some(Before::Durable) => true,
            Some(Before::Unsynced) => nothing_torn || mutant::is(Mutant::TrustOverlappingCommits),
            None => false,
        }
    }

    fn loose_record(&mut self, found: &Found) -> Result<(), HaystackError> {
        let mut found = *found;
        let named = self.named.get(&found.offset).map(IdxEntry::key);
        let author = self.loose.author(&found, named);
        let ours = author != Author::Others;
        if ours {
            found.take_for_ours();
            if found.header.size == 0 && !found.is_header_known() {
                // A commit record, or nobody knows whose delete marker.
                found.header.key = commit::COMMIT_KEY;
            }
        }
        let trusted = self.trust_loose && found.fault.is_none() && !self.may_be_torn(&found)?;
        let by_others = !ours && (named.is_some() || trusted);
        if by_others {
            self.accept_held()?;
            self.accept_foreign(&found)
        } else if found.offset < self.acknowledged_to {
            self.accept_held()?;
            self.accept(&found)
        } else {
            self.looks_foreign |= !ours && found.fault.is_none();
            self.holds_ours |= author == Author::Us || found.fault.is_some();
            self.held.push(Held::Record(found));
            Ok(())
        }
    }

    /// Whether a record without a seal may be what a power cut left of one of ours. Where no checksum covers it, nothing but
    /// time and form tell it from what SeaweedFS appended: its times rise too, its fields fill the body, and it deletes only what is there.
    fn may_be_torn(&self, found: &Found) -> Result<bool, HaystackError> {
        if self.torn || self.holds_ours {
            return Ok(true);
        }
        let has_time = self.replay.version == Version::V3;
        // Where we wrote nothing times need not rise: a vacuum of SeaweedFS's goes by key.
        if !self.loose.commits_seen() {
            return Ok(found.appended_at_ns == 0 && has_time);
        }
        let is_later = found.appended_at_ns > self.replay.progress.appended_at_ns;
        let is_timely = is_later || (!has_time && found.header.size > 0);
        let deletes = found.header.size == 0 && found.checksum != 0;
        Ok(!is_timely || !found.adds_up || (deletes && !self.replay.is_live(found.header.key)?))
    }

    /// Enters what an `.idx` knows to be where nothing can be read: a deleted needle stays deleted, a damaged one is answered with
    /// an error and not with what it replaced.
    fn accept_named(&mut self, damage: Range<u64>) -> Result<(), HaystackError> {
        if damage.is_empty() {
            return Ok(());
        }
        self.accept_held()?;
        let lost: Vec<IdxEntry> = self.named.range(damage).map(|(_, entry)| *entry).collect();
        for entry in lost {
            let header = Header {
                cookie: Cookie(0),
                key: entry.key(),
                size: entry.size(),
            };
            self.accept(&Found {
                offset: entry.offset(),
                header,
                appended_at_ns: 0,
                expires_secs: None,
                checksum: 0,
                adds_up: false,
                fault: Some(NeedleError::Malformed),
                sealed: false,
                surely_sealed: false,
                filled: false,
                mended: None,
            })?;
        }
        Ok(())
    }

    fn accept_foreign(&mut self, found: &Found) -> Result<(), HaystackError> {
        let fresh = found.offset >= self.replay.progress.dat_bytes;
        self.accept(found)?;
        if fresh {
            self.replay.progress.sealed_from = self.settled_to;
        }
        Ok(())
    }

    fn accept(&mut self, found: &Found) -> Result<(), HaystackError> {
        let named = self.named.get(&found.offset);
        let mut found = *found;
        if let (false, Some(entry)) = (found.is_header_known(), named) {
            found.header.key = entry.key();
        }
        self.replay.record(&found, named.map(IdxEntry::is_put))?;
        self.settled_to = found.end(self.replay.version);
        Ok(())
    }

    fn accept_commit(&mut self, end: u64) -> Result<(), HaystackError> {
        self.replay.commit_record(end);
        self.settled_to = end;
        self.torn = false;
        self.replay.settle()
    }

    /// A later commit proves that these were durable before it began.
    pub(super) fn accept_held(&mut self) -> Result<(), HaystackError> {
        (self.holds_ours, self.looks_foreign) = (false, false);
        for held in std::mem::take(&mut self.held) {
            match held {
                Held::Record(found) => self.accept(&found)?,
                Held::CommitEnd(end) => self.accept_commit(end)?,
            }
        }
        Ok(())
    }

    pub(super) fn held_records(&self) -> impl Iterator<Item = Found> {
        self.held.iter().filter_map(|held| match held {
            Held::Record(found) => Some(*found),
            Held::CommitEnd(_) => None,
        })
    }
}
