//! The names of a simulated disk: visible, durable, and the changes between.

use super::rng::Rng;
use crate::replace::directory_of;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Component, Path, PathBuf};

/// A file, whatever its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct FileId(pub(super) u64);

#[derive(Clone, Debug)]
enum Change {
    Create {
        path: PathBuf,
        id: FileId,
    },
    Remove {
        path: PathBuf,
    },
    Rename {
        from: PathBuf,
        to: PathBuf,
        id: FileId,
    },
}

type Files = BTreeMap<PathBuf, FileId>;

#[derive(Clone, Debug, Default)]
pub(super) struct Names {
    visible: Files,
    durable: Files,
    unsynced: Vec<Change>,
    directories: BTreeSet<PathBuf>,
}

impl Change {
    fn apply(&self, files: &mut Files) {
        match self {
            Self::Create { path, id } => files.insert(path.clone(), *id),
            Self::Remove { path } => files.remove(path),
            Self::Rename { from, to, id } => {
                files.remove(from);
                files.insert(to.clone(), *id)
            }
        };
    }

    fn directories(&self) -> [&Path; 2] {
        match self {
            Self::Create { path, .. } | Self::Remove { path } => [parent(path); 2],
            Self::Rename { from, to, .. } => [parent(from), parent(to)],
        }
    }
}

/// A path without `.`; one with `..` is refused, since nothing here has a need for it.
pub(super) fn normal(path: &Path) -> io::Result<PathBuf> {
    let mut normal = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => return Err(io::ErrorKind::InvalidInput.into()),
            other => normal.push(other),
        }
    }
    Ok(normal)
}

/// The directory of a normal path, itself normal: the current one is the empty path.
fn parent(path: &Path) -> &Path {
    match directory_of(path) {
        current if current == Path::new(".") => Path::new(""),
        other => other,
    }
}

fn is_root(dir: &Path) -> bool {
    dir.parent().is_none()
}

impl Names {
    pub(super) fn visible(&self) -> &Files {
        &self.visible
    }

    pub(super) fn durable(&self) -> &Files {
        &self.durable
    }

    pub(super) fn find(&self, path: &Path) -> Option<FileId> {
        self.visible.get(path).copied()
    }

    pub(super) fn is_directory(&self, dir: &Path) -> bool {
        is_root(dir) || self.directories.contains(dir)
    }

    pub(super) fn check_directory(&self, dir: &Path) -> io::Result<()> {
        match self.is_directory(dir) {
            true => Ok(()),
            false => Err(io::ErrorKind::NotFound.into()),
        }
    }

    /// Gives a new file a name that is free.
    pub(super) fn create(&mut self, path: PathBuf, id: FileId) -> io::Result<()> {
        self.check_place(&path)?;
        self.change(Change::Create { path, id });
        Ok(())
    }

    fn check_place(&self, path: &Path) -> io::Result<()> {
        if self.is_directory(path) {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        self.check_directory(parent(path))
    }

    pub(super) fn remove(&mut self, path: PathBuf) -> io::Result<()> {
        self.find(&path).ok_or(io::ErrorKind::NotFound)?;
        self.change(Change::Remove { path });
        Ok(())
    }

    pub(super) fn rename(&mut self, from: PathBuf, to: PathBuf) -> io::Result<()> {
        let id = self.find(&from).ok_or(io::ErrorKind::NotFound)?;
        self.check_place(&to)?;
        self.change(Change::Rename { from, to, id });
        Ok(())
    }

    fn change(&mut self, change: Change) {
        change.apply(&mut self.visible);
        self.unsynced.push(change);
    }

    /// Makes a directory and those above it, durable at once together with the names beside them.
    pub(super) fn create_directory(&mut self, dir: &Path) -> io::Result<()> {
        if self.is_directory(dir) {
            return Ok(());
        }
        if self.visible.contains_key(dir) {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        self.create_directory(parent(dir))?;
        self.directories.insert(dir.to_owned());
        self.sync(parent(dir))
    }

    pub(super) fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        self.check_directory(dir)?;
        let here = self.visible.keys().filter(|path| parent(path) == dir);
        let names = here.filter_map(|path| path.file_name()?.to_str());
        Ok(names.map(str::to_owned).collect())
    }

    pub(super) fn sync(&mut self, dir: &Path) -> io::Result<()> {
        self.check_directory(dir)?;
        let joined = self.joined_by_renames(dir);
        for change in std::mem::take(&mut self.unsynced) {
            match change.directories().iter().any(|dir| joined.contains(*dir)) {
                true => change.apply(&mut self.durable),
                false => self.unsynced.push(change),
            }
        }
        Ok(())
    }

    /// `dir` and the directories that unsynced renames tie to it: their changes become durable together, or a name
    /// could come back that a durable rename has taken away.
    fn joined_by_renames(&self, dir: &Path) -> BTreeSet<PathBuf> {
        let mut joined = BTreeSet::from([dir.to_owned()]);
        loop {
            let before = joined.len();
            for change in &self.unsynced {
                let directories = change.directories();
                if directories.iter().any(|dir| joined.contains(*dir)) {
                    joined.extend(directories.map(Path::to_owned));
                }
            }
            if joined.len() == before {
                return joined;
            }
        }
    }

    /// The names as they are found after a power loss.
    pub(super) fn after_power_loss(&self, rng: &mut Rng) -> Self {
        let mut files = self.durable.clone();
        let kept = rng.prefix(self.unsynced.len());
        for change in &self.unsynced[..kept] {
            change.apply(&mut files);
        }
        Self {
            visible: files.clone(),
            durable: files,
            unsynced: Vec::new(),
            directories: self.directories.clone(),
        }
    }

    /// Every file that has a name, may have one after a power loss, or may lose one.
    pub(super) fn referenced(&self) -> BTreeSet<FileId> {
        let unsynced = self.unsynced.iter().filter_map(|change| match change {
            Change::Create { id, .. } | Change::Rename { id, .. } => Some(*id),
            Change::Remove { .. } => None,
        });
        let named = self.visible.values().chain(self.durable.values()).copied();
        named.chain(unsynced).collect()
    }
}
