//! What the read cache has done and holds. All are told as the cache counts them; see [`CacheStats`].

use moongate_cache::CacheStats;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::as_gauge;

type Figure = fn(&CacheStats) -> u64;

/// Name, help, value.
const FIGURES: [(&str, &str, Figure); 30] = [
    (
        "cache_ram_hit_bytes",
        "Bytes served from memory, since the start",
        |s| s.ram_hit_bytes,
    ),
    (
        "cache_disk_hit_bytes",
        "Bytes served from cache disks, since the start",
        |s| s.disk_hit_bytes,
    ),
    (
        "cache_miss_bytes",
        "Bytes served that had to be fetched, since the start",
        |s| s.miss_bytes,
    ),
    (
        "cache_ram_hits",
        "Pages or parts of them found in memory, since the start",
        |s| s.ram_hits,
    ),
    (
        "cache_disk_hits",
        "Pages or parts of them found on cache disks, since the start",
        |s| s.disk_hits,
    ),
    (
        "cache_misses",
        "Pages or parts of them found nowhere, since the start",
        |s| s.misses,
    ),
    (
        "cache_under_bytes",
        "Bytes that under stores sent, since the start; over the bytes served it is the amplification",
        |s| s.under_bytes,
    ),
    (
        "cache_under_calls",
        "Calls of under stores, since the start",
        |s| s.under_calls,
    ),
    (
        "cache_under_failures",
        "Calls that under stores did not answer, since the start",
        |s| s.under_failures,
    ),
    (
        "cache_under_microseconds",
        "Time that calls of under stores took, in sum",
        |s| s.under_micros,
    ),
    (
        "cache_under_calls_now",
        "Calls and streams of under stores at work",
        |s| s.under_calls_now,
    ),
    (
        "cache_refused_calls",
        "Calls refused because a store that fails is left alone for a while",
        |s| s.refused_calls,
    ),
    (
        "cache_name_hits",
        "Answers about names from memory, since the start",
        |s| s.name_hits,
    ),
    (
        "cache_name_misses",
        "Answers about names that had to be asked for, since the start",
        |s| s.name_misses,
    ),
    (
        "cache_name_age_milliseconds",
        "Age of the answers about names from memory, in sum: over cache_name_hits it is the mean",
        |s| s.name_age_ms,
    ),
    (
        "cache_changes_seen",
        "Versions of files dropped because another was seen, since the start",
        |s| s.changes_seen,
    ),
    ("cache_ram_bytes", "Bytes held in memory", |s| s.ram_bytes),
    ("cache_ram_pages", "Pages held in memory", |s| s.ram_pages),
    (
        "cache_ram_evictions",
        "Pages that memory let go, since the start",
        |s| s.ram_evictions,
    ),
    ("cache_disk_bytes", "Bytes held on cache disks", |s| {
        s.disk_bytes
    }),
    ("cache_disk_pages", "Pages held on cache disks", |s| {
        s.disk_pages
    }),
    (
        "cache_pinned_bytes",
        "Of the bytes on cache disks, what is pinned",
        |s| s.pinned_bytes,
    ),
    (
        "cache_disk_evictions",
        "Pages that cache disks let go, since the start",
        |s| s.disk_evictions,
    ),
    (
        "cache_corrupt_pages",
        "Pages whose bytes on a cache disk were not what had been written: fetched again, never served",
        |s| s.corrupt_pages,
    ),
    (
        "cache_disk_writes",
        "Pages written to cache disks, since the start",
        |s| s.disk_writes,
    ),
    (
        "cache_disk_writes_skipped",
        "Pages not written to cache disks because their queue was full",
        |s| s.disk_writes_skipped,
    ),
    (
        "cache_disk_failures",
        "Failures of cache disks, since the start",
        |s| s.disk_failures,
    ),
    (
        "cache_disks_off",
        "Cache disks that are left alone now because they failed",
        |s| s.disks_off,
    ),
    (
        "cache_disk_queue_bytes",
        "Bytes that wait to be written to cache disks",
        |s| s.disk_queue_bytes,
    ),
    (
        "cache_buffers_bytes",
        "Bytes under way between stores, disks and memory",
        |s| s.buffers_bytes,
    ),
];

/// The figures, registered.
pub struct CacheFigures(Vec<(Gauge, Figure)>);

impl CacheFigures {
    /// Registers them all.
    pub fn register(registry: &mut Registry) -> Self {
        let figures = FIGURES.map(|(name, help, figure)| {
            let gauge = Gauge::default();
            registry.register(name, help, gauge.clone());
            (gauge, figure)
        });
        Self(figures.into())
    }

    /// Sets them to what the cache says now.
    pub fn set(&self, stats: &CacheStats) {
        for (gauge, figure) in &self.0 {
            gauge.set(as_gauge(figure(stats)));
        }
    }
}
