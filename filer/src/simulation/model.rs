//! The tree as a plain map, and what each operation should answer.

use std::collections::{BTreeMap, BTreeSet};

use crate::entry::{Entry, Needle};
use crate::{FilePath, FilerError, ListOptions, PutOptions, RenameOptions};

type Result<T> = std::result::Result<T, FilerError>;

/// See the module. Knows nothing of rows, ids, trash and queues.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Model {
    /// Without the root. Files whose life is over may still be in it.
    pub tree: BTreeMap<FilePath, Entry>,
    /// Every needle that was accepted and not forgotten.
    pub needles: BTreeSet<Needle>,
}

impl Model {
    /// What can be seen at a time.
    pub fn alive(&self, now_ns: u64) -> BTreeMap<FilePath, Entry> {
        let alive = self.tree.iter().filter(|(_, e)| !e.is_expired(now_ns));
        alive.map(|(path, e)| (path.clone(), e.clone())).collect()
    }

    pub fn expire(&mut self, now_ns: u64) {
        self.tree = self.alive(now_ns);
    }

    /// The folders above a path that are missing; an error where a file is in the way.
    fn missing(&self, path: &FilePath) -> Result<Vec<FilePath>> {
        let mut missing = Vec::new();
        for depth in 1..path.names().count() {
            let folder = path.first_names(depth);
            match self.tree.get(&folder) {
                Some(entry) if entry.is_folder() => {}
                Some(_) => return Err(FilerError::NotAFolder(folder)),
                None => missing.push(folder),
            }
        }
        Ok(missing)
    }

    fn make_way(&mut self, path: &FilePath, make: bool, folder: &Entry) -> Result<()> {
        let missing = self.missing(path)?;
        match missing.first() {
            Some(first) if !make => return Err(FilerError::NotFound(first.clone())),
            _ => {}
        }
        for path in missing {
            self.tree.insert(path, folder.clone());
        }
        Ok(())
    }

    pub fn find(&self, path: &FilePath) -> Result<&Entry> {
        self.missing(path)?;
        let found = self.tree.get(path);
        found.ok_or_else(|| FilerError::NotFound(path.clone()))
    }

    /// `folder` is what parents become.
    pub fn put(
        &mut self,
        path: &FilePath,
        entry: Entry,
        options: PutOptions,
        folder: &Entry,
    ) -> Result<Option<Entry>> {
        self.make_way(path, options.make_parents, folder)?;
        if let Some(old) = self.tree.get(path) {
            match (old.is_folder(), entry.is_folder()) {
                (true, false) => return Err(FilerError::IsAFolder(path.clone())),
                _ if !options.may_replace => return Err(FilerError::Exists(path.clone())),
                (false, true) => return Err(FilerError::NotAFolder(path.clone())),
                _ => {}
            }
        }
        self.needles.extend(entry.needles());
        Ok(self.tree.insert(path.clone(), entry))
    }

    fn below(&self, folder: &FilePath) -> Vec<FilePath> {
        let inside = self.tree.keys().filter(|path| path.is_inside(folder));
        inside.cloned().collect()
    }

    pub fn rename(
        &mut self,
        from: &FilePath,
        to: &FilePath,
        options: RenameOptions,
        folder: &Entry,
    ) -> Result<()> {
        let source = self.find(from)?.clone();
        if from == to {
            return Ok(());
        }
        if source.is_folder() && to.is_inside(from) {
            let (from, to) = (from.clone(), to.clone());
            return Err(FilerError::IntoItself { from, to });
        }
        self.make_way(to, options.make_parents, folder)?;
        if let Some(target) = self.tree.get(to) {
            match (source.is_folder(), target.is_folder()) {
                _ if !options.may_replace => return Err(FilerError::Exists(to.clone())),
                (false, true) => return Err(FilerError::IsAFolder(to.clone())),
                (true, false) => return Err(FilerError::NotAFolder(to.clone())),
                (true, true) if !self.below(to).is_empty() => {
                    return Err(FilerError::NotEmpty(to.clone()));
                }
                _ => {}
            }
        }
        self.tree.remove(from);
        self.tree.insert(to.clone(), source);
        for path in self.below(from) {
            let moved = format!("{to}{}", &path.as_str()[from.as_str().len()..]);
            if let Some(entry) = self.tree.remove(&path) {
                self.tree.insert(FilePath::parse(&moved)?, entry);
            }
        }
        Ok(())
    }

    pub fn delete(&mut self, path: &FilePath, recursive: bool) -> Result<Entry> {
        let entry = self.find(path)?.clone();
        let below = self.below(path);
        if entry.is_folder() && !recursive && !below.is_empty() {
            return Err(FilerError::NotEmpty(path.clone()));
        }
        for path in below.iter().chain([path]) {
            self.tree.remove(path);
        }
        Ok(entry)
    }

    pub fn list(&self, folder: &FilePath, options: &ListOptions) -> Result<Vec<(String, Entry)>> {
        if !folder.is_root() && !self.find(folder)?.is_folder() {
            return Err(FilerError::NotAFolder(folder.clone()));
        }
        let children = self.tree.iter().filter_map(|(path, entry)| {
            let is_child = path.parent().as_ref() == Some(folder);
            let name = path.name()?;
            is_child.then(|| (name.as_str().to_owned(), entry.clone()))
        });
        let mut children: Vec<_> = children.collect();
        children.sort_by(|(a, _), (b, _)| a.as_bytes().cmp(b.as_bytes()));
        children.retain(|(name, _)| {
            let behind = options.after.as_ref().is_none_or(|after| {
                name.as_str() > after.as_str() || (options.inclusive && name == after.as_str())
            });
            let wanted = options.pattern.as_ref().is_none_or(|p| p.matches(name));
            let unwanted = options.exclude.as_ref().is_some_and(|p| p.matches(name));
            behind && name.starts_with(&options.prefix) && wanted && !unwanted
        });
        children.truncate(options.limit.unwrap_or(usize::MAX));
        Ok(children)
    }
}
