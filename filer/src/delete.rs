//! Deleting: at once for everyone, whatever is below; what is below is emptied later by a sweep.

use crate::changes::{Changes, row_of};
use crate::entry::Entry;
use crate::error::FilerError;
use crate::filer::{Filer, Result, alive};
use crate::keys::{FolderId, entry_key};
use crate::mutant::{self, Mutant};
use crate::path::FilePath;
use crate::rename::Attempt;
use crate::rows::{Table, Written};

impl Filer {
    /// Deletes what has a path, durably, and returns it. A file's content is released. A folder's goes with it, in one step
    /// for everyone, and is released by [`Self::sweep`].
    ///
    /// # Errors
    /// [`FilerError::NotFound`], [`FilerError::NotAFolder`], [`FilerError::NotEmpty`] (a folder, if not `recursive`),
    /// [`FilerError::Root`]; the database's.
    pub fn delete(&self, path: &FilePath, recursive: bool, now_ns: u64) -> Result<Entry> {
        if path.is_root() {
            return Err(FilerError::Root);
        }
        let attempt = {
            let _structure = self.locks.structure.read();
            self.delete_file(path, now_ns)?
        };
        let (deleted, written) = match attempt {
            Attempt::Done(done) => done,
            Attempt::NeedsStructure => {
                let _structure = self.locks.structure.write();
                self.delete_any(path, recursive, now_ns)?
            }
        };
        self.settle(written, true)?;
        Ok(deleted)
    }

    fn delete_file(&self, path: &FilePath, now_ns: u64) -> Result<Attempt<(Entry, Written)>> {
        let missing = || FilerError::NotFound(path.clone());
        let place = self.place(path, now_ns)?;
        if place.is_missing() {
            return Err(missing());
        }
        let key = place.key(path);
        let _row = self.locks.rows(std::iter::once(key.as_slice()));
        let mut changes = Changes::new(&*self.rows);
        let row = alive(changes.get(&key)?, now_ns).ok_or_else(missing)?;
        if row.folder.is_some() {
            return Ok(Attempt::NeedsStructure);
        }
        let entry = row.entry.clone();
        changes.set(&key, None)?;
        Ok(Attempt::Done((entry, self.commit(changes)?)))
    }

    /// The structure must be locked alone.
    fn delete_any(
        &self,
        path: &FilePath,
        recursive: bool,
        now_ns: u64,
    ) -> Result<(Entry, Written)> {
        let row = self.find_row(path, now_ns)?;
        let key = self.place(path, now_ns)?.key(path);
        let mut changes = Changes::new(&*self.rows);
        if let Some(folder) = row.folder {
            if !recursive && !self.is_empty(folder, now_ns)? {
                return Err(FilerError::NotEmpty(path.clone()));
            }
            self.folders.remove(&key);
            // Also of an empty one: files whose life is over may still be in it.
            changes.trash(folder);
        }
        changes.set(&key, None)?;
        Ok((row.entry, self.commit(changes)?))
    }

    /// Whether nothing that is alive is in a folder.
    pub(crate) fn is_empty(&self, folder: FolderId, now_ns: u64) -> Result<bool> {
        if mutant::is(Mutant::DeleteAnyFolder) {
            return Ok(true);
        }
        let prefix = entry_key(folder, "");
        let mut cursor = self.rows.cursor(Table::Entries, &prefix)?;
        cursor.seek(&prefix)?;
        while let Some((key, value)) = cursor.row() {
            if alive(Some(&row_of(key, value)?), now_ns).is_some() {
                return Ok(false);
            }
            cursor.next()?;
        }
        Ok(true)
    }
}
