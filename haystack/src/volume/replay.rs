//! Entering records that are already in a `.dat` into the index and the `.idx`.

use std::collections::HashMap;
use std::sync::Arc;

use moongate_disk::DiskFile;

use crate::commit::COMMIT_KEY;
use crate::error::HaystackError;
use crate::id::{NeedleKey, VolumeId};
use crate::idx::{IdxEntry, OffsetWidth};
use crate::index::hot::HotIndex;
use crate::index::{Change, Entry, Progress, TableId};
use crate::needle::{NeedleError, Version};
use crate::scan::Found;
use crate::sequence;

/// Few in tests, so that they come by it.
const BATCH_CHANGES: usize = if cfg!(test) { 8 } else { 4096 };

/// What a record without body stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// A needle with data or metadata.
    Needle,
    /// SeaweedFS's empty object.
    EmptyObject,
    /// The key is deleted.
    DeleteMarker,
}

/// Takes records in the order of their offsets.
pub struct Replay {
    pub index: Arc<HotIndex>,
    pub table: TableId,
    pub version: Version,
    pub width: OffsetWidth,
    /// What the index has; records before `progress.dat_bytes` go to the `.idx` only.
    pub progress: Progress,
    pub idx: Arc<dyn DiskFile>,
    pub idx_bytes: u64,
    indexed_to: u64,
    changes: Vec<Change>,
    recent: HashMap<NeedleKey, Entry>,
    idx_out: Vec<u8>,
}

impl Replay {
    pub fn new(
        index: &Arc<HotIndex>,
        table: TableId,
        version: Version,
        width: OffsetWidth,
        progress: Progress,
        idx: &Arc<dyn DiskFile>,
        idx_bytes: u64,
    ) -> Self {
        let (index, idx) = (Arc::clone(index), Arc::clone(idx));
        let (changes, recent, idx_out) = (Vec::new(), HashMap::new(), Vec::new());
        Self {
            index,
            table,
            version,
            width,
            progress,
            idx,
            idx_bytes,
            indexed_to: progress.dat_bytes,
            changes,
            recent,
            idx_out,
        }
    }

    fn volume(&self) -> VolumeId {
        self.table.volume
    }

    fn known(&self, key: NeedleKey) -> Result<Option<Entry>, HaystackError> {
        match self.recent.get(&key) {
            Some(entry) => Ok(Some(*entry)),
            None => Ok(self.index.get_with_deleted(self.table, key)?),
        }
    }

    /// Whether a key has a needle so far.
    pub fn is_live(&self, key: NeedleKey) -> Result<bool, HaystackError> {
        Ok(self.known(key)?.is_some_and(|entry| !entry.deleted))
    }

    /// What a record means. Ours always have a body unless they are delete markers; of SeaweedFS's its `.idx` knows better.
    fn meaning(&self, found: &Found, named_live: Option<bool>) -> Result<Meaning, HaystackError> {
        let ours = found.sealed || found.fault == Some(NeedleError::Seal);
        Ok(match (found.header.size, ours, named_live) {
            (1.., ..) => Meaning::Needle,
            // Vacuum sealed it when it copied it.
            (0, true, Some(true)) if found.checksum == 0 => Meaning::EmptyObject,
            (0, true, _) | (0, _, Some(false)) => Meaning::DeleteMarker,
            (0, _, Some(true)) => Meaning::EmptyObject,
            (0, false, None) => {
                if self.is_live(found.header.key)? || found.checksum != 0 {
                    Meaning::DeleteMarker
                } else {
                    Meaning::EmptyObject
                }
            }
        })
    }

    /// Enters one record. `named_live` is what SeaweedFS's `.idx` says of this very record, if it does.
    pub fn record(&mut self, found: &Found, named_live: Option<bool>) -> Result<(), HaystackError> {
        let (key, offset, size) = (found.header.key, found.offset, found.header.size);
        let meaning = self.meaning(found, named_live)?;
        let idx_entry = match meaning {
            Meaning::DeleteMarker => IdxEntry::Delete { key, offset },
            Meaning::Needle | Meaning::EmptyObject => IdxEntry::Put { key, offset, size },
        };
        self.width.encode(&idx_entry, &mut self.idx_out);
        if offset >= self.indexed_to {
            let before = self.known(key)?.filter(|entry| !entry.deleted);
            match meaning {
                Meaning::DeleteMarker => self.deleted(key, before),
                Meaning::Needle | Meaning::EmptyObject => self.put(
                    key,
                    Entry {
                        offset,
                        size,
                        deleted: false,
                    },
                    before,
                ),
            }
            // A damaged time would set the volume's clock forward for ever.
            let appended_at_ns = found.fault.map_or(found.appended_at_ns, |_| 0);
            self.progress.appended_at_ns = self.progress.appended_at_ns.max(appended_at_ns);
        }
        self.progress.dat_bytes = self.progress.dat_bytes.max(found.end(self.version));
        Ok(())
    }

    fn put(&mut self, key: NeedleKey, entry: Entry, before: Option<Entry>) {
        self.progress.counters.puts += 1;
        if sequence::is_ours(key) {
            self.progress.key_max = self.progress.key_max.max(key.0);
        }
        self.count_deleted(before);
        self.change(key, entry);
    }

    fn deleted(&mut self, key: NeedleKey, before: Option<Entry>) {
        self.count_deleted(before);
        if let Some(entry) = before {
            self.change(
                key,
                Entry {
                    deleted: true,
                    ..entry
                },
            );
        }
    }

    fn count_deleted(&mut self, before: Option<Entry>) {
        if let Some(entry) = before {
            self.progress.counters.deletes += 1;
            self.progress.counters.deleted_bytes += u64::from(entry.size);
        }
    }

    fn change(&mut self, key: NeedleKey, entry: Entry) {
        self.changes.push((key, entry));
        self.recent.insert(key, entry);
    }

    /// Enters a commit record, which ends at `end`.
    pub fn commit_record(&mut self, end: u64) {
        let offset = end - crate::commit::commit_record_bytes(self.version);
        self.width.encode(
            &IdxEntry::Delete {
                key: COMMIT_KEY,
                offset,
            },
            &mut self.idx_out,
        );
        self.progress.dat_bytes = self.progress.dat_bytes.max(end);
    }

    /// Writes out what waits if it is much. To be called only where a walk could start again: between commits.
    pub fn settle(&mut self) -> Result<(), HaystackError> {
        let much = self.changes.len() >= BATCH_CHANGES
            || self.idx_out.len() >= BATCH_CHANGES * self.width.entry_bytes();
        if much { self.flush() } else { Ok(()) }
    }

    /// Writes out what waits.
    pub fn flush(&mut self) -> Result<(), HaystackError> {
        let volume = self.volume();
        self.idx
            .write_all_at(&self.idx_out, self.idx_bytes)
            .map_err(|e| HaystackError::from_io(volume, &e))?;
        self.idx_bytes += self.idx_out.len() as u64;
        self.idx_out.clear();
        self.index.apply(
            self.table,
            &self.changes,
            &self.progress,
            Some(NeedleKey(u64::MAX)),
        )?;
        self.changes.clear();
        self.recent.clear();
        Ok(())
    }
}
