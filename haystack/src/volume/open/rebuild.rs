//! Building table and `.idx` of a volume anew from its `.dat`.

use moongate_disk::{DiskFile, OpenMode};

use super::walk::Walk;
use super::{Opening, Ready};
use crate::commit::{self, COMMIT_KEY};
use crate::error::HaystackError;
use crate::idx::IdxEntry;
use crate::index::Progress;

/// What is known of a `.dat` that [`rebuild`] is to trust.
#[derive(Clone, Debug, Default)]
pub struct Trusted {
    /// Records before this offset are kept even where they are damaged.
    pub acknowledged_to: u64,
    /// Offsets at which records are known to start: where to read on after damage.
    pub places: Vec<u64>,
}

impl Opening<'_> {
    /// Trusts nothing but the `.dat`; the `.idx` says only what cannot be told from it.
    pub(super) fn rebuild_all(&mut self, trusted: &Trusted) -> Result<Ready, HaystackError> {
        self.recovery.rebuilt = true;
        self.index.drop_table(self.table)?;
        let path = self.files.idx();
        let entries = if self.disk.exists(&path).map_err(|e| self.failed(e))? {
            let idx = self.disk.open(&path, OpenMode::Read);
            self.read_idx(&*idx.map_err(|e| self.failed(e))?, 0)?
        } else {
            Vec::new()
        };
        self.rebuild(&entries, None, trusted)
    }

    /// Reads the whole `.dat` and writes a new `.idx`, which replaces the old one when it is done. What the index is known to have
    /// stays as it is.
    pub(super) fn rebuild(
        &mut self,
        entries: &[IdxEntry],
        known: Option<Progress>,
        trusted: &Trusted,
    ) -> Result<Ready, HaystackError> {
        let first = self.block.first_record();
        let is_known = known.is_some();
        let known = known.unwrap_or(Progress {
            dat_bytes: first,
            ..Progress::default()
        });
        let trusted_to = trusted.acknowledged_to.min(self.dat_bytes);
        let proved = self.proved_by_idx(entries)?;
        let acknowledged_to = known.dat_bytes.max(proved).max(trusted_to);
        // With the super block: making the volume may have been interrupted before it was durable.
        self.secure(0)?;
        self.secure_info()?;
        let new_path = self.files.path("idx.new");
        let idx = self
            .disk
            .open(&new_path, OpenMode::CreateOrTruncate)
            .map_err(|e| self.failed(e))?;
        let mut anchors: Vec<u64> = entries.iter().map(IdxEntry::offset).collect();
        anchors.extend(&trusted.places);
        anchors.push(acknowledged_to);
        anchors.sort_unstable();
        let replay = self.replay(known, &idx, 0);
        let mut walk = Walk::new(replay, acknowledged_to, first).with_idx(entries);
        // What SeaweedFS appended may have no name left; but where the `.idx` ends with a commit of ours, we were the last to write.
        walk.trust_loose = !self.ends_with_our_commit(entries, proved);
        if is_known {
            walk.is_of_ours();
        }
        let (progress, idx_bytes) = self.walk(walk, first, &anchors)?;
        let checkpoint = self.settle(&*idx, idx_bytes, &progress)?;
        self.disk
            .rename(&new_path, &self.files.idx())
            .and_then(|()| self.disk.sync_dir(&self.files.dir))
            .map_err(|e| self.failed(e))?;
        self.keep(idx, progress, checkpoint)
    }

    /// Whether the last that an `.idx` names is the commit record that ends at `proved`.
    fn ends_with_our_commit(&self, entries: &[IdxEntry], proved: u64) -> bool {
        let len = commit::commit_record_bytes(self.block.version);
        entries.last().is_some_and(|last| {
            last.key() == COMMIT_KEY && last.offset().checked_add(len) == Some(proved)
        })
    }

    /// Offset behind the last commit record that is where an `.idx` says. We name a commit in the `.idx` only once it is durable.
    fn proved_by_idx(&self, entries: &[IdxEntry]) -> Result<u64, HaystackError> {
        let len = commit::commit_record_bytes(self.block.version);
        for entry in entries.iter().rev() {
            let IdxEntry::Delete { key, offset } = *entry else {
                continue;
            };
            let inside = offset
                .checked_add(len)
                .is_some_and(|end| end <= self.dat_bytes);
            if key != COMMIT_KEY || !inside {
                continue;
            }
            let record = moongate_disk::read_exact_at(self.dat, offset, len as usize)
                .map_err(|e| self.failed(e))?;
            if commit::decode(&record, self.block.version, offset).is_some() {
                return Ok(offset + len);
            }
        }
        Ok(0)
    }

    /// Whole entries of an `.idx` from an offset on.
    pub(super) fn read_idx(
        &self,
        idx: &dyn DiskFile,
        from: u64,
    ) -> Result<Vec<IdxEntry>, HaystackError> {
        let len = idx.len().map_err(|e| self.failed(e))?;
        let entry_bytes = self.width.entry_bytes();
        let mut entries = Vec::with_capacity(((len - from) as usize) / entry_bytes);
        let mut at = from;
        while at < len {
            let take = (len - at).min((entry_bytes as u64) << 16) as usize;
            let bytes = moongate_disk::read_exact_at(idx, at, take).map_err(|e| self.failed(e))?;
            entries.extend(
                bytes
                    .chunks_exact(entry_bytes)
                    .filter_map(|b| self.width.decode(b)),
            );
            at += take as u64;
        }
        Ok(entries)
    }
}
