//! The commit being put together, and what was written but is not durable yet.

use std::collections::HashMap;

use crate::id::NeedleKey;
use crate::index::{Change, Counters, Entry};
use crate::sequence;

/// Written, not yet durable.
#[derive(Default)]
pub struct Unsynced {
    pub changes: Vec<Change>,
    pub idx: Vec<u8>,
    pub counted: Counted,
}

/// What the index will count once everything written is durable.
#[derive(Clone, Copy, Default)]
pub struct Counted {
    pub counters: Counters,
    pub key_max: u64,
}

/// The commit being put together.
#[derive(Default)]
pub struct Batch {
    pub bytes: Vec<u8>,
    pub changes: Vec<Change>,
    pub idx: Vec<u8>,
    pub staged: HashMap<NeedleKey, Entry>,
    /// Of `bytes`, those that a commit record closes already.
    pub committed: usize,
}

impl Batch {
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.changes.clear();
        self.idx.clear();
        self.staged.clear();
        self.committed = 0;
    }
}

impl Counted {
    pub fn put(&mut self, key: NeedleKey, replaced: Option<&Entry>) {
        self.counters.puts += 1;
        if sequence::is_ours(key) {
            self.key_max = self.key_max.max(key.0);
        }
        if let Some(entry) = replaced {
            self.delete(entry);
        }
    }

    pub fn delete(&mut self, entry: &Entry) {
        self.counters.deletes += 1;
        self.counters.deleted_bytes += u64::from(entry.size);
    }
}
