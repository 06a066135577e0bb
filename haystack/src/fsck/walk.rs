//! Reading a `.dat` from end to end, and deciding which of its records count.
//!
//! The rules are those of recovery ([`crate::volume::open`]): whole commits count; so does everything that was acknowledged,
//! damaged or not, and what SeaweedFS wrote; what stands behind the last of these is a torn tail.

use std::io;

use moongate_disk::DiskFile;

use super::fold::{Kind, Touch};
use super::idx_file::IdxFile;
use super::problem::Fault;
use crate::commit::{Before, COMMIT_KEY, commit_record_bytes};
use crate::needle::{NeedleError, Version};
use crate::scan::{Author, Event, Found, LooseRecords, Scan, Verdict};

/// What is known of a volume before it is read.
pub struct Known<'a> {
    /// Layout of its records.
    pub version: Version,
    /// Offset of its first record.
    pub first: u64,
    /// Everything before was acknowledged; the first record's offset where there is no index to say.
    pub acknowledged_to: u64,
    /// From here on every record is ours; `None` where there is no index to say.
    pub sealed_from: Option<u64>,
    /// What its `.idx` names.
    pub idx: &'a IdxFile,
    /// Where the index has needles: after damage, reading goes on there.
    pub places: &'a [u64],
}

/// What was found.
#[derive(Debug, Default)]
pub struct Walked {
    /// Length of the file.
    pub dat_bytes: u64,
    /// Records that count, by their offsets.
    pub touches: Vec<Touch>,
    /// Records that count but whose key is not known: their seal is broken, and no `.idx` names them.
    pub nameless: Vec<Found>,
    /// Bytes that are no records: start and end.
    pub unreadable: Vec<(u64, u64)>,
    /// Commits whose checksum does not match: start and end.
    pub broken_commits: Vec<(u64, u64)>,
    /// Commit records.
    pub commits: u64,
    /// Behind the last record that counts.
    pub settled_to: u64,
    /// Whole records behind that.
    pub whole_in_tail: u64,
}

impl Walked {
    /// The record at an offset.
    pub fn touch_at(&self, offset: u64) -> Option<&Touch> {
        let at = self.touches.binary_search_by_key(&offset, |t| t.offset);
        at.ok().map(|at| &self.touches[at])
    }

    /// Whether an offset is in bytes that cannot be read, or of a record whose key cannot.
    pub fn is_damaged_at(&self, offset: u64) -> bool {
        let inside = |(start, end): &(u64, u64)| (*start..*end).contains(&offset);
        self.unreadable.iter().any(inside) || self.nameless.iter().any(|f| f.offset == offset)
    }
}

/// See the module. `walked` is told how many bytes were read.
pub fn walk(
    dat: &dyn DiskFile,
    known: &Known<'_>,
    watch: &mut dyn FnMut(u64),
) -> io::Result<Walked> {
    let dat_bytes = dat.len()?;
    let mut anchors: Vec<u64> = known.idx.offsets().collect();
    anchors.push(known.acknowledged_to);
    anchors.extend(known.places);
    anchors.sort_unstable();
    anchors.dedup();
    let mut judge = Judge {
        known,
        walked: Walked {
            dat_bytes,
            settled_to: known.first.min(dat_bytes),
            ..Walked::default()
        },
        held: Vec::new(),
        torn: false,
        loose: LooseRecords::sealed_from(known.sealed_from),
    };
    let mut scan = Scan::new(dat, known.version, known.first, dat_bytes, &anchors);
    let mut told = known.first;
    while let Some(event) = scan.next_event()? {
        judge.event(event);
        watch(scan.position().saturating_sub(told));
        told = scan.position();
    }
    Ok(judge.end())
}

/// What may or may not count, until it is known what comes behind it.
enum Held {
    Touch(Touch),
    Nameless(Found),
    BrokenCommit(u64, u64),
    Unreadable(u64, u64),
}

struct Judge<'a> {
    known: &'a Known<'a>,
    walked: Walked,
    held: Vec<Held>,
    /// Bytes behind what counts cannot be read.
    torn: bool,
    loose: LooseRecords,
}

impl Judge<'_> {
    fn event(&mut self, event: Event) {
        match event {
            Event::Commit {
                start,
                end,
                records,
                verdict,
            } => self.commit((start, end), &records, verdict),
            Event::Loose(records) => records.iter().for_each(|found| self.loose_record(found)),
            Event::Damage { start, end } => self.damage(start, end),
        }
    }

    fn commit(&mut self, (start, end): (u64, u64), records: &[Found], verdict: Verdict) {
        self.loose.commit();
        let nothing_torn = self.held.is_empty() && !self.torn;
        for found in records {
            let broken_seal = (!found.sealed).then_some(NeedleError::Seal);
            self.hold(found, found.fault.or(broken_seal));
        }
        if !matches!(verdict, Verdict::Sound(_)) {
            self.held.push(Held::BrokenCommit(start, end));
        }
        self.held.push(Held::Touch(Touch {
            key: COMMIT_KEY,
            offset: end - commit_record_bytes(self.known.version),
            size: 0,
            kind: Kind::Commit,
            damaged: None,
        }));
        let proved = match verdict.whole() {
            Some(Before::Durable) => true,
            Some(Before::Unsynced) => nothing_torn,
            None => false,
        };
        if proved || end <= self.known.acknowledged_to {
            self.accept_held(end);
            self.torn = false;
        }
    }

    fn loose_record(&mut self, found: &Found) {
        let mut found = *found;
        let named = self.known.idx.at(found.offset);
        let ours = self.loose.author(&found, named.map(|n| n.key)) != Author::Others;
        let named = named.is_some();
        if ours {
            found.take_for_ours();
        }
        let fault = found.fault;
        self.hold(&found, fault);
        let trusted = self.known.sealed_from.is_none() && fault.is_none();
        let by_others = !ours && (named || trusted);
        if found.offset < self.known.acknowledged_to || by_others {
            self.accept_held(found.end(self.known.version));
        }
    }

    /// Records that the `.idx` names there are taken at its word.
    fn damage(&mut self, start: u64, end: u64) {
        self.loose.damage();
        self.torn |= end > self.known.acknowledged_to;
        self.held.push(Held::Unreadable(start, end));
        for named in self.known.idx.within(start, end) {
            let kind = if named.key == COMMIT_KEY {
                Kind::Commit
            } else if named.size.is_some() {
                Kind::Put
            } else {
                Kind::Marker
            };
            self.held.push(Held::Touch(Touch {
                key: named.key,
                offset: named.offset,
                size: named.size.unwrap_or(0),
                kind,
                damaged: Some(Fault::Unreadable),
            }));
        }
        if end <= self.known.acknowledged_to {
            self.accept_held(end);
        }
    }

    fn hold(&mut self, found: &Found, fault: Option<NeedleError>) {
        let named = self.known.idx.at(found.offset);
        let key = match (fault, named) {
            (Some(_), Some(named)) if !found.is_header_known() => named.key,
            (Some(_), None) if found.is_header_known() => found.header.key,
            // A commit record, or nobody knows whose delete marker.
            (Some(NeedleError::Seal), None) if found.header.size == 0 => COMMIT_KEY,
            (Some(NeedleError::Seal), None) => return self.held.push(Held::Nameless(*found)),
            _ => found.header.key,
        };
        self.held.push(Held::Touch(Touch {
            key,
            offset: found.offset,
            size: found.header.size,
            kind: if key == COMMIT_KEY {
                Kind::Commit
            } else {
                kind(found, named.map(|n| n.size.is_some()))
            },
            damaged: fault.map(Fault::Record),
        }));
    }

    fn accept_held(&mut self, end: u64) {
        for held in std::mem::take(&mut self.held) {
            match held {
                Held::Touch(touch) => {
                    self.walked.commits += u64::from(touch.kind == Kind::Commit);
                    self.walked.touches.push(touch);
                }
                Held::Nameless(found) => self.walked.nameless.push(found),
                Held::BrokenCommit(start, end) => self.walked.broken_commits.push((start, end)),
                Held::Unreadable(start, end) => self.walked.unreadable.push((start, end)),
            }
        }
        self.walked.settled_to = self.walked.settled_to.max(end);
    }

    fn end(mut self) -> Walked {
        let whole = |held: &&Held| matches!(held, Held::Touch(touch) if touch.damaged.is_none() && touch.kind != Kind::Commit);
        self.walked.whole_in_tail = self.held.iter().filter(whole).count() as u64;
        self.walked.touches.sort_by_key(|touch| touch.offset);
        self.walked
    }
}

/// As recovery reads it; see [`crate::volume`].
fn kind(found: &Found, named_live: Option<bool>) -> Kind {
    match (found.header.size, named_live) {
        (1.., _) => Kind::Put,
        (0, Some(false)) => Kind::Marker,
        (0, Some(true)) if !found.is_header_known() || found.checksum == 0 => Kind::Put,
        (0, None) if !found.is_header_known() && found.checksum == 0 => Kind::Unclear,
        (0, _) => Kind::Marker,
    }
}

impl Walked {
    /// Whether a commit's checksum is broken by something that is reported by itself.
    pub fn explains(&self, (start, end): (u64, u64)) -> bool {
        let inside = |offset: u64| (start..end).contains(&offset);
        let from = self.touches.partition_point(|t| t.offset < start);
        self.touches[from..]
            .iter()
            .take_while(|t| t.offset < end)
            .any(|t| t.damaged.is_some())
            || self.nameless.iter().any(|f| inside(f.offset))
            || self
                .unreadable
                .iter()
                .any(|(from, to)| *from < end && *to > start)
    }
}
