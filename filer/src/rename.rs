//! Renaming: one row moves, whatever is below it.

use crate::changes::Changes;
use crate::codec::Row;
use crate::error::FilerError;
use crate::filer::{Filer, Place, Result, alive};
use crate::keys::entry_key;
use crate::mutant::{self, Mutant};
use crate::options::RenameOptions;
use crate::path::FilePath;
use crate::rows::Written;

/// What an attempt came to.
pub enum Attempt<T> {
    Done(T),
    /// It is about a folder: that needs the structure alone.
    NeedsStructure,
}

impl Filer {
    /// Gives an entry another path, durably and in one step; a folder takes all that is in it along, however much it is.
    ///
    /// What is in a folder may so come to lie deeper than [`crate::DEPTH_MAX`]; it is reached again when it is moved up.
    ///
    /// # Errors
    /// [`FilerError::NotFound`] (of either), [`FilerError::Exists`], [`FilerError::IsAFolder`] (a file over a folder),
    /// [`FilerError::NotAFolder`] (a folder over a file), [`FilerError::NotEmpty`], [`FilerError::IntoItself`],
    /// [`FilerError::Root`]; the database's.
    pub fn rename(
        &self,
        from: &FilePath,
        to: &FilePath,
        options: RenameOptions,
        now_ns: u64,
    ) -> Result<()> {
        if from.is_root() || to.is_root() {
            return Err(FilerError::Root);
        }
        let attempt = {
            let _structure = self.locks.structure.read();
            self.rename_locked(from, to, options, now_ns, false)?
        };
        let written = match attempt {
            Attempt::Done(written) => written,
            Attempt::NeedsStructure => {
                let _structure = self.locks.structure.write();
                match self.rename_locked(from, to, options, now_ns, true)? {
                    Attempt::Done(written) => written,
                    Attempt::NeedsStructure => self.rows.written(),
                }
            }
        };
        self.settle(written, true)
    }

    fn rename_locked(
        &self,
        from: &FilePath,
        to: &FilePath,
        options: RenameOptions,
        now_ns: u64,
        alone: bool,
    ) -> Result<Attempt<Written>> {
        let source = self.find_row(from, now_ns)?;
        if source.folder.is_some() && !alone {
            return Ok(Attempt::NeedsStructure);
        }
        if from == to {
            return Ok(Attempt::Done(self.rows.written()));
        }
        if source.folder.is_some() && to.is_inside(from) && !mutant::is(Mutant::MoveIntoItself) {
            let (from, to) = (from.clone(), to.clone());
            return Err(FilerError::IntoItself { from, to });
        }
        let from_key = self.place(from, now_ns)?.key(from);
        let (place, _making) = self.place_to_make(to, now_ns)?;
        let to_key = place.key(to);
        let _rows = self.locks.rows([&*from_key, &*to_key].into_iter());
        let mut changes = Changes::new(&*self.rows);
        // Again, now that nobody can change it.
        let source = alive(changes.get(&from_key)?, now_ns)
            .cloned()
            .ok_or_else(|| FilerError::NotFound(from.clone()))?;
        if source.folder.is_some() && !alone {
            return Ok(Attempt::NeedsStructure);
        }
        self.move_row(
            &mut changes,
            (from_key, source),
            (place, to),
            options,
            now_ns,
        )?;
        self.commit(changes).map(Attempt::Done)
    }

    fn move_row(
        &self,
        changes: &mut Changes<'_>,
        (from_key, source): (Vec<u8>, Row),
        (place, to): (Place, &FilePath),
        options: RenameOptions,
        now_ns: u64,
    ) -> Result<()> {
        if !mutant::is(Mutant::KeepCachedFolder) {
            self.folders.remove(&from_key);
        }
        changes.set(&from_key, None)?;
        let like = Some(&source.entry.attributes).filter(|_| options.make_parents);
        let folder = self.make_way(changes, place, to, like, now_ns)?;
        let name = to.names().next_back().ok_or(FilerError::Root)?;
        let to_key = entry_key(folder, name);
        if let Some(target) = alive(changes.get(&to_key)?, now_ns).cloned() {
            self.make_room(changes, &source, &target, to, options, now_ns)?;
        }
        self.folders.remove(&to_key);
        changes.set(&to_key, Some(source))
    }

    /// Takes away what the target was, or refuses to.
    fn make_room(
        &self,
        changes: &mut Changes<'_>,
        source: &Row,
        target: &Row,
        to: &FilePath,
        options: RenameOptions,
        now_ns: u64,
    ) -> Result<()> {
        match (source.folder, target.folder) {
            _ if !options.may_replace => Err(FilerError::Exists(to.clone())),
            (None, None) => Ok(()),
            (None, Some(_)) => Err(FilerError::IsAFolder(to.clone())),
            (Some(_), None) => Err(FilerError::NotAFolder(to.clone())),
            (Some(_), Some(folder)) if self.is_empty(folder, now_ns)? => {
                changes.trash(folder);
                Ok(())
            }
            (Some(_), Some(_)) => Err(FilerError::NotEmpty(to.clone())),
        }
    }
}
