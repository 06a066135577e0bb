//! The `.idx` of a volume, sorted by the offsets that it names, and what is wrong with it.

use std::io;
use std::path::Path;

use moongate_disk::{Disk, DiskFile, OpenMode};

use super::fold::{Folded, Touch};
use super::problem::Problem;
use super::walk::Walked;
use crate::commit::{self, COMMIT_KEY};
use crate::id::NeedleKey;
use crate::idx::{IdxEntry, OffsetWidth};
use crate::needle::{Version, record_bytes};

const READ_ENTRIES: usize = 1 << 16;

/// One entry and where it stands in the `.idx`.
#[derive(Clone, Copy, Debug)]
pub struct Named {
    /// Offset in the `.dat`.
    pub offset: u64,
    /// Key of the entry.
    pub key: NeedleKey,
    /// Size field; `None` for a deletion.
    pub size: Option<u32>,
    /// Number of the entry in the file.
    pub nth: u32,
}

/// See the module.
#[derive(Debug, Default)]
pub struct IdxFile {
    /// Whether there is a file.
    pub exists: bool,
    /// Its length.
    pub bytes: u64,
    /// Whether its entries follow each other as their records do.
    in_order: bool,
    entries: Vec<Named>,
}

impl IdxFile {
    /// Reads the whole file.
    pub fn read(disk: &dyn Disk, path: &Path, width: OffsetWidth) -> io::Result<Self> {
        if !disk.exists(path)? {
            return Ok(Self::default());
        }
        let file = disk.open(path, OpenMode::Read)?;
        let bytes = file.len()?;
        let entry_bytes = width.entry_bytes();
        let mut entries = Vec::new();
        let mut at = 0;
        while at < bytes {
            let len = (bytes - at).min((entry_bytes * READ_ENTRIES) as u64) as usize;
            let read = moongate_disk::read_exact_at(&*file, at, len)?;
            let decoded = read
                .chunks_exact(entry_bytes)
                .filter_map(|b| width.decode(b));
            for entry in decoded {
                let nth = u32::try_from(entries.len()).unwrap_or(u32::MAX);
                entries.push(named(&entry, nth));
            }
            at += len as u64;
        }
        let in_order = entries.is_sorted_by_key(|named| named.offset);
        entries.sort_by_key(|named| named.offset);
        Ok(Self {
            exists: true,
            bytes,
            in_order,
            entries,
        })
    }

    /// What it says of a record: its last word, if it has several.
    pub fn at(&self, offset: u64) -> Option<&Named> {
        self.within(offset, offset + 1).last()
    }

    /// What it says of the records that start in a range.
    pub fn within(&self, start: u64, end: u64) -> &[Named] {
        let from = self.entries.partition_point(|named| named.offset < start);
        let to = self.entries.partition_point(|named| named.offset < end);
        &self.entries[from..to.max(from)]
    }

    /// Offset behind the last commit record that is where the file says: commits are named only once they are durable.
    pub fn proves(&self, dat: &dyn DiskFile, version: Version) -> io::Result<u64> {
        let (len, dat_bytes) = (commit::commit_record_bytes(version), dat.len()?);
        let commits = self.entries.iter().rev();
        for named in commits.filter(|n| n.key == COMMIT_KEY && n.size.is_none()) {
            if named.offset.saturating_add(len) > dat_bytes {
                continue;
            }
            let record = moongate_disk::read_exact_at(dat, named.offset, len as usize)?;
            if commit::decode(&record, version, named.offset).is_some() {
                return Ok(named.offset + len);
            }
        }
        Ok(0)
    }

    /// Offsets that it names, ascending.
    pub fn offsets(&self) -> impl Iterator<Item = u64> {
        self.entries.iter().map(|named| named.offset)
    }
}

fn named(entry: &IdxEntry, nth: u32) -> Named {
    match *entry {
        IdxEntry::Put { key, offset, size } => Named {
            offset,
            key,
            size: Some(size),
            nth,
        },
        IdxEntry::Delete { key, offset } => Named {
            offset,
            key,
            size: None,
            nth,
        },
    }
}

/// What the comparison needs to know of the volume.
pub struct Compare<'a> {
    /// The file.
    pub idx: &'a IdxFile,
    /// What stands in the `.dat`.
    pub walked: &'a Walked,
    /// What follows from it.
    pub folded: &'a Folded,
    /// Layout of the records.
    pub version: Version,
    /// Width of the entries.
    pub width: OffsetWidth,
    /// Records from here on may not have reached the `.idx`: the volume was not closed cleanly.
    pub settled_from: u64,
}

impl Compare<'_> {
    /// Reports every difference.
    pub fn report(
        &self,
        name: &dyn Fn(NeedleKey, u64) -> super::NeedleName,
        add: &mut dyn FnMut(Problem),
    ) {
        if !self.idx.exists {
            // A volume without a needle needs none: SeaweedFS makes it when it opens the volume.
            if !self.walked.touches.is_empty() {
                add(Problem::IdxMissing);
            }
            return;
        }
        if !self
            .idx
            .bytes
            .is_multiple_of(self.width.entry_bytes() as u64)
        {
            add(Problem::IdxCut {
                idx_bytes: self.idx.bytes,
            });
        }
        self.strays(add);
        let lacks = self.lacks(name, add);
        if !lacks {
            self.short(add);
        }
        if !self.idx.in_order {
            self.order(name, add);
        }
    }

    /// Entries without a record.
    fn strays(&self, add: &mut dyn FnMut(Problem)) {
        let entries = self.idx.entries.iter();
        for named in entries.filter(|n| n.offset < self.walked.settled_to) {
            let excused = match self.walked.touch_at(named.offset) {
                Some(touch) => touch.damaged.is_some() || agrees(named, touch),
                None => self.walked.is_damaged_at(named.offset),
            };
            if !excused {
                add(Problem::IdxStray {
                    idx_offset: u64::from(named.nth) * self.width.entry_bytes() as u64,
                    key: named.key,
                    offset: named.offset,
                });
            }
        }
        for named in self.idx.within(self.walked.dat_bytes, u64::MAX) {
            add(Problem::IdxStray {
                idx_offset: u64::from(named.nth) * self.width.entry_bytes() as u64,
                key: named.key,
                offset: named.offset,
            });
        }
    }

    /// Needles and deletions without an entry, whose lack would be noticed.
    fn lacks(
        &self,
        name: &dyn Fn(NeedleKey, u64) -> super::NeedleName,
        add: &mut dyn FnMut(Problem),
    ) -> bool {
        let mut any = false;
        for (key, state) in self.folded.keys() {
            let wanted = !state.deleted || state.was_put;
            let settled = state.decided_at < self.settled_from;
            if wanted && settled && self.idx.at(state.decided_at).is_none() {
                // `weed fix` writes no entry for what is deleted, nor for what it replaced: only then is it wrong.
                let older = state.deleted && !self.names_live(key);
                if !older {
                    any = true;
                    add(Problem::IdxLacks {
                        needle: name(key, state.decided_at),
                        offset: state.decided_at,
                    });
                }
            }
        }
        any
    }

    /// Whether any entry says that a key is there: slow, for the few keys that need it.
    fn names_live(&self, key: NeedleKey) -> bool {
        let mut of_key: Vec<&Named> = self.idx.entries.iter().filter(|n| n.key == key).collect();
        of_key.sort_by_key(|named| named.nth);
        of_key.last().is_some_and(|named| named.size.is_some())
    }

    fn short(&self, add: &mut dyn FnMut(Problem)) {
        let Some(last) = self.walked.touches.last() else {
            return;
        };
        let covered = self.idx.entries.last().map_or(0, |named| {
            named.offset + record_bytes(named.size.unwrap_or(0), self.version)
        });
        if covered <= last.offset && last.offset < self.settled_from {
            add(Problem::IdxShort {
                offset: covered,
                end: self.walked.settled_to,
            });
        }
    }

    /// Replayed in file order, the last entry of a key wins: it must be the one about its last record.
    fn order(
        &self,
        name: &dyn Fn(NeedleKey, u64) -> super::NeedleName,
        add: &mut dyn FnMut(Problem),
    ) {
        let mut by_key: Vec<&Named> = self.idx.entries.iter().collect();
        by_key.sort_by_key(|named| (named.key, named.nth));
        for of_key in by_key.chunk_by(|a, b| a.key == b.key) {
            let newest = of_key.iter().map(|named| named.offset).max().unwrap_or(0);
            let last = of_key.last().map_or(0, |named| named.offset);
            if newest != last && of_key[0].key != COMMIT_KEY {
                add(Problem::IdxOrder {
                    needle: name(of_key[0].key, newest),
                    offset: newest,
                });
            }
        }
    }
}

fn agrees(named: &Named, touch: &Touch) -> bool {
    let size = named.size.unwrap_or(0);
    named.key == touch.key && size == touch.size && named.size.is_some() == touch.kind.is_put()
}
