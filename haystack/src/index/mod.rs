//! The needle index: which key stands where in which `.dat`.
//!
//! It is kept in a store that survives the process ([`rocks::RocksIndex`]) and can always be rebuilt from the `.dat`. A change is
//! applied in one atomic batch with the [`Progress`] of its volume, and only after the bytes it points to are durable, so a
//! store that lost its newest batches (they are not synced one by one) is merely behind, never wrong: recovery reads on in
//! the `.dat` from where `progress.dat_bytes` says.

pub mod hot;
mod keys;
pub mod mem;
mod packed;
pub mod rocks;

use std::ops::ControlFlow;

use serde::{Deserialize, Serialize};

use crate::id::{NeedleKey, VolumeId};

/// Where a key's record stands. A deleted key keeps the place of what was deleted, until vacuum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Offset of the record in bytes, a multiple of 8.
    pub offset: u64,
    /// Size field of the record's header.
    pub size: u32,
    /// Whether the key was deleted.
    pub deleted: bool,
}

/// The needles of one volume at one compaction revision: vacuum fills a new table and drops the old one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TableId {
    /// The volume.
    pub volume: VolumeId,
    /// The super block's compaction revision.
    pub revision: u16,
}

/// How far a table covers its `.dat`, and what it counted there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Progress {
    /// The table has every record before this offset, and none behind.
    pub dat_bytes: u64,
    /// Records of needles before this offset may not be ours and carry no seal.
    pub sealed_from: u64,
    /// Time of the last append, unix nanoseconds.
    pub appended_at_ns: u64,
    /// Largest key but [`u64::MAX`]-like ones that clients made up; see [`crate::sequence`].
    pub key_max: u64,
    /// Live and deleted needles ever put.
    pub counters: Counters,
}

/// What the status page tells of a volume.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Counters {
    /// Needles put, overwrites included.
    pub puts: u64,
    /// Needles deleted or overwritten.
    pub deletes: u64,
    /// Sum of the Size fields of the deleted and overwritten.
    pub deleted_bytes: u64,
}

/// Up to where `.dat` and `.idx` are known to be durable and to agree. Recovery starts here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// Length of the `.dat` in bytes.
    pub dat_bytes: u64,
    /// Length of the `.idx` in bytes.
    pub idx_bytes: u64,
    /// CRC-32 of the last bytes before `dat_bytes`: tells another `.dat` of the same length apart.
    pub tail_crc: u32,
}

/// The store cannot be read or written; the volume that needed it turns read-only, reads go on from memory where they can.
#[derive(Debug, Clone, thiserror::Error)]
#[error("index: {0}")]
pub struct IndexError(pub String);

/// One key's change.
pub type Change = (NeedleKey, Entry);

/// A store of tables. Implementations are atomic per [`IndexStore::apply`] and lose, at a power cut, at most the newest
/// batches, in order.
pub trait IndexStore: Send + Sync + std::fmt::Debug {
    /// Where a key stands; `None` if the table never had it.
    fn get(&self, table: TableId, key: NeedleKey) -> Result<Option<Entry>, IndexError>;

    /// Visits the entries with keys in `from..=to`, ascending, deleted ones included.
    fn scan(
        &self,
        table: TableId,
        from: NeedleKey,
        to: NeedleKey,
        visit: &mut dyn FnMut(NeedleKey, Entry) -> ControlFlow<()>,
    ) -> Result<(), IndexError>;

    /// Applies changes and the progress that they amount to, at once or not at all.
    fn apply(
        &self,
        table: TableId,
        changes: &[Change],
        progress: &Progress,
    ) -> Result<(), IndexError>;

    /// Fills a table that has no progress yet; what is loaded counts only once a progress is applied.
    fn load(&self, table: TableId, changes: &[Change]) -> Result<(), IndexError>;

    /// How far a table is; `None` if there is no such table (or its loading was interrupted).
    fn progress(&self, table: TableId) -> Result<Option<Progress>, IndexError>;

    /// The last checkpoint of a table.
    fn checkpoint(&self, table: TableId) -> Result<Option<Checkpoint>, IndexError>;

    /// Keeps a checkpoint.
    fn set_checkpoint(&self, table: TableId, checkpoint: &Checkpoint) -> Result<(), IndexError>;

    /// Makes everything applied so far durable.
    fn sync(&self) -> Result<(), IndexError>;

    /// All tables that have a progress.
    fn tables(&self) -> Result<Vec<TableId>, IndexError>;

    /// Forgets a table.
    fn drop_table(&self, table: TableId) -> Result<(), IndexError>;
}
