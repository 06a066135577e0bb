//! A folder of volumes and its lives.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use moongate_disk::sim::{Rng, Trace};
use moongate_disk::{Crash, Disk, SimDisk};

use super::faults::Flip;
use super::model::Model;
use crate::id::VolumeId;
use crate::index::hot::HotIndex;
use crate::index::mem::MemIndex;
use crate::placement::ReplicaPlacement;
use crate::sequence::Sequence;
use crate::ttl::Ttl;
use crate::volume::files::VolumeFiles;
use crate::volume::open::{self, Opened};
use crate::volume::vacuum::Vacuum;
use crate::volume::{Durability, Volume};

pub const DIR: &str = "/data";
const VOLUMES_MAX: u64 = 2;
const LIVES_MAX: u64 = 5;
const OPS_MAX: u64 = 40;
/// Recoveries that may be interrupted before one is let through.
const INTERRUPTIONS_MAX: u32 = 3;
const START_NS: u64 = 1_700_000_000_000_000_000;

/// One volume and what is known of it.
pub struct Slot {
    pub files: VolumeFiles,
    pub durability: Durability,
    pub model: Model,
    /// Keys that operations choose from.
    pub keys: Vec<u64>,
    /// Making it was acknowledged.
    pub made: bool,
    pub open: Option<Opened>,
    pub vacuum: Option<Vacuum>,
    pub flip: Option<Flip>,
    /// SeaweedFS wrote to it.
    pub shared: bool,
    /// Its `.idx` was lost or cut since it was last open.
    pub idx_harmed: bool,
}

impl Slot {
    fn new(id: u32, durability: Durability) -> Self {
        Self {
            files: VolumeFiles {
                dir: PathBuf::from(DIR),
                collection: String::new(),
                id: VolumeId(id),
            },
            durability,
            model: Model::new(),
            keys: vec![(1 << 48) + 5, (1 << 48) + 6],
            made: false,
            open: None,
            vacuum: None,
            flip: None,
            shared: false,
            idx_harmed: false,
        }
    }

    pub fn volume(&self) -> Option<&Arc<Volume>> {
        self.open.as_ref().map(|opened| &opened.volume)
    }

    /// A bit of it flipped, and something that would help to tell is lost.
    fn is_fragile(&self) -> bool {
        self.flip
            .is_some_and(|flip| flip.unindexed || self.idx_harmed)
    }

    /// Whether it stopped taking writes.
    pub fn is_read_only(&self) -> bool {
        self.volume().is_some_and(|v| v.read_only().is_some())
    }

    /// Everything that was acknowledged is on the disk, though perhaps for want of anything to sync.
    pub fn all_flushed(&mut self) {
        if !self.is_read_only() {
            self.model.values_mut().for_each(|h| h.is_flushed());
        }
    }

    /// Everything that was acknowledged is on the disk, and was synced just now.
    pub fn all_durable(&mut self) {
        if !self.is_read_only() {
            self.model.values_mut().for_each(|h| h.is_durable());
        }
    }
}

/// See the module.
pub struct World {
    pub rng: Rng,
    pub trace: Trace,
    pub disk: SimDisk,
    pub mem: Arc<MemIndex>,
    pub index: Arc<HotIndex>,
    pub slots: Vec<Slot>,
    pub sequence: Option<Sequence>,
    /// No key from here on was handed out.
    pub handed_out_to: u64,
    pub now_ns: u64,
    /// A fault is armed in this life, so that operations may fail.
    pub troubled: bool,
    /// Since all volumes were last compared.
    pub power_was_lost: bool,
}

impl World {
    pub fn new(seed: u64, aloud: bool) -> Self {
        let mut rng = Rng::new(seed);
        let mem = Arc::new(MemIndex::new());
        let mut slots = Vec::new();
        for id in 0..1 + rng.below(VOLUMES_MAX) as u32 {
            let durability = if rng.one_in(3) {
                Durability::Os
            } else {
                Durability::Fsync
            };
            slots.push(Slot::new(id + 1, durability));
        }
        Self {
            disk: SimDisk::new(rng.next()),
            index: Arc::new(HotIndex::new(Arc::clone(&mem) as _, 0)),
            mem,
            slots,
            sequence: None,
            handed_out_to: 1,
            now_ns: START_NS,
            troubled: false,
            power_was_lost: false,
            trace: Trace::new(aloud),
            rng,
        }
    }

    pub fn now_secs(&self) -> u64 {
        self.now_ns / 1_000_000_000
    }

    /// The whole run.
    pub fn live(&mut self) -> Result<(), String> {
        self.disk
            .create_dir_all(Path::new(DIR))
            .map_err(|e| e.to_string())?;
        for life in 0..2 + self.rng.below(LIVES_MAX - 1) {
            self.trace.note(format_args!("life {life}"));
            self.rise()?;
            self.arm();
            for _ in 0..self.rng.below(OPS_MAX) {
                if self.disk.is_down() {
                    break;
                }
                self.now_ns += 1_000_000 + self.rng.below(20_000_000_000);
                self.operate()?;
            }
            self.end_of_life()?;
        }
        self.rise()
    }

    fn end_of_life(&mut self) -> Result<(), String> {
        let clean = self.rng.one_in(4) && !self.disk.is_down();
        if clean {
            self.check_all(false)?;
            self.close_all();
        }
        if !clean || self.rng.one_in(2) {
            let crash = *self.rng.pick(&[Crash::ProcessKill, Crash::PowerLoss]);
            self.crash(crash);
        }
        self.lay_down();
        self.decay();
        for (path, bytes) in self.disk.visible_files() {
            self.trace
                .note(format_args!("{} {}", path.display(), bytes.len()));
            self.trace.take(&crc32fast::hash(&bytes).to_be_bytes());
        }
        Ok(())
    }

    fn close_all(&mut self) {
        self.trace.note(format_args!("close"));
        for slot in &mut self.slots {
            if let Some(vacuum) = slot.vacuum.take() {
                vacuum.abandon(&self.disk);
            }
            let closed = slot.open.as_mut().map(|opened| opened.writer.close());
            if matches!(closed, Some(Ok(()))) {
                slot.all_flushed();
            }
        }
    }

    /// Forgets all that the process had in memory.
    fn lay_down(&mut self) {
        for slot in &mut self.slots {
            slot.vacuum = None;
            slot.open = None;
        }
        self.sequence = None;
        self.index = Arc::new(HotIndex::new(Arc::clone(&self.mem) as _, 0));
    }

    pub fn crash(&mut self, crash: Crash) {
        self.lay_down();
        self.troubled = false;
        self.disk = self.disk.crash(crash);
        self.disk.set_capacity(1 << 40);
        if crash == Crash::PowerLoss {
            self.power_was_lost = true;
            let unsynced = self.mem.unsynced() as u64;
            let kept = *self
                .rng
                .pick(&[0, unsynced, self.rng.clone().below(unsynced + 1)]);
            self.mem = Arc::new(self.mem.after_power_loss(kept as usize));
            self.index = Arc::new(HotIndex::new(Arc::clone(&self.mem) as _, 0));
            self.index_is_behind();
        }
        (0..self.slots.len()).for_each(|at| self.index_forgets_what_waited(at));
        self.trace.note(format_args!("{crash:?}"));
    }

    /// Opens everything, whatever goes wrong meanwhile, and compares it.
    pub fn rise(&mut self) -> Result<(), String> {
        for interruption in 0.. {
            // Decay, a lost index and a crash all at once are beyond what is promised.
            let spared = self.slots.iter().any(Slot::is_fragile);
            if interruption < INTERRUPTIONS_MAX && !spared && self.rng.one_in(3) {
                self.arm_for_recovery();
            }
            match self.open_all() {
                Ok(()) => break,
                Err(_) if self.disk.is_down() || self.troubled => {
                    let crash = *self.rng.pick(&[Crash::ProcessKill, Crash::PowerLoss]);
                    self.crash(crash);
                }
                Err(what) => return Err(what),
            }
        }
        if self.disk.is_down() {
            return Ok(());
        }
        self.check_all(true)?;
        self.power_was_lost = false;
        self.slots
            .iter_mut()
            .for_each(|slot| slot.idx_harmed = false);
        Ok(())
    }

    fn open_all(&mut self) -> Result<(), String> {
        for slot in &mut self.slots {
            slot.vacuum = None;
            slot.open = None;
            let opened = open_or_make(&self.disk, &self.index, slot)?;
            self.trace
                .note(format_args!("open {} {:?}", slot.files.id, opened.recovery));
            slot.made = true;
            slot.open = Some(opened);
        }
        let volumes = self.slots.iter().filter_map(Slot::volume);
        let key_max = volumes.map(|v| v.key_max()).max().unwrap_or(0);
        let dirs = [PathBuf::from(DIR)];
        let sequence = Sequence::open(&self.disk, &dirs, key_max, 2);
        self.sequence = Some(sequence.map_err(|e| format!("opening the sequence: {e}"))?);
        Ok(())
    }
}

/// Opens a volume. One that was never acknowledged may be missing or half made, and is made anew then.
fn open_or_make(disk: &SimDisk, index: &Arc<HotIndex>, slot: &mut Slot) -> Result<Opened, String> {
    let files = &slot.files;
    if !slot.made {
        let exists = disk.exists(&files.dat()).map_err(|e| e.to_string())?;
        let found = exists.then(|| open::open(disk, index, files.clone()));
        match found {
            Some(Err(open::OpenError::HalfMade(_))) => {
                open::remove(disk, files).map_err(|e| format!("removing: {e}"))?;
            }
            Some(opened) => return opened.map_err(|e| format!("opening half made: {e}")),
            None => {}
        }
        let copies = ReplicaPlacement::from_byte(0);
        open::create(disk, files, copies, Ttl::NONE).map_err(|e| format!("making: {e}"))?;
        slot.made = true;
    }
    open::open(disk, index, slot.files.clone())
        .map_err(|e| format!("opening volume {}: {e}", slot.files.id))
}
