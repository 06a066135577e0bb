//! A cache disk that works: its index, its table and its files.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use moongate_disk::{AlignedBuf, Disk, DiskFile, OpenMode, RealDisk};
use parking_lot::Mutex;

use super::index::Index;
use super::rows::{self, Place};
use super::table::{Freed, Table};
use crate::backend::Version;
use crate::files::{FileId, PageKey};
use crate::policy::epochs::is_within;

/// Files that are kept open.
const HANDLES_MAX: u64 = 512;
/// Memory for pages' sums, in bytes: those of 16 GiB of pages.
const SUMS_BYTES: u64 = 16 << 20;
/// Pages that a disk may hold: some 200 bytes of memory each.
pub const PAGES_MAX: u64 = 2 << 20;

/// What holds pages on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Holder {
    File(FileId),
    Extent(u64),
}

/// A cache disk that works.
#[derive(Debug)]
pub struct Live {
    root: PathBuf,
    pub index: Index,
    pub table: Mutex<Table>,
    pub pins: Mutex<Vec<Vec<u8>>>,
    handles: moka::sync::Cache<Holder, Arc<dyn DiskFile>>,
    sums: moka::sync::Cache<PageKey, Arc<[u32]>>,
}

impl Live {
    /// Opens what is there. Reads the index, and no data.
    pub fn open(root: &Path, page_bytes: u64) -> io::Result<Self> {
        for folder in ["files", "extents"] {
            std::fs::create_dir_all(root.join(folder))?;
        }
        let mut index = Index::open(&root.join("index")).map_err(io::Error::other)?;
        if !index.is_of(page_bytes).map_err(io::Error::other)? {
            drop(index);
            tracing::warn!(dir = %root.display(), "the cache was written with another page size: it begins anew");
            std::fs::remove_dir_all(root.join("index"))?;
            index = Index::open(&root.join("index")).map_err(io::Error::other)?;
            index.is_of(page_bytes).map_err(io::Error::other)?;
        }
        let live = Self {
            root: root.to_owned(),
            table: Mutex::default(),
            pins: Mutex::new(index.pins().map_err(io::Error::other)?),
            index,
            handles: moka::sync::Cache::new(HANDLES_MAX),
            sums: moka::sync::Cache::builder()
                .max_capacity(SUMS_BYTES)
                .weigher(|_, sums: &Arc<[u32]>| {
                    u32::try_from(4 * sums.len() + 64).unwrap_or(u32::MAX)
                })
                .build(),
        };
        live.restore().map_err(io::Error::other)?;
        live.sweep()?;
        Ok(live)
    }

    fn restore(&self) -> super::index::Result<()> {
        let pins = self.pins.lock();
        let mut pinned = std::collections::HashMap::new();
        self.index.names(|id, name| {
            pinned.insert(id, pins.iter().any(|pin| covers(pin, name)));
        })?;
        let mut table = self.table.lock();
        let mut orphans = Vec::new();
        self.index.pages(|key, place| match pinned.get(&key.file) {
            Some(is_pinned) => table.restore(key, place, *is_pinned),
            None => orphans.push(key),
        })?;
        self.index.delete_pages(&orphans)
    }

    /// Removes files of which no row knows.
    fn sweep(&self) -> io::Result<()> {
        let table = self.table.lock();
        for (folder, is_extent) in [("files", false), ("extents", true)] {
            for name in RealDisk.list(&self.root.join(folder))? {
                let is_known = u64::from_str_radix(&name, 16).is_ok_and(|number| match is_extent {
                    true => table.has_extent(number),
                    false => table.has_file(FileId(number)),
                });
                if !is_known {
                    RealDisk.remove(&self.root.join(folder).join(name))?;
                }
            }
        }
        Ok(())
    }

    /// The largest id that was ever handed out, as far as is known.
    pub fn last_id(&self) -> u64 {
        let mut last = 0;
        // An index that cannot be read gives no page either.
        let _ = self.index.names(|id, _| last = last.max(id.0));
        last
    }

    fn path(&self, holder: Holder) -> PathBuf {
        match holder {
            Holder::File(id) => self.root.join("files").join(format!("{:016x}", id.0)),
            Holder::Extent(extent) => self.root.join("extents").join(format!("{extent:016x}")),
        }
    }

    /// The open file that holds a page, if it is open already.
    pub fn handle_now(&self, holder: Holder) -> Option<Arc<dyn DiskFile>> {
        self.handles.get(&holder)
    }

    /// The open file that holds a page. Blocks.
    pub fn handle(&self, holder: Holder) -> io::Result<Arc<dyn DiskFile>> {
        if let Some(file) = self.handles.get(&holder) {
            return Ok(file);
        }
        let path = self.path(holder);
        let file = RealDisk.open_direct(&path, OpenMode::ReadWrite)?;
        self.handles.insert(holder, Arc::clone(&file));
        Ok(file)
    }

    /// As [`Self::handle`], made if it is not there.
    fn handle_for_writing(&self, holder: Holder) -> io::Result<Arc<dyn DiskFile>> {
        match self.handle(holder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let made = RealDisk.open_direct(&self.path(holder), OpenMode::CreateNew)?;
                self.handles.insert(holder, Arc::clone(&made));
                Ok(made)
            }
            other => other,
        }
    }

    /// The sums of a page, if they are in memory.
    pub fn sums_now(&self, key: PageKey) -> Option<Arc<[u32]>> {
        self.sums.get(&key)
    }

    /// The sums of a page that is at this place. Blocks.
    pub fn sums(&self, key: PageKey, place: Place) -> Option<Arc<[u32]>> {
        if let Some(sums) = self.sums.get(&key) {
            return Some(sums);
        }
        let (at, sums) = self.index.page(key).ok().flatten()?;
        let sums: Arc<[u32]> = sums.into();
        (at == place).then(|| self.sums.insert(key, Arc::clone(&sums)))?;
        Some(sums)
    }

    /// Writes a page: its bytes, then its row. What is not written whole has no row, or sums that don't fit.
    pub fn write(
        &self,
        key: PageKey,
        bytes: &[u8],
        place: Place,
        file: Option<(&[u8], &Version)>,
    ) -> io::Result<()> {
        let handle = self.handle_for_writing(holder(key, place))?;
        let mut whole = AlignedBuf::with_capacity(place.room() as usize)?;
        if !whole.push(bytes) {
            return Err(io::ErrorKind::OutOfMemory.into());
        }
        whole.pad();
        handle.write_all_at(&whole, place.offset)?;
        let sums = rows::sums_of(key, bytes);
        let row = rows::page(place, &sums);
        self.index
            .put_page(key, &row, file)
            .map_err(io::Error::other)?;
        self.sums.insert(key, sums.into());
        Ok(())
    }

    /// Gives back what removed pages took. Their rows are deleted apart.
    pub fn free(&self, freed: &[Freed]) -> io::Result<()> {
        for freed in freed {
            match *freed {
                Freed::Stretch(id, place) | Freed::SmallFile(id, place) => {
                    let key = PageKey { file: id, page: 0 };
                    match self.handle(holder(key, place)) {
                        Ok(handle) => handle.punch(place.offset, place.room())?,
                        // A row without its bytes, as a loss of power leaves them: they take no room.
                        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                        Err(error) => return Err(error),
                    }
                }
                Freed::File(id) => self.remove(Holder::File(id))?,
                Freed::Extent(_, extent) => self.remove(Holder::Extent(extent))?,
            }
        }
        Ok(())
    }

    fn remove(&self, holder: Holder) -> io::Result<()> {
        self.handles.invalidate(&holder);
        match RealDisk.remove(&self.path(holder)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    pub fn forget_sums(&self, key: PageKey) {
        self.sums.invalidate(&key);
    }

    pub fn is_pinned(&self, name: &[u8]) -> bool {
        self.pins.lock().iter().any(|pin| covers(pin, name))
    }
}

/// What holds a page.
pub fn holder(key: PageKey, place: Place) -> Holder {
    match place.extent {
        0 => Holder::File(key.file),
        extent => Holder::Extent(extent),
    }
}

/// Whether a pinned name is that of a file or of a folder above it.
pub fn covers(pin: &[u8], name: &[u8]) -> bool {
    match (rows::split_name(pin), rows::split_name(name)) {
        (Some((of, tree)), Some((mount, path))) => of == mount && is_within(path, tree),
        _ => false,
    }
}
