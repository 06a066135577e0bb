//! Listing a folder: in order of the names' bytes, as it was when the listing began, one row in memory.

use crate::changes::row_of;
use crate::entry::Entry;
use crate::error::FilerError;
use crate::filer::{Filer, Result, alive};
use crate::keys::{FolderId, NUMBER_BYTES, entry_key};
use crate::mutant::{self, Mutant};
use crate::options::ListOptions;
use crate::path::{FilePath, Name};
use crate::rows::{Cursor, Table};

/// Names in a folder and what they stand for. The first error ends it. See [`Filer::list`].
pub struct Listing<'a> {
    cursor: Box<dyn Cursor + 'a>,
    /// Where to begin; taken when that was done.
    start: Option<Vec<u8>>,
    options: ListOptions,
    now_ns: u64,
    left: usize,
}

impl std::fmt::Debug for Listing<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Listing({:?})", self.options)
    }
}

impl Filer {
    /// What is in a folder, in order of the names' bytes: as it is now, whatever is written while it is read. It should not be kept
    /// for hours (see [`Cursor`]): begin another one behind the last name instead.
    ///
    /// # Errors
    /// [`FilerError::NotFound`], [`FilerError::NotAFolder`]; the database's.
    pub fn list(&self, path: &FilePath, options: ListOptions, now_ns: u64) -> Result<Listing<'_>> {
        let _structure = self.locks.structure.read();
        let folder = self.find_folder(path, now_ns)?;
        // A pattern's fixed beginning narrows what is read; the filters below decide.
        let of_pattern = options.pattern.as_ref().map(|p| p.prefix());
        let narrow = [options.prefix.clone(), of_pattern.unwrap_or_default()];
        let narrow = narrow
            .into_iter()
            .max_by_key(String::len)
            .unwrap_or_default();
        let prefix = entry_key(folder, &narrow);
        Ok(Listing {
            cursor: self.rows.cursor(Table::Entries, &prefix)?,
            start: Some(start_of(folder, prefix, &options)),
            left: options.limit.unwrap_or(usize::MAX),
            options,
            now_ns,
        })
    }
}

fn start_of(folder: FolderId, prefix: Vec<u8>, options: &ListOptions) -> Vec<u8> {
    let Some(after) = &options.after else {
        return prefix;
    };
    let mut start = entry_key(folder, after.as_str());
    if !options.inclusive && !mutant::is(Mutant::ListTheLastAgain) {
        // The first key behind it: names hold no zero bytes.
        start.push(0);
    }
    start.max(prefix)
}

impl Listing<'_> {
    fn step(&mut self) -> Result<Option<(Name, Entry)>> {
        loop {
            match self.start.take() {
                Some(start) => self.cursor.seek(&start)?,
                None => self.cursor.next()?,
            }
            let Some((key, value)) = self.cursor.row() else {
                return Ok(None);
            };
            let name = name_of(key)?;
            if !wanted(&self.options, name) {
                continue;
            }
            let row = row_of(key, value)?;
            if alive(Some(&row), self.now_ns).is_some() {
                return Ok(Some((Name::parse(name)?, row.entry)));
            }
        }
    }
}

impl Iterator for Listing<'_> {
    type Item = Result<(Name, Entry)>;

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let step = self.step().transpose();
        if !matches!(step, Some(Ok(_))) {
            self.left = 0;
        }
        step
    }
}

/// The name in a key of the table of entries.
pub fn name_of(key: &[u8]) -> Result<&str> {
    let name = key.get(NUMBER_BYTES..).unwrap_or_default();
    std::str::from_utf8(name).map_err(|_| FilerError::Corrupt("a name is not UTF-8".into()))
}

fn wanted(options: &ListOptions, name: &str) -> bool {
    let matches = |pattern: &crate::Pattern| pattern.matches(name);
    name.starts_with(&options.prefix)
        && options.pattern.as_ref().is_none_or(matches)
        && !options.exclude.as_ref().is_some_and(matches)
}
