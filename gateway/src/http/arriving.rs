//! Request bodies of any length, piece by piece, at the pace that [`IntakeLimits`] ask of all bodies.

use std::error::Error as StdError;
use std::io;
use std::time::Duration;

use bytes::Bytes;
use http_body::Body;
use http_body_util::BodyExt;
use tokio::time::{Instant, timeout_at};

use super::intake::{IntakeError, IntakeLimits};

/// A body that is read as it arrives. What is held of it, and that its length has a bound if it needs one, is the reader's business.
#[derive(Debug)]
pub struct Arriving<B> {
    body: B,
    pace: Pace,
    ended: bool,
}

impl<B> Arriving<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<Box<dyn StdError + Send + Sync>>,
{
    /// Starts the clock. Of the limits, length and budget are not looked at.
    pub fn new(body: B, limits: &IntakeLimits) -> Self {
        Self {
            body,
            pace: Pace::start(limits),
            ended: false,
        }
    }

    /// The next piece; `None` at the end, and from then on. Nothing is lost when the future is dropped.
    ///
    /// # Errors
    /// The client stalls, leaves, or breaks HTTP's rules.
    pub async fn next(&mut self) -> Result<Option<Bytes>, IntakeError> {
        if self.ended {
            return Ok(None);
        }
        let piece = next_data(&mut self.body, &mut self.pace).await;
        self.ended = !matches!(piece, Ok(Some(_)));
        piece
    }

    /// Time since then that we kept the client waiting does not count against it.
    pub fn forgive(&mut self, since: Instant) {
        self.pace.forgive(since);
    }

    /// What has come so far, in bytes.
    pub const fn received_bytes(&self) -> u64 {
        self.pace.received_bytes
    }

    /// Whether there will be no more.
    pub const fn has_ended(&self) -> bool {
        self.ended
    }
}

/// The next bytes of `body`; trailers are passed over.
pub(super) async fn next_data<B>(
    body: &mut B,
    pace: &mut Pace,
) -> Result<Option<Bytes>, IntakeError>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<Box<dyn StdError + Send + Sync>>,
{
    loop {
        let frame = timeout_at(pace.deadline(), body.frame())
            .await
            .map_err(|_| pace.stalled())?;
        match frame.map(|frame| frame.map(http_body::Frame::into_data)) {
            None => return Ok(None),
            Some(Err(error)) => return Err(read_error(error.into().as_ref())),
            Some(Ok(Err(_trailers))) => {}
            Some(Ok(Ok(data))) => {
                pace.arrived(data.len());
                return Ok(Some(data));
            }
        }
    }
}

/// A connection that ended early is told apart from a malformed body by what hyper says caused it.
fn read_error(error: &(dyn StdError + 'static)) -> IntakeError {
    let mut cause = Some(error);
    while let Some(this) = cause {
        let early = this.downcast_ref::<io::Error>().is_some_and(is_early_end)
            || this
                .downcast_ref::<hyper::Error>()
                .is_some_and(hyper::Error::is_incomplete_message);
        if early {
            return IntakeError::Truncated;
        }
        cause = this.source();
    }
    IntakeError::Protocol(error.to_string())
}

fn is_early_end(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    matches!(
        error.kind(),
        UnexpectedEof | ConnectionReset | ConnectionAborted | BrokenPipe
    )
}

/// How fast a body has to come.
#[derive(Debug)]
pub(super) struct Pace {
    started: Instant,
    last: Instant,
    received_bytes: u64,
    stall_timeout: Duration,
    grace: Duration,
    rate_bytes_per_sec_min: u64,
}

impl Pace {
    pub(super) fn start(limits: &IntakeLimits) -> Self {
        let now = Instant::now();
        Self {
            started: now,
            last: now,
            received_bytes: 0,
            stall_timeout: limits.stall_timeout,
            grace: limits.rate_grace,
            rate_bytes_per_sec_min: limits.rate_bytes_per_sec_min,
        }
    }

    fn arrived(&mut self, len_bytes: usize) {
        self.received_bytes += len_bytes as u64;
        self.last = Instant::now();
    }

    /// Time that we kept the client waiting does not count against it.
    pub(super) fn forgive(&mut self, since: Instant) {
        self.started += since.elapsed();
        self.last = Instant::now();
    }

    /// When to give up unless more arrives: after a pause, or where the average falls below the least.
    fn deadline(&self) -> Instant {
        let pause_ends = self.last + self.stall_timeout;
        match self.received_bytes.checked_div(self.rate_bytes_per_sec_min) {
            Some(earned_secs) => {
                let earned = Duration::from_secs(earned_secs.min(u64::from(u32::MAX)));
                pause_ends.min(self.started + self.grace.max(earned))
            }
            None => pause_ends,
        }
    }

    fn stalled(&self) -> IntakeError {
        IntakeError::Stalled {
            secs: self.started.elapsed().as_secs(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_deadline_follows_what_arrived() {
        let mut pace = Pace::start(&IntakeLimits::new(1 << 20, Duration::from_secs(10)));
        let after = |pace: &Pace| pace.deadline().duration_since(pace.started).as_secs();
        assert_eq!(after(&pace), 10, "the first pause");
        pace.last = pace.started + Duration::from_secs(25);
        assert_eq!(after(&pace), 30, "the grace is shorter than the pause");
        pace.received_bytes = 32 * 1024;
        assert_eq!(after(&pace), 32, "32 KiB earn 32 s");
        pace.received_bytes = u64::MAX;
        assert_eq!(after(&pace), 35, "a fast body is bound by its pauses alone");
        pace.rate_bytes_per_sec_min = 0;
        pace.received_bytes = 0;
        assert_eq!(after(&pace), 35, "no least rate");
    }
}
