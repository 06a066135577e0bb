//! The cache: its tiers, its budget and its counts, shared by all mounts.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use bytes::Bytes;

use crate::backend::{Backend, BackendError, ErrorKind, Version};
use crate::budget::Budget;
use crate::cached::CachedBackend;
use crate::config::{CacheConfig, MountTerms};
use crate::fetch::blocks::BlockFlights;
use crate::files::{FileId, FileVersion, Known};
use crate::mount::Mount;
use crate::names::Moment;
use crate::ram::Farewell;
use crate::ram::RamTier;
use crate::ram_shares::RamShares;
use crate::share::{Owner, SHARES_PERCENT_MAX, ShareStats};
use crate::stats::{CacheStats, Counters};
use crate::tier::DiskTier;

/// Versions of files that are remembered after their last use, so that their pages are found again.
const FILES_MAX: u64 = 1 << 16;
/// Sizes that a page may have, in bytes.
const PAGE_BYTES: std::ops::RangeInclusive<u64> = (64 << 10)..=(64 << 20);

/// The read cache.
#[derive(Debug)]
pub struct Cache {
    pub(crate) config: CacheConfig,
    pub(crate) counters: Arc<Counters>,
    pub(crate) ram: RamShares,
    pub(crate) buffers: Budget,
    /// For pages that wait for their readers; apart, so that readers that stall don't hold up what is under way.
    pub(crate) read_ahead: Budget,
    pub(crate) blocks: BlockFlights,
    pub(crate) disk: Option<Arc<DiskTier>>,
    recent: moka::sync::Cache<FileId, Arc<FileVersion>>,
    last_id: AtomicU64,
}

impl Cache {
    /// Opens the cache, with what its disks hold. Blocks.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] if the configuration makes no sense. A cache disk that fails is no error: it is left alone for a while.
    pub fn open(config: CacheConfig) -> Result<Arc<Self>, BackendError> {
        if !PAGE_BYTES.contains(&config.page_bytes) || !config.page_bytes.is_power_of_two() {
            let text = format!(
                "a page of {} bytes: set cache.page_bytes to a power of two from 64 KiB to 64 MiB",
                config.page_bytes
            );
            return Err(BackendError::new(ErrorKind::Invalid, text));
        }
        let percent: u32 = config
            .shares
            .iter()
            .map(|share| u32::from(share.percent))
            .sum();
        if percent > SHARES_PERCENT_MAX {
            let text = format!(
                "the shares of the cache are {percent} percent of it together: leave at least {} for everybody else",
                100 - SHARES_PERCENT_MAX
            );
            return Err(BackendError::new(ErrorKind::Invalid, text));
        }
        let counters = Arc::<Counters>::default();
        let half = config.buffers_bytes_max / 2;
        let (buffers, read_ahead) = (Budget::new(half), Budget::new(half));
        let disk = DiskTier::open(&config, &counters, &buffers).map_err(cannot_start)?;
        let disk = disk.map(Arc::new);
        let last_id = disk.as_ref().map_or(0, |disk| disk.last_id());
        Ok(Arc::new(Self {
            ram: RamShares::new(
                config.ram_bytes,
                &config.shares,
                &counters,
                &farewell(&disk),
            ),
            buffers,
            read_ahead,
            blocks: BlockFlights::default(),
            recent: moka::sync::Cache::new(FILES_MAX),
            last_id: AtomicU64::new(last_id.max(ids_of_now())),
            disk,
            counters,
            config,
        }))
    }

    /// Puts the cache before an under store. `mount_id` names the store: what is on disk under this name is used again.
    pub fn attach(
        self: &Arc<Self>,
        mount_id: &str,
        under: Arc<dyn Backend>,
        terms: MountTerms,
    ) -> Arc<CachedBackend> {
        let mount = Mount::new(Arc::clone(self), mount_id.into(), under, terms);
        Arc::new(CachedBackend::new(Arc::new(mount)))
    }

    /// What it has counted, and how much it holds.
    pub fn stats(&self) -> CacheStats {
        let mut stats = CacheStats {
            ram_bytes: self.ram.len_bytes(),
            ram_pages: self.ram.len_pages(),
            buffers_bytes: self.buffers.used_bytes() + self.read_ahead.used_bytes(),
            ..self.counters.snapshot()
        };
        if let Some(disk) = &self.disk {
            disk.gauge(&mut stats);
        }
        stats
    }

    /// What each share holds, in their order.
    pub fn share_stats(&self) -> Vec<ShareStats> {
        let shares = self.config.shares.iter().zip(0..);
        let stats = shares.map(|(share, place)| {
            let owner = Owner::of_share(place);
            let ram = self.ram.of(owner);
            let mut stats = ShareStats {
                name: share.name.clone(),
                ram_bytes: ram.len_bytes(),
                ram_evictions: ram.evictions(),
                ..ShareStats::default()
            };
            if let Some(disk) = &self.disk {
                disk.gauge_share(owner, &mut stats);
            }
            stats
        });
        stats.collect()
    }

    /// The memory that holds the pages of a file.
    pub(crate) fn ram_of(&self, file: &FileVersion) -> &RamTier {
        self.ram.of(file.owner)
    }

    /// The version of a file, as it was said to be at a moment.
    pub(crate) async fn file(
        &self,
        mount: &Mount,
        path: &str,
        version: &Version,
        moment: Moment,
    ) -> Arc<FileVersion> {
        let is_current = || mount.names.is_current(path, moment);
        if let Some(held) = mount.files.get(path)
            && held.version == *version
            && is_current()
        {
            return held;
        }
        let path = Arc::from(path);
        let owner = mount.terms.owners.of(&path);
        let known = self.find(mount, &path, version, owner).await;
        let new_id = self.new_id();
        let (file, old) = mount.files.adopt(&path, version, known, new_id, is_current);
        if let Some(old) = old {
            self.drop_version(&old);
        }
        if !file.is_alone {
            self.recent.insert(file.id, Arc::clone(&file));
        }
        file
    }

    fn new_id(&self) -> FileId {
        FileId(self.last_id.fetch_add(1, Ordering::Relaxed) + 1)
    }

    /// The id under which a disk holds this version, else a new one; and the disk.
    async fn find(&self, mount: &Mount, path: &Arc<str>, version: &Version, owner: Owner) -> Known {
        let folder = self
            .disk
            .as_ref()
            .and_then(|disk| disk.folder_of(&mount.id, path));
        let Some(folder) = folder.map(Arc::clone) else {
            return Known::new(self.new_id(), None, owner);
        };
        let (finder, id, path) = (Arc::clone(&folder), Arc::clone(&mount.id), Arc::clone(path));
        let version = version.clone();
        let found = tokio::task::spawn_blocking(move || finder.find(&id, &path, &version, owner));
        let id = found.await.ok().flatten().unwrap_or_else(|| self.new_id());
        Known::new(id, Some(folder), owner)
    }

    /// Has a page written to disk behind its reader, if the disk keeps up.
    pub(crate) fn offer(&self, mount: &Mount, file: &Arc<FileVersion>, page: u64, bytes: &Bytes) {
        if let Some(disk) = &self.disk
            && !file.is_dropped()
        {
            disk.offer(&mount.id, file, page, bytes);
        }
    }

    /// Has a page written to disk, and waits until it is.
    pub(crate) async fn write(
        &self,
        mount: &Mount,
        file: &Arc<FileVersion>,
        page: u64,
        bytes: &Bytes,
    ) {
        if let Some(disk) = &self.disk
            && !file.is_dropped()
        {
            disk.write(&mount.id, file, page, bytes).await;
        }
    }

    /// Keeps a page in memory.
    pub(crate) fn keep(&self, file: &Arc<FileVersion>, page: u64, bytes: Bytes) {
        if file.is_dropped() {
            return;
        }
        let ram = self.ram_of(file);
        ram.put(file.key(page), bytes);
        // Dropped between the look and the put: nobody else would remove it.
        if file.is_dropped() {
            ram.remove(file.key(page));
        }
    }

    /// Forgets the pages of a version that was taken off its mount's table.
    pub(crate) fn drop_version(&self, file: &Arc<FileVersion>) {
        self.counters.changes_seen.add(1);
        self.recent.invalidate(&file.id);
        if let Some(folder) = &file.folder {
            folder.drop_version(file);
        }
        self.forget_in_ram(file.id, self.pages_of(&file.version));
    }

    /// Lets go the pages of a file of so many.
    pub(crate) fn forget_in_ram(&self, file: FileId, pages: u64) {
        self.ram.forget(file, pages);
    }

    /// How many pages a version has.
    pub(crate) fn pages_of(&self, version: &Version) -> u64 {
        version.len.div_ceil(self.config.page_bytes)
    }

    /// Bytes of a page of a version.
    pub(crate) fn page_len(&self, version: &Version, page: u64) -> u64 {
        let start = page.saturating_mul(self.config.page_bytes);
        version
            .len
            .saturating_sub(start)
            .min(self.config.page_bytes)
    }
}

/// What memory lets go after it was used there is worth to stay on disk.
fn farewell(disk: &Option<Arc<DiskTier>>) -> Arc<Farewell> {
    let disk = disk.as_ref().map(Arc::downgrade);
    Arc::new(move |key, uses| {
        if uses > 0
            && let Some(disk) = disk.as_ref().and_then(Weak::upgrade)
        {
            disk.touch(key, uses);
        }
    })
}

/// Ids that begin with the time are new even where the rows of older ones were lost.
#[allow(
    clippy::disallowed_methods,
    reason = "only to be new, not to tell the time"
)]
fn ids_of_now() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let millis = since.map_or(0, |since| since.as_millis());
    u64::try_from(millis).unwrap_or_default() << 20
}

fn cannot_start(error: std::io::Error) -> BackendError {
    BackendError::new(
        ErrorKind::Failed,
        format!("the cache cannot start: {error}"),
    )
}
