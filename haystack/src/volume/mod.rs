//! One volume: what readers see of it ([`Volume`]) and the one who writes to it ([`writer::Writer`]).

pub mod files;
pub mod open;
mod replay;
pub mod vacuum;
pub mod writer;

use std::collections::HashMap;
use std::ops::{ControlFlow, Range};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use arc_swap::{ArcSwap, ArcSwapOption};
use bytes::Bytes;
use moongate_disk::DiskFile;
use parking_lot::RwLock;

use crate::error::HaystackError;
use crate::id::{Cookie, NeedleKey, VolumeId};
use crate::idx::OffsetWidth;
use crate::index::hot::{HotIndex, Lookup};
use crate::index::{Counters, Entry, Progress, TableId};
use crate::mutant::{self, Mutant};
use crate::needle::{Needle, Version, record_bytes};
use crate::super_block::SuperBlock;

pub use files::VolumeFiles;

/// How durable an acknowledged write is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Durability {
    /// On the disk: `fdatasync` before the answer.
    #[default]
    Fsync,
    /// In the operating system's memory: survives the process, not a power cut (of the last second or so).
    Os,
}

/// A volume's `.dat` between two vacuums. Readers hold on to the one that they began with.
#[derive(Debug)]
pub struct Generation {
    /// Its table in the index.
    pub table: TableId,
    /// The file.
    pub dat: Arc<dyn DiskFile>,
    /// Its super block, with what `.vif` overrides.
    pub block: SuperBlock,
    /// From here on every needle carries our seal.
    pub sealed_from: u64,
}

impl Generation {
    /// Layout of the records.
    pub const fn version(&self) -> Version {
        self.block.version
    }

    /// Length of an entry's record in bytes.
    pub const fn record_bytes(&self, entry: &Entry) -> u64 {
        record_bytes(entry.size, self.block.version)
    }

    /// Parses and verifies the record of an entry; does not look at cookie and TTL.
    pub fn decode(
        &self,
        key: NeedleKey,
        entry: &Entry,
        record: Bytes,
    ) -> Result<Needle, HaystackError> {
        let must_be_sealed = entry.offset >= self.sealed_from && !mutant::is(Mutant::SkipSeal);
        let sealed_at = must_be_sealed.then_some(entry.offset);
        let damaged = |fault| HaystackError::Damaged {
            volume: self.table.volume,
            key,
            fault,
        };
        let needle = Needle::decode(record, self.version(), sealed_at).map_err(damaged)?;
        let as_indexed = needle.header.key == key && needle.header.size == entry.size;
        if as_indexed {
            Ok(needle)
        } else {
            Err(damaged(crate::needle::NeedleError::Malformed))
        }
    }
}

/// What memory knows of a needle's place.
#[derive(Debug)]
pub enum Located {
    /// Read this record of this generation.
    Here(Arc<Generation>, Entry),
    /// Deleted or never put.
    Absent,
    /// Ask [`Volume::locate_slow`] on a thread that may wait.
    Unknown,
}

/// A volume as readers and status pages see it.
#[derive(Debug)]
pub struct Volume {
    /// Its files and name.
    pub files: VolumeFiles,
    /// Width of `.idx` offsets.
    pub width: OffsetWidth,
    index: Arc<HotIndex>,
    current: ArcSwap<Generation>,
    /// Written but not yet durable (durability "os"): in no store yet.
    pending: RwLock<HashMap<NeedleKey, Entry>>,
    pending_len: AtomicUsize,
    read_only: ArcSwapOption<ReadOnly>,
    dat_bytes: AtomicU64,
    modified_secs: AtomicU64,
    /// Of live needles that have outlived their TTL, as they were last counted.
    expired_bytes: AtomicU64,
    progress: RwLock<Progress>,
}

/// Why a volume takes no writes.
#[derive(Debug)]
struct ReadOnly {
    text: Arc<str>,
    deletes_allowed: bool,
}

impl Volume {
    /// Number of the volume.
    pub const fn id(&self) -> VolumeId {
        self.files.id
    }

    /// The present generation.
    pub fn generation(&self) -> Arc<Generation> {
        self.current.load_full()
    }

    /// Bytes of the `.dat`.
    pub fn dat_bytes(&self) -> u64 {
        self.dat_bytes.load(Ordering::Relaxed)
    }

    /// When it was last written to, unix seconds; 0 if never.
    pub fn modified_secs(&self) -> u64 {
        self.modified_secs.load(Ordering::Relaxed)
    }

    /// What was counted.
    pub fn counters(&self) -> Counters {
        self.progress.read().counters
    }

    /// Largest key that was put, made-up ones aside.
    pub fn key_max(&self) -> u64 {
        self.progress.read().key_max
    }

    /// Why it takes no writes, if so.
    pub fn read_only(&self) -> Option<Arc<str>> {
        self.read_only
            .load()
            .as_ref()
            .map(|reason| Arc::clone(&reason.text))
    }

    /// Lets no more writes in.
    pub fn set_read_only(&self, text: &str, deletes_allowed: bool) {
        self.read_only.store(Some(Arc::new(ReadOnly {
            text: text.into(),
            deletes_allowed,
        })));
    }

    fn writable(&self, is_delete: bool) -> Result<(), HaystackError> {
        match &*self.read_only.load() {
            Some(reason) if !(is_delete && reason.deletes_allowed) => {
                Err(HaystackError::ReadOnly(self.id(), Arc::clone(&reason.text)))
            }
            _ => Ok(()),
        }
    }

    /// Garbage over all, 0 to 1: what vacuum would free of the `.dat`.
    pub fn garbage_ratio(&self) -> f64 {
        let bytes = self.dat_bytes().max(1);
        let expired_bytes = self.expired_bytes.load(Ordering::Relaxed);
        (self.counters().deleted_bytes + expired_bytes) as f64 / bytes as f64
    }

    /// Notes how many bytes of live needles have outlived their TTL: nothing says so to who writes.
    pub fn set_expired_bytes(&self, bytes: u64) {
        self.expired_bytes.store(bytes, Ordering::Relaxed);
    }

    /// When everything in it has expired, unix seconds, if nothing more is written: where the volume itself has a TTL, and was written to.
    pub fn expires_secs(&self) -> Option<u64> {
        let (ttl, modified) = (self.generation().block.ttl, self.modified_secs());
        (!ttl.is_none() && modified > 0).then(|| modified.saturating_add(ttl.secs()))
    }

    /// Finds a needle's place in memory.
    pub fn locate(&self, key: NeedleKey) -> Located {
        loop {
            let generation = self.generation();
            match self.locate_in(&generation, key) {
                // Vacuum may have dropped this generation's table just now.
                Located::Absent if !self.is_current(&generation) => {}
                located => return located,
            }
        }
    }

    fn is_current(&self, generation: &Arc<Generation>) -> bool {
        Arc::ptr_eq(generation, &self.current.load())
    }

    fn locate_in(&self, generation: &Arc<Generation>, key: NeedleKey) -> Located {
        let generation = Arc::clone(generation);
        if let Some(entry) = self.pending_entry(key) {
            return if entry.deleted {
                Located::Absent
            } else {
                Located::Here(generation, entry)
            };
        }
        match self.index.peek(generation.table, key) {
            Lookup::Live(entry) => Located::Here(generation, entry),
            Lookup::Absent => Located::Absent,
            Lookup::Unknown => Located::Unknown,
        }
    }

    /// Finds a needle's place; may read a disk.
    pub fn locate_slow(
        &self,
        key: NeedleKey,
        with_deleted: bool,
    ) -> Result<Option<(Arc<Generation>, Entry)>, HaystackError> {
        loop {
            let generation = self.generation();
            let entry = match self.pending_entry(key) {
                Some(entry) => Some(entry).filter(|e| with_deleted || !e.deleted),
                None if with_deleted => self.index.get_with_deleted(generation.table, key)?,
                None => self.index.get(generation.table, key)?,
            };
            if entry.is_some() || self.is_current(&generation) {
                return Ok(entry.map(|entry| (generation, entry)));
            }
        }
    }

    fn pending_entry(&self, key: NeedleKey) -> Option<Entry> {
        if self.pending_len.load(Ordering::Acquire) == 0 {
            return None;
        }
        self.pending.read().get(&key).copied()
    }

    /// Reads and verifies a needle by its key on the calling thread. For writers, vacuum and tests; the gateway reads by
    /// [`Self::locate`] and its own read path.
    pub fn read(&self, key: NeedleKey) -> Result<Needle, HaystackError> {
        let (generation, entry) = self
            .locate_slow(key, false)?
            .ok_or(HaystackError::NotFound)?;
        let len = usize::try_from(generation.record_bytes(&entry)).unwrap_or(usize::MAX);
        let record = moongate_disk::read_exact_at(&*generation.dat, entry.offset, len);
        let record = record.map_err(|e| HaystackError::from_io(self.id(), &e))?;
        generation.decode(key, &entry, record.into())
    }

    /// As [`Self::read`], for a client: the cookie must match and the TTL must not have passed.
    pub fn read_for(
        &self,
        key: NeedleKey,
        cookie: Cookie,
        now_secs: u64,
    ) -> Result<Needle, HaystackError> {
        let needle = self.read(key)?;
        if needle.header.cookie != cookie || needle.expired(now_secs) {
            Err(HaystackError::NotFound)
        } else {
            Ok(needle)
        }
    }
}

impl Volume {
    /// Live keys among these, of what is durable. All of them are held in memory.
    pub fn live_keys(&self, keys: Range<NeedleKey>) -> Result<Vec<NeedleKey>, HaystackError> {
        let Some(last) = keys.end.0.checked_sub(1).map(NeedleKey) else {
            return Ok(Vec::new());
        };
        loop {
            let generation = self.generation();
            let mut live = Vec::new();
            let mut visit = |key: NeedleKey, entry: Entry| {
                if !entry.deleted {
                    live.push(key);
                }
                ControlFlow::Continue(())
            };
            let store = self.index.store();
            store.scan(generation.table, keys.start, last, &mut visit)?;
            // Vacuum may have dropped this generation's table meanwhile.
            if self.is_current(&generation) {
                return Ok(live);
            }
        }
    }

    /// Offset up to which the `.dat` is durable and in the index.
    pub fn durable_bytes(&self) -> u64 {
        self.progress.read().dat_bytes
    }

    pub(crate) const fn index(&self) -> &Arc<HotIndex> {
        &self.index
    }
}
