//! Which versions of files the cache knows: a path and a version have one small id, under which their pages are held.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Bound;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use crate::backend::{BackendFile, Version};
use crate::fetch::flights::Flights;
use crate::mutant::{self, Mutant};
use crate::policy::epochs::is_within;
use crate::policy::read_ahead::RecentReads;
use crate::share::Owner;
use crate::tier::Folder;

/// One version of one file. Never handed out twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FileId(pub u64);

/// A page of a version of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PageKey {
    /// Of which file.
    pub file: FileId,
    /// Which page, from 0.
    pub page: u64,
}

/// One version of a file, as the cache knows it.
pub struct FileVersion {
    pub(crate) id: FileId,
    pub(crate) path: Arc<str>,
    pub(crate) version: Version,
    /// Nothing more is to be kept of it.
    dropped: AtomicBool,
    /// It never was in the table: see [`FileTable::adopt`].
    pub(crate) is_alone: bool,
    pub(crate) flights: Mutex<Flights>,
    pub(crate) recent: Mutex<RecentReads>,
    under: Mutex<Option<Opened>>,
    /// The cache disk to which it belongs.
    pub(crate) folder: Option<Arc<Folder>>,
    /// To whom its pages are charged.
    pub(crate) owner: Owner,
    home: Weak<FileTable>,
}

/// What is known of a version before it is in the table.
#[derive(Debug)]
pub struct Known {
    id: FileId,
    folder: Option<Arc<Folder>>,
    owner: Owner,
}

impl Known {
    pub(crate) const fn new(id: FileId, folder: Option<Arc<Folder>>, owner: Owner) -> Self {
        Self { id, folder, owner }
    }
}

/// A file of the under store, and who opened it.
struct Opened {
    user: Arc<str>,
    file: Weak<dyn BackendFile>,
}

impl fmt::Debug for FileVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "FileVersion({:?} {} {:?})",
            self.id, self.path, self.version
        )
    }
}

impl FileVersion {
    pub(crate) fn key(&self, page: u64) -> PageKey {
        PageKey {
            file: self.id,
            page,
        }
    }

    pub(crate) fn is_dropped(&self) -> bool {
        self.dropped.load(Ordering::SeqCst)
    }

    /// Whether the under store's file of this version may be another one by now: it was changed through us, and its version may be the same.
    pub(crate) fn may_be_another(&self) -> bool {
        self.is_dropped() && !self.is_alone
    }

    fn mark_dropped(&self) {
        self.dropped.store(true, Ordering::SeqCst);
    }

    /// The file of the under store, if this user has it open already.
    pub(crate) fn opened_by(&self, user: &Arc<str>) -> Option<Arc<dyn BackendFile>> {
        let under = self.under.lock();
        let opened = under.as_ref().filter(|opened| opened.user == *user)?;
        opened.file.upgrade()
    }

    pub(crate) fn set_opened(&self, user: &Arc<str>, file: &Arc<dyn BackendFile>) {
        *self.under.lock() = Some(Opened {
            user: Arc::clone(user),
            file: Arc::downgrade(file),
        });
    }

    /// The open file was of no use: the next one opens it again.
    pub(crate) fn forget_opened(&self) {
        *self.under.lock() = None;
    }
}

impl Drop for FileVersion {
    fn drop(&mut self) {
        if let Some(home) = self.home.upgrade() {
            home.forget(&self.path, self);
        }
    }
}

/// The versions of a mount's files that are in use or were lately. A path has one at most; no lock is held while one is dropped.
#[derive(Debug, Default)]
pub struct FileTable {
    by_path: Mutex<ByPath>,
}

impl FileTable {
    pub(crate) fn get(&self, path: &str) -> Option<Arc<FileVersion>> {
        self.by_path.lock().get(path)?.upgrade()
    }

    /// The one for a version, made with the id and disk that are `known` of it if there is none; and the one of another version whose place it took.
    ///
    /// If not `is_current`, something has been changed since the version was asked for: it may be that of the old content, with new content
    /// under the same name. Such a one gets a `new_id`, stands alone, and nothing is kept of it.
    pub(crate) fn adopt(
        self: &Arc<Self>,
        path: &Arc<str>,
        version: &Version,
        known: Known,
        new_id: FileId,
        is_current: impl FnOnce() -> bool,
    ) -> (Arc<FileVersion>, Option<Arc<FileVersion>>) {
        let mut by_path = self.by_path.lock();
        let held = by_path.get(path).and_then(Weak::upgrade);
        let is_current = is_current();
        match held {
            Some(held)
                if (held.version == *version || mutant::is(Mutant::MixVersions)) && is_current =>
            {
                (held, None)
            }
            held => {
                let Known { id, folder, owner } = if is_current {
                    known
                } else {
                    Known::new(new_id, None, known.owner)
                };
                let made = Arc::new(FileVersion {
                    id,
                    is_alone: !is_current,
                    path: Arc::clone(path),
                    version: version.clone(),
                    dropped: AtomicBool::new(!is_current),
                    flights: Mutex::default(),
                    recent: Mutex::default(),
                    under: Mutex::default(),
                    folder,
                    owner,
                    home: Arc::downgrade(self),
                });
                if is_current {
                    if let Some(old) = &held {
                        old.mark_dropped();
                    }
                    by_path.insert(Arc::clone(path), Arc::downgrade(&made));
                }
                drop(by_path);
                (made, held.filter(|_| is_current))
            }
        }
    }

    /// Takes off the version of a path, unless it is this one.
    pub(crate) fn take_unless(
        &self,
        path: &str,
        version: Option<&Version>,
    ) -> Option<Arc<FileVersion>> {
        let mut by_path = self.by_path.lock();
        let held = by_path.get(path)?.upgrade();
        if let Some(held) = &held
            && (version == Some(&held.version) || mutant::is(Mutant::MixVersions))
        {
            drop(by_path);
            return None;
        }
        by_path.remove(path);
        drop(by_path);
        held.inspect(|file| file.mark_dropped())
    }

    /// Takes off a path's version and those of all below it.
    pub(crate) fn take_tree(&self, path: &str) -> Vec<Arc<FileVersion>> {
        let mut by_path = self.by_path.lock();
        let taken = within(&by_path, path);
        for file in &taken {
            file.mark_dropped();
            by_path.remove(&file.path);
        }
        drop(by_path);
        taken
    }

    /// A path's version and those of all below it.
    pub(crate) fn within(&self, tree: &str) -> Vec<Arc<FileVersion>> {
        within(&self.by_path.lock(), tree)
    }

    fn forget(&self, path: &str, file: *const FileVersion) {
        let mut by_path = self.by_path.lock();
        if by_path.get(path).is_some_and(|held| held.as_ptr() == file) {
            by_path.remove(path);
        }
    }
}

type ByPath = BTreeMap<Arc<str>, Weak<FileVersion>>;

fn within(by_path: &ByPath, tree: &str) -> Vec<Arc<FileVersion>> {
    by_path
        .range::<str, _>((Bound::Included(tree), Bound::Unbounded))
        .take_while(|(path, _)| path.starts_with(tree))
        .filter(|(path, _)| is_within(path, tree))
        .filter_map(|(_, file)| file.upgrade())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(len: u64) -> Version {
        Version {
            len,
            modified_ms: 1,
            etag: None,
        }
    }

    fn adopt(table: &Arc<FileTable>, path: &str, len: u64, id: u64) -> Arc<FileVersion> {
        table
            .adopt(
                &path.into(),
                &version(len),
                Known::new(FileId(id), None, Owner::NOBODY),
                FileId(0),
                || true,
            )
            .0
    }

    #[test]
    fn a_version_has_one_id_and_another_version_another() {
        let table = Arc::new(FileTable::default());
        let first = adopt(&table, "/a", 1, 1);
        assert_eq!(adopt(&table, "/a", 1, 2).id, first.id);
        let (second, old) = table.adopt(
            &"/a".into(),
            &version(2),
            Known::new(FileId(3), None, Owner::NOBODY),
            FileId(0),
            || true,
        );
        assert!(first.is_dropped() && !second.is_dropped());
        assert_eq!(old.unwrap().id, first.id);
        drop(first);
        assert_eq!(table.get("/a").unwrap().id, second.id);
        drop(second);
        assert!(table.get("/a").is_none() && table.by_path.lock().is_empty());
    }

    #[test]
    fn what_raced_with_a_change_stands_alone() {
        let table = Arc::new(FileTable::default());
        let (alone, old) = table.adopt(
            &"/a".into(),
            &version(1),
            Known::new(FileId(1), None, Owner::NOBODY),
            FileId(0),
            || false,
        );
        assert!(alone.is_dropped() && old.is_none() && table.get("/a").is_none());
    }

    #[test]
    fn trees_are_taken_by_whole_segments() {
        let table = Arc::new(FileTable::default());
        let held: Vec<_> = ["/a", "/a/b", "/a/b/c", "/ab", "/a.b"]
            .iter()
            .zip(1..)
            .map(|(path, id)| adopt(&table, path, 1, id))
            .collect();
        assert_eq!(table.take_tree("/a").len(), 3);
        let dropped: Vec<_> = held.iter().map(|f| f.is_dropped()).collect();
        assert_eq!(dropped, [true, true, true, false, false]);
        assert!(table.take_unless("/ab", Some(&version(1))).is_none());
        assert!(table.take_unless("/ab", None).is_some());
    }
}
