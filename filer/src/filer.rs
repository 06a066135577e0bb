//! The filer itself: what it is made of, opening it, and finding.

use crate::entry::Needle;
use crate::entry::{Attributes, Entry};
use crate::error::FilerError;
use crate::path::{FilePath, Name};
use crate::pattern::Pattern;
use crate::rows::Rows;

/// How [`Filer::put`] and its like treat what is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PutOptions {
    /// Whether a file that has the path may be replaced; else [`FilerError::Exists`].
    pub may_replace: bool,
    /// Whether folders that are missing on the way are made; else [`FilerError::NotFound`].
    pub make_parents: bool,
    /// Whether to answer only when the change is durable. Without it, a loss of power may take the newest changes, in order.
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

/// How [`Filer::rename`] treats what is there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RenameOptions {
    /// Whether a file at the target may be replaced by a file, and an empty folder by a folder.
    pub may_replace: bool,
    /// Whether folders that are missing on the way to the target are made.
    pub make_parents: bool,
}

/// Which names [`Filer::list`] gives.
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
    /// What [`Filer::forget`] wants.
    pub sequence: u64,
    /// What may be deleted.
    pub needles: Vec<Needle>,
}

/// What a sweep did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Rows that went.
    pub rows: u64,
    /// Whether there is more to do now.
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

/// Directories of files. See the crate.
#[derive(Debug)]
pub struct Filer {
    rows: Box<dyn Rows>,
}

type Result<T> = std::result::Result<T, FilerError>;

fn unfinished<T>() -> Result<T> {
    Err(FilerError::Storage(
        "this commit holds the signatures only".into(),
    ))
}

#[allow(unused_variables, missing_docs, clippy::needless_pass_by_value)]
impl Filer {
    pub fn open(rows: Box<dyn Rows>, now_ns: u64) -> Result<Self> {
        Ok(Self { rows })
    }
    pub fn find(&self, path: &FilePath, now_ns: u64) -> Result<Entry> {
        unfinished()
    }
    /// The entry that was there before, if any. Folders on the way take owner of the entry.
    pub fn put(
        &self,
        path: &FilePath,
        entry: Entry,
        options: PutOptions,
        now_ns: u64,
    ) -> Result<Option<Entry>> {
        unfinished()
    }
    /// All or nothing; in order, so that of two entries with one path the later stays.
    pub fn put_many(
        &self,
        entries: Vec<(FilePath, Entry)>,
        options: PutOptions,
        now_ns: u64,
    ) -> Result<Vec<Option<Entry>>> {
        unfinished()
    }
    /// Makes the entry from what is there now (`None`: nothing), with nobody else in between: conditional puts, appends that
    /// create. Returns what was stored.
    pub fn put_with<E: From<FilerError>>(
        &self,
        path: &FilePath,
        options: PutOptions,
        now_ns: u64,
        make: impl FnOnce(Option<&Entry>) -> std::result::Result<Entry, E>,
    ) -> std::result::Result<Entry, E> {
        Ok(unfinished()?)
    }
    /// Changes the entry (file or folder) that is there; durable. Returns what was stored.
    pub fn update<E: From<FilerError>>(
        &self,
        path: &FilePath,
        now_ns: u64,
        change: impl FnOnce(&mut Entry) -> std::result::Result<(), E>,
    ) -> std::result::Result<Entry, E> {
        Ok(unfinished()?)
    }
    pub fn make_folder(
        &self,
        path: &FilePath,
        attributes: Attributes,
        make_parents: bool,
        now_ns: u64,
    ) -> Result<()> {
        unfinished()
    }
    pub fn rename(
        &self,
        from: &FilePath,
        to: &FilePath,
        options: RenameOptions,
        now_ns: u64,
    ) -> Result<()> {
        unfinished()
    }
    /// Returns what was deleted. A folder's content is released by `sweep` later.
    pub fn delete(&self, path: &FilePath, recursive: bool, now_ns: u64) -> Result<Entry> {
        unfinished()
    }
    pub fn list<'a>(
        &'a self,
        folder: &FilePath,
        options: ListOptions,
        now_ns: u64,
    ) -> Result<Box<dyn Iterator<Item = Result<(Name, Entry)>> + Send + 'a>> {
        unfinished()
    }
    /// Paths relative to `folder`, without a leading slash; a folder before what is in it. The first error ends it.
    pub fn walk<'a>(
        &'a self,
        folder: &FilePath,
        now_ns: u64,
    ) -> Result<Box<dyn Iterator<Item = Result<(String, Entry)>> + Send + 'a>> {
        unfinished()
    }
    pub fn usage(&self, folder: &FilePath, now_ns: u64) -> Result<Usage> {
        unfinished()
    }
    pub fn sweep(&self, rows_max: usize) -> Result<Swept> {
        unfinished()
    }
    pub fn sweep_expired(&self, rows_max: usize, now_ns: u64) -> Result<Swept> {
        unfinished()
    }
    /// At least one row if there is one that no hold keeps; then about as many needles as asked.
    pub fn released(&self, needles_max: usize, now_ns: u64) -> Result<Vec<Released>> {
        unfinished()
    }
    pub fn forget(&self, sequences: &[u64]) -> Result<()> {
        unfinished()
    }
    /// Holding again under the same name moves the end and keeps the beginning.
    pub fn hold(&self, name: &str, secs: u64, now_ns: u64) -> Result<()> {
        unfinished()
    }
    pub fn drop_hold(&self, name: &str) -> Result<()> {
        unfinished()
    }
    /// Waits until everything that was answered so far is durable (after puts that did not ask for it).
    pub fn sync(&self) -> Result<()> {
        unfinished()
    }
}
