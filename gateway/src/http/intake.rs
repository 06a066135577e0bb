//! Reading request bodies in bounded memory.
//!
//! Three things bound an upload: its own length limit, its pace (a client that stops or drips is cut),
//! and the [`ByteBudget`] that all uploads of the process share. Memory is charged as data arrives, so
//! that a Content-Length which promises gigabytes costs nothing until they come.

use std::error::Error as StdError;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body::Body;
use thiserror::Error;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout};

use super::arriving::{Pace, next_data};

/// The unit in which the budget is counted: a permit is one KiB.
const UNIT_BYTES: u64 = 1024;
/// The most that is allocated for a body of which little has arrived, in bytes.
const FIRST_BUFFER_BYTES: u64 = 64 * 1024;
/// A buffer that is full is replaced by one this many times as large.
const GROWTH: u64 = 4;

/// The one bound, process-wide, on the bytes of bodies in flight.
///
/// A body that grows holds its old and its new buffer for a moment and is charged for both, so the
/// budget should be at least 1.25 times the largest body allowed (2 times, for bodies of unknown length).
#[derive(Debug, Clone)]
pub struct ByteBudget {
    units: Arc<Semaphore>,
    total_bytes: u64,
}

/// A share of a [`ByteBudget`]; given back when dropped.
#[derive(Debug)]
pub struct BudgetPermit {
    permit: OwnedSemaphorePermit,
}

impl ByteBudget {
    /// A budget of `total_bytes`, rounded down to KiB.
    pub fn new(total_bytes: u64) -> Self {
        let units = usize::try_from(total_bytes / UNIT_BYTES).unwrap_or(usize::MAX);
        let units = units.min(Semaphore::MAX_PERMITS);
        let total_bytes = units as u64 * UNIT_BYTES;
        Self {
            units: Arc::new(Semaphore::new(units)),
            total_bytes,
        }
    }

    /// Takes `bytes`, rounded up to KiB, if that much is free now.
    pub fn try_take(&self, bytes: u64) -> Option<BudgetPermit> {
        let units = units_of(bytes)?;
        let permit = Arc::clone(&self.units).try_acquire_many_owned(units).ok()?;
        Some(BudgetPermit { permit })
    }

    /// Takes `bytes`, rounded up to KiB, waiting for others to give theirs back, up to `wait`. `None`
    /// when they did not, or at once when the whole budget is less than that.
    pub async fn take(&self, bytes: u64, wait: Duration) -> Option<BudgetPermit> {
        if let Some(permit) = self.try_take(bytes) {
            return Some(permit);
        }
        if bytes > self.total_bytes || wait.is_zero() {
            return None;
        }
        let acquired = Arc::clone(&self.units).acquire_many_owned(units_of(bytes)?);
        let permit = timeout(wait, acquired).await.ok()?.ok()?;
        Some(BudgetPermit { permit })
    }

    /// What the budget is in all, in bytes.
    pub fn total_bytes(&self) -> u64 {
        self.total_bytes
    }

    /// What is free now, in bytes.
    pub fn free_bytes(&self) -> u64 {
        self.units.available_permits() as u64 * UNIT_BYTES
    }
}

impl BudgetPermit {
    /// What this permit holds, in bytes.
    pub fn bytes(&self) -> u64 {
        self.permit.num_permits() as u64 * UNIT_BYTES
    }
}

fn units_of(bytes: u64) -> Option<u32> {
    u32::try_from(bytes.div_ceil(UNIT_BYTES)).ok()
}

/// What a request body may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IntakeLimits {
    /// The longest body, in bytes.
    pub len_bytes_max: u64,
    /// The longest pause between two arrivals of data.
    pub stall_timeout: Duration,
    /// The least average pace, counted once `rate_grace` has passed; zero for none.
    pub rate_bytes_per_sec_min: u64,
    /// How long a body may take whatever its pace.
    pub rate_grace: Duration,
    /// How long to wait for others to free some of the budget before the answer is "busy".
    pub budget_wait: Duration,
}

impl IntakeLimits {
    /// Limits with a pace of at least 1 KiB/s after 30 s, and up to 2 s of waiting for the budget.
    pub fn new(len_bytes_max: u64, stall_timeout: Duration) -> Self {
        Self {
            len_bytes_max,
            stall_timeout,
            rate_bytes_per_sec_min: 1024,
            rate_grace: Duration::from_secs(30),
            budget_wait: Duration::from_secs(2),
        }
    }
}

/// Why a body could not be read.
#[derive(Debug, Error)]
pub enum IntakeError {
    /// Longer than allowed: 413, or what the protocol says in its place.
    #[error("the body is over the limit of {limit_bytes} bytes")]
    TooLarge {
        /// The limit.
        limit_bytes: u64,
    },
    /// The client stopped sending, or sent too slowly: 408.
    #[error("the body stalled: not complete after {secs} s")]
    Stalled {
        /// How long it had taken until then.
        secs: u64,
    },
    /// Too many bytes are in flight: 503 with Retry-After.
    #[error("too many bytes are in flight, try again")]
    Busy,
    /// The body ended short of its announced length: 400, though the client is mostly gone.
    #[error("the body ended before its announced length")]
    Truncated,
    /// The body breaks the rules of HTTP/1.1 (bad chunk, more than announced): 400.
    #[error("the body could not be read: {0}")]
    Protocol(String),
}

/// A body that has arrived, and its share of the budget: keep it as long as the bytes.
#[derive(Debug)]
pub struct Collected {
    /// The body. If it came in one frame this is that frame, not copied.
    pub bytes: Bytes,
    /// Its share of the budget.
    pub permit: BudgetPermit,
}

/// Reads a whole body.
///
/// `declared_len` is what Content-Length says, if it is there. Upon an error the rest of the body is not
/// read; hyper closes the connection after the answer.
pub async fn collect<B>(
    mut body: B,
    declared_len: Option<u64>,
    limits: &IntakeLimits,
    budget: &ByteBudget,
) -> Result<Collected, IntakeError>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<Box<dyn StdError + Send + Sync>>,
{
    if declared_len.is_some_and(|len| len > limits.len_bytes_max) {
        return Err(IntakeError::TooLarge {
            limit_bytes: limits.len_bytes_max,
        });
    }
    let mut pace = Pace::start(limits);
    let first = next_data(&mut body, &mut pace).await?.unwrap_or_default();
    let len = first.len() as u64;
    if declared_len == Some(len) || body.is_end_stream() {
        check_len(len, declared_len, limits)?;
        let permit = budget
            .take(len, limits.budget_wait)
            .await
            .ok_or(IntakeError::Busy)?;
        return Ok(Collected {
            bytes: first,
            permit,
        });
    }
    let mut gathering = Gathering::start(declared_len, limits, budget);
    gathering.push(&first, &mut pace).await?;
    drop(first);
    while let Some(data) = next_data(&mut body, &mut pace).await? {
        gathering.push(&data, &mut pace).await?;
    }
    gathering.finish()
}

fn check_len(len: u64, declared: Option<u64>, limits: &IntakeLimits) -> Result<(), IntakeError> {
    match declared {
        Some(declared) if len < declared => Err(IntakeError::Truncated),
        Some(declared) if len > declared => Err(IntakeError::Protocol(format!(
            "{len} bytes where {declared} were announced"
        ))),
        _ if len > limits.len_bytes_max => Err(IntakeError::TooLarge {
            limit_bytes: limits.len_bytes_max,
        }),
        _ => Ok(()),
    }
}

/// A body of several frames, on its way into one buffer.
struct Gathering<'l> {
    buffer: BytesMut,
    permit: Option<BudgetPermit>,
    declared_len: Option<u64>,
    limits: &'l IntakeLimits,
    budget: &'l ByteBudget,
}

impl<'l> Gathering<'l> {
    fn start(declared_len: Option<u64>, limits: &'l IntakeLimits, budget: &'l ByteBudget) -> Self {
        Self {
            buffer: BytesMut::new(),
            permit: None,
            declared_len,
            limits,
            budget,
        }
    }

    async fn push(&mut self, data: &[u8], pace: &mut Pace) -> Result<(), IntakeError> {
        let len = self.buffer.len() as u64 + data.len() as u64;
        // That it is shorter than declared so far is no mistake yet.
        check_len(
            len,
            self.declared_len.filter(|declared| len > *declared),
            self.limits,
        )?;
        if len > self.buffer.capacity() as u64 {
            let asked = Instant::now();
            self.grow(len).await?;
            pace.forgive(asked);
        }
        self.buffer.extend_from_slice(data);
        Ok(())
    }

    /// Replaces the buffer by one for at least `len` bytes, paid for before it is allocated.
    async fn grow(&mut self, len: u64) -> Result<(), IntakeError> {
        let capacity_bytes = capacity_for(len, self.declared_len, self.limits.len_bytes_max);
        let permit = self
            .budget
            .take(capacity_bytes, self.limits.budget_wait)
            .await;
        let permit = permit.ok_or(IntakeError::Busy)?;
        let capacity = usize::try_from(capacity_bytes).map_err(|_| IntakeError::Busy)?;
        let mut buffer = BytesMut::with_capacity(capacity);
        buffer.extend_from_slice(&self.buffer);
        self.buffer = buffer;
        self.permit = Some(permit);
        Ok(())
    }

    fn finish(self) -> Result<Collected, IntakeError> {
        check_len(self.buffer.len() as u64, self.declared_len, self.limits)?;
        // Only a body of empty frames has bought nothing by now.
        let permit = self
            .permit
            .or_else(|| self.budget.try_take(0))
            .ok_or(IntakeError::Busy)?;
        Ok(Collected {
            bytes: self.buffer.freeze(),
            permit,
        })
    }
}

/// The capacity of a buffer that has to hold `len` bytes now.
///
/// Of a declared length the whole, once a quarter of it has arrived: the steps are quarters of
/// quarters, so that the last one fits exactly. Of an unknown one twice what is there.
fn capacity_for(len: u64, declared_len: Option<u64>, len_bytes_max: u64) -> u64 {
    let Some(declared) = declared_len else {
        return (2 * len)
            .max(FIRST_BUFFER_BYTES)
            .min(len_bytes_max)
            .max(len);
    };
    let mut capacity = declared.max(len);
    while capacity > FIRST_BUFFER_BYTES && capacity.div_ceil(GROWTH) >= len {
        capacity = capacity.div_ceil(GROWTH);
    }
    capacity
}

#[cfg(test)]
mod tests;
