//! The one who writes to a volume: group commit.
//!
//! A commit is a batch of puts and deletes. It is encoded into one buffer, closed with a commit record, written with one write,
//! made durable with one `fdatasync`, entered into the index in one batch, and only then acknowledged. With durability "os"
//! the last three wait until [`Writer::flush`], and the entries are served from memory meanwhile, so that the index never
//! points at bytes that a power cut could take.

mod batch;
mod durable;
mod ops;
mod stage;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use moongate_disk::DiskFile;

use super::{Durability, Generation, Volume};
use crate::error::HaystackError;
use crate::index::{Change, Checkpoint, Progress};

use batch::{Batch, Counted, Unsynced};
pub use durable::CHECKPOINT_EVERY_BYTES;
pub use ops::{Done, Op, Outcome, Precondition};

/// See the module.
pub struct Writer {
    volume: Arc<Volume>,
    generation: Arc<Generation>,
    idx: Arc<dyn DiskFile>,
    idx_bytes: u64,
    /// Entries that belong at the end of the `.idx` but are not there yet.
    idx_backlog: Vec<u8>,
    tail: u64,
    reserved_to: u64,
    appended_at_ns: u64,
    /// What the index has.
    progress: Progress,
    unsynced: Unsynced,
    checkpoint: Checkpoint,
    batch: Batch,
    /// A sync or the index failed: what stands behind `progress` is for recovery to judge.
    poisoned: bool,
}

/// State that opening a volume hands to its writer.
pub(super) struct Start {
    pub volume: Arc<Volume>,
    pub idx: Arc<dyn DiskFile>,
    pub idx_bytes: u64,
    pub progress: Progress,
    pub checkpoint: Checkpoint,
}

impl Writer {
    pub(super) fn new(start: Start) -> Self {
        let Start {
            volume,
            idx,
            idx_bytes,
            progress,
            checkpoint,
        } = start;
        let generation = volume.generation();
        volume.publish(&progress);
        Self {
            generation,
            idx,
            idx_bytes,
            idx_backlog: Vec::new(),
            tail: progress.dat_bytes,
            reserved_to: progress.dat_bytes,
            appended_at_ns: progress.appended_at_ns,
            unsynced: Unsynced {
                counted: Counted {
                    counters: progress.counters,
                    key_max: progress.key_max,
                },
                ..Unsynced::default()
            },
            poisoned: false,
            progress,
            checkpoint,
            batch: Batch::default(),
            volume,
        }
    }

    /// The volume.
    pub const fn volume(&self) -> &Arc<Volume> {
        &self.volume
    }

    /// Offset behind the last commit.
    pub const fn tail(&self) -> u64 {
        self.tail
    }

    /// Writes a batch. Every op has its own outcome, in order; those that were acknowledged are as durable as asked.
    pub fn commit(&mut self, ops: &[Op], durability: Durability, now_ns: u64) -> Vec<Outcome> {
        self.batch.clear();
        let counted = self.unsynced.counted;
        let mut outcomes: Vec<Outcome> = ops.iter().map(|op| self.stage(op, now_ns)).collect();
        if self.batch.changes.is_empty() {
            return outcomes;
        }
        if let Err(error) = self.write_batch(durability, now_ns) {
            self.unsynced.counted = counted;
            let staged = |o: &Outcome| matches!(o, Ok(Done::Stored { .. } | Done::Deleted { .. }));
            outcomes
                .iter_mut()
                .filter(|o| staged(o))
                .for_each(|o| *o = Err(error.clone()));
        }
        outcomes
    }

    /// Whether anything was written since the last checkpoint.
    pub const fn is_dirty(&self) -> bool {
        self.tail != self.checkpoint.dat_bytes
    }

    /// Goes on with what vacuum made.
    pub(super) fn switch(
        &mut self,
        generation: Generation,
        idx: &Arc<dyn DiskFile>,
        progress: Progress,
        checkpoint: Checkpoint,
    ) {
        let generation = Arc::new(generation);
        self.volume.current.store(Arc::clone(&generation));
        self.volume.publish(&progress);
        self.generation = generation;
        self.idx = Arc::clone(idx);
        self.idx_bytes = checkpoint.idx_bytes;
        self.idx_backlog.clear();
        self.tail = progress.dat_bytes;
        self.reserved_to = progress.dat_bytes;
        self.unsynced.counted = Counted {
            counters: progress.counters,
            key_max: progress.key_max,
        };
        self.appended_at_ns = self.appended_at_ns.max(progress.appended_at_ns);
        self.progress = progress;
        self.checkpoint = checkpoint;
    }

    /// Checkpoints and gives back the room that was reserved. The writer is not used afterwards.
    pub fn close(&mut self) -> Result<(), HaystackError> {
        self.checkpoint()?;
        self.volume.index.store().sync()?;
        let read_only = self.volume.read_only().is_some();
        if read_only {
            Ok(())
        } else {
            self.generation
                .dat
                .set_len(self.tail)
                .map_err(|e| HaystackError::from_io(self.volume.id(), &e))
        }
    }
}

impl Volume {
    fn show_pending(&self, changes: &[Change]) {
        let mut pending = self.pending.write();
        pending.extend(changes.iter().copied());
        self.pending_len.store(pending.len(), Ordering::Release);
    }

    fn hide_pending(&self) {
        if self.pending_len.load(Ordering::Acquire) > 0 {
            let mut pending = self.pending.write();
            *pending = HashMap::new();
            self.pending_len.store(0, Ordering::Release);
        }
    }

    pub(super) fn publish(&self, progress: &Progress) {
        *self.progress.write() = *progress;
        self.dat_bytes.store(progress.dat_bytes, Ordering::Relaxed);
        self.modified_secs
            .store(progress.appended_at_ns / 1_000_000_000, Ordering::Relaxed);
    }
}
