//! What can go wrong, by what the caller does about it.

use std::sync::Arc;

use crate::path::FilePath;
use crate::rows::RowsError;

/// Why an operation was not done. Unless it says [`FilerError::Storage`], nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FilerError {
    /// Nothing has this path, or a folder above it is missing: 404.
    #[error("{0}: there is no such file or folder")]
    NotFound(FilePath),
    /// A file stands where a folder is needed: 409. The path is the file's.
    #[error("{0} is a file, not a folder: delete or rename it first, or choose another path")]
    NotAFolder(FilePath),
    /// A folder stands where a file was meant: 409, or put the file inside.
    #[error("{0} is a folder: name a file in it")]
    IsAFolder(FilePath),
    /// Something has this path, and may not be replaced: 409.
    #[error("{0} exists already: delete it first, or allow that it is replaced")]
    Exists(FilePath),
    /// A folder still holds something: 409, or ask for the recursive delete.
    #[error("folder {0} is not empty: delete what is in it first, or delete recursively")]
    NotEmpty(FilePath),
    /// A name in the path is over [`crate::NAME_BYTES_MAX`]: 414.
    #[error(
        "a name of {bytes} bytes is too long: the most is {}",
        crate::path::NAME_BYTES_MAX
    )]
    NameTooLong {
        /// Of the name.
        bytes: usize,
    },
    /// The path is over [`crate::PATH_BYTES_MAX`]: 414.
    #[error(
        "a path of {bytes} bytes is too long: the most is {}",
        crate::path::PATH_BYTES_MAX
    )]
    PathTooLong {
        /// Of the whole path.
        bytes: usize,
    },
    /// The path has more than [`crate::DEPTH_MAX`] names: 400.
    #[error(
        "a path of {depth} names is too deep: the most is {}",
        crate::path::DEPTH_MAX
    )]
    TooDeep {
        /// How many names the path has.
        depth: usize,
    },
    /// The path or name cannot be one: 400.
    #[error("not a path: {0}")]
    BadName(&'static str),
    /// The name is kept for the product's own use: 403.
    #[error(
        "names that begin with {} at the root are reserved: choose another",
        crate::path::RESERVED_PREFIX
    )]
    Reserved,
    /// The root cannot be replaced, renamed or deleted: 403.
    #[error("the root folder can be neither replaced, renamed nor deleted: name something in it")]
    Root,
    /// A folder cannot become part of itself: 400.
    #[error("{from} cannot be moved to {to}, which is inside it: choose a place outside")]
    IntoItself {
        /// What was to be renamed.
        from: FilePath,
        /// Where to.
        to: FilePath,
    },
    /// The entry does not fit in a row (attributes, inline bytes or too many chunks): 413.
    #[error(
        "an entry of {bytes} bytes is too large (the most is {}): store content in fewer, larger chunks and attributes elsewhere",
        crate::codec::ROW_BYTES_MAX
    )]
    TooLarge {
        /// Of the encoded entry.
        bytes: usize,
    },
    /// What is stored is not what was written: 500. Restore the database from its backup.
    #[error("the filer's database is damaged ({0}): restore it from a backup")]
    Corrupt(Arc<str>),
    /// The database failed: 503. Whether the change was made is not known until the filer has been opened again.
    #[error("the filer's database failed: {0}")]
    Storage(Arc<str>),
}

impl From<RowsError> for FilerError {
    fn from(error: RowsError) -> Self {
        Self::Storage(error.0)
    }
}
