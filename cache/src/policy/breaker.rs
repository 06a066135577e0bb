//! A circuit breaker: a store that keeps failing is left alone for a while, then tried by one call.
//! (Nygard, "Release It!", 2007.)

use std::time::Duration;

/// Counts failures in a row, and says who may call.
#[derive(Clone, Debug)]
pub struct Breaker {
    failures_max: u32,
    pause: Duration,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Closed {
        failures: u32,
    },
    Open {
        until: Duration,
    },
    /// One call is out to try; another may go if it has not come back after a pause.
    Probing {
        since: Duration,
    },
}

impl Breaker {
    /// Opens after `failures_max` failures in a row (at least one), for `pause`.
    pub fn new(failures_max: u32, pause: Duration) -> Self {
        Self {
            failures_max: failures_max.max(1),
            pause,
            state: State::Closed { failures: 0 },
        }
    }

    /// Whether it is worth to wait in line for a call.
    ///
    /// # Errors
    /// How long to wait before it is worth asking again.
    pub fn check(&self, now: Duration) -> Result<(), Duration> {
        let free_at = match self.state {
            State::Closed { .. } => return Ok(()),
            State::Open { until } => until,
            State::Probing { since } => since.saturating_add(self.pause),
        };
        match free_at.checked_sub(now) {
            Some(wait) if !wait.is_zero() => Err(wait),
            _ => Ok(()),
        }
    }

    /// Lets a call go out now: it may be the one that tries.
    ///
    /// # Errors
    /// As [`Self::check`].
    pub fn admit(&mut self, now: Duration) -> Result<(), Duration> {
        self.check(now)?;
        if self.is_open() {
            self.state = State::Probing { since: now };
        }
        Ok(())
    }

    /// The store has answered, if only by saying no.
    pub fn succeeded(&mut self) {
        self.state = State::Closed { failures: 0 };
    }

    /// The store has not answered, or has said that it cannot.
    pub fn failed(&mut self, now: Duration) {
        let open = State::Open {
            until: now.saturating_add(self.pause),
        };
        self.state = match self.state {
            State::Closed { failures } if failures + 1 < self.failures_max => State::Closed {
                failures: failures + 1,
            },
            State::Closed { .. } | State::Probing { .. } => open,
            // A straggler from before: the pause does not begin anew.
            State::Open { .. } => self.state,
        };
    }

    /// Whether calls are refused, or only tried.
    pub const fn is_open(&self) -> bool {
        !matches!(self.state, State::Closed { .. })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn opened() -> Breaker {
        let mut breaker = Breaker::new(3, 10 * SECOND);
        for _ in 0..3 {
            assert!(breaker.admit(Duration::ZERO).is_ok());
            breaker.failed(Duration::ZERO);
        }
        breaker
    }

    #[test]
    fn failures_in_a_row_open_it() {
        let mut breaker = Breaker::new(3, 10 * SECOND);
        for _ in 0..5 {
            breaker.failed(Duration::ZERO);
            breaker.failed(Duration::ZERO);
            breaker.succeeded();
        }
        assert!(!breaker.is_open());
        assert_eq!(opened().admit(4 * SECOND), Err(6 * SECOND));
    }

    #[test]
    fn one_call_tries_after_the_pause() {
        let mut breaker = opened();
        assert_eq!(breaker.admit(10 * SECOND), Ok(()));
        assert_eq!(breaker.admit(10 * SECOND), Err(10 * SECOND));
        breaker.failed(11 * SECOND);
        assert_eq!(breaker.admit(12 * SECOND), Err(9 * SECOND));
        assert_eq!(breaker.admit(21 * SECOND), Ok(()));
        breaker.succeeded();
        assert_eq!(breaker.admit(21 * SECOND), Ok(()));
    }

    #[test]
    fn a_lost_probe_is_replaced() {
        let mut breaker = opened();
        assert_eq!(breaker.admit(10 * SECOND), Ok(()));
        assert_eq!(breaker.admit(20 * SECOND), Ok(()));
    }

    #[test]
    fn stragglers_do_not_prolong_the_pause() {
        let mut breaker = opened();
        breaker.failed(9 * SECOND);
        assert_eq!(breaker.admit(10 * SECOND), Ok(()));
    }
}
