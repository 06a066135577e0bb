//! The filer: what it is made of, opening it, finding, and how changes are committed.

use parking_lot::Mutex;
use quick_cache::sync::Cache;

use crate::changes::{Changes, read_row};
use crate::codec::Row;
use crate::counter::Counter;
use crate::entry::{Attributes, Entry, MODE_OF_PARENTS};
use crate::error::FilerError;
use crate::keys::{ABOVE_ROOT, FolderId, ROOT, entry_key};
use crate::locks::Locks;
use crate::mutant::{self, Mutant};
use crate::path::FilePath;
use crate::queue::Queue;
use crate::rows::{Change, Rows, Table, Written};

/// How many folders' ids are kept in memory: about 100 bytes each.
const FOLDERS_CACHED_MAX: usize = 65_536;

pub type Result<T> = std::result::Result<T, FilerError>;

/// Directories of files. See the crate. Used by many threads at once; all methods block.
///
/// `now_ns` is the time in nanoseconds since 1970, everywhere. It decides which files' lives are over, and becomes the time of
/// folders that are made on the way.
pub struct Filer {
    pub(crate) rows: Box<dyn Rows>,
    pub(crate) locks: Locks,
    /// Keys of folders' rows, and the folders' ids. Never holds what is not so: what takes a folder away holds the structure
    /// alone, and takes it out here before it lets go.
    pub(crate) folders: Cache<Vec<u8>, FolderId>,
    pub(crate) folder_ids: Counter,
    pub(crate) queue: Queue,
    /// One sweep at a time: two must not release the same content.
    pub(crate) sweeping: Mutex<()>,
}

impl std::fmt::Debug for Filer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Filer({:?})", self.rows)
    }
}

/// Where a path's last name is filed, or would be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// In a folder that is there.
    In(FolderId),
    /// Folders are missing on the way: the first `depth` names lead to `folder`, and the next is not in it.
    Missing { folder: FolderId, depth: usize },
}

impl Place {
    /// The key of the row that an operation at this place must lock: the entry's own, or that of the first missing folder.
    pub fn key(self, path: &FilePath) -> Vec<u8> {
        let (folder, name) = match self {
            Self::In(folder) => (folder, path.names().next_back()),
            Self::Missing { folder, depth } => (folder, path.names().nth(depth)),
        };
        name.map_or_else(root_key, |name| entry_key(folder, name))
    }

    pub const fn is_missing(self) -> bool {
        matches!(self, Self::Missing { .. })
    }
}

pub fn root_key() -> Vec<u8> {
    entry_key(ABOVE_ROOT, "")
}

/// A row, if it is there and its life is not over.
pub fn alive(row: Option<&Row>, now_ns: u64) -> Option<&Row> {
    row.filter(|row| mutant::is(Mutant::SeeExpired) || !row.entry.is_expired(now_ns))
}

impl Filer {
    /// Opens the filer over its rows; makes the root if it is not there.
    ///
    /// # Errors
    /// [`FilerError::Storage`], [`FilerError::Corrupt`].
    pub fn open(rows: Box<dyn Rows>, now_ns: u64) -> Result<Self> {
        let filer = Self {
            locks: Locks::new(),
            folders: Cache::new(FOLDERS_CACHED_MAX),
            folder_ids: Counter::open(&*rows, "folder ids", ROOT.0 + 1)?,
            queue: Queue::open(&*rows)?,
            sweeping: Mutex::new(()),
            rows,
        };
        filer.make_root(now_ns)?;
        Ok(filer)
    }

    fn make_root(&self, now_ns: u64) -> Result<()> {
        let mut changes = Changes::new(&*self.rows);
        if changes.get(&root_key())?.is_none() {
            let entry = Entry::folder(parents_attributes(&Attributes::default(), now_ns));
            let row = Row {
                entry,
                folder: Some(ROOT),
            };
            changes.set(&root_key(), Some(row))?;
            let written = self.commit(changes)?;
            self.settle(written, true)?;
        }
        Ok(())
    }

    /// The entry that has a path.
    ///
    /// # Errors
    /// [`FilerError::NotFound`]; [`FilerError::NotAFolder`] if a file stands on the way; the database's.
    pub fn find(&self, path: &FilePath, now_ns: u64) -> Result<Entry> {
        let _structure = self.locks.structure.read();
        Ok(self.find_row(path, now_ns)?.entry)
    }

    /// Waits until everything that was answered so far is durable: after puts that did not ask for it.
    ///
    /// # Errors
    /// [`FilerError::Storage`].
    pub fn sync(&self) -> Result<()> {
        Ok(self.rows.sync(self.rows.written())?)
    }

    /// The row that has a path. The structure must be locked.
    pub(crate) fn find_row(&self, path: &FilePath, now_ns: u64) -> Result<Row> {
        let missing = || FilerError::NotFound(path.clone());
        let place = self.place(path, now_ns)?;
        if place.is_missing() {
            return Err(missing());
        }
        let row = read_row(&*self.rows, &place.key(path))?;
        let is_alive = alive(row.as_ref(), now_ns).is_some();
        row.filter(|_| is_alive).ok_or_else(missing)
    }

    /// A folder's id. The structure must be locked.
    pub(crate) fn find_folder(&self, path: &FilePath, now_ns: u64) -> Result<FolderId> {
        let row = self.find_row(path, now_ns)?;
        row.folder
            .ok_or_else(|| FilerError::NotAFolder(path.clone()))
    }

    /// Walks down to the folder of a path's last name. The structure must be locked; then folders stay where they are.
    pub(crate) fn place(&self, path: &FilePath, now_ns: u64) -> Result<Place> {
        let Some((parents, _)) = path.split() else {
            return Ok(Place::In(ABOVE_ROOT));
        };
        let mut folder = ROOT;
        for (depth, name) in parents.split('/').skip(1).enumerate() {
            match self.folder_in(folder, name, now_ns)? {
                Step::Folder(next) => folder = next,
                Step::File => return Err(FilerError::NotAFolder(path.first_names(depth + 1))),
                Step::Nothing => return Ok(Place::Missing { folder, depth }),
            }
        }
        Ok(Place::In(folder))
    }

    fn folder_in(&self, folder: FolderId, name: &str, now_ns: u64) -> Result<Step> {
        let key = entry_key(folder, name);
        if let Some(id) = self.folders.get(&key) {
            return Ok(Step::Folder(id));
        }
        let row = read_row(&*self.rows, &key)?;
        let step = match alive(row.as_ref(), now_ns) {
            None => Step::Nothing,
            Some(row) => row.folder.map_or(Step::File, Step::Folder),
        };
        if let Step::Folder(id) = step {
            self.folders.insert(key, id);
        }
        Ok(step)
    }

    /// Makes the folders that are missing on the way, in the batch; the id of the last. `like` gives them an owner; without it, none
    /// is made.
    pub(crate) fn make_way(
        &self,
        changes: &mut Changes<'_>,
        place: Place,
        path: &FilePath,
        like: Option<&Attributes>,
        now_ns: u64,
    ) -> Result<FolderId> {
        let (mut folder, depth) = match place {
            Place::In(folder) => return Ok(folder),
            Place::Missing { folder, depth } => (folder, depth),
        };
        let parents = path.split().map_or("", |(parents, _)| parents);
        for (at, name) in parents.split('/').skip(1).enumerate().skip(depth) {
            let key = entry_key(folder, name);
            folder = match alive(changes.get(&key)?, now_ns).map(|row| row.folder) {
                Some(Some(id)) => id,
                Some(None) => return Err(FilerError::NotAFolder(path.first_names(at + 1))),
                None => {
                    let like =
                        like.ok_or_else(|| FilerError::NotFound(path.first_names(at + 1)))?;
                    self.new_folder(changes, key, parents_attributes(like, now_ns))?
                }
            };
        }
        Ok(folder)
    }

    /// Makes a folder in the batch, where nothing is.
    pub(crate) fn new_folder(
        &self,
        changes: &mut Changes<'_>,
        key: Vec<u8>,
        attributes: Attributes,
    ) -> Result<FolderId> {
        let id = FolderId(self.folder_ids.take(&*self.rows)?);
        changes.is_new(id);
        let row = Row {
            entry: Entry::folder(attributes),
            folder: Some(id),
        };
        changes.set(&key, Some(row))?;
        Ok(id)
    }

    /// Writes a batch. The structure must be locked: a hold counts on it that what has a number is written.
    pub(crate) fn commit(&self, changes: Changes<'_>) -> Result<Written> {
        let mut batch = changes.finish(|| Ok(self.queue.sequences.take(&*self.rows)?))?;
        if mutant::is(Mutant::ReleaseApart) {
            let (released, rest) = batch.into_iter().partition(is_release);
            self.rows.write(rest)?;
            batch = released;
        }
        match batch.is_empty() {
            true => Ok(self.rows.written()),
            false => Ok(self.rows.write(batch)?),
        }
    }

    /// Waits until a batch is durable, if that was asked for. No lock should be held.
    pub(crate) fn settle(&self, written: Written, durable: bool) -> Result<()> {
        match durable && !mutant::is(Mutant::SkipSync) {
            true => Ok(self.rows.sync(written)?),
            false => Ok(()),
        }
    }
}

fn is_release(change: &Change) -> bool {
    change.table == Table::Released
}

/// What a name in a folder is, for one that walks through.
enum Step {
    Folder(FolderId),
    File,
    Nothing,
}

/// What a folder gets that is made on the way to something that is `like` this.
fn parents_attributes(like: &Attributes, now_ns: u64) -> Attributes {
    Attributes {
        mode: MODE_OF_PARENTS,
        uid: like.uid,
        gid: like.gid,
        user_name: like.user_name.clone(),
        group_names: like.group_names.clone(),
        mtime_ns: now_ns,
        crtime_ns: now_ns,
        ..Attributes::default()
    }
}
