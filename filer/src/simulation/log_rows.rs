//! Rows in memory with a write-ahead log on a simulated disk: the plainest database that keeps what [`Rows`] promises.

use std::collections::BTreeMap;
use std::io;
use std::ops::Bound;
use std::path::Path;
use std::sync::Arc;

use moongate_disk::{Disk, DiskFile, OpenMode, SimDisk, replace_file};
use parking_lot::Mutex;

use crate::rows::{Change, Cursor, Rows, RowsError, Table, Written};

const DIR: &str = "/filer";
const LOG: &str = "/filer/log";

type Map = BTreeMap<(Table, Vec<u8>), Vec<u8>>;

#[derive(Debug)]
pub struct LogRows {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    file: Arc<dyn DiskFile>,
    end: u64,
    written: u64,
    map: Arc<Map>,
    failed: bool,
}

fn failure(error: &io::Error) -> RowsError {
    RowsError(error.to_string().into())
}

impl LogRows {
    /// Reads the log as far as it is whole, and begins a new one with all that it said: what was only in the page cache is so
    /// written again before it is trusted.
    pub fn open(disk: &SimDisk) -> Result<Self, RowsError> {
        Self::open_io(disk).map_err(|error| failure(&error))
    }

    fn open_io(disk: &SimDisk) -> io::Result<Self> {
        disk.create_dir_all(Path::new(DIR))?;
        let mut map = Map::new();
        if disk.exists(Path::new(LOG))? {
            let file = disk.open(Path::new(LOG), OpenMode::Read)?;
            let mut bytes = vec![0; file.len()? as usize];
            file.read_at(&mut bytes, 0)?;
            replay(&bytes, &mut map);
        }
        let all = map.iter().map(|((table, key), value)| Change {
            table: *table,
            key: key.clone(),
            value: Some(value.clone()),
        });
        let record = encode(&all.collect::<Vec<_>>());
        replace_file(disk, Path::new(LOG), &record)?;
        let state = State {
            file: disk.open(Path::new(LOG), OpenMode::ReadWrite)?,
            end: record.len() as u64,
            written: 0,
            map: Arc::new(map),
            failed: false,
        };
        Ok(Self {
            state: Mutex::new(state),
        })
    }
}

/// Length and complement of the CRC-32, each 4 bytes (so that zeros are no record), then the changes.
fn encode(changes: &[Change]) -> Vec<u8> {
    let mut body = Vec::new();
    for Change { table, key, value } in changes {
        body.push(*table as u8);
        body.push(value.is_some().into());
        for bytes in [key, value.as_ref().unwrap_or(&Vec::new())] {
            body.extend((bytes.len() as u32).to_be_bytes());
            body.extend(bytes);
        }
    }
    let mut record = (body.len() as u32).to_be_bytes().to_vec();
    record.extend((!crc32fast::hash(&body)).to_be_bytes());
    record.extend(body);
    record
}

fn split_u32(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let (number, rest) = bytes.split_first_chunk()?;
    Some((u32::from_be_bytes(*number) as usize, rest))
}

fn replay(mut log: &[u8], map: &mut Map) {
    while let Some((body, rest)) = record_of(log) {
        let mut body = body;
        while let Some((change, next)) = change_of(body) {
            apply(map, change);
            body = next;
        }
        log = rest;
    }
}

fn record_of(log: &[u8]) -> Option<(&[u8], &[u8])> {
    let (len, rest) = split_u32(log)?;
    let (crc, rest) = split_u32(rest)?;
    let (body, rest) = rest.split_at_checked(len)?;
    (!crc32fast::hash(body) as usize == crc).then_some((body, rest))
}

fn change_of(body: &[u8]) -> Option<(Change, &[u8])> {
    let ([table, has_value], rest) = body.split_first_chunk()?;
    let (len, rest) = split_u32(rest)?;
    let (key, rest) = rest.split_at_checked(len)?;
    let (len, rest) = split_u32(rest)?;
    let (value, rest) = rest.split_at_checked(len)?;
    let change = Change {
        table: *Table::ALL.get(*table as usize)?,
        key: key.to_vec(),
        value: (*has_value == 1).then(|| value.to_vec()),
    };
    Some((change, rest))
}

fn apply(map: &mut Map, Change { table, key, value }: Change) {
    match value {
        Some(value) => map.insert((table, key), value),
        None => map.remove(&(table, key)),
    };
}

impl Rows for LogRows {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, RowsError> {
        let state = self.state.lock();
        Ok(state.map.get(&(table, key.to_vec())).cloned())
    }

    fn write(&self, changes: Vec<Change>) -> Result<Written, RowsError> {
        let mut state = self.state.lock();
        if state.failed {
            return Err(RowsError("an earlier write or sync failed".into()));
        }
        let record = encode(&changes);
        if let Err(error) = state.file.write_all_at(&record, state.end) {
            state.failed = true;
            return Err(failure(&error));
        }
        state.end += record.len() as u64;
        let map = Arc::make_mut(&mut state.map);
        changes.into_iter().for_each(|change| apply(map, change));
        state.written += 1;
        Ok(Written(state.written))
    }

    fn sync(&self, _up_to: Written) -> Result<(), RowsError> {
        let mut state = self.state.lock();
        if state.failed {
            return Err(RowsError("an earlier write or sync failed".into()));
        }
        state.file.sync_data().map_err(|error| {
            state.failed = true;
            failure(&error)
        })
    }

    fn written(&self) -> Written {
        Written(self.state.lock().written)
    }

    fn cursor<'a>(
        &'a self,
        table: Table,
        prefix: &[u8],
    ) -> Result<Box<dyn Cursor + 'a>, RowsError> {
        Ok(Box::new(LogCursor {
            map: Arc::clone(&self.state.lock().map),
            table,
            prefix: prefix.to_vec(),
            at: None,
        }))
    }
}

struct LogCursor {
    map: Arc<Map>,
    table: Table,
    prefix: Vec<u8>,
    at: Option<(Vec<u8>, Vec<u8>)>,
}

impl LogCursor {
    fn place(&mut self, from: Bound<(Table, Vec<u8>)>) {
        let next = self.map.range((from, Bound::Unbounded)).next();
        let next =
            next.filter(|((table, key), _)| *table == self.table && key.starts_with(&self.prefix));
        self.at = next.map(|((_, key), value)| (key.clone(), value.clone()));
    }
}

impl Cursor for LogCursor {
    fn seek(&mut self, key: &[u8]) -> Result<(), RowsError> {
        self.place(Bound::Included((self.table, key.to_vec())));
        Ok(())
    }

    fn row(&self) -> Option<(&[u8], &[u8])> {
        let (key, value) = self.at.as_ref()?;
        Some((key, value))
    }

    fn next(&mut self) -> Result<(), RowsError> {
        if let Some((key, _)) = self.at.take() {
            self.place(Bound::Excluded((self.table, key)));
        }
        Ok(())
    }
}
