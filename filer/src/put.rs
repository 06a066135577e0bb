//! Making and changing entries.

use crate::changes::Changes;
use crate::codec::Row;
use crate::entry::{Attributes, Entry};
use crate::error::FilerError;
use crate::filer::{Filer, Place, Result, alive};
use crate::keys::entry_key;
use crate::options::PutOptions;
use crate::path::FilePath;
use crate::rows::Written;

impl Filer {
    /// Gives a path to an entry; the one that had it before, if any. Content that only that one referred to is released.
    /// Content of an entry that is refused is not: it is still the caller's.
    ///
    /// # Errors
    /// [`FilerError::Exists`], [`FilerError::IsAFolder`] (a file over a folder), [`FilerError::NotAFolder`] (a folder over a
    /// file, or a file on the way), [`FilerError::NotFound`] (a folder on the way is missing and may not be made),
    /// [`FilerError::Root`], [`FilerError::TooLarge`]; the database's.
    pub fn put(
        &self,
        path: &FilePath,
        entry: Entry,
        options: PutOptions,
        now_ns: u64,
    ) -> Result<Option<Entry>> {
        let mut previous = self.put_many(vec![(path.clone(), entry)], options, now_ns)?;
        Ok(previous.pop().flatten())
    }

    /// Puts many entries as [`Self::put`] does, in this order, all of them or none. Of two with one path the later stays, and
    /// sees the earlier as what was there before. Returns what each replaced.
    ///
    /// # Errors
    /// As [`Self::put`], of the first that is refused.
    pub fn put_many(
        &self,
        entries: Vec<(FilePath, Entry)>,
        options: PutOptions,
        now_ns: u64,
    ) -> Result<Vec<Option<Entry>>> {
        let (previous, written) = {
            let _structure = self.locks.structure.read();
            let makes_folders = entries.iter().any(|(_, entry)| entry.is_folder());
            let (places, _making) = self.places(&entries, makes_folders, now_ns)?;
            let keys: Vec<Vec<u8>> = places
                .iter()
                .zip(&entries)
                .map(|(place, (path, _))| place.key(path))
                .collect();
            let _rows = self.locks.rows(keys.iter().map(Vec::as_slice));
            self.put_all(entries, &places, options, now_ns)?
        };
        self.settle(written, options.durable)?;
        Ok(previous)
    }

    /// Where each entry goes, and the lock of those who make folders if any must be made.
    fn places(
        &self,
        entries: &[(FilePath, Entry)],
        makes_folders: bool,
        now_ns: u64,
    ) -> Result<(Vec<Place>, Option<parking_lot::MutexGuard<'_, ()>>)> {
        let places = self.all_places(entries, now_ns)?;
        if !makes_folders && !places.iter().any(|place| place.is_missing()) {
            return Ok((places, None));
        }
        let making = self.locks.making.lock();
        // Somebody else may have made them before we had the lock.
        Ok((self.all_places(entries, now_ns)?, Some(making)))
    }

    fn all_places(&self, entries: &[(FilePath, Entry)], now_ns: u64) -> Result<Vec<Place>> {
        let mut last: Option<(&str, Place)> = None;
        let mut places = Vec::with_capacity(entries.len());
        for (path, _) in entries {
            let (folder, _) = path.split().ok_or(FilerError::Root)?;
            let place = match last {
                Some((known, place)) if known == folder => place,
                _ => self.place(path, now_ns)?,
            };
            last = Some((folder, place));
            places.push(place);
        }
        Ok(places)
    }

    fn put_all(
        &self,
        entries: Vec<(FilePath, Entry)>,
        places: &[Place],
        options: PutOptions,
        now_ns: u64,
    ) -> Result<(Vec<Option<Entry>>, Written)> {
        let mut changes = Changes::new(&*self.rows);
        let mut previous = Vec::with_capacity(entries.len());
        for ((path, entry), place) in entries.into_iter().zip(places) {
            let before = self.put_one(&mut changes, (*place, &path), entry, options, now_ns)?;
            previous.push(before);
        }
        Ok((previous, self.commit(changes)?))
    }

    fn put_one(
        &self,
        changes: &mut Changes<'_>,
        (place, path): (Place, &FilePath),
        entry: Entry,
        options: PutOptions,
        now_ns: u64,
    ) -> Result<Option<Entry>> {
        let like = options.make_parents.then_some(&entry.attributes);
        let folder = self.make_way(changes, place, path, like, now_ns)?;
        let name = path.names().next_back().ok_or(FilerError::Root)?;
        let key = entry_key(folder, name);
        let before = alive(changes.get(&key)?, now_ns).cloned();
        check_replacing(path, before.as_ref(), &entry, options)?;
        self.store(changes, key, before.as_ref(), entry)?;
        Ok(before.map(|row| row.entry))
    }

    /// Sets a row; a folder keeps its id, or gets one.
    fn store(
        &self,
        changes: &mut Changes<'_>,
        key: Vec<u8>,
        before: Option<&Row>,
        entry: Entry,
    ) -> Result<()> {
        if !entry.is_folder() {
            let entry = normal(entry);
            return changes.set(
                &key,
                Some(Row {
                    entry,
                    folder: None,
                }),
            );
        }
        match before.and_then(|row| row.folder) {
            None => self.new_folder(changes, key, entry.attributes).map(drop),
            folder => {
                let entry = normal(entry);
                changes.set(&key, Some(Row { entry, folder }))
            }
        }
    }

    /// Makes a file from what is there now (`None`: nothing), with nobody else in between: for conditional puts, and for
    /// appends that create. Returns what was stored. `make` must not call the filer.
    ///
    /// # Errors
    /// As [`Self::put`], and what `make` refuses; then nothing was changed.
    pub fn put_with<E: From<FilerError>>(
        &self,
        path: &FilePath,
        options: PutOptions,
        now_ns: u64,
        make: impl FnOnce(Option<&Entry>) -> std::result::Result<Entry, E>,
    ) -> std::result::Result<Entry, E> {
        let (stored, written) = {
            let _structure = self.locks.structure.read();
            let (place, _making) = self.place_to_make(path, now_ns)?;
            let key = place.key(path);
            let _row = self.locks.rows(std::iter::once(key.as_slice()));
            let mut changes = Changes::new(&*self.rows);
            let before = match place {
                Place::In(_) => alive(changes.get(&key)?, now_ns).cloned(),
                Place::Missing { .. } => None,
            };
            if before.as_ref().is_some_and(|row| row.folder.is_some()) {
                return Err(FilerError::IsAFolder(path.clone()).into());
            }
            let entry = make(before.as_ref().map(|row| &row.entry))?;
            if entry.is_folder() {
                return Err(FilerError::IsAFolder(path.clone()).into());
            }
            let stored = entry.clone();
            self.put_one(&mut changes, (place, path), entry, options, now_ns)?;
            (normal(stored), self.commit(changes)?)
        };
        self.settle(written, options.durable)?;
        Ok(stored)
    }

    /// As [`Self::places`], for one path.
    pub(crate) fn place_to_make(
        &self,
        path: &FilePath,
        now_ns: u64,
    ) -> Result<(Place, Option<parking_lot::MutexGuard<'_, ()>>)> {
        if path.is_root() {
            return Err(FilerError::Root);
        }
        let place = self.place(path, now_ns)?;
        if !place.is_missing() {
            return Ok((place, None));
        }
        let making = self.locks.making.lock();
        Ok((self.place(path, now_ns)?, Some(making)))
    }

    /// Changes the entry (file, folder or root) that has a path, with nobody else in between: for tags, attributes and
    /// appends; durable. Content that is no longer referred to is released. Returns what was stored. `change` must not call
    /// the filer.
    ///
    /// # Errors
    /// [`FilerError::NotFound`], [`FilerError::NotAFolder`], [`FilerError::IsAFolder`] (a file cannot become a folder, nor the
    /// other way), [`FilerError::TooLarge`], the database's, and what `change` refuses; then nothing was changed.
    pub fn update<E: From<FilerError>>(
        &self,
        path: &FilePath,
        now_ns: u64,
        change: impl FnOnce(&mut Entry) -> std::result::Result<(), E>,
    ) -> std::result::Result<Entry, E> {
        let (stored, written) = {
            let _structure = self.locks.structure.read();
            let missing = || FilerError::NotFound(path.clone());
            let place = self.place(path, now_ns)?;
            if place.is_missing() {
                return Err(missing().into());
            }
            let key = place.key(path);
            let _row = self.locks.rows(std::iter::once(key.as_slice()));
            let mut changes = Changes::new(&*self.rows);
            let before = alive(changes.get(&key)?, now_ns).ok_or_else(missing)?;
            let mut row = before.clone();
            change(&mut row.entry)?;
            check_kind(path, row.folder.is_some(), &row.entry)?;
            row.entry = normal(row.entry);
            let stored = row.entry.clone();
            changes.set(&key, Some(row))?;
            (stored, self.commit(changes)?)
        };
        self.settle(written, true)?;
        Ok(stored)
    }

    /// Makes a folder, durably.
    ///
    /// # Errors
    /// [`FilerError::Exists`] if something has the path; else as [`Self::put`].
    pub fn make_folder(
        &self,
        path: &FilePath,
        attributes: Attributes,
        make_parents: bool,
        now_ns: u64,
    ) -> Result<()> {
        if path.is_root() {
            return Err(FilerError::Exists(path.clone()));
        }
        let options = PutOptions {
            may_replace: false,
            make_parents,
            durable: true,
        };
        self.put(path, Entry::folder(attributes), options, now_ns)
            .map(drop)
    }
}

/// The mode says what the entry is, whatever the caller wrote there.
fn normal(entry: Entry) -> Entry {
    match entry.kind {
        crate::entry::Kind::Folder => Entry::folder(entry.attributes),
        crate::entry::Kind::File(content) => Entry::file(entry.attributes, content),
    }
}

fn check_replacing(
    path: &FilePath,
    before: Option<&Row>,
    entry: &Entry,
    options: PutOptions,
) -> Result<()> {
    match before {
        None => Ok(()),
        Some(row) if options.may_replace || (row.folder.is_some() && !entry.is_folder()) => {
            check_kind(path, row.folder.is_some(), entry)
        }
        Some(_) => Err(FilerError::Exists(path.clone())),
    }
}

fn check_kind(path: &FilePath, was_folder: bool, entry: &Entry) -> Result<()> {
    match (was_folder, entry.is_folder()) {
        (true, false) => Err(FilerError::IsAFolder(path.clone())),
        (false, true) => Err(FilerError::NotAFolder(path.clone())),
        _ => Ok(()),
    }
}
