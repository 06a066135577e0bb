//! A whole subtree in path order, as it was when the walk began: one cursor that is placed anew for every folder, and in memory
//! the ids of the folders down to where it is.

use crate::changes::row_of;
use crate::entry::Entry;
use crate::filer::{Filer, Result, alive};
use crate::keys::{FolderId, entry_key};
use crate::list::name_of;
use crate::options::Usage;
use crate::path::FilePath;
use crate::rows::{Cursor, Table};

/// Entries below a folder, with their paths relative to it (no leading slash). The first error ends it. See [`Filer::walk`].
pub struct Walk<'a> {
    cursor: Box<dyn Cursor + 'a>,
    /// The folders down to where the walk is, and how many bytes of `path` lead to each.
    levels: Vec<(FolderId, usize)>,
    path: String,
    /// Where to place the cursor first, if it is not where it is needed.
    seek: Option<Vec<u8>>,
    now_ns: u64,
}

impl std::fmt::Debug for Walk<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Walk(at {})", self.path)
    }
}

impl Filer {
    /// Everything below a folder, a folder before what is in it, in the order of [`FilePath`]; as it is now, whatever is written
    /// while it is read.
    ///
    /// # Errors
    /// [`NotFound`](crate::FilerError::NotFound), [`NotAFolder`](crate::FilerError::NotAFolder); the database's.
    pub fn walk(&self, path: &FilePath, now_ns: u64) -> Result<Walk<'_>> {
        let _structure = self.locks.structure.read();
        let folder = self.find_folder(path, now_ns)?;
        Ok(Walk {
            cursor: self.rows.cursor(Table::Entries, &[])?,
            levels: vec![(folder, 0)],
            path: String::new(),
            seek: Some(entry_key(folder, "")),
            now_ns,
        })
    }

    /// What is below a folder, by walking over all of it.
    ///
    /// # Errors
    /// As [`Self::walk`].
    pub fn usage(&self, path: &FilePath, now_ns: u64) -> Result<Usage> {
        let mut usage = Usage::default();
        for step in self.walk(path, now_ns)? {
            let (_, entry) = step?;
            match entry.is_folder() {
                true => usage.folders += 1,
                false => usage.files += 1,
            }
            usage.bytes = usage.bytes.saturating_add(entry.size());
        }
        Ok(usage)
    }
}

impl Walk<'_> {
    fn step(&mut self) -> Result<Option<(String, Entry)>> {
        while let Some((folder, path_bytes)) = self.levels.last().copied() {
            match self.seek.take() {
                Some(key) => self.cursor.seek(&key)?,
                None => self.cursor.next()?,
            }
            let prefix = entry_key(folder, "");
            let row = self
                .cursor
                .row()
                .filter(|(key, _)| key.starts_with(&prefix));
            let Some((key, value)) = row else {
                self.leave();
                continue;
            };
            let row = row_of(key, value)?;
            if alive(Some(&row), self.now_ns).is_none() {
                continue;
            }
            let name = name_of(key)?;
            self.path.truncate(path_bytes);
            if path_bytes > 0 {
                self.path.push('/');
            }
            self.path.push_str(name);
            if let Some(id) = row.folder {
                self.levels.push((id, self.path.len()));
                self.seek = Some(entry_key(id, ""));
            }
            return Ok(Some((self.path.clone(), row.entry)));
        }
        Ok(None)
    }

    /// Goes on in the folder above, behind the one that was left.
    fn leave(&mut self) {
        let left = self.levels.pop();
        let (Some((_, end)), Some((folder, start))) = (left, self.levels.last()) else {
            return;
        };
        let name = self.path.get(*start..end).unwrap_or_default();
        let mut behind = entry_key(*folder, name.trim_start_matches('/'));
        behind.push(0);
        self.seek = Some(behind);
    }
}

impl Iterator for Walk<'_> {
    type Item = Result<(String, Entry)>;

    fn next(&mut self) -> Option<Self::Item> {
        let step = self.step().transpose();
        if !matches!(step, Some(Ok(_))) {
            self.levels.clear();
        }
        step
    }
}
