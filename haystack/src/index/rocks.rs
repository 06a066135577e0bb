//! The index store in RocksDB: one database beside the volumes of a folder.
//!
//! | column family | key (big-endian) | value |
//! | --- | --- | --- |
//! | `needles` | volume u32, revision u16, key u64 | offset / 8 in 5 bytes, then Size u32 with the top bit set when deleted |
//! | `progress` | volume u32, revision u16 | [`Progress`] as JSON |
//! | `checkpoints` | volume u32, revision u16 | [`Checkpoint`] as JSON |
//!
//! Batches go to RocksDB's write-ahead log without a sync: [`IndexStore::sync`] is called at checkpoints. All column families
//! share that log and are flushed together, so a power cut takes the newest batches whole and in order.

use std::ops::ControlFlow;
use std::path::Path;

use rocksdb::{
    BlockBasedOptions, Cache, ColumnFamily, ColumnFamilyDescriptor, DB, Options, ReadOptions,
    WriteBatch,
};

use super::{Change, Checkpoint, Entry, IndexError, IndexStore, Progress, TableId};
use crate::id::{NeedleKey, VolumeId};
use crate::needle::ALIGNMENT_BYTES;

const NEEDLES: &str = "needles";
const PROGRESS: &str = "progress";
const CHECKPOINTS: &str = "checkpoints";
const TABLE_BYTES: usize = 6;
const ENTRY_KEY_BYTES: usize = TABLE_BYTES + 8;
const ENTRY_BYTES: usize = 9;
const DELETED_BIT: u32 = 1 << 31;

/// Memory that RocksDB may use: small, because what is hot is kept in [`super::hot`] in a tenth of the room.
const WRITE_BUFFER_BYTES: usize = 4 << 20;
const BLOCK_CACHE_BYTES: usize = 8 << 20;
const BLOCK_BYTES: usize = 8 << 10;
const LOG_BYTES_MAX: u64 = 16 << 20;

/// See the module.
pub struct RocksIndex {
    db: DB,
}

impl std::fmt::Debug for RocksIndex {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "RocksIndex({})", self.db.path().display())
    }
}

impl From<rocksdb::Error> for IndexError {
    fn from(error: rocksdb::Error) -> Self {
        Self(error.into_string())
    }
}

impl RocksIndex {
    /// Opens the database in a folder, or makes it. Fails if another process has it open.
    pub fn open(dir: &Path) -> Result<Self, IndexError> {
        let mut options = Options::default();
        options.create_if_missing(true);
        options.create_missing_column_families(true);
        options.set_max_total_wal_size(LOG_BYTES_MAX);
        options.set_wal_bytes_per_sync(1 << 20);
        options.set_atomic_flush(true);
        options.set_keep_log_file_num(2);
        options.set_max_log_file_size(1 << 20);
        options.set_max_background_jobs(2);
        options.set_max_open_files(256);
        options.set_max_manifest_file_size(4 << 20);
        Ok(Self {
            db: DB::open_cf_descriptors(&options, dir, families())?,
        })
    }

    /// Opens the database in a folder for reading only: nothing is written there, and nobody else is kept out (see
    /// [`crate::fsck`] for how that is seen to). What is only in its log is read as well.
    pub fn open_read_only(dir: &Path) -> Result<Self, IndexError> {
        let mut options = Options::default();
        options.set_max_open_files(256);
        Ok(Self {
            db: DB::open_cf_descriptors_read_only(&options, dir, families(), false)?,
        })
    }

    fn family(&self, name: &str) -> Result<&ColumnFamily, IndexError> {
        self.db.cf_handle(name).ok_or_else(|| {
            IndexError(format!(
                "column family {name} is missing: run `moongate fsck --repair`"
            ))
        })
    }

    fn batch(&self, table: TableId, changes: &[Change]) -> Result<WriteBatch, IndexError> {
        let needles = self.family(NEEDLES)?;
        let mut batch = WriteBatch::default();
        for (key, entry) in changes {
            batch.put_cf(needles, entry_key(table, *key), encode_entry(entry));
        }
        Ok(batch)
    }

    fn row<T: serde::de::DeserializeOwned>(
        &self,
        family: &str,
        table: TableId,
    ) -> Result<Option<T>, IndexError> {
        let Some(value) = self
            .db
            .get_pinned_cf(self.family(family)?, table_key(table))?
        else {
            return Ok(None);
        };
        // A row that does not parse counts as missing: the table is rebuilt from the `.dat`.
        Ok(serde_json::from_slice(&value).ok())
    }
}

fn families() -> [ColumnFamilyDescriptor; 3] {
    let cache = Cache::new_lru_cache(BLOCK_CACHE_BYTES);
    [NEEDLES, PROGRESS, CHECKPOINTS]
        .map(|name| ColumnFamilyDescriptor::new(name, family_options(&cache)))
}

fn family_options(cache: &Cache) -> Options {
    let mut table = BlockBasedOptions::default();
    table.set_block_cache(cache);
    table.set_block_size(BLOCK_BYTES);
    table.set_cache_index_and_filter_blocks(true);
    table.set_pin_l0_filter_and_index_blocks_in_cache(true);
    let mut options = Options::default();
    options.set_block_based_table_factory(&table);
    options.set_write_buffer_size(WRITE_BUFFER_BYTES);
    options.set_max_write_buffer_number(3);
    options.set_level_compaction_dynamic_level_bytes(true);
    options
}

fn table_key(table: TableId) -> [u8; TABLE_BYTES] {
    let [a, b, c, d] = table.volume.0.to_be_bytes();
    let [e, f] = table.revision.to_be_bytes();
    [a, b, c, d, e, f]
}

fn entry_key(table: TableId, key: NeedleKey) -> [u8; ENTRY_KEY_BYTES] {
    let mut out = [0; ENTRY_KEY_BYTES];
    out[..TABLE_BYTES].copy_from_slice(&table_key(table));
    out[TABLE_BYTES..].copy_from_slice(&key.0.to_be_bytes());
    out
}

fn encode_entry(entry: &Entry) -> [u8; ENTRY_BYTES] {
    let mut out = [0; ENTRY_BYTES];
    out[..5].copy_from_slice(&(entry.offset / ALIGNMENT_BYTES).to_be_bytes()[3..]);
    let deleted = if entry.deleted { DELETED_BIT } else { 0 };
    out[5..].copy_from_slice(&(entry.size | deleted).to_be_bytes());
    out
}

fn decode_entry(bytes: &[u8]) -> Result<Entry, IndexError> {
    let bytes: [u8; ENTRY_BYTES] = bytes
        .try_into()
        .map_err(|_| IndexError("an entry has a wrong length".into()))?;
    let offset = bytes[..5].iter().fold(0, |n, b| n << 8 | u64::from(*b)) * ALIGNMENT_BYTES;
    let size = u32::from_be_bytes([bytes[5], bytes[6], bytes[7], bytes[8]]);
    Ok(Entry {
        offset,
        size: size & !DELETED_BIT,
        deleted: size & DELETED_BIT != 0,
    })
}

fn to_json<T: serde::Serialize>(value: &T) -> Result<Vec<u8>, IndexError> {
    serde_json::to_vec(value).map_err(|e| IndexError(e.to_string()))
}

impl IndexStore for RocksIndex {
    fn get(&self, table: TableId, key: NeedleKey) -> Result<Option<Entry>, IndexError> {
        let value = self
            .db
            .get_pinned_cf(self.family(NEEDLES)?, entry_key(table, key))?;
        value.map(|v| decode_entry(&v)).transpose()
    }

    fn scan(
        &self,
        table: TableId,
        from: NeedleKey,
        to: NeedleKey,
        visit: &mut dyn FnMut(NeedleKey, Entry) -> ControlFlow<()>,
    ) -> Result<(), IndexError> {
        let last = entry_key(table, to);
        let mut options = ReadOptions::default();
        options.set_iterate_upper_bound([&last[..], &[0]].concat());
        let mut rows = self.db.raw_iterator_cf_opt(self.family(NEEDLES)?, options);
        rows.seek(entry_key(table, from));
        while let Some((key, value)) = rows.item() {
            let key = crate::needle::u64_at(key, TABLE_BYTES)
                .ok_or_else(|| IndexError("a key has a wrong length".into()))?;
            if visit(NeedleKey(key), decode_entry(value)?).is_break() {
                return Ok(());
            }
            rows.next();
        }
        Ok(rows.status()?)
    }

    fn apply(
        &self,
        table: TableId,
        changes: &[Change],
        progress: &Progress,
    ) -> Result<(), IndexError> {
        let mut batch = self.batch(table, changes)?;
        batch.put_cf(self.family(PROGRESS)?, table_key(table), to_json(progress)?);
        Ok(self.db.write(batch)?)
    }

    fn load(&self, table: TableId, changes: &[Change]) -> Result<(), IndexError> {
        Ok(self.db.write(self.batch(table, changes)?)?)
    }

    fn progress(&self, table: TableId) -> Result<Option<Progress>, IndexError> {
        self.row(PROGRESS, table)
    }

    fn checkpoint(&self, table: TableId) -> Result<Option<Checkpoint>, IndexError> {
        self.row(CHECKPOINTS, table)
    }

    fn set_checkpoint(&self, table: TableId, checkpoint: &Checkpoint) -> Result<(), IndexError> {
        Ok(self.db.put_cf(
            self.family(CHECKPOINTS)?,
            table_key(table),
            to_json(checkpoint)?,
        )?)
    }

    fn sync(&self) -> Result<(), IndexError> {
        Ok(self.db.flush_wal(true)?)
    }

    fn tables(&self) -> Result<Vec<TableId>, IndexError> {
        let mut tables = Vec::new();
        for row in self
            .db
            .iterator_cf(self.family(PROGRESS)?, rocksdb::IteratorMode::Start)
        {
            let (key, _) = row?;
            if let (Some(volume), Some(revision)) = (crate::needle::u32_at(&key, 0), key.get(4..6))
            {
                let revision = u16::from_be_bytes([revision[0], revision[1]]);
                tables.push(TableId {
                    volume: VolumeId(volume),
                    revision,
                });
            }
        }
        Ok(tables)
    }

    fn drop_table(&self, table: TableId) -> Result<(), IndexError> {
        let mut batch = WriteBatch::default();
        batch.delete_cf(self.family(PROGRESS)?, table_key(table));
        batch.delete_cf(self.family(CHECKPOINTS)?, table_key(table));
        let end = [&entry_key(table, NeedleKey(u64::MAX))[..], &[0]].concat();
        batch.delete_range_cf(
            self.family(NEEDLES)?,
            &entry_key(table, NeedleKey(0))[..],
            &end[..],
        );
        Ok(self.db.write(batch)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: TableId = TableId {
        volume: VolumeId(3),
        revision: 1,
    };

    fn entry(offset: u64) -> Entry {
        Entry {
            offset,
            size: 5,
            deleted: offset == 16,
        }
    }

    #[test]
    fn what_is_applied_is_there_after_opening_again() {
        let dir = tempfile::tempdir().unwrap();
        let progress = Progress {
            dat_bytes: 99,
            ..Progress::default()
        };
        {
            let index = RocksIndex::open(dir.path()).unwrap();
            index
                .apply(
                    TABLE,
                    &[(NeedleKey(1), entry(8)), (NeedleKey(u64::MAX), entry(16))],
                    &progress,
                )
                .unwrap();
            index
                .set_checkpoint(
                    TABLE,
                    &Checkpoint {
                        dat_bytes: 8,
                        idx_bytes: 0,
                        tail_crc: 7,
                    },
                )
                .unwrap();
            index.sync().unwrap();
            assert!(
                RocksIndex::open(dir.path()).is_err(),
                "a second process must be refused"
            );
        }
        let index = RocksIndex::open(dir.path()).unwrap();
        assert_eq!(index.get(TABLE, NeedleKey(1)).unwrap(), Some(entry(8)));
        assert_eq!(index.progress(TABLE).unwrap(), Some(progress));
        assert_eq!(index.checkpoint(TABLE).unwrap().unwrap().tail_crc, 7);
        let mut seen = Vec::new();
        index
            .scan(TABLE, NeedleKey(0), NeedleKey(u64::MAX), &mut |key, e| {
                seen.push((key.0, e));
                ControlFlow::Continue(())
            })
            .unwrap();
        assert_eq!(seen, [(1, entry(8)), (u64::MAX, entry(16))]);
        assert_eq!(index.tables().unwrap(), [TABLE]);
        index.drop_table(TABLE).unwrap();
        assert_eq!(index.get(TABLE, NeedleKey(u64::MAX)).unwrap(), None);
        assert_eq!(index.progress(TABLE).unwrap(), None);
    }
}
