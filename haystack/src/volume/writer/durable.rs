//! Making it durable: the one write of a commit, its `fdatasync`, the index, and checkpoints.

use std::io;
use std::sync::atomic::Ordering;

use super::Writer;
use crate::error::HaystackError;
use crate::id::NeedleKey;
use crate::index::{Checkpoint, Progress};
use crate::mutant::{self, Mutant};
use crate::volume::Durability;

/// Bytes appended between two checkpoints, which bounds what recovery has to read.
/// Small in tests, so that they come by it.
pub const CHECKPOINT_EVERY_BYTES: u64 = if cfg!(test) { 16 << 10 } else { 64 << 20 };
/// Bytes that may wait for [`Writer::flush`].
const UNSYNCED_BYTES_MAX: u64 = if cfg!(test) { 24 << 10 } else { 32 << 20 };
/// Most `.idx` bytes that wait in memory because the disk would not take them.
const IDX_BACKLOG_BYTES_MAX: usize = 16 << 20;
const RESERVE_STEP_BYTES_MAX: u64 = 64 << 20;
const RESERVE_STEP_BYTES_MIN: u64 = 1 << 20;

impl Writer {
    /// Writes and publishes what was staged; on an error nothing of it counts.
    pub(super) fn write_batch(
        &mut self,
        durability: Durability,
        now_ns: u64,
    ) -> Result<(), HaystackError> {
        self.end_commit(now_ns);
        if mutant::is(Mutant::IndexBeforeData) {
            let _ = self.volume.index.store().apply(
                self.generation.table,
                &self.batch.changes,
                &Progress {
                    dat_bytes: self.next_offset(),
                    ..self.progress
                },
            );
        }
        self.reserve();
        if let Err(error) = self
            .generation
            .dat
            .write_all_at(&self.batch.bytes, self.tail)
        {
            self.roll_back();
            return Err(self.fail(&error));
        }
        self.tail = self.next_offset();
        self.unsynced.changes.append(&mut self.batch.changes);
        self.unsynced.idx.append(&mut self.batch.idx);
        self.batch.bytes.clear();
        self.volume
            .modified_secs
            .store(now_ns / 1_000_000_000, Ordering::Relaxed);
        match durability {
            Durability::Fsync => self.flush(),
            Durability::Os => {
                self.volume.show_pending(&self.unsynced.changes);
                self.volume.dat_bytes.store(self.tail, Ordering::Relaxed);
                // These are as durable as was asked, and readers see them: a sync that fails now only ends the writing.
                if self.tail - self.progress.dat_bytes > UNSYNCED_BYTES_MAX
                    && let Err(error) = self.flush()
                {
                    tracing::error!(volume = self.volume.id().0, %error, "flush failed");
                }
                Ok(())
            }
        }
    }

    /// Asks for room on the disk ahead of the tail, in steps that grow with the volume: it makes syncing cheaper. The file's
    /// length stays what was written.
    fn reserve(&mut self) {
        let end = self.next_offset();
        if end <= self.reserved_to {
            return;
        }
        let step = (self.tail / 4).clamp(RESERVE_STEP_BYTES_MIN, RESERVE_STEP_BYTES_MAX);
        // Without room ahead the write itself will tell.
        if self
            .generation
            .dat
            .reserve(self.tail, end - self.tail + step)
            .is_ok()
        {
            self.reserved_to = end + step;
        } else {
            self.reserved_to = end;
        }
    }

    /// Takes back a write that failed, so that nothing torn stands before the next commit.
    fn roll_back(&mut self) {
        if let Err(error) = self.generation.dat.set_len(self.tail) {
            self.volume.set_read_only(
                &format!("a failed write could not be taken back: {error}"),
                false,
            );
        }
        self.reserved_to = self.tail;
    }

    fn fail(&self, error: &io::Error) -> HaystackError {
        let failure = HaystackError::from_io(self.volume.id(), error);
        if !matches!(failure, HaystackError::NoSpace(_)) {
            tracing::error!(volume = self.volume.id().0, %error, "write failed");
        }
        failure
    }

    /// Makes everything written durable and enters it into the index.
    pub fn flush(&mut self) -> Result<(), HaystackError> {
        if self.tail == self.progress.dat_bytes || self.poisoned {
            return Ok(());
        }
        if !mutant::is(Mutant::SkipDataSync)
            && let Err(error) = self.generation.dat.sync_data()
            && !mutant::is(Mutant::IgnoreFailedSync)
        {
            self.poisoned = true;
            // What the kernel dropped cannot be told from what it kept: no more writes until the volume is opened again.
            self.volume.set_read_only(
                &format!("fdatasync failed ({error}): restart to recover"),
                false,
            );
            return Err(self.fail(&error));
        }
        self.append_idx();
        let progress = Progress {
            dat_bytes: self.tail,
            appended_at_ns: self.appended_at_ns,
            counters: self.unsynced.counted.counters,
            key_max: self.unsynced.counted.key_max,
            sealed_from: self.progress.sealed_from,
        };
        let key_max = Some(NeedleKey(self.progress.key_max)).filter(|k| k.0 > 0);
        let applied = self.volume.index.apply(
            self.generation.table,
            &self.unsynced.changes,
            &progress,
            key_max,
        );
        if let Err(error) = applied {
            self.poisoned = true;
            // The data is durable: serve it from memory, and let opening the volume again repair the index.
            tracing::error!(volume = self.volume.id().0, %error, "index write failed");
            self.volume.show_pending(&self.unsynced.changes);
            self.volume.set_read_only(
                &format!("the index failed ({error}): restart to recover"),
                false,
            );
            return Ok(());
        }
        self.volume.hide_pending();
        self.unsynced.changes.clear();
        self.progress = progress;
        self.volume.publish(&progress);
        if self.tail - self.checkpoint.dat_bytes >= CHECKPOINT_EVERY_BYTES
            && let Err(error) = self.checkpoint()
        {
            // What was flushed is durable all the same.
            tracing::error!(volume = self.volume.id().0, %error, "checkpoint failed");
        }
        Ok(())
    }

    /// The `.idx` is derived: where the disk does not take it now, it is tried again with the next commit.
    fn append_idx(&mut self) {
        self.idx_backlog.append(&mut self.unsynced.idx);
        match self.idx.write_all_at(&self.idx_backlog, self.idx_bytes) {
            Ok(()) => {
                self.idx_bytes += self.idx_backlog.len() as u64;
                self.idx_backlog.clear();
            }
            Err(error) if self.idx_backlog.len() > IDX_BACKLOG_BYTES_MAX => {
                self.volume
                    .set_read_only(&format!("its .idx cannot be written: {error}"), false);
            }
            Err(_) => {}
        }
    }

    /// Makes `.dat`, `.idx` and index durable and notes up to where, so that the next start reads on from here.
    pub fn checkpoint(&mut self) -> Result<(), HaystackError> {
        self.flush()?;
        if self.progress.dat_bytes != self.tail || !self.idx_backlog.is_empty() || self.poisoned {
            return Ok(());
        }
        let failed = |e: io::Error| HaystackError::from_io(self.volume.id(), &e);
        if !mutant::is(Mutant::SkipIdxSync)
            && let Err(error) = self.idx.sync_data()
        {
            // A later sync would succeed without what this one dropped: opening the volume again writes it again.
            self.volume.set_read_only(
                &format!("fdatasync of its .idx failed ({error}): restart to recover"),
                false,
            );
            self.poisoned = true;
            return Err(failed(error));
        }
        self.volume.index.store().sync()?;
        let tail_crc =
            crate::volume::open::tail_crc(&*self.generation.dat, self.tail).map_err(failed)?;
        let checkpoint = Checkpoint {
            dat_bytes: self.tail,
            idx_bytes: self.idx_bytes,
            tail_crc,
        };
        self.volume
            .index
            .store()
            .set_checkpoint(self.generation.table, &checkpoint)?;
        self.checkpoint = checkpoint;
        Ok(())
    }
}
