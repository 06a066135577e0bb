//! Content that nothing refers to any more: the queue of it, and who keeps it from being handed out.

use std::collections::BTreeMap;

use parking_lot::Mutex;

use crate::codec::decode_needles;
use crate::counter::Counter;
use crate::error::FilerError;
use crate::filer::{Filer, Result};
use crate::keys::split_number;
use crate::mutant::{self, Mutant};
use crate::options::Released;
use crate::path::NAME_BYTES_MAX;
use crate::rows::{Change, Cursor, Rows, RowsError, Table};

/// See the module.
#[derive(Debug)]
pub struct Queue {
    /// Numbers for rows of the queue.
    pub sequences: Counter,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    holds: BTreeMap<String, Hold>,
    /// No row with a lower number is there: what was forgotten need not be stepped over again.
    floor: u64,
}

/// Keeps what is released under the number `from` and above.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Hold {
    from: u64,
    ends_ns: u64,
}

impl Hold {
    fn encode(self) -> Vec<u8> {
        [self.from.to_be_bytes(), self.ends_ns.to_be_bytes()].concat()
    }

    fn decode(bytes: &[u8]) -> std::result::Result<Self, RowsError> {
        let (from, rest) = split_number(bytes)?;
        let (ends_ns, _) = split_number(rest)?;
        Ok(Self { from, ends_ns })
    }
}

impl Queue {
    /// Reads the holds.
    pub fn open(rows: &dyn Rows) -> Result<Self> {
        let mut state = State::default();
        let mut cursor = rows.cursor(Table::Holds, &[])?;
        cursor.seek(&[])?;
        while let Some((key, value)) = cursor.row() {
            let name = String::from_utf8_lossy(key).into_owned();
            state.holds.insert(name, Hold::decode(value)?);
            cursor.next()?;
        }
        Ok(Self {
            sequences: Counter::open(rows, "released sequence", 0)?,
            state: Mutex::new(state),
        })
    }
}

impl State {
    /// Rows from this number on are kept.
    fn kept_from(&self, now_ns: u64) -> u64 {
        if mutant::is(Mutant::IgnoreHolds) {
            return u64::MAX;
        }
        let holds = self.holds.values().filter(|hold| hold.ends_ns > now_ns);
        holds.map(|hold| hold.from).min().unwrap_or(u64::MAX)
    }
}

impl Filer {
    /// Content that may be deleted, oldest first: nothing refers to it, no hold keeps it, and that is durable. At least one row
    /// if there is one, then as many as hold `needles_max` needles together. The rows stay until [`Self::forget`], so delete
    /// first and forget then: after a crash in between the same needles are handed out again.
    ///
    /// # Errors
    /// [`FilerError::Storage`], [`FilerError::Corrupt`].
    pub fn released(&self, needles_max: usize, now_ns: u64) -> Result<Vec<Released>> {
        let (mut cursor, floor, kept_from) = self.begin_of_queue(now_ns)?;
        if !mutant::is(Mutant::HandOutBeforeSync) {
            self.sync()?;
        }
        cursor.seek(&floor.to_be_bytes())?;
        let (mut rows, mut count) = (Vec::new(), 0);
        while let Some((key, value)) = cursor.row() {
            let (sequence, _) = split_number(key)?;
            if sequence >= kept_from || (count >= needles_max && !rows.is_empty()) {
                break;
            }
            let needles = decode_needles(value).map_err(|error| {
                FilerError::Corrupt(format!("row {sequence} of the released queue: {error}").into())
            })?;
            count += needles.len();
            rows.push(Released { sequence, needles });
            cursor.next()?;
        }
        Ok(rows)
    }

    /// A cursor over the queue, where to begin, and where to end.
    fn begin_of_queue(&self, now_ns: u64) -> Result<(Box<dyn Cursor + '_>, u64, u64)> {
        // Alone for a moment: no batch is then between its number and being written, nor any hold between its two.
        let _structure = self.locks.structure.write();
        let cursor = self.rows.cursor(Table::Released, &[])?;
        let state = self.queue.state.lock();
        Ok((cursor, state.floor, state.kept_from(now_ns)))
    }

    /// Takes rows off the queue, once their needles are deleted. Not durable at once: after a loss of power some may be handed
    /// out again.
    ///
    /// # Errors
    /// [`FilerError::Storage`].
    pub fn forget(&self, sequences: &[u64]) -> Result<()> {
        let forget = |sequence: &u64| change(Table::Released, &sequence.to_be_bytes(), None);
        self.rows.write(sequences.iter().map(forget).collect())?;
        self.raise_floor()
    }

    /// Finds the first row that is left.
    fn raise_floor(&self) -> Result<()> {
        let (cursor, next) = {
            let _structure = self.locks.structure.write();
            let cursor = self.rows.cursor(Table::Released, &[])?;
            (cursor, self.queue.sequences.peek())
        };
        let mut cursor = cursor;
        cursor.seek(&self.queue.state.lock().floor.to_be_bytes())?;
        let first = cursor.row().map(|(key, _)| split_number(key)).transpose()?;
        let mut state = self.queue.state.lock();
        state.floor = state.floor.max(first.map_or(next, |(first, _)| first));
        Ok(())
    }

    /// Keeps everything that is released from now on from being handed out, for `secs` seconds or until
    /// [`Self::drop_hold`]; durable. What is listed after this can be read as long as the hold lasts, whoever deletes it. Holding
    /// again under the same name moves the end and keeps the beginning, if the hold has not ended.
    ///
    /// # Errors
    /// [`FilerError::BadName`] for a name that is empty, [`FilerError::NameTooLong`], [`FilerError::Storage`].
    pub fn hold(&self, name: &str, secs: u64, now_ns: u64) -> Result<()> {
        match name.len() {
            0 => return Err(FilerError::BadName("a hold needs a name")),
            1..=NAME_BYTES_MAX => {}
            bytes => return Err(FilerError::NameTooLong { bytes }),
        }
        let written = {
            let _structure = self.locks.structure.write();
            let mut state = self.queue.state.lock();
            let ends_ns = now_ns.saturating_add(secs.saturating_mul(1_000_000_000));
            let old = state.holds.get(name).filter(|hold| hold.ends_ns > now_ns);
            let from = old.map_or(self.queue.sequences.peek(), |hold| hold.from);
            let hold = Hold { from, ends_ns };
            let mut changes = ended(&state, now_ns);
            changes.push(change(Table::Holds, name.as_bytes(), Some(hold.encode())));
            let written = self.rows.write(changes)?;
            state.holds.retain(|_, hold| hold.ends_ns > now_ns);
            state.holds.insert(name.to_owned(), hold);
            written
        };
        self.settle(written, true)
    }

    /// Ends a hold; one that is not there has ended.
    ///
    /// # Errors
    /// [`FilerError::Storage`].
    pub fn drop_hold(&self, name: &str) -> Result<()> {
        let written = {
            let mut state = self.queue.state.lock();
            let written = self
                .rows
                .write(vec![change(Table::Holds, name.as_bytes(), None)])?;
            state.holds.remove(name);
            written
        };
        self.settle(written, true)
    }
}

/// Takes away the holds that have ended.
fn ended(state: &State, now_ns: u64) -> Vec<Change> {
    let ended = state
        .holds
        .iter()
        .filter(|(_, hold)| hold.ends_ns <= now_ns);
    ended
        .map(|(name, _)| change(Table::Holds, name.as_bytes(), None))
        .collect()
}

fn change(table: Table, key: &[u8], value: Option<Vec<u8>>) -> Change {
    let key = key.to_vec();
    Change { table, key, value }
}
