//! The shell around the engine: the volumes of several disks, the threads that write to them, and the handing out of file ids.

// The shell has the clock and the randomness that the core is denied (clippy.toml).
#![allow(clippy::disallowed_methods)]

mod bad;
mod committer;
pub mod layout;
mod opening;
mod pace;
mod scrub;
#[cfg(test)]
mod tests_of_ttl;
pub mod upkeep;
mod write;

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;
use moongate_disk::{Disk, Space};
use parking_lot::Mutex;

use crate::error::HaystackError;
use crate::id::{NeedleKey, VolumeId};
use crate::index::hot::HotIndex;
use crate::sequence::Sequence;
use crate::volume::open;
use crate::volume::{Durability, Volume};

pub use bad::BadNeedles;
use committer::Committer;
pub use committer::OPS_PER_ENTRY_MAX;
use layout::Layouts;
use opening::open_dir;

/// Where and how to keep volumes.
#[derive(Clone, Debug)]
pub struct StoreConfig {
    /// One folder a disk.
    pub dirs: Vec<PathBuf>,
    /// A volume of this length takes no new keys; lowered on small disks, see [`DataDir::volume_bytes_max`].
    pub volume_bytes_max: u64,
    /// Volumes made at once when none of a kind is writable.
    pub volumes_per_growth: u32,
    /// Volumes in one folder at most; each keeps two files open.
    pub volumes_max: u32,
    /// For collections that are not in `collection_durability`.
    pub durability: Durability,
    /// Per collection.
    pub collection_durability: HashMap<String, Durability>,
    /// Memory for hot index pages, all folders together.
    pub index_memory_bytes: u64,
    /// Garbage over size from which a volume is vacuumed.
    pub vacuum_garbage_ratio: f64,
    /// How often volumes are looked at; zero for never.
    pub vacuum_interval: Duration,
    /// Bytes read a second by vacuum; 0 for as fast as it goes.
    pub vacuum_bytes_per_sec: u64,
    /// Bytes read a second by the scrubber; 0 for no scrubbing.
    pub scrub_bytes_per_sec: u64,
    /// Largest group commit, by bytes (one needle may be larger).
    pub commit_bytes_max: usize,
    /// Writes that may wait for one disk.
    pub queue_len_max: usize,
    /// Name of the data center, as clients ask for it.
    pub data_center: String,
    /// Name of the rack.
    pub rack: String,
}

impl StoreConfig {
    /// Sensible values for these folders.
    pub fn new(dirs: Vec<PathBuf>) -> Self {
        Self {
            dirs,
            volume_bytes_max: 30_000_000_000,
            volumes_per_growth: 7,
            volumes_max: 1000,
            durability: Durability::Fsync,
            collection_durability: HashMap::new(),
            index_memory_bytes: 256 << 20,
            vacuum_garbage_ratio: 0.3,
            vacuum_interval: Duration::from_secs(900),
            vacuum_bytes_per_sec: 64 << 20,
            scrub_bytes_per_sec: 8 << 20,
            commit_bytes_max: 4 << 20,
            queue_len_max: 4096,
            data_center: "DefaultDataCenter".into(),
            rack: "DefaultRack".into(),
        }
    }

    fn durability_of(&self, collection: &str) -> Durability {
        self.collection_durability
            .get(collection)
            .copied()
            .unwrap_or(self.durability)
    }
}

/// A disk is divided into at least this many volumes, so that one more copy of any of them fits into its reserve.
const VOLUMES_PER_DISK_MIN: u64 = 32;
const VOLUME_BYTES_MIN: u64 = 1 << 20;
const RESERVE_BYTES_MIN: u64 = 16 << 20;
const RESERVE_SHARE_MAX: u64 = 8;

/// One folder of volumes.
#[derive(Debug)]
pub struct DataDir {
    /// The folder.
    pub path: PathBuf,
    /// Index of its volumes.
    pub index: Arc<HotIndex>,
    total_bytes: AtomicU64,
    free_bytes: AtomicU64,
    volume_bytes_limit: u64,
    committer: Committer,
}

impl DataDir {
    /// The disk's size and what is free of it, as of the last write or tick.
    pub fn space(&self) -> Space {
        Space {
            total_bytes: self.total_bytes.load(Ordering::Relaxed),
            free_bytes: self.free_bytes.load(Ordering::Relaxed),
        }
    }

    /// Length from which a volume here takes no new keys: what is configured, or a 32nd of the disk.
    pub fn volume_bytes_max(&self) -> u64 {
        let share = self.total_bytes.load(Ordering::Relaxed) / VOLUMES_PER_DISK_MIN;
        self.volume_bytes_limit.min(share.max(VOLUME_BYTES_MIN))
    }

    /// Room that writes leave free, so that a full volume can be vacuumed, deletes be noted and the index be kept.
    pub fn reserve_bytes(&self) -> u64 {
        let share = self.total_bytes.load(Ordering::Relaxed) / RESERVE_SHARE_MAX;
        self.volume_bytes_max().max(RESERVE_BYTES_MIN).min(share)
    }

    /// Writes that wait for this disk.
    pub fn queue_len(&self) -> usize {
        self.committer.queue_len()
    }

    /// Whether writes have to wait for space.
    pub fn is_full(&self) -> bool {
        self.free_bytes.load(Ordering::Relaxed) < self.reserve_bytes()
    }

    fn measure(&self, disk: &dyn Disk) {
        if let Ok(space) = disk.space(&self.path) {
            self.total_bytes.store(space.total_bytes, Ordering::Relaxed);
            self.free_bytes.store(space.free_bytes, Ordering::Relaxed);
        }
    }
}

/// A volume in its folder.
#[derive(Clone, Debug)]
pub struct Mounted {
    /// The volume.
    pub volume: Arc<Volume>,
    /// The folder.
    pub dir: Arc<DataDir>,
    durability: Durability,
}

impl Mounted {
    /// As the collection promises, or more if a request asks for it.
    const fn durability_of(&self, fsync: bool) -> Durability {
        if fsync {
            Durability::Fsync
        } else {
            self.durability
        }
    }

    /// Whether new keys may be put here.
    pub fn takes_new_keys(&self) -> bool {
        let is_over = |end| now_ns() / 1_000_000_000 >= end;
        self.volume.read_only().is_none()
            // It is about to be removed.
            && !self.volume.expires_secs().is_some_and(is_over)
            && self.volume.dat_bytes() < self.dir.volume_bytes_max()
            && !self.dir.is_full()
    }
}

/// All volumes, by number.
pub type Volumes = BTreeMap<VolumeId, Mounted>;

/// See the module.
#[derive(Debug)]
pub struct Store {
    /// As it was opened.
    pub config: StoreConfig,
    disk: Arc<dyn Disk>,
    dirs: Vec<Arc<DataDir>>,
    volumes: ArcSwap<Volumes>,
    /// Volumes are added and removed under this lock.
    sequence: Mutex<Sequence>,
    next_key: AtomicU64,
    layouts: Mutex<Layouts>,
    /// Held while volumes are made.
    growing: Mutex<()>,
    bad: BadNeedles,
    upkeep: upkeep::State,
    stopping: AtomicBool,
    /// Threads that are waited for when the store is closed: none of them may be the one that drops it while the process ends.
    background: Mutex<Vec<std::thread::JoinHandle<()>>>,
}

/// Unix time in nanoseconds.
pub fn now_ns() -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

/// Name of the index's folder in a data folder.
pub const INDEX_DIR: &str = "index";

impl Store {
    /// Opens every volume in the folders (made if missing) and starts the threads.
    pub fn open(disk: Arc<dyn Disk>, config: StoreConfig) -> Result<Arc<Self>, HaystackError> {
        let share = config.index_memory_bytes / config.dirs.len().max(1) as u64;
        let (mut dirs, mut volumes) = (Vec::new(), Volumes::new());
        for path in &config.dirs {
            let (dir, opened) = open_dir(&disk, path, share, &config)?;
            for volume in opened {
                let id = volume.id();
                let durability = config.durability_of(&volume.files.collection);
                let mounted = Mounted {
                    volume,
                    dir: Arc::clone(&dir),
                    durability,
                };
                if let Some(other) = volumes.insert(id, mounted) {
                    let text = format!(
                        "volume {id} is in {} and in {}: move one of them away",
                        other.dir.path.display(),
                        path.display()
                    );
                    return Err(HaystackError::Storage(text.into()));
                }
            }
            dirs.push(dir);
        }
        let key_max = volumes
            .values()
            .map(|m| m.volume.key_max())
            .max()
            .unwrap_or(0);
        let volume_max = volumes.keys().map(|id| id.0).max().unwrap_or(0);
        let sequence = Sequence::open(&*disk, &config.dirs, key_max, volume_max)?;
        let store = Arc::new(Self {
            next_key: AtomicU64::new(sequence.next_key().0),
            sequence: Mutex::new(sequence),
            volumes: ArcSwap::from_pointee(volumes),
            layouts: Mutex::default(),
            growing: Mutex::new(()),
            bad: BadNeedles::default(),
            upkeep: upkeep::State::default(),
            stopping: AtomicBool::new(false),
            background: Mutex::default(),
            config,
            disk,
            dirs,
        });
        upkeep::start(&store);
        scrub::start(&store);
        Ok(store)
    }

    /// All volumes.
    pub fn volumes(&self) -> Arc<Volumes> {
        self.volumes.load_full()
    }

    /// The folders.
    pub fn dirs(&self) -> &[Arc<DataDir>] {
        &self.dirs
    }

    /// Needles that were found damaged.
    pub const fn bad_needles(&self) -> &BadNeedles {
        &self.bad
    }

    /// A volume by its number; the hot path of a read.
    pub fn volume(&self, id: VolumeId) -> Option<Arc<Volume>> {
        self.volumes
            .load()
            .get(&id)
            .map(|mounted| Arc::clone(&mounted.volume))
    }

    /// The first key that no client knows.
    pub fn next_key(&self) -> NeedleKey {
        NeedleKey(self.next_key.load(Ordering::Acquire))
    }

    /// Largest volume number ever used.
    pub fn volume_max(&self) -> u32 {
        self.sequence.lock().volume_max()
    }

    fn mounted(&self, id: VolumeId) -> Result<Mounted, HaystackError> {
        self.volumes
            .load()
            .get(&id)
            .cloned()
            .ok_or(HaystackError::VolumeNotFound(id))
    }

    /// Removes every volume of a collection; false if it has none.
    pub fn delete_collection(&self, name: &str) -> Result<bool, HaystackError> {
        let doomed: Vec<Mounted> = self
            .volumes()
            .values()
            .filter(|m| m.volume.files.collection == name)
            .cloned()
            .collect();
        for mounted in &doomed {
            self.remove_volume(mounted)?;
        }
        Ok(!doomed.is_empty())
    }

    /// Removes a volume with everything in it.
    fn remove_volume(&self, mounted: &Mounted) -> Result<(), HaystackError> {
        self.remove_volume_if(mounted, |_| true).map(drop)
    }

    /// The same, if it still wants to be removed once nothing can be written to it any more; whether it did.
    fn remove_volume_if(
        &self,
        mounted: &Mounted,
        wanted: impl FnOnce(&Volume) -> bool + Send + 'static,
    ) -> Result<bool, HaystackError> {
        let id = mounted.volume.id();
        let (disk, volume) = (Arc::clone(&self.disk), Arc::clone(&mounted.volume));
        let removed = mounted.dir.committer.control(move |writers| {
            if !wanted(&volume) {
                return Ok(false);
            }
            writers.remove(&id);
            volume.set_read_only("it was deleted", false);
            open::remove(&*disk, &volume.files).map_err(|e| HaystackError::from_io(id, &e))?;
            volume.forget().map(|()| true)
        })?;
        if !matches!(removed, Ok(false)) {
            self.change_volumes(|volumes| drop(volumes.remove(&id)));
        }
        removed
    }

    fn change_volumes(&self, change: impl FnOnce(&mut Volumes)) {
        let _one_at_a_time = self.sequence.lock();
        let mut volumes = Volumes::clone(&self.volumes.load());
        change(&mut volumes);
        self.volumes.store(Arc::new(volumes));
        self.layouts.lock().clear();
    }

    /// Whether the store is being closed.
    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    /// Finishes what is queued, checkpoints every volume and stops the threads.
    pub fn close(&self) -> Result<(), HaystackError> {
        self.stopping.store(true, Ordering::Relaxed);
        self.upkeep.wake();
        for thread in std::mem::take(&mut *self.background.lock()) {
            if thread.join().is_err() {
                tracing::error!("a background thread panicked");
            }
        }
        let mut result = Ok(());
        for dir in &self.dirs {
            result = result.and(dir.committer.stop());
        }
        result
    }
}

impl Volume {
    /// Forgets its index rows.
    fn forget(&self) -> Result<(), HaystackError> {
        Ok(self.index().drop_table(self.generation().table)?)
    }
}
