//! An index store in memory, for tests: it can lose its newest batches, as a store that is not synced does at a power cut.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use parking_lot::Mutex;

use super::{Change, Checkpoint, Entry, IndexError, IndexStore, Progress, TableId};
use crate::id::NeedleKey;

#[derive(Clone, Debug, Default)]
struct State {
    entries: BTreeMap<(TableId, u64), Entry>,
    progress: BTreeMap<TableId, Progress>,
    checkpoints: BTreeMap<TableId, Checkpoint>,
}

#[derive(Clone, Debug)]
enum Batch {
    Changes(TableId, Vec<Change>, Option<Progress>),
    Checkpoint(TableId, Checkpoint),
    Drop(TableId),
}

impl State {
    fn take(&mut self, batch: &Batch) {
        match batch {
            Batch::Changes(table, changes, progress) => {
                self.entries
                    .extend(changes.iter().map(|(key, entry)| ((*table, key.0), *entry)));
                self.progress.extend(progress.map(|p| (*table, p)));
            }
            Batch::Checkpoint(table, checkpoint) => {
                self.checkpoints.insert(*table, *checkpoint);
            }
            Batch::Drop(table) => {
                self.entries.retain(|(t, _), _| t != table);
                self.progress.remove(table);
                self.checkpoints.remove(table);
            }
        }
    }
}

/// See the module.
#[derive(Debug, Default)]
pub struct MemIndex {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    now: State,
    durable: State,
    unsynced: Vec<Batch>,
}

impl MemIndex {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    /// What a power cut leaves: everything synced, and the first `kept` of the batches since.
    #[must_use]
    pub fn after_power_loss(&self, kept: usize) -> Self {
        let inner = self.inner.lock();
        let mut state = inner.durable.clone();
        inner
            .unsynced
            .iter()
            .take(kept)
            .for_each(|batch| state.take(batch));
        Self {
            inner: Mutex::new(Inner {
                now: state.clone(),
                durable: state,
                unsynced: Vec::new(),
            }),
        }
    }

    /// How many batches a power cut could take.
    pub fn unsynced(&self) -> usize {
        self.inner.lock().unsynced.len()
    }

    fn push(&self, batch: Batch) {
        let mut inner = self.inner.lock();
        inner.now.take(&batch);
        inner.unsynced.push(batch);
    }
}

impl IndexStore for MemIndex {
    fn get(&self, table: TableId, key: NeedleKey) -> Result<Option<Entry>, IndexError> {
        Ok(self.inner.lock().now.entries.get(&(table, key.0)).copied())
    }

    fn scan(
        &self,
        table: TableId,
        from: NeedleKey,
        to: NeedleKey,
        visit: &mut dyn FnMut(NeedleKey, Entry) -> ControlFlow<()>,
    ) -> Result<(), IndexError> {
        let inner = self.inner.lock();
        for ((_, key), entry) in inner.now.entries.range((table, from.0)..=(table, to.0)) {
            if visit(NeedleKey(*key), *entry).is_break() {
                break;
            }
        }
        Ok(())
    }

    fn apply(
        &self,
        table: TableId,
        changes: &[Change],
        progress: &Progress,
    ) -> Result<(), IndexError> {
        self.push(Batch::Changes(table, changes.to_vec(), Some(*progress)));
        Ok(())
    }

    fn load(&self, table: TableId, changes: &[Change]) -> Result<(), IndexError> {
        self.push(Batch::Changes(table, changes.to_vec(), None));
        Ok(())
    }

    fn progress(&self, table: TableId) -> Result<Option<Progress>, IndexError> {
        Ok(self.inner.lock().now.progress.get(&table).copied())
    }

    fn checkpoint(&self, table: TableId) -> Result<Option<Checkpoint>, IndexError> {
        Ok(self.inner.lock().now.checkpoints.get(&table).copied())
    }

    fn set_checkpoint(&self, table: TableId, checkpoint: &Checkpoint) -> Result<(), IndexError> {
        self.push(Batch::Checkpoint(table, *checkpoint));
        Ok(())
    }

    fn sync(&self) -> Result<(), IndexError> {
        let mut inner = self.inner.lock();
        inner.durable = inner.now.clone();
        inner.unsynced.clear();
        Ok(())
    }

    fn tables(&self) -> Result<Vec<TableId>, IndexError> {
        Ok(self.inner.lock().now.progress.keys().copied().collect())
    }

    fn drop_table(&self, table: TableId) -> Result<(), IndexError> {
        self.push(Batch::Drop(table));
        Ok(())
    }
}
