//! Making what was found durable before anything is built on it.

use std::sync::Arc;

use moongate_disk::{DiskFile, OpenMode};

use super::tail_crc::tail_crc;
use super::{COPY_BYTES, CUT_BYTES_MAX, Opening, Ready};
use crate::error::HaystackError;
use crate::index::{Checkpoint, Progress};
use crate::mutant::{self, Mutant};

impl Opening<'_> {
    /// Makes the `.dat` since `from` durable before anything of it is entered into the index. Its bytes may be in the page cache
    /// only, and marked clean by a sync that failed: they are written again.
    pub(super) fn secure(&self, from: u64) -> Result<(), HaystackError> {
        if mutant::is(Mutant::SkipTailRewrite) {
            return Ok(());
        }
        self.write_again(from, self.dat_bytes)?;
        self.dat.sync_data().map_err(|e| self.failed(e))
    }

    /// The `.vif` too, of a volume whose making may have been interrupted.
    pub(super) fn secure_info(&self) -> Result<(), HaystackError> {
        let path = self.files.vif();
        let again = || {
            let vif = self.disk.open(&path, OpenMode::ReadWrite)?;
            let len = usize::try_from(vif.len()?).map_err(std::io::Error::other)?;
            let bytes = moongate_disk::read_exact_at(&*vif, 0, len)?;
            vif.write_all_at(&bytes, 0)?;
            vif.sync_data()
        };
        match self.disk.exists(&path) {
            Ok(true) => again(),
            exists => exists.map(|_| ()),
        }
        .map_err(|e| self.failed(e))
    }

    fn write_again(&self, from: u64, end: u64) -> Result<(), HaystackError> {
        let ours = from.max(end.saturating_sub(16 * CUT_BYTES_MAX));
        let mut at = ours;
        while at < end {
            let len = (end - at).min(COPY_BYTES) as usize;
            let bytes =
                moongate_disk::read_exact_at(self.dat, at, len).map_err(|e| self.failed(e))?;
            self.dat
                .write_all_at(&bytes, at)
                .map_err(|e| self.failed(e))?;
            at += len as u64;
        }
        Ok(())
    }

    /// Makes what was found durable.
    pub(super) fn settle(
        &self,
        idx: &dyn DiskFile,
        idx_bytes: u64,
        progress: &Progress,
    ) -> Result<Checkpoint, HaystackError> {
        let end = progress.dat_bytes;
        idx.set_len(idx_bytes).map_err(|e| self.failed(e))?;
        self.dat
            .sync_data()
            .and_then(|()| idx.sync_data())
            .map_err(|e| self.failed(e))?;
        self.index.store().sync()?;
        Ok(Checkpoint {
            dat_bytes: end,
            idx_bytes,
            tail_crc: tail_crc(self.dat, end).map_err(|e| self.failed(e))?,
        })
    }

    /// Notes that all is durable, under the names where it will be looked for.
    pub(super) fn keep(
        &self,
        idx: Arc<dyn DiskFile>,
        progress: Progress,
        checkpoint: Checkpoint,
    ) -> Result<Ready, HaystackError> {
        self.index.store().set_checkpoint(self.table, &checkpoint)?;
        Ok(Ready {
            idx,
            idx_bytes: checkpoint.idx_bytes,
            progress,
            checkpoint,
        })
    }
}
