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
use crate::needle::{Header, NeedleError};
use crate::scan::{Event, Found};
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
    /// We wrote to this volume.
    commits_seen: bool,
    /// Behind the last commit that counts.
    held: Vec<Held>,
    /// Bytes behind it cannot be read.
    torn: bool,
    /// Of the record before, if no commit ended since: whether it is ours, and whether the `.idx` names it.
    previous: Option<(bool, bool)>,
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
            commits_seen: false,
            held: Vec::new(),
            torn: false,
            previous: None,
        }
    }

    /// The same with what an `.idx` says.
    pub(super) fn with_idx(self, entries: &[IdxEntry]) -> Self {
        Self {
            named: named(entries),
            ..self
        }
    }

    /// Takes an event; returns how many bytes it could not read.
    pub(super) fn event(&mut self, event: Event) -> Result<u64, HaystackError> {
        match event {
            Event::Commit {
                records,
                sound,
                end,
                ..
            } => {
                self.commits_seen = true;
                self.previous = None;
                if self.counts(sound, end) {
                    self.accept_held()?;
                    records.iter().try_for_each(|found| self.accept(found))?;
                    self.accept_commit(end)?;
                } else {
                    self.held.extend(records.into_iter().map(Held::Record));
                    self.held.push(Held::CommitEnd(end));
                }
            }
            Event::Loose(records) => {
                records.iter().try_for_each(|found| self.loose(found))?;
                if self.held.is_empty() {
                    self.replay.settle()?;
                }
            }
            Event::Damage { start, end } => {
                self.previous = None;
                self.torn |= end > self.acknowledged_to;
                self.accept_named(start..end.min(self.acknowledged_to))?;
                return Ok(end - start);
            }
        }
        Ok(0)
    }

    /// Whether a commit and all before it counts. What follows a torn one without having waited for it does not: a power cut
    /// took the one and spared the other.
    fn counts(&self, sound: Option<Before>, end: u64) -> bool {
        let nothing_torn = self.held.is_empty() && !self.torn;
        match sound {
            _ if end <= self.acknowledged_to => true,
            Some(Before::Durable) => true,
            Some(Before::Unsynced) => nothing_torn || mutant::is(Mutant::TrustOverlappingCommits),
            None => false,
        }
    }

    fn loose(&mut self, found: &Found) -> Result<(), HaystackError> {
        let mut found = *found;
        let name = self.named.get(&found.offset);
        let named = name.is_some();
        let key = name.map_or(found.header.key, IdxEntry::key);
        let was_commit = key == commit::COMMIT_KEY && found.header.size == 0;
        let among_ours = self
            .previous
            .is_some_and(|(ours, before_named)| ours && (before_named || !named));
        let ours = found.sealed || among_ours || was_commit;
        self.previous = Some((ours, named));
        if !found.sealed && ours {
            found.fault = found.fault.or(Some(NeedleError::Seal));
            if found.header.size == 0 {
                // A commit record, or nobody knows whose delete marker.
                found.header.key = commit::COMMIT_KEY;
            }
        }
        // Nothing but its seal tells a delete marker of ours that is torn from SeaweedFS's empty object.
        let behind_torn = self.torn || !self.held.is_empty();
        let may_be_torn = behind_torn || (self.commits_seen && found.header.size == 0);
        let trusted = self.trust_loose && found.fault.is_none() && !may_be_torn;
        let by_others = !ours && (named || trusted);
        if by_others {
            self.accept_held()?;
            self.accept_foreign(&found)
        } else if found.offset < self.acknowledged_to {
            self.accept_held()?;
            self.accept(&found)
        } else {
            self.held.push(Held::Record(found));
            Ok(())
        }
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
                checksum: 0,
                fault: Some(NeedleError::Malformed),
                sealed: false,
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
        if let (false, Some(entry)) = (found.sealed, named) {
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
