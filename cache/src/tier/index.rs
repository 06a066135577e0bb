//! The index of a cache disk: [`rows`] in RocksDB. Nothing is synced: what a loss of power takes is fetched again, and what it leaves is
//! checked by its sums.

use std::path::Path;

use rocksdb::{DB, Direction, IteratorMode, Options, WriteBatch};

use super::rows::{self, FILE, META, NAME, PIN, Place};
use crate::backend::Version;
use crate::files::{FileId, PageKey};

/// Memory for rows that were not written out yet, in bytes.
const MEMTABLE_BYTES: usize = 8 << 20;
/// Memory for rows read, in bytes.
const ROW_CACHE_BYTES: usize = 16 << 20;

pub type Result<T> = std::result::Result<T, rocksdb::Error>;

/// The rows of one cache disk.
#[derive(Debug)]
pub struct Index {
    db: DB,
}

/// A file that has pages on the disk.
#[derive(Clone, Debug)]
pub struct FileRow {
    pub id: FileId,
    pub version: Version,
    /// See [`rows::name`].
    pub name: Vec<u8>,
}

impl Index {
    /// Opens it, or makes it.
    pub fn open(path: &Path) -> Result<Self> {
        let db = DB::open(&options(), path)?;
        Ok(Self { db })
    }

    /// Whether it was written in this format and for pages of this size; one that is empty is now.
    pub fn is_of(&self, page_bytes: u64) -> Result<bool> {
        let meta = rows::meta(page_bytes);
        match self.db.get(META)? {
            Some(held) => Ok(held == meta),
            None => {
                self.db.put(META, meta)?;
                Ok(true)
            }
        }
    }

    /// The file at a path.
    pub fn file(&self, name: &[u8]) -> Result<Option<(FileId, Version)>> {
        let row = self.db.get(rows::keyed(FILE, name))?;
        Ok(row.and_then(|row| rows::split_file(&row)))
    }

    /// The files at a path and below.
    pub fn files_within(&self, mount: &str, tree: &str) -> Result<Vec<FileRow>> {
        let mut found = Vec::new();
        let from = rows::keyed(FILE, &rows::name(mount, tree));
        self.scan(&from, |key, row| {
            let name = key.get(1..).unwrap_or_default();
            let (of_mount, path) = rows::split_name(name)?;
            let starts = of_mount == mount && path.starts_with(tree);
            if starts && crate::policy::epochs::is_within(path, tree) {
                let (id, version) = rows::split_file(row)?;
                let name = name.to_vec();
                found.push(FileRow { id, version, name });
            }
            starts.then_some(())
        })?;
        Ok(found)
    }

    /// Mount and path of a file, as of [`rows::name`].
    pub fn name(&self, id: FileId) -> Result<Option<Vec<u8>>> {
        self.db.get(rows::keyed(NAME, &id.0.to_be_bytes()))
    }

    /// Where a page is, and its sums.
    pub fn page(&self, key: PageKey) -> Result<Option<(Place, Vec<u32>)>> {
        let row = self.db.get(rows::page_key(key))?;
        Ok(row.and_then(|row| Some((rows::split_place(&row)?, rows::sums(&row)))))
    }

    /// Every page, in order.
    pub fn pages(&self, mut each: impl FnMut(PageKey, Place)) -> Result<()> {
        self.scan(&[rows::PAGE], |key, row| {
            let key = rows::split_page_key(key)?;
            if let Some(place) = rows::split_place(row) {
                each(key, place);
            }
            Some(())
        })
    }

    /// Every id and its name.
    pub fn names(&self, mut each: impl FnMut(FileId, &[u8])) -> Result<()> {
        self.scan(&[NAME], |key, row| {
            let id = key.strip_prefix(&[NAME])?;
            each(FileId(u64::from_be_bytes(id.try_into().ok()?)), row);
            Some(())
        })
    }

    /// Every pinned path, as of [`rows::name`].
    pub fn pins(&self) -> Result<Vec<Vec<u8>>> {
        let mut pins = Vec::new();
        self.scan(&[PIN], |key, _| {
            pins.push(key.strip_prefix(&[PIN])?.to_vec());
            Some(())
        })?;
        Ok(pins)
    }

    /// Writes a page's row, and its file's if that is new.
    pub fn put_page(
        &self,
        key: PageKey,
        page: &[u8],
        file: Option<(&[u8], &Version)>,
    ) -> Result<()> {
        let mut batch = WriteBatch::default();
        batch.put(rows::page_key(key), page);
        if let Some((name, version)) = file {
            batch.put(rows::keyed(FILE, name), rows::file(key.file, version));
            batch.put(rows::keyed(NAME, &key.file.0.to_be_bytes()), name);
        }
        self.db.write(batch)
    }

    /// Deletes pages' rows.
    pub fn delete_pages(&self, keys: &[PageKey]) -> Result<()> {
        let mut batch = WriteBatch::default();
        keys.iter()
            .for_each(|key| batch.delete(rows::page_key(*key)));
        self.db.write(batch)
    }

    /// Deletes a file's rows; that of its path only if it is this file's.
    pub fn delete_file(&self, id: FileId, pages: &[PageKey]) -> Result<()> {
        let mut batch = WriteBatch::default();
        pages
            .iter()
            .for_each(|key| batch.delete(rows::page_key(*key)));
        if let Some(name) = self.name(id)? {
            if self.file(&name)?.is_some_and(|(of, _)| of == id) {
                batch.delete(rows::keyed(FILE, &name));
            }
            batch.delete(rows::keyed(NAME, &id.0.to_be_bytes()));
        }
        self.db.write(batch)
    }

    /// Pins a path, or not any more.
    pub fn set_pin(&self, name: &[u8], is_pinned: bool) -> Result<()> {
        let key = rows::keyed(PIN, name);
        match is_pinned {
            true => self.db.put(key, b""),
            false => self.db.delete(key),
        }
    }

    /// Rows from a key on, as long as they are of its kind and `each` says so.
    fn scan(&self, from: &[u8], mut each: impl FnMut(&[u8], &[u8]) -> Option<()>) -> Result<()> {
        let kind = from.first();
        for row in self
            .db
            .iterator(IteratorMode::From(from, Direction::Forward))
        {
            let (key, value) = row?;
            if key.first() != kind || each(&key, &value).is_none() {
                break;
            }
        }
        Ok(())
    }
}

fn options() -> Options {
    let mut options = Options::default();
    options.create_if_missing(true);
    options.set_write_buffer_size(MEMTABLE_BYTES);
    options.set_max_write_buffer_number(2);
    options.set_row_cache(&rocksdb::Cache::new_lru_cache(ROW_CACHE_BYTES));
    options.set_compression_type(rocksdb::DBCompressionType::None);
    options.set_keep_log_file_num(2);
    options.set_max_open_files(256);
    options.set_max_total_wal_size(4 * MEMTABLE_BYTES as u64);
    options
}
