//! Comparing everything with what may be.

use super::model::State;
use super::walk;
use super::world::{Slot, World};
use crate::error::HaystackError;
use crate::id::NeedleKey;
use crate::needle::Needle;
use crate::volume::Located;

enum Answer {
    Stored(Needle),
    Absent,
    Damaged,
}

impl Answer {
    fn is(&self, state: &State) -> bool {
        match (self, state) {
            (Self::Stored(needle), Some(value)) => value.is(needle),
            (Self::Absent, None) => true,
            _ => false,
        }
    }

    fn told(&self) -> String {
        match self {
            Self::Stored(needle) => format!(
                "{} bytes {:?}.. of {}",
                needle.data().len(),
                &needle.data()[..needle.data().len().min(8)],
                needle.appended_at_ns
            ),
            Self::Absent => "absent".into(),
            Self::Damaged => "damaged".into(),
        }
    }
}

fn told(state: &State) -> String {
    state.as_ref().map_or("absent".into(), |value| {
        let data = &value.draft.data;
        format!(
            "{} bytes {:?}.. of {} ttl {}",
            data.len(),
            &data[..data.len().min(8)],
            value.born_secs,
            value.draft.ttl
        )
    })
}

/// Asks a volume, by both of its ways.
fn ask(slot: &Slot, key: u64) -> Result<Answer, String> {
    let Some(volume) = slot.volume() else {
        return Err("closed".into());
    };
    let located = volume.locate(NeedleKey(key));
    let answer = match volume.read(NeedleKey(key)) {
        Ok(needle) => Answer::Stored(needle),
        Err(HaystackError::NotFound) => Answer::Absent,
        Err(HaystackError::Damaged { .. }) => Answer::Damaged,
        Err(other) => return Err(format!("key {key:x}: {other}")),
    };
    match (&located, &answer) {
        (Located::Here(..), Answer::Absent)
        | (Located::Absent, Answer::Stored(_) | Answer::Damaged) => {
            Err(format!("key {key:x}: {located:?} but {}", answer.told()))
        }
        _ => Ok(answer),
    }
}

impl World {
    /// Compares all volumes; after a crash, what is found becomes what is expected from then on.
    pub fn check_all(&mut self, just_opened: bool) -> Result<(), String> {
        if self.disk.is_down() {
            return Ok(());
        }
        let files = self.disk.visible_files();
        let (now_secs, power_was_lost) = (self.now_secs(), self.power_was_lost);
        for slot in &mut self.slots {
            let id = slot.files.id;
            let named = |what: String| format!("volume {id}: {what}");
            let dat = files.get(&slot.files.dat()).map_or(&[][..], Vec::as_slice);
            let idx = files.get(&slot.files.idx()).map_or(&[][..], Vec::as_slice);
            check_files(slot, dat, idx, just_opened).map_err(named)?;
            check_keys(slot, now_secs, just_opened, power_was_lost).map_err(named)?;
        }
        Ok(())
    }
}

fn check_files(slot: &Slot, dat: &[u8], idx: &[u8], just_opened: bool) -> Result<(), String> {
    let tail = slot.open.as_ref().map_or(0, |opened| opened.writer.tail());
    // A tail that could not be kept aside for want of room was left where it is.
    let left_as_it_is = slot.is_read_only();
    if just_opened && !left_as_it_is && dat.len() as u64 != tail {
        return Err(format!("tail {tail}, file {}", dat.len()));
    }
    if slot.flip.is_some() {
        return Ok(());
    }
    let records = walk::records(&dat[..tail as usize])?;
    let wanted = walk::idx_of(&records);
    let common = idx.len().min(wanted.len());
    if idx[..common] != wanted[..common] || (just_opened && idx.len() != wanted.len()) {
        return Err(format!(
            ".idx of {} bytes is not what the .dat says ({} bytes, the same for {})",
            idx.len(),
            wanted.len(),
            idx.iter().zip(&wanted).take_while(|(a, b)| a == b).count()
        ));
    }
    Ok(())
}

fn check_keys(
    slot: &mut Slot,
    now_secs: u64,
    just_opened: bool,
    power_was_lost: bool,
) -> Result<(), String> {
    // Wide damage in the bytes by which the index knows the file makes it as good as lost.
    let idx_harmed = slot.idx_harmed;
    let left_as_it_is = slot.is_read_only();
    let keys: Vec<u64> = slot.model.keys().copied().collect();
    for key in keys {
        let answer = ask(slot, key)?;
        let flip = slot.flip.filter(|flip| flip.key == key);
        let Some(history) = slot.model.get_mut(&key) else {
            continue;
        };
        let possible = if just_opened {
            history.possible(power_was_lost)
        } else {
            std::slice::from_ref(history.live())
        };
        let found = possible
            .iter()
            .rev()
            .find(|state| answer.is(state))
            .cloned();
        let expired = matches!(answer, Answer::Absent)
            && possible.iter().flatten().any(|v| v.expired(now_secs));
        let uncovered = flip
            .filter(|flip| flip.wide && (flip.unindexed || idx_harmed))
            .and_then(|_| history.ever().find(|state| answer.is(state)).cloned());
        if let Some(state) = found.clone().filter(|_| just_opened) {
            if left_as_it_is {
                history.is_for_now(state);
            } else {
                history.is(state);
            }
        } else if found.is_some() || (flip.is_some() && matches!(answer, Answer::Damaged)) {
        } else if expired {
            history.is(None);
        } else if let Some(state) = uncovered {
            history.is(state);
        } else {
            let wanted: Vec<String> = possible.iter().map(told).collect();
            return Err(format!(
                "key {key:x} is {}, may be: {}",
                answer.told(),
                wanted.join(", or ")
            ));
        }
    }
    Ok(())
}
