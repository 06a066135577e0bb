//! Random operations, each compared with what the model expects of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use moongate_disk::Disk;

use super::model::{State, Value};
use super::payload::{self, Place};
use super::world::World;
use crate::error::HaystackError;
use crate::id::{Cookie, NeedleKey};
use crate::needle::{Draft, Version};
use crate::volume::Durability;
use crate::volume::vacuum::Vacuum;
use crate::volume::writer::{Done, Op, Outcome};

const KEYS_MAX: usize = 6;
const BATCH_MAX: u64 = 5;

/// What should become of an op.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expected {
    Stored,
    Unchanged,
    Deleted,
    Mismatch,
    NotFound,
    NeverAssigned,
}

/// An op, before it is handed to the engine.
struct Plan {
    key: u64,
    cookie: Cookie,
    /// None deletes.
    draft: Option<Draft>,
    must_exist: bool,
}

impl Plan {
    fn op(&self) -> Op {
        let (key, cookie) = (NeedleKey(self.key), self.cookie);
        match &self.draft {
            Some(draft) => Op::Put {
                key,
                cookie,
                draft: draft.clone(),
                precondition: None,
                must_exist: self.must_exist,
            },
            None => Op::Delete {
                key,
                cookie,
                precondition: None,
            },
        }
    }

    fn state(&self, now_secs: u64) -> State {
        let draft = self.draft.clone()?;
        Some(Arc::new(Value {
            cookie: self.cookie,
            draft,
            born_secs: now_secs,
        }))
    }

    fn expected(&self, present: &State) -> Expected {
        match (present, &self.draft) {
            (None, None) => Expected::NotFound,
            (None, Some(_)) if self.must_exist => Expected::NeverAssigned,
            (None, Some(_)) => Expected::Stored,
            (Some(value), _) if value.cookie != self.cookie => Expected::Mismatch,
            (Some(_), None) => Expected::Deleted,
            (Some(value), Some(draft)) if is_unchanged(&value.draft, draft) => Expected::Unchanged,
            (Some(_), Some(_)) => Expected::Stored,
        }
    }
}

/// Same data and same words, where no TTL is to be renewed: SeaweedFS writes nothing then either.
fn is_unchanged(old: &Draft, new: &Draft) -> bool {
    let size = |draft: &Draft| draft.size(Version::V3);
    let words = |draft: &Draft| [draft.name.clone(), draft.mime.clone(), draft.pairs.clone()];
    old.ttl.is_none()
        && new.ttl.is_none()
        && size(old) == size(new)
        && old.data == new.data
        && words(old) == words(new)
}

fn as_expected(outcome: &Outcome) -> Option<Expected> {
    Some(match outcome {
        Ok(Done::Stored { .. }) => Expected::Stored,
        Ok(Done::Unchanged) => Expected::Unchanged,
        Ok(Done::Deleted { .. }) => Expected::Deleted,
        Err(HaystackError::CookieMismatch(_)) => Expected::Mismatch,
        Err(HaystackError::NotFound) => Expected::NotFound,
        Err(HaystackError::KeyNeverAssigned(_)) => Expected::NeverAssigned,
        Err(_) => return None,
    })
}

impl World {
    pub fn operate(&mut self) -> Result<(), String> {
        let at = self.rng.below(self.slots.len() as u64) as usize;
        match self.rng.below(40) {
            0..=19 => self.commit(at),
            20..=22 => self.hand_out(at),
            23..=24 => self.flush(at),
            25..=26 => self.checkpoint(at),
            27..=34 => self.vacuum(at),
            35 if !self.troubled => {
                self.trouble();
                Ok(())
            }
            36 => {
                self.make_room();
                Ok(())
            }
            37 if self.rng.one_in(3) => {
                self.flip();
                Ok(())
            }
            _ => self.check_all(false),
        }
    }

    /// Whether an operation may fail now.
    fn excused(&self, at: usize) -> bool {
        self.troubled || self.disk.is_down() || self.slots[at].is_read_only()
    }

    fn commit(&mut self, at: usize) -> Result<(), String> {
        let plans = self.plan_batch(at);
        let ops: Vec<Op> = plans.iter().map(Plan::op).collect();
        let (now_ns, slot) = (self.now_ns, &mut self.slots[at]);
        let Some(opened) = &mut slot.open else {
            return Ok(());
        };
        let outcomes = opened.writer.commit(&ops, slot.durability, now_ns);
        self.trace
            .note(format_args!("commit to {}", self.slots[at].files.id));
        let mut staged: BTreeMap<u64, State> = BTreeMap::new();
        for (plan, outcome) in plans.iter().zip(&outcomes) {
            self.trace.note(format_args!(
                "  {:x} {} {outcome:?}",
                plan.key,
                plan.draft
                    .as_ref()
                    .map_or(-1, |d| i64::try_from(d.data.len()).unwrap_or(-1))
            ));
            self.take_outcome(at, plan, outcome, &mut staged)?;
        }
        let slot = &mut self.slots[at];
        if slot.durability == Durability::Fsync
            && outcomes
                .iter()
                .any(|o| matches!(o, Ok(Done::Stored { .. } | Done::Deleted { .. })))
        {
            slot.all_durable();
        }
        Ok(())
    }

    fn take_outcome(
        &mut self,
        at: usize,
        plan: &Plan,
        outcome: &Outcome,
        staged: &mut BTreeMap<u64, State>,
    ) -> Result<(), String> {
        let (excused, now_secs) = (self.excused(at), self.now_secs());
        let slot = &mut self.slots[at];
        let damaged = slot.may_be_damaged(plan.key);
        let history = slot.model.entry(plan.key).or_default();
        let present = staged
            .get(&plan.key)
            .cloned()
            .unwrap_or_else(|| history.live().clone());
        let (expected, got) = (plan.expected(&present), as_expected(outcome));
        if got != Some(expected) && !(damaged || (got.is_none() && excused)) {
            return Err(format!(
                "key {:x}: expected {expected:?}, got {outcome:?}",
                plan.key
            ));
        }
        let state = plan.state(now_secs);
        // What is damaged is written anew, even if it is the same.
        let changes = damaged || matches!(expected, Expected::Stored | Expected::Deleted);
        match got {
            Some(Expected::Stored | Expected::Deleted) => {
                staged.insert(plan.key, state.clone());
                history.acknowledge(state);
                if slot.durability == Durability::Fsync
                    && let Some(flip) = slot.flip.as_mut().filter(|f| f.key == plan.key)
                {
                    // What stands in its place now is sound.
                    flip.key = u64::MAX;
                }
            }
            None if changes && !matches!(outcome, Err(HaystackError::ReadOnly(..))) => {
                staged.insert(plan.key, state.clone());
                history.attempt(state);
            }
            _ => {}
        }
        Ok(())
    }

    fn plan_batch(&mut self, at: usize) -> Vec<Plan> {
        let count = if self.rng.one_in(2) {
            1
        } else {
            1 + self.rng.below(BATCH_MAX)
        };
        let files = self.disk.visible_files();
        let dat = files
            .get(&self.slots[at].files.dat())
            .cloned()
            .unwrap_or_default();
        let mut plans: Vec<Plan> = Vec::new();
        for _ in 0..count {
            let key = *self.rng.pick(&self.slots[at].keys);
            let plan = self.plan(at, key, &dat, &plans);
            plans.push(plan);
        }
        plans
    }

    fn plan(&mut self, at: usize, key: u64, dat: &[u8], before: &[Plan]) -> Plan {
        let (now_secs, slot) = (self.now_secs(), &self.slots[at]);
        let usual = Cookie(0xc00c_1e00 | (key as u32 & 0xff));
        let cookie = if self.rng.one_in(10) {
            Cookie(7)
        } else {
            usual
        };
        let offset = slot.open.as_ref().map_or(0, |o| o.writer.tail());
        let victim = *self.rng.pick(&slot.keys);
        let place = Place {
            dat,
            offset,
            victim,
            cookie: usual,
        };
        let same_again = before.iter().rev().find(|p| p.key == key);
        let live = slot.model.get(&key).and_then(|h| h.live().clone());
        let draft = match self.rng.below(8) {
            0..=1 => None,
            2 => same_again
                .and_then(|p| p.draft.clone())
                .or_else(|| live.map(|v| v.draft.clone())),
            _ => Some(payload::draft(&mut self.rng, &place, now_secs)),
        };
        Plan {
            key,
            cookie,
            draft,
            must_exist: self.rng.one_in(12),
        }
    }

    fn hand_out(&mut self, at: usize) -> Result<(), String> {
        let count = *self.rng.pick(&[1, 1, 1, 5, 3000, 60_000, 150_000]);
        let Some(sequence) = &mut self.sequence else {
            return Ok(());
        };
        let handed = sequence.keys(&self.disk, count);
        self.trace
            .note(format_args!("hand out {count}: {handed:?}"));
        match handed {
            Ok(first) if first.0 < self.handed_out_to => {
                return Err(format!(
                    "key {} is handed out again: all below {} were",
                    first.0, self.handed_out_to
                ));
            }
            Ok(first) => {
                self.handed_out_to = first.0 + count;
                let keys = &mut self.slots[at].keys;
                let key = first.0 + self.rng.below(count.min(4));
                if keys.len() < KEYS_MAX {
                    keys.push(key);
                } else {
                    let replaced = self.rng.below(KEYS_MAX as u64) as usize;
                    keys[replaced] = key;
                }
            }
            Err(_) if self.troubled || self.disk.is_down() => {}
            Err(error) => return Err(format!("handing out keys: {error}")),
        }
        Ok(())
    }

    fn flush(&mut self, at: usize) -> Result<(), String> {
        let flushed = self.slots[at].open.as_mut().map(|o| o.writer.flush());
        self.flushed(at, "flush", flushed)
    }

    fn checkpoint(&mut self, at: usize) -> Result<(), String> {
        let done = self.slots[at].open.as_mut().map(|o| o.writer.checkpoint());
        self.flushed(at, "checkpoint", done)
    }

    fn flushed(
        &mut self,
        at: usize,
        what: &str,
        done: Option<Result<(), HaystackError>>,
    ) -> Result<(), String> {
        self.trace
            .note(format_args!("{what} {}: {done:?}", self.slots[at].files.id));
        match done {
            Some(Ok(())) => self.slots[at].all_flushed(),
            Some(Err(error)) if !self.excused(at) => return Err(format!("{what}: {error}")),
            _ => {}
        }
        Ok(())
    }

    /// One step of a vacuum, from its beginning to its end.
    fn vacuum(&mut self, at: usize) -> Result<(), String> {
        let now_secs = self.now_secs();
        let slot = &mut self.slots[at];
        let Some(opened) = &mut slot.open else {
            return Ok(());
        };
        let Some(mut vacuum) = slot.vacuum.take() else {
            let begun = Vacuum::begin(&self.disk, &opened.volume, now_secs);
            self.trace.note(format_args!("vacuum: {}", begun.is_ok()));
            return match begun {
                Ok(vacuum) => {
                    self.slots[at].vacuum = Some(vacuum);
                    Ok(())
                }
                Err(_) if self.excused(at) => Ok(()),
                Err(error) => Err(format!("vacuum begins: {error}")),
            };
        };
        let what = self.rng.below(9);
        let done = match what {
            0 => {
                vacuum.abandon(&self.disk);
                Ok(None)
            }
            1..=4 => vacuum.step(1 + self.rng.below(9000)).map(|_| Some(vacuum)),
            5..=6 => vacuum.catch_up().map(|_| Some(vacuum)),
            _ => self.finish(at, vacuum).map(|()| None),
        };
        self.trace
            .note(format_args!("vacuum {what}: {:?}", done.as_ref().err()));
        match done {
            Ok(rest) => {
                self.slots[at].vacuum = rest;
                // What has expired may be gone now.
                self.check_all(false)
            }
            Err(_) if self.excused(at) || self.slots[at].flip.is_some() => {
                self.drop_compact_files(at);
                Ok(())
            }
            Err(error) => Err(format!("vacuum: {error}")),
        }
    }

    fn finish(&mut self, at: usize, mut vacuum: Vacuum) -> Result<(), HaystackError> {
        while vacuum.next_key().is_some() {
            if let Err(error) = vacuum.step(1 << 20) {
                vacuum.abandon(&self.disk);
                return Err(error);
            }
        }
        let slot = &mut self.slots[at];
        if let Some(opened) = &mut slot.open {
            vacuum.finish(&self.disk, &mut opened.writer)?;
            slot.all_durable();
        }
        Ok(())
    }

    /// A vacuum that failed was consumed before it could be abandoned: do what abandoning does.
    fn drop_compact_files(&self, at: usize) {
        let files = &self.slots[at].files;
        for path in [files.compact_idx(), files.compact_dat()] {
            let _ = self.disk.remove(&path);
        }
    }
}
