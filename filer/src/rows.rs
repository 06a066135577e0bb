//! Where rows are kept: the whole key space, and what the filer needs of a database.
//!
//! | [`Table`] | key | value |
//! | --- | --- | --- |
//! | `Entries` | folder id u64, then the name's bytes | a row as `codec.rs` has it. The root is the empty name in folder 0 |
//! | `Trash` | id u64 of a folder that was deleted with what is in it | empty |
//! | `Released` | sequence number u64 | the needles that one batch released |
//! | `Holds` | the hold's name | the first sequence number u64 that it holds back, its end u64 in nanoseconds since 1970 |
//! | `Expiry` | second u64 since 1970 in which a file's life is over, then its key in `Entries` | empty |
//! | `State` | name of a counter | numbers from here on u64 were not handed out |
//!
//! Numbers are big-endian, so that keys are ordered as the numbers are. A folder's id is never used again.

use std::fmt::Debug;
use std::sync::Arc;

/// A database failed; the text says how.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct RowsError(pub Arc<str>);

/// A table of rows; see the module for what they hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Table {
    /// What is in folders.
    Entries,
    /// Deleted folders that are still to be emptied.
    Trash,
    /// Content that nothing refers to any more.
    Released,
    /// Who keeps released content from being deleted.
    Holds,
    /// Files by the end of their life.
    Expiry,
    /// Counters.
    State,
}

impl Table {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Entries,
        Self::Trash,
        Self::Released,
        Self::Holds,
        Self::Expiry,
        Self::State,
    ];

    /// Its name in the database.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Entries => "entries",
            Self::Trash => "trash",
            Self::Released => "released",
            Self::Holds => "holds",
            Self::Expiry => "expiry",
            Self::State => "state",
        }
    }
}

/// One change of one row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// In which table.
    pub table: Table,
    /// The row's key.
    pub key: Vec<u8>,
    /// Its value from now on; `None` deletes it.
    pub value: Option<Vec<u8>>,
}

/// How many batches had been written when some batch was: what [`Rows::sync`] is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Written(pub u64);

/// A database of rows. Used by many threads at once.
///
/// A batch is whole or absent, also after a loss of power; and if it is there, all batches written before it are.
pub trait Rows: Send + Sync + Debug {
    /// The value of a row.
    ///
    /// # Errors
    /// The database failed.
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, RowsError>;

    /// Changes rows, all at once: from now on they read so. Durable after [`Rows::sync`].
    ///
    /// # Errors
    /// The database failed: none of the rows was changed, or a sync has failed before.
    fn write(&self, changes: Vec<Change>) -> Result<Written, RowsError>;

    /// Makes every batch up to this one durable. Threads that wait for it share one sync of the device.
    ///
    /// # Errors
    /// The database failed. From then on nothing can be written until it is opened again.
    fn sync(&self, up_to: Written) -> Result<(), RowsError>;

    /// The last batch that was written.
    fn written(&self) -> Written;

    /// Goes over the rows whose keys begin with `prefix`, as they are now, whatever is written later.
    ///
    /// # Errors
    /// The database failed.
    fn cursor<'a>(&'a self, table: Table, prefix: &[u8])
    -> Result<Box<dyn Cursor + 'a>, RowsError>;
}

/// A place in a table's rows of one moment. To be placed by [`Cursor::seek`] first. Holds one row in memory, and keeps the
/// database from giving back the space of what has changed since: not to be kept for hours.
pub trait Cursor: Send {
    /// Goes to the first row whose key is not below `key`.
    ///
    /// # Errors
    /// The database failed.
    fn seek(&mut self, key: &[u8]) -> Result<(), RowsError>;

    /// The row here: key and value. `None` behind the last.
    fn row(&self) -> Option<(&[u8], &[u8])>;

    /// Goes to the next row.
    ///
    /// # Errors
    /// The database failed.
    fn next(&mut self) -> Result<(), RowsError>;
}
