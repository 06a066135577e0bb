//! Rows in RocksDB: a column family for each table, one write-ahead log for all.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::{Condvar, Mutex, MutexGuard};
use rocksdb::{
    BlockBasedOptions, Cache, ColumnFamily, ColumnFamilyDescriptor, DB, DBCompressionType,
    DBRawIterator, Options, ReadOptions, SliceTransform, WriteBatch,
};

use crate::keys::NUMBER_BYTES;
use crate::rows::{Change, Cursor, Rows, RowsError, Table, Written};

/// Memory that RocksDB may use for what it has read, and for what it has not yet written to its tables.
const BLOCK_CACHE_BYTES: usize = 64 << 20;
const WRITE_BUFFERS_BYTES: usize = 64 << 20;
const WRITE_BUFFER_BYTES: usize = 16 << 20;
const BLOCK_BYTES: usize = 16 << 10;
/// RocksDB reserves as much on the disk for its log as soon as it is open: little, so that a small disk has room for images.
const LOG_BYTES_MAX: u64 = 16 << 20;
const FILES_OPEN_MAX: i32 = 512;
const BLOOM_BITS: f64 = 10.0;
/// Queues are emptied from the front: a table file in which half of this many rows in a row are deleted is compacted.
const DELETED_WINDOW_ROWS: usize = 10_000;

/// What is known of the log on the device.
#[derive(Default)]
struct Log {
    /// How many batches are durable.
    durable: u64,
    /// One thread syncs now, for all who had written before it began.
    syncing: bool,
}

/// See the module.
pub struct RocksRows {
    db: DB,
    /// How many batches were written.
    written: AtomicU64,
    log: Mutex<Log>,
    synced: Condvar,
    /// A sync has failed: what the log holds is not certain any more.
    failed: AtomicBool,
}

impl std::fmt::Debug for RocksRows {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "RocksRows({})", self.db.path().display())
    }
}

impl From<rocksdb::Error> for RowsError {
    fn from(error: rocksdb::Error) -> Self {
        Self(error.into_string().into())
    }
}

impl RocksRows {
    /// Opens the database in a folder of its own, or makes it.
    ///
    /// # Errors
    /// Another process has it open, or RocksDB cannot read or write it.
    pub fn open(dir: &Path) -> Result<Self, RowsError> {
        let cache = Cache::new_lru_cache(BLOCK_CACHE_BYTES);
        let families = Table::ALL
            .map(|table| ColumnFamilyDescriptor::new(table.name(), family_options(table, &cache)));
        let db = DB::open_cf_descriptors(&database_options(), dir, families)?;
        let opened = Self {
            db,
            written: AtomicU64::new(0),
            log: Mutex::new(Log::default()),
            synced: Condvar::new(),
            failed: AtomicBool::new(false),
        };
        // What the log holds may never have been synced, and is about to be trusted.
        opened.db.flush_wal(true)?;
        Ok(opened)
    }

    fn family(&self, table: Table) -> Result<&ColumnFamily, RowsError> {
        self.db
            .cf_handle(table.name())
            .ok_or_else(|| RowsError(format!("table {} is missing", table.name()).into()))
    }

    /// Syncs the log, and says up to which batch that is sure to reach.
    fn sync_log(&self) -> Result<Written, RowsError> {
        self.check_sound()?;
        let written = self.written();
        if let Err(error) = self.db.flush_wal(true) {
            self.failed.store(true, Ordering::Release);
            return Err(error.into());
        }
        Ok(written)
    }

    fn check_sound(&self) -> Result<(), RowsError> {
        match self.failed.load(Ordering::Acquire) {
            true => Err(RowsError(
                "an earlier sync failed: see to the disk, then start the program again".into(),
            )),
            false => Ok(()),
        }
    }
}

fn database_options() -> Options {
    let mut options = Options::default();
    options.create_if_missing(true);
    options.create_missing_column_families(true);
    // A batch over several tables stays whole whichever of them is flushed first.
    options.set_atomic_flush(true);
    options.set_db_write_buffer_size(WRITE_BUFFERS_BYTES);
    options.set_max_total_wal_size(LOG_BYTES_MAX);
    options.set_keep_log_file_num(2);
    options.set_max_log_file_size(1 << 20);
    options.set_max_background_jobs(2);
    options.set_max_open_files(FILES_OPEN_MAX);
    options.set_max_manifest_file_size(4 << 20);
    options
}

fn family_options(table: Table, cache: &Cache) -> Options {
    let mut blocks = BlockBasedOptions::default();
    blocks.set_block_cache(cache);
    blocks.set_block_size(BLOCK_BYTES);
    blocks.set_cache_index_and_filter_blocks(true);
    blocks.set_pin_l0_filter_and_index_blocks_in_cache(true);
    let mut options = Options::default();
    options.set_write_buffer_size(WRITE_BUFFER_BYTES);
    options.set_max_write_buffer_number(3);
    options.set_compression_type(DBCompressionType::Lz4);
    options.set_level_compaction_dynamic_level_bytes(true);
    if table == Table::Entries {
        // Names that are new are looked up before they are written: the filters answer for them, and for empty folders.
        blocks.set_bloom_filter(BLOOM_BITS, false);
        options.set_prefix_extractor(SliceTransform::create_fixed_prefix(NUMBER_BYTES));
        options.set_memtable_prefix_bloom_ratio(0.05);
        options.set_memtable_whole_key_filtering(true);
    }
    options.add_compact_on_deletion_collector_factory(
        DELETED_WINDOW_ROWS,
        DELETED_WINDOW_ROWS / 2,
        0.0,
    );
    options.set_block_based_table_factory(&blocks);
    options
}

impl Rows for RocksRows {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, RowsError> {
        Ok(self.db.get_cf(self.family(table)?, key)?)
    }

    fn write(&self, changes: Vec<Change>) -> Result<Written, RowsError> {
        self.check_sound()?;
        let mut batch = WriteBatch::default();
        for Change { table, key, value } in &changes {
            let family = self.family(*table)?;
            match value {
                Some(value) => batch.put_cf(family, key, value),
                None => batch.delete_cf(family, key),
            }
        }
        self.db.write(batch)?;
        // Counted once it is in the log: whoever reads the number can rely on so many being there.
        Ok(Written(self.written.fetch_add(1, Ordering::AcqRel) + 1))
    }

    fn sync(&self, up_to: Written) -> Result<(), RowsError> {
        let mut log = self.log.lock();
        while log.durable < up_to.0 {
            if log.syncing {
                self.synced.wait(&mut log);
                continue;
            }
            log.syncing = true;
            let synced = MutexGuard::unlocked(&mut log, || self.sync_log());
            log.syncing = false;
            self.synced.notify_all();
            log.durable = synced?.0;
        }
        Ok(())
    }

    fn written(&self) -> Written {
        Written(self.written.load(Ordering::Acquire))
    }

    fn cursor<'a>(
        &'a self,
        table: Table,
        prefix: &[u8],
    ) -> Result<Box<dyn Cursor + 'a>, RowsError> {
        let mut options = ReadOptions::default();
        if let Some(end) = end_of(prefix) {
            options.set_iterate_upper_bound(end);
        }
        let in_one_folder = table == Table::Entries && prefix.len() >= NUMBER_BYTES;
        options.set_prefix_same_as_start(in_one_folder);
        options.set_total_order_seek(!in_one_folder);
        let rows = self.db.raw_iterator_cf_opt(self.family(table)?, options);
        Ok(Box::new(RocksCursor { rows }))
    }
}

/// The first key behind all keys that begin with `prefix`; `None` if there is none.
fn end_of(prefix: &[u8]) -> Option<Vec<u8>> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if let Some(next) = last.checked_add(1) {
            end.push(next);
            return Some(end);
        }
    }
    None
}

/// A RocksDB iterator sees the database as it was when it was made, wherever it seeks.
struct RocksCursor<'a> {
    rows: DBRawIterator<'a>,
}

impl RocksCursor<'_> {
    fn check(&self) -> Result<(), RowsError> {
        match self.rows.valid() {
            true => Ok(()),
            false => Ok(self.rows.status()?),
        }
    }
}

impl Cursor for RocksCursor<'_> {
    fn seek(&mut self, key: &[u8]) -> Result<(), RowsError> {
        self.rows.seek(key);
        self.check()
    }

    fn row(&self) -> Option<(&[u8], &[u8])> {
        self.rows.item()
    }

    fn next(&mut self) -> Result<(), RowsError> {
        if self.rows.valid() {
            self.rows.next();
        }
        self.check()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(table: Table, key: &[u8]) -> Change {
        Change {
            table,
            key: key.to_vec(),
            value: Some(vec![7]),
        }
    }

    fn keys(rows: &dyn Rows, table: Table, prefix: &[u8]) -> Vec<Vec<u8>> {
        let mut cursor = rows.cursor(table, prefix).unwrap();
        cursor.seek(prefix).unwrap();
        let mut keys = Vec::new();
        while let Some((key, _)) = cursor.row() {
            keys.push(key.to_vec());
            cursor.next().unwrap();
        }
        keys
    }

    #[test]
    fn the_end_of_a_prefix() {
        assert_eq!(end_of(b"ab"), Some(b"ac".to_vec()));
        assert_eq!(end_of(&[1, 0xff]), Some(vec![2]));
        assert_eq!(end_of(&[0xff, 0xff]), None);
        assert_eq!(end_of(&[]), None);
    }

    #[test]
    fn a_cursor_keeps_to_its_prefix_and_to_its_moment() {
        let dir = tempfile::tempdir().unwrap();
        let rows = RocksRows::open(dir.path()).unwrap();
        let names = [b"00000001a", b"00000002a", b"00000002b", b"00000003a"];
        let changes = names.iter().map(|key| put(Table::Entries, *key)).collect();
        rows.write(changes).unwrap();
        let mut all = rows.cursor(Table::Entries, b"").unwrap();
        rows.write(vec![put(Table::Entries, b"00000002aa")])
            .unwrap();
        assert_eq!(keys(&rows, Table::Entries, b"00000002").len(), 3);
        assert_eq!(keys(&rows, Table::Entries, b"00000002aa").len(), 1);
        all.seek(b"00000002a").unwrap();
        all.next().unwrap();
        assert_eq!(all.row().unwrap().0, b"00000002b");
        all.next().unwrap();
        assert_eq!(all.row().unwrap().0, b"00000003a", "over the folder's end");
        all.next().unwrap();
        all.next().unwrap();
        assert!(all.row().is_none());
        assert!(keys(&rows, Table::Trash, b"").is_empty());
    }

    #[test]
    fn what_was_written_is_there_after_opening_again() {
        let dir = tempfile::tempdir().unwrap();
        {
            let rows = RocksRows::open(dir.path()).unwrap();
            let written = rows
                .write(vec![put(Table::Trash, b"x"), put(Table::Holds, b"y")])
                .unwrap();
            rows.sync(written).unwrap();
            assert!(
                RocksRows::open(dir.path()).is_err(),
                "a second one must be refused"
            );
        }
        let rows = RocksRows::open(dir.path()).unwrap();
        assert_eq!(rows.get(Table::Trash, b"x").unwrap(), Some(vec![7]));
        assert_eq!(rows.get(Table::Holds, b"y").unwrap(), Some(vec![7]));
        assert_eq!(rows.get(Table::Holds, b"x").unwrap(), None);
    }
}
