//! The table of a volume in the index, compared with what follows from its `.dat`.

use std::ops::ControlFlow;

use super::fold::{Folded, State};
use super::problem::{Fault, NeedleName, Problem};
use super::walk::Walked;
use crate::id::NeedleKey;
use crate::index::{Change, Checkpoint, Entry, IndexError, IndexStore, Progress, TableId};
use crate::needle::NeedleError;

/// What the index says of a volume.
pub enum Standing {
    /// There is no index, or no table in it.
    Missing,
    /// There is one, but of another `.dat`.
    Other(Progress),
    /// There is one, and it is of this file.
    Of(Progress, Checkpoint),
}

impl Standing {
    /// Everything before was acknowledged. An index of another state tells it too if the file is long enough: damage in the
    /// last bytes of a `.dat` makes it look like another, and is not to be cut off for that.
    pub const fn acknowledged_to(&self, dat_bytes: u64) -> Option<u64> {
        match self {
            Self::Of(progress, _) => Some(progress.dat_bytes),
            Self::Other(progress) if progress.dat_bytes <= dat_bytes => Some(progress.dat_bytes),
            Self::Missing | Self::Other(_) => None,
        }
    }
}

/// Where a table has live needles.
pub fn places(store: &dyn IndexStore, table: TableId) -> Result<Vec<u64>, IndexError> {
    let mut places = Vec::new();
    let mut visit = |_: NeedleKey, entry: Entry| {
        places.extend((!entry.deleted).then_some(entry.offset));
        ControlFlow::Continue(())
    };
    store.scan(table, NeedleKey(0), NeedleKey(u64::MAX), &mut visit)?;
    Ok(places)
}

/// A table to be compared.
pub struct Compare<'a> {
    /// The store.
    pub store: &'a dyn IndexStore,
    /// The table in it.
    pub table: TableId,
    /// How far it goes.
    pub progress: Progress,
    /// What stands in the `.dat`.
    pub walked: &'a Walked,
    /// What follows from it.
    pub folded: &'a Folded,
}

impl Compare<'_> {
    /// Reports every difference. Returns the rows of needles that only the index knows: their records are damaged.
    pub fn report(
        &self,
        name: &dyn Fn(NeedleKey, u64) -> NeedleName,
        add: &mut dyn FnMut(Problem),
    ) -> Result<Vec<Change>, IndexError> {
        let (mut rows, mut hurt) = (self.folded.keys().peekable(), Vec::new());
        let mut visit = |key: NeedleKey, entry: Entry| {
            while let Some((lacking, state)) = rows.next_if(|(k, _)| *k < key) {
                self.lacks(lacking, state, name, add);
            }
            let state = rows.next_if(|(k, _)| *k == key).map(|(_, state)| state);
            if let Some(fault) = self.damage_at(&entry, state) {
                hurt.push((key, entry));
                add(Problem::DamagedNeedle {
                    needle: name(key, entry.offset),
                    offset: entry.offset,
                    fault,
                });
            } else {
                self.row(key, &entry, state, name, add);
            }
            ControlFlow::Continue(())
        };
        let (from, to) = (NeedleKey(0), NeedleKey(u64::MAX));
        self.store.scan(self.table, from, to, &mut visit)?;
        for (lacking, state) in rows {
            self.lacks(lacking, state, name, add);
        }
        Ok(hurt)
    }

    /// Why a live row points at something that cannot be read and that nothing but the row tells of.
    fn damage_at(&self, entry: &Entry, state: Option<&State>) -> Option<Fault> {
        let known = state.is_some_and(|s| s.offset == entry.offset);
        // What was decided behind it stands above it.
        let newer = state.is_some_and(|s| s.decided_at > entry.offset);
        if entry.deleted || known || newer || !self.walked.is_damaged_at(entry.offset) {
            return None;
        }
        let nameless = self.walked.nameless.iter();
        let seal = nameless.clone().any(|f| f.offset == entry.offset);
        Some(if seal {
            Fault::Record(NeedleError::Seal)
        } else {
            Fault::Unreadable
        })
    }

    fn row(
        &self,
        key: NeedleKey,
        entry: &Entry,
        state: Option<&State>,
        name: &dyn Fn(NeedleKey, u64) -> NeedleName,
        add: &mut dyn FnMut(Problem),
    ) {
        let Some(state) = state else {
            if !entry.deleted {
                add(stray(key, entry, name));
            }
            return;
        };
        let behind = state.decided_at >= self.progress.dat_bytes;
        let same = entry.deleted == state.deleted
            && (state.deleted || (entry.offset, entry.size) == (state.offset, state.size));
        match (behind || same, state.deleted) {
            (true, _) => {}
            (false, true) => add(stray(key, entry, name)),
            (false, false) => self.lacks(key, state, name, add),
        }
    }

    fn lacks(
        &self,
        key: NeedleKey,
        state: &State,
        name: &dyn Fn(NeedleKey, u64) -> NeedleName,
        add: &mut dyn FnMut(Problem),
    ) {
        // What an `.idx` alone says of unreadable bytes is no proof that the needle was there.
        let doubtful = state.damaged == Some(Fault::Unreadable);
        if !state.deleted && !doubtful && state.decided_at < self.progress.dat_bytes {
            add(Problem::IndexLacks {
                needle: name(key, state.offset),
                offset: state.offset,
            });
        }
    }
}

fn stray(key: NeedleKey, entry: &Entry, name: &dyn Fn(NeedleKey, u64) -> NeedleName) -> Problem {
    Problem::IndexStray {
        needle: name(key, entry.offset),
        offset: entry.offset,
    }
}
