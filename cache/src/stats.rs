//! What the cache counts.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Counts since the cache was opened, and gauges of now. Bytes unless said otherwise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CacheStats {
    /// Bytes served from memory.
    pub ram_hit_bytes: u64,
    /// Bytes served from the disk tier.
    pub disk_hit_bytes: u64,
    /// Bytes served that had to be fetched, or were being fetched for somebody else.
    pub miss_bytes: u64,
    /// Pages or parts of them found in memory.
    pub ram_hits: u64,
    /// Likewise on disk.
    pub disk_hits: u64,
    /// Likewise nowhere.
    pub misses: u64,
    /// Bytes that the under stores sent.
    pub under_bytes: u64,
    /// Calls of under stores.
    pub under_calls: u64,
    /// Calls that failed because the store did not answer.
    pub under_failures: u64,
    /// Microseconds that calls of under stores took, in sum.
    pub under_micros: u64,
    /// Calls refused because a breaker was open.
    pub refused_calls: u64,
    /// Answers about names from memory.
    pub name_hits: u64,
    /// Answers about names that had to be asked for.
    pub name_misses: u64,
    /// Milliseconds of age of the answers about names that were given from memory, in sum; over `name_hits` it is the mean.
    pub name_age_ms: u64,
    /// Versions of files that were dropped because another was seen.
    pub changes_seen: u64,
    /// Bytes held in memory.
    pub ram_bytes: u64,
    /// Pages held in memory.
    pub ram_pages: u64,
    /// Pages that memory let go.
    pub ram_evictions: u64,
    /// Bytes held on disk.
    pub disk_bytes: u64,
    /// Pages held on disk.
    pub disk_pages: u64,
    /// Of `disk_bytes`, what is pinned.
    pub pinned_bytes: u64,
    /// Pages that the disk tier let go.
    pub disk_evictions: u64,
    /// Pages whose bytes on disk were not what had been written.
    pub corrupt_pages: u64,
    /// Pages that were written to disk.
    pub disk_writes: u64,
    /// Pages that were not written because the queue was full.
    pub disk_writes_skipped: u64,
    /// Failures of cache disks.
    pub disk_failures: u64,
    /// Cache disks that are left alone now because they failed.
    pub disks_off: u64,
    /// Bytes waiting to be written to disk.
    pub disk_queue_bytes: u64,
    /// Bytes under way between stores, disks and memory.
    pub buffers_bytes: u64,
    /// Under-store calls and streams at work.
    pub under_calls_now: u64,
}

impl CacheStats {
    /// Bytes served, from wherever.
    pub const fn served_bytes(&self) -> u64 {
        self.ram_hit_bytes + self.disk_hit_bytes + self.miss_bytes
    }
}

/// One count.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    pub(crate) fn sub(&self, n: u64) {
        self.0.fetch_sub(n, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Where bytes were found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// In memory.
    Ram,
    /// In the disk tier.
    Disk,
    /// In the under store.
    Under,
}

/// The counts, while they are counted; [`CacheStats`] says what each is.
#[derive(Debug, Default)]
#[allow(missing_docs)]
pub struct Counters {
    pub ram_hit_bytes: Counter,
    pub disk_hit_bytes: Counter,
    pub miss_bytes: Counter,
    pub ram_hits: Counter,
    pub disk_hits: Counter,
    pub misses: Counter,
    pub under_bytes: Counter,
    pub under_calls: Counter,
    pub under_failures: Counter,
    pub under_micros: Counter,
    pub under_calls_now: Counter,
    pub refused_calls: Counter,
    pub name_hits: Counter,
    pub name_misses: Counter,
    pub name_age_ms: Counter,
    pub changes_seen: Counter,
    pub ram_evictions: Counter,
    pub disk_evictions: Counter,
    pub corrupt_pages: Counter,
    pub disk_writes: Counter,
    pub disk_writes_skipped: Counter,
    pub disk_failures: Counter,
    pub disk_queue_bytes: Counter,
}

impl Counters {
    /// Bytes were served.
    pub(crate) fn served(&self, found: Found, bytes: u64) {
        match found {
            Found::Ram => self.ram_hit_bytes.add(bytes),
            Found::Disk => self.disk_hit_bytes.add(bytes),
            Found::Under => self.miss_bytes.add(bytes),
        }
    }

    /// A page, or a part of one, was looked for.
    pub(crate) fn looked(&self, found: Found) {
        match found {
            Found::Ram => self.ram_hits.add(1),
            Found::Disk => self.disk_hits.add(1),
            Found::Under => self.misses.add(1),
        }
    }

    pub(crate) fn name_hit(&self, age: Duration) {
        self.name_hits.add(1);
        self.name_age_ms
            .add(u64::try_from(age.as_millis()).unwrap_or(u64::MAX));
    }

    /// What was counted here; the gauges are left at 0.
    pub(crate) fn snapshot(&self) -> CacheStats {
        CacheStats {
            ram_hit_bytes: self.ram_hit_bytes.get(),
            disk_hit_bytes: self.disk_hit_bytes.get(),
            miss_bytes: self.miss_bytes.get(),
            ram_hits: self.ram_hits.get(),
            disk_hits: self.disk_hits.get(),
            misses: self.misses.get(),
            under_bytes: self.under_bytes.get(),
            under_calls: self.under_calls.get(),
            under_failures: self.under_failures.get(),
            under_micros: self.under_micros.get(),
            under_calls_now: self.under_calls_now.get(),
            refused_calls: self.refused_calls.get(),
            name_hits: self.name_hits.get(),
            name_misses: self.name_misses.get(),
            name_age_ms: self.name_age_ms.get(),
            changes_seen: self.changes_seen.get(),
            ram_evictions: self.ram_evictions.get(),
            disk_evictions: self.disk_evictions.get(),
            corrupt_pages: self.corrupt_pages.get(),
            disk_writes: self.disk_writes.get(),
            disk_writes_skipped: self.disk_writes_skipped.get(),
            disk_failures: self.disk_failures.get(),
            disk_queue_bytes: self.disk_queue_bytes.get(),
            ..CacheStats::default()
        }
    }
}
