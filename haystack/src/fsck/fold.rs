//! What the records of a volume amount to: the last word on each key.

use super::problem::Fault;
use crate::id::NeedleKey;
use crate::needle::{Version, record_bytes};
use crate::sequence;

/// What a record does to its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Stores a needle.
    Put,
    /// Deletes it.
    Marker,
    /// A record without body that may be either: a deletion where there is something to delete, else an empty object.
    Unclear,
    /// Closes a commit.
    Commit,
}

impl Kind {
    /// Whether an `.idx` has it as a needle.
    pub const fn is_put(self) -> bool {
        matches!(self, Self::Put)
    }
}

/// A record as far as the index is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Touch {
    /// Key that it is of.
    pub key: NeedleKey,
    /// Where it starts.
    pub offset: u64,
    /// Size field of its header.
    pub size: u32,
    /// What it does.
    pub kind: Kind,
    /// Why it cannot be read whole, if so.
    pub damaged: Option<Fault>,
}

/// The last word on a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct State {
    /// Where the needle stands, or stood.
    pub offset: u64,
    /// Its Size field.
    pub size: u32,
    /// Whether it is deleted.
    pub deleted: bool,
    /// Whether it was ever put in this file (else the deletion is of something that vacuum dropped).
    pub was_put: bool,
    /// Offset of the record that decided it.
    pub decided_at: u64,
    /// Why it cannot be read whole, if so.
    pub damaged: Option<Fault>,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Folded {
    states: Vec<(NeedleKey, State)>,
    /// Needles ever put.
    pub puts: u64,
    /// Keys that are live.
    pub live: u64,
    /// Keys that were put and deleted.
    pub deleted: u64,
    /// Bytes of records that nobody needs any more.
    pub garbage_bytes: u64,
    /// Largest key of ours.
    pub key_max: u64,
}

impl Folded {
    /// Folds touches that come in the order of their offsets; those of one key in `Unclear` are made clear.
    pub fn new(touches: &mut [Touch], version: Version) -> Self {
        let mut order: Vec<u32> = (0..u32::try_from(touches.len()).unwrap_or(u32::MAX))
            .filter(|n| touches[*n as usize].kind != Kind::Commit)
            .collect();
        order.sort_by_key(|n| touches[*n as usize].key);
        let mut folded = Self::default();
        let mut at = 0;
        while at < order.len() {
            let key = touches[order[at] as usize].key;
            let mut state = None;
            while at < order.len() && touches[order[at] as usize].key == key {
                let touch = &mut touches[order[at] as usize];
                folded.touch(touch, &mut state, version);
                at += 1;
            }
            if let Some(state) = state {
                folded.end_key(key, state);
            }
        }
        folded
    }

    fn touch(&mut self, touch: &mut Touch, state: &mut Option<State>, version: Version) {
        let live = state.is_some_and(|s| !s.deleted);
        if touch.kind == Kind::Unclear {
            touch.kind = if live { Kind::Marker } else { Kind::Put };
        }
        if let Some(before) = state.filter(|s| !s.deleted) {
            self.garbage_bytes += record_bytes(before.size, version);
        }
        *state = Some(if touch.kind.is_put() {
            self.puts += 1;
            State {
                offset: touch.offset,
                size: touch.size,
                deleted: false,
                was_put: true,
                decided_at: touch.offset,
                damaged: touch.damaged,
            }
        } else {
            self.garbage_bytes += record_bytes(touch.size, version);
            State {
                offset: state.map_or(touch.offset, |s| s.offset),
                size: state.map_or(0, |s| s.size),
                deleted: true,
                was_put: state.is_some_and(|s| s.was_put),
                decided_at: touch.offset,
                damaged: None,
            }
        });
    }

    fn end_key(&mut self, key: NeedleKey, state: State) {
        self.live += u64::from(!state.deleted);
        self.deleted += u64::from(state.deleted && state.was_put);
        if sequence::is_ours(key) && state.was_put {
            self.key_max = self.key_max.max(key.0);
        }
        self.states.push((key, state));
    }

    /// The last word on a key.
    pub fn get(&self, key: NeedleKey) -> Option<&State> {
        let at = self.states.binary_search_by_key(&key, |(k, _)| *k).ok()?;
        Some(&self.states[at].1)
    }

    /// All keys, ascending.
    pub fn keys(&self) -> impl Iterator<Item = (NeedleKey, &State)> {
        self.states.iter().map(|(key, state)| (*key, state))
    }
}
