//! Vacuum: copying what is live of a volume into a new `.dat`, while it is read and written.
//!
//! Live needles are copied by ascending key; what was appended meanwhile is caught up with; then, on the writer's own thread,
//! the last of it is copied and the new files take the old ones' names. The renames are the commit: `.cpd` to `.dat`
//! first, then `.cpx` to `.idx`, each made durable. Whatever a crash leaves before the first rename is dropped on opening, what it
//! leaves after it is finished.

mod copy;
#[cfg(test)]
mod tests;

use std::io;
use std::ops::ControlFlow;
use std::sync::Arc;

use moongate_disk::{Disk, DiskFile, OpenMode};

use super::files::VolumeFiles;
use super::replay::Replay;
use super::writer::Writer;
use super::{Generation, Volume};
use crate::error::HaystackError;
use crate::id::NeedleKey;
use crate::index::{Checkpoint, Entry, Progress, TableId};
use crate::mutant::{self, Mutant};
use crate::needle::{Stamp, encode_marker, record_bytes};
use crate::scan::{Event, Found, Scan};
use crate::super_block::SuperBlock;

/// Room on the disk that vacuum leaves alone, beyond what it copies.
pub const MARGIN_BYTES: u64 = 1 << 20;
const CHUNK_ENTRIES_MAX: usize = 1024;

/// Finishes or drops what a crash left of a vacuum.
pub(crate) fn finish_or_drop(disk: &dyn Disk, files: &VolumeFiles) -> io::Result<()> {
    let (dat, idx) = (files.compact_dat(), files.compact_idx());
    match (disk.exists(&dat)?, disk.exists(&idx)?) {
        (false, false) => return Ok(()),
        (false, true) => disk.rename(&idx, &files.idx())?,
        (true, with_idx) => {
            if with_idx {
                disk.remove(&idx)?;
                disk.sync_dir(&files.dir)?;
            }
            disk.remove(&dat)?;
        }
    }
    disk.sync_dir(&files.dir)
}

/// Whether a volume may be vacuumed, and its disk has room for the copy.
fn check_room(disk: &dyn Disk, volume: &Volume) -> Result<(), HaystackError> {
    if let Some(text) = volume.read_only() {
        return Err(HaystackError::ReadOnly(volume.id(), text));
    }
    let live_bytes = volume
        .dat_bytes()
        .saturating_sub(volume.counters().deleted_bytes);
    let space = disk.space(&volume.files.dir);
    let space = space.map_err(|e| HaystackError::from_io(volume.id(), &e))?;
    match space.free_bytes < live_bytes + MARGIN_BYTES {
        true => Err(HaystackError::NoSpace(volume.id())),
        false => Ok(()),
    }
}

/// A vacuum under way.
pub struct Vacuum {
    volume: Arc<Volume>,
    old: Arc<Generation>,
    block: SuperBlock,
    dat: Arc<dyn DiskFile>,
    replay: Replay,
    /// Records of the old `.dat` before this are copied by key, later ones in the order they were appended.
    snapshot_end: u64,
    caught_up_to: u64,
    next_key: Option<NeedleKey>,
    chunk: Vec<u8>,
    chunk_start: u64,
    chunk_records: Vec<Found>,
    now_secs: u64,
}

impl Vacuum {
    /// Starts to vacuum a volume, if the disk has room for its live needles.
    pub fn begin(
        disk: &dyn Disk,
        volume: &Arc<Volume>,
        now_secs: u64,
    ) -> Result<Self, HaystackError> {
        let failed = |e: io::Error| HaystackError::from_io(volume.id(), &e);
        check_room(disk, volume)?;
        let old = volume.generation();
        let block = SuperBlock {
            revision: old.block.revision.wrapping_add(1),
            extra_bytes: 0,
            ..old.block
        };
        let table = TableId {
            revision: block.revision,
            ..old.table
        };
        volume.index.drop_table(table)?;
        let dat = disk
            .open(&volume.files.compact_dat(), OpenMode::CreateOrTruncate)
            .map_err(failed)?;
        let idx = disk
            .open(&volume.files.compact_idx(), OpenMode::CreateOrTruncate)
            .map_err(failed)?;
        dat.write_all_at(&block.encode(), 0).map_err(failed)?;
        let first = block.first_record();
        let progress = Progress {
            dat_bytes: first,
            ..Progress::default()
        };
        let replay = Replay::new(
            &volume.index,
            table,
            block.version,
            volume.width,
            progress,
            &idx,
            0,
        );
        let snapshot_end = volume.progress.read().dat_bytes;
        Ok(Self {
            volume: Arc::clone(volume),
            old,
            block,
            dat,
            replay,
            snapshot_end,
            caught_up_to: snapshot_end,
            next_key: Some(NeedleKey(0)),
            chunk: Vec::new(),
            chunk_start: first,
            chunk_records: Vec::new(),
            now_secs,
        })
    }

    fn failed(&self, error: &io::Error) -> HaystackError {
        HaystackError::from_io(self.volume.id(), error)
    }

    /// Keys copied so far are below this; `None` once all are.
    pub const fn next_key(&self) -> Option<NeedleKey> {
        self.next_key
    }

    /// Copies about `bytes_max` more bytes. Returns how many were read; 0 when all live needles are copied.
    pub fn step(&mut self, bytes_max: u64) -> Result<u64, HaystackError> {
        let Some(from) = self.next_key else {
            return Ok(0);
        };
        let mut wanted: Vec<(NeedleKey, Entry)> = Vec::new();
        let mut bytes = 0;
        let mut visit = |key: NeedleKey, entry: Entry| {
            if !entry.deleted && entry.offset < self.snapshot_end {
                bytes += record_bytes(entry.size, self.block.version);
                wanted.push((key, entry));
            }
            if bytes >= bytes_max || wanted.len() >= CHUNK_ENTRIES_MAX {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        };
        self.volume
            .index
            .store()
            .scan(self.old.table, from, NeedleKey(u64::MAX), &mut visit)?;
        let full = bytes >= bytes_max || wanted.len() >= CHUNK_ENTRIES_MAX;
        self.next_key = wanted
            .last()
            .filter(|_| full)
            .and_then(|(key, _)| key.0.checked_add(1))
            .map(NeedleKey);
        for (key, entry) in &wanted {
            self.copy(*key, entry, true)?;
        }
        self.end_chunk()?;
        Ok(bytes.max(1))
    }

    /// Copies what was appended to the old `.dat` up to `end`. Returns how many bytes that were.
    fn catch_up_to(&mut self, end: u64) -> Result<u64, HaystackError> {
        let from = self.caught_up_to;
        let old = Arc::clone(&self.old);
        let mut scan = Scan::new(&*old.dat, self.block.version, from, end, &[]);
        while let Some(event) = scan.next_event().map_err(|e| self.failed(&e))? {
            match event {
                Event::Commit { records, .. } | Event::Loose(records) => {
                    records.iter().try_for_each(|found| self.follow(found))?
                }
                Event::Damage { start, .. } => return Err(self.damaged(start)),
            }
        }
        self.end_chunk()?;
        self.caught_up_to = end;
        Ok(end - from)
    }

    fn damaged(&self, offset: u64) -> HaystackError {
        let volume = self.volume.id();
        let text = format!("volume {volume}: damage at offset {offset}: not vacuumed");
        HaystackError::Storage(text.into())
    }

    fn follow(&mut self, found: &Found) -> Result<(), HaystackError> {
        if !found.sealed {
            // Its key may be another's. The next vacuum goes by the index and takes it along.
            return Err(self.damaged(found.offset));
        }
        let entry = Entry {
            offset: found.offset,
            size: found.header.size,
            deleted: false,
        };
        if found.header.size > 0 {
            // Expired or not: it replaces what was copied of its key before.
            self.copy(found.header.key, &entry, false)?;
        } else {
            let stamp = Stamp {
                key: found.header.key,
                cookie: found.header.cookie,
                appended_at_ns: found.appended_at_ns,
                offset: self.offset(),
            };
            let marker = Found {
                offset: stamp.offset,
                sealed: true,
                fault: None,
                ..*found
            };
            encode_marker(&stamp, found.checksum, self.block.version, &mut self.chunk);
            self.chunk_records.push(marker);
        }
        if self.chunk_records.len() >= CHUNK_ENTRIES_MAX {
            self.end_chunk()
        } else {
            Ok(())
        }
    }

    /// Copies what was appended so far, and makes the new files durable, so that little is left for [`Self::finish`].
    pub fn catch_up(&mut self) -> Result<u64, HaystackError> {
        let end = self.volume.progress.read().dat_bytes;
        let bytes = self.catch_up_to(end)?;
        self.dat.sync_data().map_err(|e| self.failed(&e))?;
        Ok(bytes)
    }

    /// Puts the new files in the place of the old ones. Runs where the volume's writer runs, so that nothing is written meanwhile.
    pub fn finish(mut self, disk: &dyn Disk, writer: &mut Writer) -> Result<(), HaystackError> {
        let done = self.switch(disk, writer);
        if let Err(error) = &done {
            tracing::warn!(volume = self.volume.id().0, %error, "vacuum given up");
            self.drop_files(disk);
        }
        done
    }

    fn switch(&mut self, disk: &dyn Disk, writer: &mut Writer) -> Result<(), HaystackError> {
        writer.flush()?;
        if self.volume.read_only().is_some() {
            return Err(HaystackError::Storage(
                "the volume turned read-only during its vacuum".into(),
            ));
        }
        if !mutant::is(Mutant::ForgetWritesDuringVacuum) {
            self.catch_up_to(writer.tail())?;
        }
        let (kept, old) = (&mut self.replay.progress, *self.volume.progress.read());
        kept.key_max = kept.key_max.max(old.key_max);
        // When it was last written to, though what was written then may have expired.
        kept.appended_at_ns = kept.appended_at_ns.max(old.appended_at_ns);
        self.replay.flush()?;
        let checkpoint = self.make_durable()?;
        let files = &self.volume.files;
        disk.rename(&files.compact_dat(), &files.dat())
            .map_err(|e| self.failed(&e))?;
        // From here on the new `.dat` is the volume: what fails now is for the next opening to finish.
        let settled = disk
            .sync_dir(&files.dir)
            .and_then(|()| disk.rename(&files.compact_idx(), &files.idx()))
            .and_then(|()| disk.sync_dir(&files.dir));
        self.volume.set_expired_bytes(0);
        let generation = Generation {
            table: self.replay.table,
            dat: Arc::clone(&self.dat),
            block: self.block,
            sealed_from: 0,
        };
        writer.switch(
            generation,
            &self.replay.idx,
            self.replay.progress,
            checkpoint,
        );
        if let Err(error) = settled {
            self.volume.set_read_only(
                &format!("vacuum's renames failed ({error}): restart to recover"),
                false,
            );
        } else if let Err(error) = self.volume.index.drop_table(self.old.table) {
            tracing::warn!(volume = self.volume.id().0, %error, "index rows of before the vacuum left behind");
        }
        Ok(())
    }

    fn make_durable(&self) -> Result<Checkpoint, HaystackError> {
        if !mutant::is(Mutant::RenameBeforeSync) {
            self.dat
                .sync_data()
                .and_then(|()| self.replay.idx.sync_data())
                .map_err(|e| self.failed(&e))?;
        }
        let dat_bytes = self.replay.progress.dat_bytes;
        let tail_crc = super::open::tail_crc(&*self.dat, dat_bytes).map_err(|e| self.failed(&e))?;
        let checkpoint = Checkpoint {
            dat_bytes,
            idx_bytes: self.replay.idx_bytes,
            tail_crc,
        };
        let store = self.volume.index.store();
        store.set_checkpoint(self.replay.table, &checkpoint)?;
        store.sync()?;
        Ok(checkpoint)
    }

    /// Gives up: the volume stays as it was.
    pub fn abandon(self, disk: &dyn Disk) {
        self.drop_files(disk);
    }

    fn drop_files(&self, disk: &dyn Disk) {
        let files = &self.volume.files;
        // What cannot be removed now is dropped when the volume is opened next.
        for path in [files.compact_idx(), files.compact_dat()] {
            if let Err(error) = disk.remove(&path) {
                tracing::warn!(path = %path.display(), %error, "left behind by a vacuum that was given up");
            }
        }
        if let Err(error) = self.volume.index.drop_table(self.replay.table) {
            tracing::warn!(volume = self.volume.id().0, %error, "index rows left behind");
        }
    }
}
