//! Opening a volume: after a clean stop at once, after a crash by reading the tail, after a move by reading it all.
//!
//! The `.dat` is the truth. The index says how far it covers the `.dat`; what stands behind is walked commit by commit. Whole
//! commits count. What a crash left of the last one (it was never acknowledged) is cut off, but for records in it that are whole:
//! should it have been acknowledged and then damaged, they are not lost with it. What SeaweedFS appended counts where its `.idx` names it.

mod durable;
mod identity;
mod make;
mod rebuild;
mod salvage;
mod tail_crc;
mod take_over;
mod walk;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize};

use arc_swap::{ArcSwap, ArcSwapOption};
use moongate_disk::{Disk, DiskFile, OpenMode};
use parking_lot::RwLock;

use super::files::VolumeFiles;
use super::replay::Replay;
use super::writer::{Start, Writer};
use super::{Generation, Volume};
use crate::error::HaystackError;
use crate::idx::OffsetWidth;
use crate::index::hot::HotIndex;
use crate::index::{Checkpoint, Progress, TableId};
use crate::mutant::{self, Mutant};
use crate::needle::Version;
use crate::scan::Scan;
use crate::super_block::SuperBlock;
use crate::vif::VolumeInfo;
pub(crate) use identity::{read_block, read_info};
pub use make::{create, remove};
pub use rebuild::Trusted;
use tail_crc::is_tail_of;
pub(crate) use tail_crc::tail_crc;
use walk::Walk;

/// Why a volume cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Its making was interrupted; nothing was ever stored in it: remove its files.
    #[error("volume {0} was never finished")]
    HalfMade(crate::id::VolumeId),
    /// Its `.dat` has no super block, but its `.idx` names needles: they were in it once. Nothing is removed.
    #[error(
        "volume {volume}: the .dat was cut to nothing, but its .idx of {idx_bytes} bytes names needles: \
         put back a copy of the .dat, or move its files away"
    )]
    DatCut {
        /// Which volume.
        volume: crate::id::VolumeId,
        /// Length of the `.idx`.
        idx_bytes: u64,
    },
    /// It is of a kind that is not served: remote tier, or an unknown version.
    #[error("{0}")]
    Unsupported(String),
    /// The disk or the index failed.
    #[error(transparent)]
    Failed(#[from] HaystackError),
}

/// What opening had to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Recovery {
    /// Bytes of the `.dat` that were read.
    pub walked_bytes: u64,
    /// Bytes cut off behind the last whole commit.
    pub cut_bytes: u64,
    /// Whole records that were saved from what was cut off.
    pub salvaged: u64,
    /// Bytes that nothing can be read from.
    pub damaged_bytes: u64,
    /// The index was made anew.
    pub rebuilt: bool,
}

/// An open volume.
pub struct Opened {
    /// For readers.
    pub volume: Arc<Volume>,
    /// For the one who writes.
    pub writer: Writer,
    /// What had to be done.
    pub recovery: Recovery,
}

/// On taking over a volume without knowing how it was closed, more than this is not cut off without being asked.
const CUT_BYTES_MAX: u64 = 64 << 20;
const COPY_BYTES: u64 = 4 << 20;

/// Opens a volume and brings index and `.idx` up to its `.dat`.
pub fn open(
    disk: &dyn Disk,
    index: &Arc<HotIndex>,
    files: VolumeFiles,
) -> Result<Opened, OpenError> {
    open_as(disk, index, files, None)
}

/// Opens a volume as [`open`] does, but builds its table and its `.idx` anew from the `.dat`, whatever they say. What is cut off
/// behind the last whole commit, however much it is, is kept beside it as `<base>.cut-<offset>`.
pub fn rebuild(
    disk: &dyn Disk,
    index: &Arc<HotIndex>,
    files: VolumeFiles,
    trusted: &Trusted,
) -> Result<Opened, OpenError> {
    open_as(disk, index, files, Some(trusted))
}

fn open_as(
    disk: &dyn Disk,
    index: &Arc<HotIndex>,
    files: VolumeFiles,
    rebuild: Option<&Trusted>,
) -> Result<Opened, OpenError> {
    let failed = |e: io::Error| HaystackError::from_io(files.id, &e);
    super::vacuum::finish_or_drop(disk, &files).map_err(failed)?;
    let info = read_info(disk, &files)?;
    let dat = disk
        .open(&files.dat(), OpenMode::ReadWrite)
        .map_err(failed)?;
    let block = read_block(&*dat, &info, files.id)
        .map_err(|error| identity::unless_idx_names_needles(disk, &files, error))?;
    let table = TableId {
        volume: files.id,
        revision: block.revision,
    };
    let mut opening = Opening {
        disk,
        index,
        files: &files,
        dat: &*dat,
        block,
        table,
        width: info.offset_width(),
        dat_bytes: dat.len().map_err(failed)?,
        recovery: Recovery::default(),
        refused: None,
        keeps_what_it_cuts: rebuild.is_some(),
    };
    let ready = match rebuild {
        Some(trusted) => opening.rebuild_all(trusted)?,
        None => opening.resume_or_take_over()?,
    };
    let recovery = opening.recovery;
    let volume = Arc::new(opening.volume(&dat, &ready.progress));
    opening.forbid_writes(&volume, &info);
    let writer = Writer::new(Start {
        volume: Arc::clone(&volume),
        idx: ready.idx,
        idx_bytes: ready.idx_bytes,
        progress: ready.progress,
        checkpoint: ready.checkpoint,
    });
    Ok(Opened {
        volume,
        writer,
        recovery,
    })
}

/// What the writer starts from.
struct Ready {
    idx: Arc<dyn DiskFile>,
    idx_bytes: u64,
    progress: Progress,
    checkpoint: Checkpoint,
}

struct Opening<'a> {
    disk: &'a dyn Disk,
    index: &'a Arc<HotIndex>,
    files: &'a VolumeFiles,
    dat: &'a dyn DiskFile,
    block: SuperBlock,
    table: TableId,
    width: OffsetWidth,
    dat_bytes: u64,
    recovery: Recovery,
    /// Why the volume must not be written to.
    refused: Option<String>,
    /// Asked to repair: what is cut off is kept in a file of its own.
    keeps_what_it_cuts: bool,
}

impl Opening<'_> {
    fn failed(&self, error: io::Error) -> HaystackError {
        HaystackError::from_io(self.files.id, &error)
    }

    /// The volume as readers see it, once it is known what its `.dat` holds.
    fn volume(&self, dat: &Arc<dyn DiskFile>, progress: &Progress) -> Volume {
        let generation = Generation {
            table: self.table,
            dat: Arc::clone(dat),
            block: self.block,
            sealed_from: progress.sealed_from,
        };
        Volume {
            files: self.files.clone(),
            width: self.width,
            index: Arc::clone(self.index),
            current: ArcSwap::from_pointee(generation),
            pending: RwLock::default(),
            pending_len: AtomicUsize::new(0),
            read_only: ArcSwapOption::empty(),
            dat_bytes: AtomicU64::new(0),
            modified_secs: AtomicU64::new(0),
            expired_bytes: AtomicU64::new(0),
            progress: RwLock::default(),
        }
    }

    /// Makes a volume read-only that must not be written to.
    fn forbid_writes(&self, volume: &Volume, info: &VolumeInfo) {
        if let Some(text) = &self.refused {
            volume.set_read_only(text, false);
        } else if info.read_only {
            volume.set_read_only("its .vif says so", info.read_only_can_delete);
        } else if self.block.version == Version::V1 {
            volume.set_read_only("version 1 volumes hold no metadata", true);
        }
    }

    /// Enters into the index, from `progress` on, and into an `.idx`, from `idx_bytes` on.
    fn replay(&self, progress: Progress, idx: &Arc<dyn DiskFile>, idx_bytes: u64) -> Replay {
        let (version, width) = (self.block.version, self.width);
        Replay::new(
            self.index, self.table, version, width, progress, idx, idx_bytes,
        )
    }

    /// What the index knows, if it is of this very file.
    fn known(&self) -> Result<Option<(Progress, Checkpoint)>, HaystackError> {
        let store = self.index.store();
        let (Some(progress), Some(checkpoint)) =
            (store.progress(self.table)?, store.checkpoint(self.table)?)
        else {
            return Ok(None);
        };
        let fits =
            checkpoint.dat_bytes <= progress.dat_bytes && progress.dat_bytes <= self.dat_bytes;
        let same = fits && is_tail_of(self.dat, &checkpoint).map_err(|e| self.failed(e))?;
        Ok(same.then_some((progress, checkpoint)))
    }

    fn resume_or_take_over(&mut self) -> Result<Ready, HaystackError> {
        match self.known()? {
            Some((progress, checkpoint)) if self.has_idx(&checkpoint) => {
                self.resume(progress, checkpoint)
            }
            Some((progress, _)) => self.rebuild(&[], Some(progress), &Trusted::default()),
            None => self.take_over(),
        }
    }

    /// Whether the `.idx` is there as far as a checkpoint says.
    fn has_idx(&self, checkpoint: &Checkpoint) -> bool {
        self.disk
            .open(&self.files.idx(), OpenMode::Read)
            .and_then(|idx| idx.len())
            .is_ok_and(|len| len >= checkpoint.idx_bytes)
    }

    /// Reads on from the last checkpoint.
    fn resume(
        &mut self,
        progress: Progress,
        checkpoint: Checkpoint,
    ) -> Result<Ready, HaystackError> {
        let idx = self
            .disk
            .open(&self.files.idx(), OpenMode::ReadWrite)
            .map_err(|e| self.failed(e))?;
        let idx_len = idx.len().map_err(|e| self.failed(e))?;
        let clean = self.dat_bytes == checkpoint.dat_bytes
            && idx_len == checkpoint.idx_bytes
            && progress.dat_bytes == checkpoint.dat_bytes;
        if clean {
            // A write that failed was cut off, but perhaps only in memory: after a power cut it would be there again.
            self.dat.sync_data().map_err(|e| self.failed(e))?;
            return Ok(Ready {
                idx,
                idx_bytes: checkpoint.idx_bytes,
                progress,
                checkpoint,
            });
        }
        self.secure(checkpoint.dat_bytes)?;
        // They stay until all is settled: should this be interrupted, the next opening needs what they say of SeaweedFS's records.
        let entries = self.read_idx(&*idx, checkpoint.idx_bytes)?;
        let replay = self.replay(progress, &idx, checkpoint.idx_bytes);
        let walk = Walk::new(replay, progress.dat_bytes, checkpoint.dat_bytes).with_idx(&entries);
        let (progress, idx_bytes) = self.walk(walk, checkpoint.dat_bytes, &[])?;
        let checkpoint = self.settle(&*idx, idx_bytes, &progress)?;
        self.keep(idx, progress, checkpoint)
    }

    /// Walks the `.dat` to its end, and deals with what is behind the last whole commit. Returns progress and `.idx` length.
    fn walk(
        &mut self,
        mut walk: Walk,
        from: u64,
        anchors: &[u64],
    ) -> Result<(Progress, u64), HaystackError> {
        self.recovery.walked_bytes = self.dat_bytes - from;
        let acknowledged = [walk.acknowledged_to];
        let anchors = if anchors.is_empty() {
            &acknowledged[..]
        } else {
            anchors
        };
        let mut scan = Scan::new(self.dat, self.block.version, from, self.dat_bytes, anchors);
        while let Some(event) = scan.next_event().map_err(|e| self.failed(e))? {
            self.recovery.damaged_bytes += walk.event(event)?;
        }
        // Damage at the very end is no torn write if the index knows that it was durable: it stays where it is.
        walk.settled_to = walk.settled_to.max(walk.acknowledged_to);
        walk.replay.progress.dat_bytes = walk.replay.progress.dat_bytes.max(walk.settled_to);
        if mutant::is(Mutant::TrustTail) {
            walk.accept_held()?;
            walk.settled_to = self.dat_bytes;
            walk.replay.progress.dat_bytes = self.dat_bytes;
        }
        self.cut_tail(&mut walk)?;
        walk.replay.flush()?;
        Ok((walk.replay.progress, walk.replay.idx_bytes))
    }
}

#[cfg(test)]
mod tests;
