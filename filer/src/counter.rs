//! Numbers that are handed out once, ever.

use std::ops::Range;

use parking_lot::Mutex;

use crate::error::FilerError;
use crate::mutant::{self, Mutant};
use crate::rows::{Change, Rows, RowsError, Table};

/// How many numbers are reserved at a time; after a stop, what was not handed out of them is skipped.
const RESERVED_AT_ONCE: u64 = 4096;

/// See the module. What is reserved is written before any of it is used; the batch that uses a number is written later, so
/// it is never durable without the reservation.
#[derive(Debug)]
pub struct Counter {
    name: &'static str,
    reserved: Mutex<Range<u64>>,
}

impl Counter {
    /// Goes on behind what was reserved, or begins at `first`.
    pub fn open(rows: &dyn Rows, name: &'static str, first: u64) -> Result<Self, FilerError> {
        let row = rows.get(Table::State, name.as_bytes())?;
        let next = match row {
            None => first,
            Some(bytes) => bytes.try_into().map(u64::from_be_bytes).map_err(|_| {
                FilerError::Corrupt(format!("counter {name} is not 8 bytes").into())
            })?,
        };
        Ok(Self {
            name,
            reserved: Mutex::new(next..next),
        })
    }

    /// A number that was never given before.
    pub fn take(&self, rows: &dyn Rows) -> Result<u64, RowsError> {
        let mut reserved = self.reserved.lock();
        if reserved.is_empty() {
            let end = reserved.end.saturating_add(RESERVED_AT_ONCE);
            if !mutant::is(Mutant::ReuseNumbers) {
                rows.write(vec![self.change(end)])?;
            }
            reserved.end = end;
        }
        reserved
            .next()
            .ok_or_else(|| RowsError(format!("counter {} has come to its end", self.name).into()))
    }

    /// The number that [`Self::take`] gives next.
    pub fn peek(&self) -> u64 {
        self.reserved.lock().start
    }

    fn change(&self, end: u64) -> Change {
        Change {
            table: Table::State,
            key: self.name.as_bytes().to_vec(),
            value: Some(end.to_be_bytes().to_vec()),
        }
    }
}
