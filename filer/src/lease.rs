//! Keys that content is about to be stored under. They are noted before the first of them is used, so that after a crash it is
//! known where content may be that no name came to refer to.

use std::collections::HashSet;
use std::ops::Range;

use crate::changes::row_of;
use crate::codec::decode_needles;
use crate::entry::Needle;
use crate::error::FilerError;
use crate::filer::{Filer, Result};
use crate::keys::split_number;
use crate::rows::{Change, Table};

/// What a lease's row in [`Table::State`] begins with; its first key follows.
const PREFIX: &[u8] = b"content keys ";

impl Filer {
    /// Notes keys under which content is going to be stored, and that other leases (by their first keys) have ended; durable.
    ///
    /// # Errors
    /// [`FilerError::Storage`].
    pub fn lease(&self, keys: &Range<u64>, ended: &[u64]) -> Result<()> {
        let mut changes = ends(ended);
        changes.push(change(keys.start, Some(keys.end)));
        let written = self.rows.write(changes)?;
        self.settle(written, true)
    }

    /// Forgets leases by their first keys: everything under their keys is named, or gone. After a loss of power some may be there again.
    ///
    /// # Errors
    /// [`FilerError::Storage`].
    pub fn end_leases(&self, ended: &[u64]) -> Result<()> {
        self.rows.write(ends(ended))?;
        Ok(())
    }

    /// The keys that are leased.
    ///
    /// # Errors
    /// [`FilerError::Storage`], [`FilerError::Corrupt`].
    pub fn leases(&self) -> Result<Vec<Range<u64>>> {
        let mut cursor = self.rows.cursor(Table::State, PREFIX)?;
        cursor.seek(PREFIX)?;
        let mut leases = Vec::new();
        while let Some((key, value)) = cursor.row() {
            let (from, _) = split_number(key.get(PREFIX.len()..).unwrap_or_default())?;
            let (end, _) = split_number(value)?;
            leases.push(from..end);
            cursor.next()?;
        }
        Ok(leases)
    }

    /// Which of these needles nothing refers to: no entry (in the trash or not), and no row of the released queue. Goes over
    /// all rows, which may take minutes; `None` if it is told to stop meanwhile. Nobody may be about to refer to one of them.
    ///
    /// # Errors
    /// [`FilerError::Storage`], [`FilerError::Corrupt`].
    pub fn unnamed(
        &self,
        needles: Vec<Needle>,
        stop: &dyn Fn() -> bool,
    ) -> Result<Option<Vec<Needle>>> {
        let mut left: HashSet<Needle> = needles.into_iter().collect();
        // In this order: what leaves an entry meanwhile is in the queue then.
        for (table, needles_of) in [
            (Table::Entries, of_entry as NeedlesOf),
            (Table::Released, of_queue),
        ] {
            let mut cursor = self.rows.cursor(table, &[])?;
            cursor.seek(&[])?;
            while let Some((key, value)) = cursor.row().filter(|_| !left.is_empty()) {
                for needle in needles_of(key, value)? {
                    left.remove(&needle);
                }
                if stop() {
                    return Ok(None);
                }
                cursor.next()?;
            }
        }
        let mut left: Vec<Needle> = left.into_iter().collect();
        left.sort_unstable();
        Ok(Some(left))
    }
}

/// The needles that a row refers to.
type NeedlesOf = fn(&[u8], &[u8]) -> Result<Vec<Needle>>;

fn of_entry(key: &[u8], value: &[u8]) -> Result<Vec<Needle>> {
    Ok(row_of(key, value)?.entry.needles().collect())
}

fn of_queue(_: &[u8], value: &[u8]) -> Result<Vec<Needle>> {
    decode_needles(value).map_err(|error| {
        FilerError::Corrupt(format!("a row of the released queue: {error}").into())
    })
}

fn ends(ended: &[u64]) -> Vec<Change> {
    ended.iter().map(|from| change(*from, None)).collect()
}

fn change(from: u64, end: Option<u64>) -> Change {
    Change {
        table: Table::State,
        key: [PREFIX, &from.to_be_bytes()].concat(),
        value: end.map(|end| end.to_be_bytes().to_vec()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entry::{Attributes, Chunk, Content, Entry};
    use crate::options::PutOptions;
    use crate::path::FilePath;
    use crate::rocks::RocksRows;

    const NOW_NS: u64 = 1_700_000_000_000_000_000;

    fn needle(key: u64) -> Needle {
        Needle {
            volume: 3,
            key,
            cookie: 7,
        }
    }

    fn open(dir: &tempfile::TempDir) -> Filer {
        Filer::open(Box::new(RocksRows::open(dir.path()).unwrap()), NOW_NS).unwrap()
    }

    fn put(filer: &Filer, path: &str, keys: &[u64]) {
        let chunk = |key: &u64| Chunk {
            needle: needle(*key),
            offset: *key,
            bytes: 1,
            modified_ns: NOW_NS,
            md5: None,
            crc32c: None,
        };
        let content = Content::chunks(keys.iter().map(chunk).collect());
        let entry = Entry::file(Attributes::default(), content);
        let path = FilePath::parse(path).unwrap();
        filer
            .put(&path, entry, PutOptions::default(), NOW_NS)
            .unwrap();
    }

    #[test]
    fn leases_are_kept_until_they_end() {
        let dir = tempfile::tempdir().unwrap();
        let filer = open(&dir);
        assert_eq!(filer.leases().unwrap(), []);
        filer.lease(&(300..400), &[]).unwrap();
        filer.lease(&(10..20), &[]).unwrap();
        filer.lease(&(500..600), &[10, 11]).unwrap();
        drop(filer);
        let filer = open(&dir);
        assert_eq!(filer.leases().unwrap(), [300..400, 500..600]);
        put(&filer, "/folders/have/numbers/of/their/own", &[1]);
        filer.end_leases(&[300, 500]).unwrap();
        drop(filer);
        assert_eq!(open(&dir).leases().unwrap(), []);
    }

    #[test]
    fn what_an_entry_or_the_queue_refers_to_is_not_unnamed() {
        let dir = tempfile::tempdir().unwrap();
        let filer = open(&dir);
        put(&filer, "/a/named", &[1, 2]);
        put(&filer, "/replaced", &[3]);
        put(&filer, "/replaced", &[4]);
        put(&filer, "/trash/inside", &[5]);
        let trash = FilePath::parse("/trash").unwrap();
        filer.delete(&trash, true, NOW_NS).unwrap();
        let all = || (1..9).map(needle).collect();
        let unnamed = filer.unnamed(all(), &|| false).unwrap();
        assert_eq!(unnamed, Some(vec![needle(6), needle(7), needle(8)]));
        assert_eq!(filer.unnamed(all(), &|| true).unwrap(), None);
        let another = Needle {
            cookie: 8,
            ..needle(1)
        };
        let unnamed = filer.unnamed(vec![another], &|| false).unwrap();
        assert_eq!(unnamed, Some(vec![another]));
    }
}
