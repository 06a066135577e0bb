//! One atomic batch in the making. Whatever an operation does to entries, what follows from it is worked out here, in one
//! place: which content is released, and when files expire.

use std::collections::btree_map::Entry::{Occupied, Vacant};
use std::collections::{BTreeMap, BTreeSet, HashSet};

use crate::codec::{ROW_BYTES_MAX, Row, decode_row, encode_needles, encode_row};
use crate::entry::Needle;
use crate::error::FilerError;
use crate::keys::{FolderId, expiry_key, split_number};
use crate::mutant::{self, Mutant};
use crate::rows::{Change, Rows, Table};

type Result<T> = std::result::Result<T, FilerError>;

/// A row as it was found and as it shall be.
struct Pending {
    before: Option<Row>,
    after: Option<Row>,
    changed: bool,
}

impl Pending {
    /// On the heap: a map moves its values about.
    fn found(row: Option<Row>) -> Box<Self> {
        Box::new(Self {
            before: row.clone(),
            after: row,
            changed: false,
        })
    }
}

/// See the module. It reads what it is about to write.
pub struct Changes<'a> {
    rows: &'a dyn Rows,
    entries: BTreeMap<Vec<u8>, Box<Pending>>,
    /// Folders that this batch makes: nothing can be in them yet.
    new_folders: BTreeSet<FolderId>,
    /// Content that only this batch has seen: of an entry that it made and then replaced.
    passing: Vec<Needle>,
    others: Vec<Change>,
}

impl<'a> Changes<'a> {
    pub fn new(rows: &'a dyn Rows) -> Self {
        Self {
            rows,
            entries: BTreeMap::new(),
            new_folders: BTreeSet::new(),
            passing: Vec::new(),
            others: Vec::new(),
        }
    }

    /// A row as it will be after this batch. Its stripe must be locked.
    pub fn get(&mut self, key: &[u8]) -> Result<Option<&Row>> {
        Ok(self.pending(key)?.after.as_ref())
    }

    fn pending(&mut self, key: &[u8]) -> Result<&mut Pending> {
        match self.entries.entry(key.to_vec()) {
            Occupied(pending) => Ok(pending.into_mut()),
            Vacant(place) => {
                let folder = FolderId(split_number(key)?.0);
                let found = match self.new_folders.contains(&folder) {
                    true => None,
                    false => read_row(self.rows, key)?,
                };
                Ok(place.insert(Pending::found(found)))
            }
        }
    }

    /// Notes a row that was read elsewhere.
    pub fn found(&mut self, key: Vec<u8>, row: Option<Row>) {
        self.entries
            .entry(key)
            .or_insert_with(|| Pending::found(row));
    }

    /// Gives a row a value, or takes it away.
    pub fn set(&mut self, key: &[u8], row: Option<Row>) -> Result<()> {
        let pending = self.pending(key)?;
        let replaced = std::mem::replace(&mut pending.after, row);
        if std::mem::replace(&mut pending.changed, true) {
            let passed = replaced.iter().flat_map(|row| row.entry.needles());
            self.passing.extend(passed);
        }
        Ok(())
    }

    /// Says that a folder's id is new.
    pub fn is_new(&mut self, folder: FolderId) {
        self.new_folders.insert(folder);
    }

    /// Changes a row of another table.
    pub fn other(&mut self, table: Table, key: Vec<u8>, value: Option<Vec<u8>>) {
        self.others.push(Change { table, key, value });
    }

    /// Puts a folder where [`crate::Filer::sweep`] finds it.
    pub fn trash(&mut self, folder: FolderId) {
        if !mutant::is(Mutant::SkipTrash) {
            self.other(
                Table::Trash,
                folder.0.to_be_bytes().to_vec(),
                Some(Vec::new()),
            );
        }
    }

    /// The batch. `sequence` gives the number of its row in the released queue, if it needs one.
    pub fn finish(mut self, sequence: impl FnOnce() -> Result<u64>) -> Result<Vec<Change>> {
        self.entries.retain(|_, row| row.changed);
        let released = self.released();
        if !released.is_empty() && !mutant::is(Mutant::SkipRelease) {
            let key = sequence()?.to_be_bytes().to_vec();
            self.other(Table::Released, key, Some(encode_needles(&released)));
        }
        let mut batch = self.others;
        for (key, row) in self.entries {
            push_expiry(&mut batch, &key, &row);
            let value = row.after.as_ref().map(checked_row).transpose()?;
            batch.push(Change {
                table: Table::Entries,
                key,
                value,
            });
        }
        Ok(batch)
    }

    /// What was referred to before and is not any more. Content that moves from row to row stays.
    fn released(&self) -> Vec<Needle> {
        let before = self.entries.values().filter_map(|row| row.before.as_ref());
        let before = before.flat_map(|row| row.entry.needles());
        let mut gone: Vec<Needle> = before.chain(self.passing.iter().copied()).collect();
        if gone.is_empty() {
            return gone;
        }
        if !mutant::is(Mutant::ReleaseWhatMoves) {
            let after = self.entries.values().filter_map(|row| row.after.as_ref());
            let kept: HashSet<Needle> = after.flat_map(|row| row.entry.needles()).collect();
            gone.retain(|needle| !kept.contains(needle));
        }
        gone.sort_unstable();
        gone.dedup();
        gone
    }
}

fn push_expiry(batch: &mut Vec<Change>, key: &[u8], row: &Pending) {
    let end = |row: &Option<Row>| row.as_ref().and_then(|row| row.entry.expires_ns());
    let (before, after) = (end(&row.before), end(&row.after));
    if before == after || mutant::is(Mutant::SkipExpiry) {
        return;
    }
    let mut push = |end: Option<u64>, value| {
        let key = end.map(|end| expiry_key(end, key));
        batch.extend(key.map(|key| Change {
            table: Table::Expiry,
            key,
            value,
        }));
    };
    // In this order: both may end in the same second.
    push(before, None);
    push(after, Some(Vec::new()));
}

fn checked_row(row: &Row) -> Result<Vec<u8>> {
    let bytes = encode_row(row);
    match bytes.len() {
        0..=ROW_BYTES_MAX => Ok(bytes),
        bytes => Err(FilerError::TooLarge { bytes }),
    }
}

/// A row of the table of entries.
pub fn read_row(rows: &dyn Rows, key: &[u8]) -> Result<Option<Row>> {
    let bytes = rows.get(Table::Entries, key)?;
    bytes.map(|bytes| row_of(key, &bytes)).transpose()
}

/// A row from its bytes; an error names it by its key.
pub fn row_of(key: &[u8], bytes: &[u8]) -> Result<Row> {
    decode_row(bytes).map_err(|error| {
        let what = match split_number(key) {
            Ok((folder, name)) => format!("{} in folder {folder}", name.escape_ascii()),
            Err(_) => "a row".to_owned(),
        };
        FilerError::Corrupt(format!("{what}: {error}").into())
    })
}
