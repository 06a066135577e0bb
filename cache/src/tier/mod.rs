//! The tier on disk: pages that outlive the process, on one or more cache disks, each of which may fail without harm.
//!
//! A path belongs to one disk, by rendezvous hashing. Pages are written behind the readers by one thread for each disk, within a bound of
//! bytes; a page that does not fit the bound is not written. `docs/decisions/0011-the-caches-disk-tier.md` tells why it is so.

mod bars;
mod folder;
mod index;
mod live;
mod queue;
mod read;
mod rows;
mod table;
mod writer;

#[cfg(test)]
mod tests;

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;

use bytes::Bytes;
use moongate_disk::ReadEngine;
use tokio::sync::oneshot;

use crate::backend::Version;
use crate::budget::{Budget, Charge};
use crate::config::CacheConfig;
use crate::files::{FileId, FileVersion, PageKey};
use crate::share::{Owner, ShareStats};
use crate::stats::{CacheStats, Counters};
pub use folder::Folder;
use folder::Terms;
pub use queue::Dropped;
use queue::{Job, Put};

/// Threads that read where io_uring is not to be had.
const READ_THREADS: usize = 8;
/// The part of the budget for bytes under way that may wait to be written: one in so many.
const QUEUE_SHARE: u64 = 4;

/// The tier on disk.
#[derive(Debug)]
pub struct DiskTier {
    folders: Vec<Arc<Folder>>,
    writers: Vec<JoinHandle<()>>,
    queue: Budget,
    buffers: Budget,
    counters: Arc<Counters>,
}

impl DiskTier {
    /// Opens the disks; `None` if there are to be none.
    pub(crate) fn open(
        config: &CacheConfig,
        counters: &Arc<Counters>,
        buffers: &Budget,
    ) -> io::Result<Option<Self>> {
        if config.dirs.is_empty() || config.disk_bytes == 0 {
            return Ok(None);
        }
        let bytes_max = config.disk_bytes / config.dirs.len() as u64;
        let terms = Terms {
            page_bytes: config.page_bytes,
            bytes_max,
            shares: config.shares.clone().into(),
            pinned_bytes_max: bytes_max / 100 * u64::from(config.pinned_percent_max.min(100)),
            retry: config.disk_retry,
            engine: Arc::new(ReadEngine::start(config.engine, READ_THREADS)?),
            counters: Arc::clone(counters),
            clock: config.clock.clone(),
        };
        let mut tier = Self {
            folders: Vec::new(),
            writers: Vec::new(),
            queue: Budget::new(config.buffers_bytes_max / QUEUE_SHARE),
            buffers: buffers.clone(),
            counters: Arc::clone(counters),
        };
        for dir in &config.dirs {
            let (folder, writer) = Folder::open(dir, &terms)?;
            tier.folders.push(folder);
            tier.writers.push(writer);
        }
        Ok(Some(tier))
    }

    /// The disk to which a path belongs.
    pub(crate) fn folder_of(&self, mount: &str, path: &str) -> Option<&Arc<Folder>> {
        // The same for ever: what is on a disk must be found there by the next release too.
        let name = rows::name(mount, path);
        let weight = |folder: &&Arc<Folder>| {
            let seed = crc32c::crc32c(folder.root.as_os_str().as_encoded_bytes());
            let seed = u64::from(seed) << 32 | u64::from(crc32c::crc32c(&name));
            moongate_disk::sim::Rng::new(seed).next()
        };
        self.folders.iter().max_by_key(weight)
    }

    /// The largest id that was handed out before.
    pub(crate) fn last_id(&self) -> u64 {
        let last = |folder: &Arc<Folder>| folder.live().map_or(0, |live| live.last_id());
        self.folders.iter().map(last).max().unwrap_or_default()
    }

    /// Writes a page behind its reader, if there is room to let it wait.
    pub(crate) fn offer(
        &self,
        mount: &Arc<str>,
        file: &Arc<FileVersion>,
        page: u64,
        bytes: &Bytes,
    ) {
        let len = bytes.len() as u64;
        let charges = self.queue.try_take(len).zip(self.buffers.try_take(len));
        let Some((queue, buffers)) = charges else {
            self.counters.disk_writes_skipped.add(1);
            return;
        };
        self.push(mount, file, page, bytes, vec![queue, buffers], None);
    }

    /// Writes a page; waits for its turn, and until it is done, one way or the other.
    pub(crate) async fn write(
        &self,
        mount: &Arc<str>,
        file: &Arc<FileVersion>,
        page: u64,
        bytes: &Bytes,
    ) {
        let charge = self.queue.take(bytes.len() as u64).await;
        let (done, written) = oneshot::channel();
        let charges = charge.into_iter().collect();
        self.push(mount, file, page, bytes, charges, Some(done));
        // An error is a writer that has ended: it is not written.
        let _ = written.await;
    }

    fn push(
        &self,
        mount: &Arc<str>,
        file: &Arc<FileVersion>,
        page: u64,
        bytes: &Bytes,
        charge: Vec<Charge>,
        done: Option<oneshot::Sender<()>>,
    ) {
        let Some(folder) = file.folder.as_ref().filter(|folder| folder.may_try()) else {
            return;
        };
        self.counters.disk_queue_bytes.add(bytes.len() as u64);
        folder.queue.push(Job::Put(Put {
            mount: Arc::clone(mount),
            file: Arc::clone(file),
            page,
            bytes: bytes.clone(),
            charge,
            done,
        }));
    }

    /// A page is used in memory; it may be on any disk.
    pub(crate) fn touch(&self, key: PageKey, uses: u32) {
        for live in self.folders.iter().filter_map(|folder| folder.live()) {
            live.table.lock().touch(key, uses);
        }
    }

    /// Forgets what is at a path, and below it if `is_tree`. From this call on it is not found; the answer comes when its rows are deleted.
    pub(crate) fn drop_path(
        &self,
        mount: &Arc<str>,
        path: &Arc<str>,
        is_tree: bool,
    ) -> Vec<oneshot::Receiver<Vec<Dropped>>> {
        let drop_in = |folder: &Arc<Folder>| {
            let bar = folder.bars.bar(mount, path, is_tree);
            let (done, dropped) = oneshot::channel();
            folder.queue.push(Job::DropPath(bar, done));
            dropped
        };
        // On all disks: a path may have belonged to another one when there were more.
        self.folders.iter().map(drop_in).collect()
    }

    /// Pins a path, or not any more; `false` if no disk could note it.
    pub(crate) async fn pin(&self, mount: &Arc<str>, path: &Arc<str>, is_pinned: bool) -> bool {
        let mut is_noted = false;
        for folder in &self.folders {
            let (done, noted) = oneshot::channel();
            let (mount, path) = (Arc::clone(mount), Arc::clone(path));
            folder.queue.push(Job::Pin(mount, path, is_pinned, done));
            is_noted |= noted.await.unwrap_or(false);
        }
        is_noted
    }

    /// The gauges.
    pub(crate) fn gauge(&self, stats: &mut CacheStats) {
        for folder in &self.folders {
            match folder.live() {
                Some(live) => {
                    let table = live.table.lock();
                    stats.disk_bytes += table.bytes();
                    stats.disk_pages += table.pages();
                    stats.pinned_bytes += table.pinned_bytes();
                }
                None => stats.disks_off += 1,
            }
        }
    }

    /// What a share holds on all disks.
    pub(crate) fn gauge_share(&self, owner: Owner, stats: &mut ShareStats) {
        for live in self.folders.iter().filter_map(|folder| folder.live()) {
            let held = live.table.lock().held(owner);
            stats.disk_bytes += held.bytes;
            stats.disk_evictions += held.evictions;
        }
    }

    /// Each file on disk at a path or below, with the pages of it that are there.
    pub(crate) async fn files_within(&self, mount: &str, path: &str) -> Vec<OnDisk> {
        let mut found = Vec::new();
        for folder in &self.folders {
            let (folder, mount, path) = (Arc::clone(folder), mount.to_owned(), path.to_owned());
            let work = move || folder.files_within(&mount, &path);
            // A disk that fails has no files.
            found.extend(tokio::task::spawn_blocking(work).await.unwrap_or_default());
        }
        found
    }
}

/// A file that has pages on disk.
#[derive(Clone, Debug)]
pub struct OnDisk {
    pub id: FileId,
    pub version: Version,
    pub bytes: u64,
    pub pinned_bytes: u64,
}

impl Folder {
    /// The id under which it holds this version of a path. Blocks.
    pub(crate) fn find(
        &self,
        mount: &str,
        path: &str,
        version: &Version,
        owner: Owner,
    ) -> Option<FileId> {
        // Before looking: what is barred after it was found is known not to be current by who asked (see `Names::is_current`).
        if self.bars.has(mount, path) {
            return None;
        }
        let live = self.live()?;
        let (id, held) = live.index.file(&rows::name(mount, path)).ok().flatten()?;
        let pages = held.len.div_ceil(self.page_bytes);
        if held == *version {
            // What was here before a restart is charged to nobody until it is asked for.
            let mut table = live.table.lock();
            if table.has_file(id) {
                table.charge(id, pages, owner);
            }
            return Some(id);
        }
        self.queue.push(Job::DropFile(id, pages));
        None
    }

    /// The version that was held of a file is not wanted any more.
    pub(crate) fn drop_version(&self, file: &FileVersion) {
        let pages = file.version.len.div_ceil(self.page_bytes);
        self.queue.push(Job::DropFile(file.id, pages));
    }

    fn files_within(&self, mount: &str, path: &str) -> Vec<OnDisk> {
        let Some(live) = self.live() else {
            return Vec::new();
        };
        let rows = live.index.files_within(mount, path).unwrap_or_default();
        let table = live.table.lock();
        let on_disk = |row: index::FileRow| {
            let pages = row.version.len.div_ceil(self.page_bytes);
            let slots: Vec<_> = table
                .pages_of(row.id, pages)
                .into_iter()
                .filter_map(|key| table.get(key))
                .collect();
            let bytes = |pinned: bool| {
                let slots = slots.iter().filter(|slot| slot.is_pinned || !pinned);
                slots.map(|slot| u64::from(slot.place.len)).sum()
            };
            OnDisk {
                id: row.id,
                version: row.version,
                bytes: bytes(false),
                pinned_bytes: bytes(true),
            }
        };
        rows.into_iter().map(on_disk).collect()
    }
}

impl Drop for DiskTier {
    fn drop(&mut self) {
        self.folders.iter().for_each(|folder| folder.queue.close());
        for writer in self.writers.drain(..) {
            if writer.join().is_err() {
                tracing::error!("a cache disk's writer has panicked");
            }
        }
    }
}
