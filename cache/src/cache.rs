//! The cache: its tiers, its budget and its counts, shared by all mounts.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;

use crate::backend::{Backend, BackendError, ErrorKind, Version};
use crate::budget::Budget;
use crate::cached::CachedBackend;
use crate::config::{CacheConfig, MountTerms};
use crate::fetch::blocks::BlockFlights;
use crate::files::{FileId, FileVersion};
use crate::mount::Mount;
use crate::names::Moment;
use crate::ram::RamTier;
use crate::stats::{CacheStats, Counters};

/// Versions of files that are remembered after their last use, so that their pages are found again.
const FILES_MAX: u64 = 1 << 16;
/// Sizes that a page may have, in bytes.
const PAGE_BYTES: std::ops::RangeInclusive<u64> = (64 << 10)..=(64 << 20);

/// The read cache.
#[derive(Debug)]
pub struct Cache {
    pub(crate) config: CacheConfig,
    pub(crate) counters: Arc<Counters>,
    pub(crate) ram: RamTier,
    pub(crate) buffers: Budget,
    pub(crate) blocks: BlockFlights,
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
        let counters = Arc::<Counters>::default();
        let farewell = Arc::new(|_, _| {});
        Ok(Arc::new(Self {
            ram: RamTier::new(config.ram_bytes, Arc::clone(&counters), farewell),
            buffers: Budget::new(config.buffers_bytes_max),
            blocks: BlockFlights::default(),
            recent: moka::sync::Cache::new(FILES_MAX),
            last_id: AtomicU64::new(0),
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
        CacheStats {
            ram_bytes: self.ram.len_bytes(),
            ram_pages: self.ram.len_pages(),
            buffers_bytes: self.buffers.used_bytes(),
            ..self.counters.snapshot()
        }
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
        let id = FileId(self.last_id.fetch_add(1, Ordering::Relaxed));
        let (file, old) = mount.files.adopt(&path.into(), version, id, is_current);
        if let Some(old) = old {
            self.drop_version(&old).await;
        }
        self.recent.insert(file.id, Arc::clone(&file));
        file
    }

    /// Keeps a page that was brought in.
    pub(crate) fn keep(&self, file: &Arc<FileVersion>, page: u64, bytes: Bytes) {
        if file.is_dropped() {
            return;
        }
        self.ram.put(file.key(page), bytes);
        // Dropped between the look and the put: nobody else would remove it.
        if file.is_dropped() {
            self.ram.remove(file.key(page));
        }
    }

    /// Forgets the pages of a version that was taken off its mount's table.
    pub(crate) async fn drop_version(&self, file: &Arc<FileVersion>) {
        self.counters.changes_seen.add(1);
        self.recent.invalidate(&file.id);
        self.forget_in_ram(file);
    }

    fn forget_in_ram(&self, file: &FileVersion) {
        for page in 0..self.pages_of(&file.version) {
            self.ram.remove(file.key(page));
        }
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
