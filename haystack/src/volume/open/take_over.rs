//! Opening a volume that the index does not know: SeaweedFS made it, or the index was lost.

use std::sync::Arc;

use bytes::Bytes;
use moongate_disk::{DiskFile, OpenMode};

use super::walk::Walk;
use super::{Opening, Ready, Trusted};
use crate::commit;
use crate::error::HaystackError;
use crate::idx::IdxEntry;
use crate::index::{Change, Entry, Progress};
use crate::needle::{Header, Needle, Version, record_bytes};
use crate::sequence;

impl Opening<'_> {
    /// Opens a volume that the index does not know: SeaweedFS made it, or the index was lost.
    pub(super) fn take_over(&mut self) -> Result<Ready, HaystackError> {
        self.recovery.rebuilt = true;
        self.index.drop_table(self.table)?;
        let first = self.block.first_record();
        if self
            .disk
            .exists(&self.files.idx())
            .map_err(|e| self.failed(e))?
        {
            let idx = self
                .disk
                .open(&self.files.idx(), OpenMode::ReadWrite)
                .map_err(|e| self.failed(e))?;
            let entries = self.read_idx(&*idx, 0)?;
            let (covered, used) = covered(&entries, first, self.block.version, self.dat_bytes);
            // Ours is read as a whole: it tells which needles carry a seal.
            let has_commits = entries
                .iter()
                .any(|e| !e.is_put() && e.key() == commit::COMMIT_KEY);
            let whole = used == entries.len() && used > 0 && !has_commits;
            if whole && self.is_all_as_indexed(&entries, covered)? {
                return self.take_over_idx(idx, &entries, covered);
            }
            return self.rebuild(&entries, None, &Trusted::default());
        }
        self.rebuild(&[], None, &Trusted::default())
    }

    /// Whether the record of the last `.idx` entry is in the `.dat`, and nothing looks like ours: neither it nor the first, nor what
    /// stands behind it. One of them may be damaged. Where a seal holds by chance, reading it all only takes longer.
    fn is_all_as_indexed(&self, entries: &[IdxEntry], covered: u64) -> Result<bool, HaystackError> {
        let (Some(first), Some(last)) = (entries.first(), entries.last()) else {
            return Ok(false);
        };
        let (version, tail) = (self.block.version, self.record_of(last)?);
        let as_indexed = Header::decode(&tail).is_some_and(|h| h.key == last.key());
        let is_ours =
            |record: Bytes, entry: &IdxEntry| Needle::header_holds(record, version, entry.offset());
        let ours = is_ours(tail, last)
            || is_ours(self.record_of(first)?, first)
            || self.is_commit_record(covered)?;
        Ok(as_indexed && !ours)
    }

    fn record_of(&self, entry: &IdxEntry) -> Result<Bytes, HaystackError> {
        let len = record_bytes(entry.size(), self.block.version) as usize;
        let record = moongate_disk::read_exact_at(self.dat, entry.offset(), len);
        Ok(record.map_err(|e| self.failed(e))?.into())
    }

    fn is_commit_record(&self, offset: u64) -> Result<bool, HaystackError> {
        let len = commit::commit_record_bytes(self.block.version);
        if self.dat_bytes - offset < len {
            return Ok(false);
        }
        let record = moongate_disk::read_exact_at(self.dat, offset, len as usize)
            .map_err(|e| self.failed(e))?;
        Ok(commit::decode_nearly(&record, self.block.version, offset).is_some())
    }

    /// The `.idx` covers the `.dat` record by record: take it as it is.
    fn take_over_idx(
        &mut self,
        idx: Arc<dyn DiskFile>,
        entries: &[IdxEntry],
        covered: u64,
    ) -> Result<Ready, HaystackError> {
        self.secure(covered)?;
        let (changes, mut progress) = fold(entries);
        for batch in changes.chunks(4096) {
            self.index.store().load(self.table, batch)?;
        }
        progress.dat_bytes = covered;
        progress.sealed_from = covered;
        let idx_bytes = (entries.len() * self.width.entry_bytes()) as u64;
        let replay = self.replay(progress, &idx, idx_bytes);
        let mut walk = Walk::new(replay, covered, covered);
        walk.trust_loose = true;
        let (progress, idx_bytes) = self.walk(walk, covered, &[])?;
        let checkpoint = self.settle(&*idx, idx_bytes, &progress)?;
        self.keep(idx, progress, checkpoint)
    }
}

/// How far `.idx` entries follow each other in the `.dat` without a gap, and how many of them do.
fn covered(entries: &[IdxEntry], first: u64, version: Version, dat_bytes: u64) -> (u64, usize) {
    let mut at = first;
    for (n, entry) in entries.iter().enumerate() {
        let (offset, size) = (entry.offset(), entry.size());
        let end = offset.saturating_add(record_bytes(size, version));
        if offset != at || end > dat_bytes {
            return (at, n);
        }
        at = end;
    }
    (at, entries.len())
}

/// The last word of an `.idx` on each key, and what it counts.
fn fold(entries: &[IdxEntry]) -> (Vec<Change>, Progress) {
    let mut order: Vec<u32> = (0..u32::try_from(entries.len()).unwrap_or(u32::MAX)).collect();
    let key = |n: u32| entries[n as usize].key();
    order.sort_by_key(|n| key(*n));
    let (mut changes, mut progress): (Vec<Change>, _) = (Vec::new(), Progress::default());
    for group in order.chunk_by(|a, b| key(*a) == key(*b)) {
        let mut last: Option<Entry> = None;
        for n in group {
            let before = last.filter(|e| !e.deleted);
            progress.counters.deletes += u64::from(before.is_some());
            progress.counters.deleted_bytes += before.map_or(0, |e| u64::from(e.size));
            last = match entries[*n as usize] {
                IdxEntry::Put { offset, size, .. } => {
                    progress.counters.puts += 1;
                    Some(Entry {
                        offset,
                        size,
                        deleted: false,
                    })
                }
                IdxEntry::Delete { .. } => last.map(|e| Entry { deleted: true, ..e }),
            };
        }
        if let Some(entry) = last {
            let key = key(group[0]);
            changes.push((key, entry));
            progress.key_max = if sequence::is_ours(key) {
                progress.key_max.max(key.0)
            } else {
                progress.key_max
            };
        }
    }
    (changes, progress)
}
