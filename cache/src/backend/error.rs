//! What can go wrong, by what the caller should do about it.

use std::fmt;

/// What a caller does about a [`BackendError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// Nothing is at the path. Ask for something else.
    NotFound,
    /// Something is there already.
    AlreadyExists,
    /// The store, or the gateway, does not let this caller.
    PermissionDenied,
    /// A parent of the path, or the path where a folder is wanted, is a file.
    NotADirectory,
    /// A folder where a file is wanted.
    IsADirectory,
    /// A folder that is not empty, and `recursive` was not asked.
    NotEmpty,
    /// The request makes no sense: its text says why.
    Invalid,
    /// The file is not any more what was opened: open it again.
    Changed,
    /// This store has no such operation.
    Unsupported,
    /// The store does not answer, or not now: try again later.
    Unavailable,
    /// The store did not answer in time: try again later.
    TimedOut,
    /// The store, or a quota in it, is full.
    NoSpace,
    /// Anything else: its text says what.
    Failed,
}

/// Why an operation failed.
#[derive(Clone, Debug, thiserror::Error)]
pub struct BackendError {
    /// What to do about it.
    pub kind: ErrorKind,
    /// The exception class by which the store itself named it (`java.io.FileNotFoundException`), if it did.
    pub class: Option<String>,
    /// In words; the store's own where it gave some.
    pub message: String,
}

impl BackendError {
    /// An error of ours.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            class: None,
            message: message.into(),
        }
    }

    /// An error as the store named it.
    pub fn of_class(kind: ErrorKind, class: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            kind,
            class: Some(class.into()),
            message: message.into(),
        }
    }

    /// `/a/b: there is no such file or directory`
    pub fn not_found(path: &str) -> Self {
        let text = format!("{path}: there is no such file or directory");
        Self::new(ErrorKind::NotFound, text)
    }

    /// Whether it is worth to try again later.
    pub const fn is_transient(&self) -> bool {
        matches!(self.kind, ErrorKind::Unavailable | ErrorKind::TimedOut)
    }
}

impl fmt::Display for BackendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}
