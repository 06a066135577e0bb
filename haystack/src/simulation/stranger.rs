//! SeaweedFS opens a volume while we are away, and appends to it: no seals, no commits.

use std::sync::Arc;

use moongate_disk::{Disk, OpenMode};

use super::model::{State, Value};
use super::payload::{self, Place};
use super::walk;
use super::world::World;
use crate::id::{Cookie, NeedleKey};
use crate::needle::{Stamp, Version, encode_marker};

const RECORDS_MAX: u64 = 3;
/// Header and CRC field of a record without a body, and its time.
const MARKER_BYTES: usize = 28;

impl World {
    /// Appends to a volume that was closed well.
    pub fn stranger(&mut self) {
        let at = self.rng.below(self.slots.len() as u64) as usize;
        let files = self.disk.visible_files();
        let slot = &self.slots[at];
        let (Some(dat), Some(idx)) = (files.get(&slot.files.dat()), files.get(&slot.files.idx()))
        else {
            return;
        };
        let is_sound = walk::records(dat).is_ok_and(|records| walk::idx_of(&records) == *idx);
        // Between the two renames of a vacuum the `.idx` is of another `.dat`.
        let is_half_vacuumed = files.contains_key(&slot.files.compact_idx());
        if !slot.made || !is_sound || is_half_vacuumed || slot.flip.is_some() {
            return;
        }
        for n in 0..1 + self.rng.below(RECORDS_MAX) {
            self.now_ns += 1_000_000;
            if self.append(at).is_err() {
                return;
            }
            self.trace.note(format_args!("stranger appends {n}"));
        }
    }

    /// One record and its `.idx` entry, both durable.
    fn append(&mut self, at: usize) -> std::io::Result<()> {
        let open = |path| self.disk.open(path, OpenMode::ReadWrite);
        let files = &self.slots[at].files;
        let (dat, idx) = (open(&files.dat())?, open(&files.idx())?);
        let offset = dat.len()?;
        let (record, key, state) = self.record(at);
        let slot = &mut self.slots[at];
        slot.shared = true;
        let history = slot.model.entry(key).or_default();
        history.attempt(state.clone());
        dat.write_all_at(&record, offset)?;
        let named = walk::idx_of(&[walk::Record {
            offset: offset as usize,
            end: offset as usize + record.len(),
            key,
            size: usize::from(state.is_some()) * (record[15] as usize + 256 * record[14] as usize),
        }]);
        idx.write_all_at(&named, idx.len()?)?;
        dat.sync_data().and_then(|()| idx.sync_data())?;
        history.is(state);
        Ok(())
    }

    /// A record with zeroes for padding, and what it makes of its key.
    fn record(&mut self, at: usize) -> (Vec<u8>, u64, State) {
        let now_secs = self.now_secs();
        let slot = &self.slots[at];
        let key = *self.rng.pick(&slot.keys);
        let live = slot.model.get(&key).and_then(|h| h.live().clone());
        let usual = Cookie(0xc00c_1e00 | (key as u32 & 0xff));
        let stamp = Stamp {
            key: NeedleKey(key),
            cookie: live.as_ref().map_or(usual, |value| value.cookie),
            appended_at_ns: self.now_ns,
            offset: u64::MAX,
        };
        let mut record = Vec::new();
        // Without its `.idx` a marker with checksum 0 may be an empty object.
        if let Some(value) = live.filter(|v| v.draft.checksum != 0 && self.rng.one_in(3)) {
            encode_marker(&stamp, value.draft.checksum, Version::V3, &mut record);
            record[MARKER_BYTES..].fill(0);
            return (record, key, None);
        }
        let place = Place {
            // Nobody keeps SeaweedFS from taking what would be a commit record where it stands.
            dat: &[],
            offset: 0,
            victim: key,
            cookie: usual,
        };
        let draft = payload::draft(&mut self.rng, &place, now_secs);
        draft.encode(&stamp, Version::V3, &mut record);
        let unpadded = MARKER_BYTES + draft.size(Version::V3) as usize;
        record[unpadded..].fill(0);
        let value = Value {
            cookie: stamp.cookie,
            draft,
            born_secs: now_secs,
        };
        (record, key, Some(Arc::new(value)))
    }
}
