//! When to try again, and how long to wait before.

use std::time::Duration;

use backon::{BackoffBuilder as _, ExponentialBackoff, ExponentialBuilder};

use super::error::ClientError;

/// The first wait; each one after is twice as long, with up to as much again at random.
const WAIT_MIN: Duration = Duration::from_millis(200);
/// The longest wait between two tries.
const WAIT_MAX: Duration = Duration::from_secs(20);
/// The longest that a server's Retry-After is taken seriously.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(120);

/// What is left of the patience for one piece of work.
#[derive(Debug)]
pub struct Patience {
    retries_max: usize,
    waits: ExponentialBackoff,
}

impl Patience {
    /// For `retries_max` tries after the first.
    pub fn new(retries_max: usize) -> Self {
        Self {
            retries_max,
            waits: waits(retries_max),
        }
    }

    /// Something was done since the last failure: begin anew.
    pub fn renew(&mut self) {
        self.waits = waits(self.retries_max);
    }

    /// How long to wait before the next try.
    ///
    /// # Errors
    /// The error that it was given: it will not pass, or there have been enough tries.
    pub fn wait_after(&mut self, error: ClientError) -> Result<Duration, ClientError> {
        if !error.may_pass() {
            return Err(error);
        }
        match (self.waits.next(), error.retry_after()) {
            (None, _) => Err(error),
            (Some(wait), Some(asked)) => Ok(wait.max(asked.min(RETRY_AFTER_MAX))),
            (Some(wait), None) => Ok(wait),
        }
    }

    /// Waits until the next try.
    ///
    /// # Errors
    /// As [`Self::wait_after`].
    pub async fn pause(&mut self, error: ClientError) -> Result<(), ClientError> {
        let wait = self.wait_after(error)?;
        tokio::time::sleep(wait).await;
        Ok(())
    }
}

fn waits(retries_max: usize) -> ExponentialBackoff {
    ExponentialBuilder::new()
        .with_min_delay(WAIT_MIN)
        .with_max_delay(WAIT_MAX)
        .with_max_times(retries_max)
        .with_jitter()
        .build()
}

/// The seconds of a Retry-After header; its other form, a date, is not sent by us.
pub fn retry_after(header: Option<&http::HeaderValue>) -> Option<Duration> {
    let secs = header?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(secs))
}

#[cfg(test)]
mod tests {
    use http::{HeaderValue, StatusCode};

    use super::*;

    fn refused(status: u16, retry_after_secs: Option<u64>) -> ClientError {
        ClientError::Refused {
            status: StatusCode::from_u16(status).unwrap(),
            reason: "no".to_owned(),
            retry_after: retry_after_secs.map(Duration::from_secs),
        }
    }

    #[test]
    fn only_what_may_pass_is_tried_again() {
        for status in [429, 502, 503, 504] {
            assert!(Patience::new(3).wait_after(refused(status, None)).is_ok());
        }
        for status in [400, 404, 409, 412, 413, 500, 507] {
            assert!(Patience::new(3).wait_after(refused(status, None)).is_err());
        }
        let broken = ClientError::Broken("reset".to_owned());
        assert!(Patience::new(3).wait_after(broken).is_ok());
        let local = ClientError::local("a".as_ref(), std::io::ErrorKind::NotFound.into());
        assert!(Patience::new(3).wait_after(local).is_err());
    }

    #[test]
    fn waits_grow_end_and_begin_anew() {
        let mut patience = Patience::new(4);
        let mut waits = || -> Vec<Duration> {
            std::iter::from_fn(|| patience.wait_after(refused(503, None)).ok()).collect()
        };
        let first = waits();
        assert_eq!(first.len(), 4);
        assert!(first.iter().enumerate().all(|(n, wait)| {
            let least = WAIT_MIN * 2_u32.pow(n as u32);
            (least..=least * 2).contains(wait)
        }));
        assert!(waits().is_empty());
        patience.renew();
        assert!(patience.wait_after(refused(503, None)).is_ok());
    }

    #[test]
    fn the_server_says_how_long_within_reason() {
        let mut patience = Patience::new(3);
        let wait = patience.wait_after(refused(429, Some(7))).unwrap();
        assert_eq!(wait, Duration::from_secs(7));
        let wait = patience.wait_after(refused(429, Some(1_000_000))).unwrap();
        assert_eq!(wait, RETRY_AFTER_MAX);
    }

    #[test]
    fn retry_after_is_seconds() {
        let of = |text| retry_after(Some(&HeaderValue::from_static(text)));
        assert_eq!(of(" 3"), Some(Duration::from_secs(3)));
        assert_eq!(of("Sun, 06 Nov 1994 08:49:37 GMT"), None);
        assert_eq!(retry_after(None), None);
    }
}
