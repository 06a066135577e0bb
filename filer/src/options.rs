//! What operations are told, and what they answer.

use crate::entry::Needle;
use crate::path::Name;
use crate::pattern::Pattern;

/// How [`crate::Filer::put`] and its like treat what is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PutOptions {
    /// Whether what has the path may be replaced (a file by a file; a folder keeps what is in it and gets new attributes);
    /// else [`crate::FilerError::Exists`].
    pub may_replace: bool,
    /// Whether folders that are missing on the way are made; else [`crate::FilerError::NotFound`].
    pub make_parents: bool,
    /// Whether to answer only when the change is durable. Without it, a loss of power may take the newest changes.
    pub durable: bool,
}

impl Default for PutOptions {
    fn default() -> Self {
        Self {
            may_replace: true,
            make_parents: true,
            durable: true,
        }
    }
}

/// How [`crate::Filer::rename`] treats what is there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RenameOptions {
    /// Whether a file at the target may be replaced by a file, and an empty folder by a folder.
    pub may_replace: bool,
    /// Whether folders that are missing on the way to the target are made.
    pub make_parents: bool,
}

/// Which names [`crate::Filer::list`] gives.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListOptions {
    /// Begin behind this name.
    pub after: Option<Name>,
    /// Begin with the name of `after` itself, if it is there.
    pub inclusive: bool,
    /// Only names that begin so.
    pub prefix: String,
    /// Only names that match.
    pub pattern: Option<Pattern>,
    /// But not names that match this.
    pub exclude: Option<Pattern>,
    /// At most so many; `None` for all.
    pub limit: Option<usize>,
}

/// One row of the released queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Released {
    /// What [`crate::Filer::forget`] wants.
    pub sequence: u64,
    /// What may be deleted.
    pub needles: Vec<Needle>,
}

/// What a sweep did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Rows that went.
    pub rows: usize,
    /// Whether there may be more to do now.
    pub more: bool,
}

/// What is in a folder and below it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// How many files.
    pub files: u64,
    /// How many folders, without the folder itself.
    pub folders: u64,
    /// The lengths of the files together.
    pub bytes: u64,
}
