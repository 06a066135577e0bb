//! What runs in the background: vacuum, and the removal of volumes that have outlived their TTL.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use super::pace::Pace;
use super::{Mounted, Store, now_ns};
use crate::error::HaystackError;
use crate::id::VolumeId;
use crate::volume::Volume;
use crate::volume::vacuum::Vacuum;

const STEP_BYTES: u64 = 1 << 20;
const CATCH_UP_ROUNDS: usize = 8;
/// What may be left to copy while the volume's writer waits.
const CATCH_UP_REST_BYTES: u64 = 256 << 10;
const TICK: Duration = Duration::from_secs(10);
/// On a full disk, volumes with so much garbage are vacuumed without being asked.
const FULL_DISK_GARBAGE_RATIO: f64 = 0.02;
/// A TTL volume is removed this share of its life after its end, so that clocks may differ.
const TTL_GRACE_SHARE: u64 = 10;

/// What the background is doing; shown in the status.
#[derive(Clone, Debug, Default)]
pub struct Progress {
    /// Volume being vacuumed.
    pub volume: Option<VolumeId>,
    /// Bytes of it that were read.
    pub read_bytes: u64,
    /// Bytes of it in all.
    pub total_bytes: u64,
    /// Volumes vacuumed since the start.
    pub vacuumed: u64,
    /// Bytes that this freed.
    pub freed_bytes: u64,
    /// Why the last volume that was given up was.
    pub last_error: Option<String>,
}

/// Shared with the thread.
#[derive(Debug, Default)]
pub struct State {
    progress: Mutex<Progress>,
    /// Garbage ratio of a vacuum that was asked for.
    asked: Mutex<Option<f64>>,
    wakeup: Condvar,
    rounds: AtomicU64,
}

impl State {
    /// Lets the thread look around now.
    pub fn wake(&self) {
        // Under the lock, or a thread that is about to wait would miss it.
        let _asked = self.asked.lock();
        self.wakeup.notify_all();
    }
}

/// Starts the thread.
pub fn start(store: &Arc<Store>) {
    let weak = Arc::downgrade(store);
    let run = move || {
        let mut looked = Instant::now();
        while let Some(store) = weak.upgrade().filter(|s| !s.is_stopping()) {
            let asked = store.wait_for_work();
            let interval = store.config.vacuum_interval;
            let due = !interval.is_zero() && looked.elapsed() >= interval;
            if due {
                looked = Instant::now();
            }
            store.remove_expired_volumes();
            store.vacuum_round(asked.or(due.then_some(store.config.vacuum_garbage_ratio)));
            store.upkeep.rounds.fetch_add(1, Ordering::Release);
        }
    };
    match std::thread::Builder::new().name("upkeep".into()).spawn(run) {
        Ok(thread) => store.background.lock().push(thread),
        Err(error) => tracing::error!(%error, "no vacuum"),
    }
}

/// Whether everything in a volume has expired, and a while ago.
pub(super) fn is_over(volume: &Volume) -> bool {
    let grace_secs = volume.generation().block.ttl.secs() / TTL_GRACE_SHARE;
    let is_over = |end: u64| now_ns() / 1_000_000_000 >= end.saturating_add(grace_secs);
    volume.expires_secs().is_some_and(is_over)
}

impl Store {
    /// Asks for every volume with at least this share of garbage to be vacuumed, soon.
    pub fn request_vacuum(&self, garbage_ratio: f64) {
        *self.upkeep.asked.lock() = Some(garbage_ratio);
        self.upkeep.wake();
    }

    /// What vacuum is doing.
    pub fn vacuum_progress(&self) -> Progress {
        self.upkeep.progress.lock().clone()
    }

    /// Whether a vacuum that was asked for is still to be done.
    pub fn vacuum_pending(&self) -> bool {
        self.upkeep.asked.lock().is_some() || self.upkeep.progress.lock().volume.is_some()
    }

    fn wait_for_work(&self) -> Option<f64> {
        let mut asked = self.upkeep.asked.lock();
        if asked.is_none() && !self.is_stopping() {
            self.upkeep.wakeup.wait_for(&mut asked, TICK);
        }
        asked.take()
    }

    fn remove_expired_volumes(&self) {
        for mounted in self.volumes().values() {
            if !is_over(&mounted.volume) {
                continue;
            }
            // It may have been written to just now, and that was acknowledged: looked at again where nothing more can be.
            let (volume, ttl) = (mounted.volume.id(), mounted.volume.generation().block.ttl);
            match self.remove_volume_if(mounted, is_over) {
                Ok(true) => {
                    tracing::info!(volume = volume.0, %ttl, "removed a volume whose life is over")
                }
                Ok(false) => {}
                Err(error) => {
                    tracing::error!(volume = volume.0, %error, "expired volume not removed");
                }
            }
        }
    }

    /// Vacuums what has enough garbage, the volume with the least to copy first: each makes room for the next.
    fn vacuum_round(&self, ratio: Option<f64>) {
        let ratio_for = |m: &Mounted| {
            if m.dir.is_full() {
                Some(ratio.unwrap_or(1.0).min(FULL_DISK_GARBAGE_RATIO))
            } else {
                ratio
            }
        };
        let wanted = |m: &&Mounted| {
            ratio_for(m).is_some_and(|r| m.volume.garbage_ratio() > r)
                && m.volume.read_only().is_none()
        };
        let mut todo: Vec<Mounted> = self.volumes().values().filter(wanted).cloned().collect();
        todo.sort_by_key(|m| {
            m.volume
                .dat_bytes()
                .saturating_sub(m.volume.counters().deleted_bytes)
        });
        for mounted in todo {
            if self.is_stopping() {
                return;
            }
            let before = mounted.volume.dat_bytes();
            let result = self.vacuum_volume(&mounted);
            let mut progress = self.upkeep.progress.lock();
            progress.volume = None;
            match result {
                Ok(()) => {
                    progress.vacuumed += 1;
                    progress.freed_bytes += before.saturating_sub(mounted.volume.dat_bytes());
                }
                Err(error) => {
                    tracing::warn!(volume = mounted.volume.id().0, %error, "not vacuumed");
                    progress.last_error = Some(error.to_string());
                }
            }
            drop(progress);
            mounted.dir.measure(&*self.disk);
        }
    }

    fn vacuum_volume(&self, mounted: &Mounted) -> Result<(), HaystackError> {
        let volume = &mounted.volume;
        *self.upkeep.progress.lock() = Progress {
            volume: Some(volume.id()),
            read_bytes: 0,
            total_bytes: volume.dat_bytes(),
            ..self.vacuum_progress()
        };
        let mut vacuum = Vacuum::begin(&*self.disk, volume, now_ns() / 1_000_000_000)?;
        match self.copy_live(&mut vacuum) {
            Ok(true) => {}
            Ok(false) => {
                vacuum.abandon(&*self.disk);
                return Ok(());
            }
            Err(error) => {
                vacuum.abandon(&*self.disk);
                return Err(error);
            }
        }
        let (disk, id) = (Arc::clone(&self.disk), volume.id());
        mounted
            .dir
            .committer
            .control(move |writers| match writers.get_mut(&id) {
                Some(writer) => vacuum.finish(&*disk, writer),
                None => {
                    vacuum.abandon(&*disk);
                    Err(HaystackError::VolumeNotFound(id))
                }
            })?
    }

    /// Copies, at the configured pace, until little is left; false if the store is stopping.
    fn copy_live(&self, vacuum: &mut Vacuum) -> Result<bool, HaystackError> {
        let mut pace = Pace::new(self.config.vacuum_bytes_per_sec);
        loop {
            let bytes = vacuum.step(STEP_BYTES)?;
            if self.is_stopping() {
                return Ok(false);
            }
            if bytes == 0 {
                break;
            }
            self.upkeep.progress.lock().read_bytes += bytes;
            pace.wait(bytes, || self.is_stopping());
        }
        for _ in 0..CATCH_UP_ROUNDS {
            if vacuum.catch_up()? <= CATCH_UP_REST_BYTES {
                break;
            }
        }
        Ok(true)
    }
}
