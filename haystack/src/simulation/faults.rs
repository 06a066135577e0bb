//! What goes wrong: steps that kill, syncs and writes that fail, disks that are full or decay, indexes that are lost.

use moongate_disk::{Disk, OpenMode};
use std::sync::Arc;

use super::walk::{self, Record};
use super::world::{Slot, World};
use crate::index::hot::HotIndex;
use crate::index::mem::MemIndex;
use crate::index::{IndexStore, TableId};

/// What decayed in a volume.
#[derive(Clone, Copy, Debug)]
pub struct Flip {
    /// Whose record it is in; 0 for a commit record.
    pub key: u64,
    /// Where the record was when it was hit.
    pub offset: u64,
    /// The index was (perhaps) lost since, or never had the record: all that is known of it is its damaged self.
    pub unindexed: bool,
    /// More than the checksums can tell: whose record it was may be lost with it.
    pub wide: bool,
}

/// Bytes in a row that are hit by wide damage.
const WIDE_BYTES: u64 = 8;

impl World {
    /// Arms a fault for this life, mostly.
    pub fn arm(&mut self) {
        if self.rng.one_in(2) {
            let steps = self.rng.below(80);
            self.disk.kill_after(steps);
            self.trace.note(format_args!("kill after {steps}"));
        }
    }

    pub fn arm_for_recovery(&mut self) {
        if self.rng.one_in(6) {
            self.disk.fail_next_syncs(1);
            self.troubled = true;
            self.trace.note(format_args!("a sync of recovery fails"));
        } else {
            let steps = self.rng.below(12);
            self.disk.kill_after(steps);
            self.trace.note(format_args!("kill recovery after {steps}"));
        }
    }

    /// A fault in the midst of operations.
    pub fn trouble(&mut self) {
        self.troubled = true;
        match self.rng.below(3) {
            0 => self.disk.fail_next_syncs(1),
            1 => self.disk.fail_next_writes(1),
            _ => {
                let files = self.disk.visible_files();
                let used: usize = files.values().map(Vec::len).sum();
                let room = self.rng.below(6000);
                self.disk.set_capacity(used as u64 + room);
            }
        }
        self.trace.note(format_args!("trouble"));
    }

    /// The disk has room again.
    pub fn make_room(&mut self) {
        self.disk.set_capacity(1 << 40);
    }

    /// What happens to files while nobody looks.
    pub fn decay(&mut self) {
        if self.disk.is_down() {
            return;
        }
        if self.rng.one_in(8) {
            self.stranger();
        }
        if self.rng.one_in(4) {
            self.flip();
        }
        if self.rng.one_in(8) {
            self.trace.note(format_args!("the index is lost"));
            self.mem = Arc::new(MemIndex::new());
            self.index = Arc::new(HotIndex::new(Arc::clone(&self.mem) as _, 0));
            self.index_is_behind();
        }
        if self.rng.one_in(8) {
            let at = self.rng.below(self.slots.len() as u64) as usize;
            self.harm_idx(at);
        }
    }

    pub fn index_is_behind(&mut self) {
        for flip in self.slots.iter_mut().filter_map(|s| s.flip.as_mut()) {
            flip.unindexed = true;
        }
    }

    /// Removes an `.idx`, or cuts it short.
    fn harm_idx(&mut self, at: usize) {
        let path = self.slots[at].files.idx();
        let Ok(file) = self.disk.open(&path, OpenMode::ReadWrite) else {
            return;
        };
        let len = file.len().unwrap_or(0);
        self.slots[at].idx_harmed = true;
        // One that still names some of what a stranger wrote is taken at its word.
        if self.slots[at].shared || self.rng.one_in(2) {
            self.trace.note(format_args!("an idx is lost"));
            let _ = self.disk.remove(&path);
            let _ = self.disk.sync_dir(&self.slots[at].files.dir);
        } else {
            let cut = self.rng.below(len + 1);
            self.trace.note(format_args!("an idx is cut to {cut}"));
            let _ = file.set_len(cut).and_then(|()| file.sync_data());
        }
    }

    /// Flips a bit of something durable, or a few, once in the life of a volume.
    pub fn flip(&mut self) {
        let at = self.rng.below(self.slots.len() as u64) as usize;
        let path = self.slots[at].files.dat();
        let (visible, durable) = (self.disk.visible_files(), self.disk.durable_files());
        let (Some(visible), Some(durable)) = (visible.get(&path), durable.get(&path)) else {
            return;
        };
        let Ok(all) = walk::records(visible) else {
            return;
        };
        let is_durable =
            |r: &&Record| durable.get(r.offset..r.end) == Some(&visible[r.offset..r.end]);
        let records: Vec<Record> = all.iter().filter(is_durable).copied().collect();
        // What a stranger wrote carries no seal, and what is before it need not.
        if records.is_empty() || self.slots[at].flip.is_some() || self.slots[at].shared {
            return;
        }
        let record = *self.rng.pick(&records);
        let offset = match self.rng.below(3) {
            0 => record.offset as u64 + self.rng.below(16),
            1 => record.end as u64 - 1 - self.rng.below(20),
            _ => record.offset as u64 + self.rng.below((record.end - record.offset) as u64),
        };
        let kind = self.rng.below(6);
        let hits_length = (12..16).contains(&(offset - record.offset as u64));
        let mut places = vec![offset];
        match kind {
            0..=2 => places.extend(offset + 1..(offset + WIDE_BYTES).min(record.end as u64)),
            3 => {
                let commit = records
                    .iter()
                    .find(|r| r.key == 0 && r.offset >= record.end);
                // The last commit of all, without its first length and its end, is known by nothing: that is not promised.
                let commit = commit.filter(|commit| {
                    !hits_length
                        || records
                            .iter()
                            .any(|r| r.key == 0 && r.offset > commit.offset)
                });
                places.extend(commit.map(|r| r.offset as u64 + self.rng.below(32)));
            }
            _ => {}
        }
        self.slots[at].flip = Some(Flip {
            key: record.key,
            offset: record.offset as u64,
            unindexed: self.power_was_lost,
            // Without its length, and with a commit record that decayed as well, the commit is known only by what stands behind it.
            wide: kind <= 2 || (kind == 3 && hits_length),
        });
        for offset in places {
            let bit = self.rng.below(8) as u8;
            let flipped = self.disk.flip_bit(&path, offset, bit).is_ok();
            self.trace.note(format_args!(
                "flip bit {bit} at {offset} in {record:?}: {flipped}"
            ));
        }
        if self.slots[at].open.is_none() {
            self.index_forgets_what_waited(at);
        }
    }

    /// The process ended: what its index had not taken by then it never takes.
    pub fn index_forgets_what_waited(&mut self, at: usize) {
        let slot = &mut self.slots[at];
        let files = self.disk.visible_files();
        let dat = files.get(&slot.files.dat()).map(Vec::as_slice);
        let (Some(flip), Some(&[high, low])) = (&mut slot.flip, dat.and_then(|d| d.get(4..6)))
        else {
            return;
        };
        let table = TableId {
            volume: slot.files.id,
            revision: u16::from_be_bytes([high, low]),
        };
        let progress = self.mem.progress(table).ok().flatten();
        flip.unindexed |= progress.is_none_or(|progress| progress.dat_bytes <= flip.offset);
    }
}

impl Slot {
    /// Whether a key's record may be damaged.
    pub fn may_be_damaged(&self, key: u64) -> bool {
        self.flip.is_some_and(|flip| flip.key == key)
    }
}
