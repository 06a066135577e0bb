//! How much the cache may hold, and on what terms a mount is cached.

use std::path::PathBuf;
use std::time::Duration;

use moongate_disk::EngineChoice;

use crate::clock::Clock;
use crate::share::{Owners, Share};

/// Bounds and places of a cache.
#[derive(Clone, Debug)]
pub struct CacheConfig {
    /// Bytes of a page: a power of two from 64 KiB to 64 MiB. A disk tier that was written with another size is emptied.
    pub page_bytes: u64,
    /// Bytes of pages in memory.
    pub ram_bytes: u64,
    /// Folders of the disk tier, each on a disk of its own; none: no disk tier.
    pub dirs: Vec<PathBuf>,
    /// Bytes of pages in all `dirs` together.
    pub disk_bytes: u64,
    /// Bytes that may be under way between stores, disks and memory.
    pub buffers_bytes_max: u64,
    /// Bytes of what is remembered of single paths, for each mount.
    pub statuses_bytes: u64,
    /// Bytes of what is remembered of folders' entries, for each mount.
    pub listings_bytes: u64,
    /// The most of the disk tier that pins may hold, in percent.
    pub pinned_percent_max: u8,
    /// How the disk tier is read.
    pub engine: EngineChoice,
    /// How long a cache disk that failed is left alone.
    pub disk_retry: Duration,
    /// Parts of memory and disks that are somebody's own.
    pub shares: Vec<Share>,
    /// The time.
    pub clock: Clock,
}

impl Default for CacheConfig {
    fn default() -> Self {
        Self {
            page_bytes: 1 << 20,
            ram_bytes: 1 << 30,
            dirs: Vec::new(),
            disk_bytes: 10 << 30,
            buffers_bytes_max: 256 << 20,
            statuses_bytes: 32 << 20,
            listings_bytes: 32 << 20,
            pinned_percent_max: 50,
            engine: EngineChoice::Auto,
            disk_retry: Duration::from_secs(30),
            shares: Vec::new(),
            clock: Clock::system(),
        }
    }
}

/// On what terms a mount is cached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MountTerms {
    /// How old an answer about names may be. Zero: the under store is always asked.
    pub ttl: Duration,
    /// The most that is read ahead of a sequential reader.
    pub read_ahead_bytes: u64,
    /// Under-store calls and streams at once.
    pub calls_max: usize,
    /// Streams at once for one file.
    pub streams_max: usize,
    /// How long the under store may take for an answer, or for the next bytes of one.
    pub timeout: Duration,
    /// After so many failures in a row the under store is left alone for a while.
    pub breaker_failures: u32,
    /// That while.
    pub breaker_pause: Duration,
    /// To whom pages are charged.
    pub owners: Owners,
}

impl Default for MountTerms {
    fn default() -> Self {
        Self {
            ttl: Duration::from_secs(30),
            read_ahead_bytes: 32 << 20,
            calls_max: 64,
            streams_max: 4,
            timeout: Duration::from_secs(60),
            breaker_failures: 8,
            breaker_pause: Duration::from_secs(10),
            owners: Owners::default(),
        }
    }
}
