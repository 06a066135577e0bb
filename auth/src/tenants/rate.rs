//! A rate: so many a second, and a second's worth at once. GCRA, as in ATM: one number says until when all that was let in has been paid
//! for.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

const SECOND_NS: u64 = 1_000_000_000;

/// So many a second. Threads share it without a lock.
#[derive(Debug)]
pub struct Rate {
    per_sec: u64,
    began: Instant,
    /// Nanoseconds since the beginning until when it is paid for.
    paid_until_ns: AtomicU64,
}

impl Rate {
    /// 0: no limit.
    pub fn new(per_sec: u64) -> Self {
        Self {
            per_sec,
            began: Instant::now(),
            paid_until_ns: AtomicU64::new(0),
        }
    }

    fn ns(&self, now: Instant) -> u64 {
        // A second ahead, so that a second's worth fits from the first moment.
        let since = now.saturating_duration_since(self.began).as_nanos();
        u64::try_from(since)
            .unwrap_or(u64::MAX)
            .saturating_add(SECOND_NS)
    }

    fn cost_ns(&self, amount: u64) -> u64 {
        let cost = u128::from(amount) * u128::from(SECOND_NS) / u128::from(self.per_sec.max(1));
        u64::try_from(cost).unwrap_or(u64::MAX)
    }

    /// Takes one.
    ///
    /// # Errors
    /// In how many seconds there is one.
    pub fn take(&self, now: Instant) -> Result<(), u64> {
        if self.per_sec == 0 {
            return Ok(());
        }
        let (now_ns, cost) = (self.ns(now), self.cost_ns(1));
        let taken =
            self.paid_until_ns
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |until| {
                    let next = until
                        .max(now_ns.saturating_sub(SECOND_NS))
                        .saturating_add(cost);
                    (next <= now_ns).then_some(next)
                });
        taken
            .map(|_| ())
            .map_err(|until| retry_secs(until.saturating_add(cost), now_ns))
    }

    /// Whether what was charged has been made up for.
    ///
    /// # Errors
    /// In how many seconds it will be.
    pub fn check(&self, now: Instant) -> Result<(), u64> {
        let (now_ns, until) = (self.ns(now), self.paid_until_ns.load(Ordering::Relaxed));
        match self.per_sec > 0 && until > now_ns {
            true => Err(retry_secs(until, now_ns)),
            false => Ok(()),
        }
    }

    /// Charges what has moved already.
    pub fn charge(&self, amount: u64, now: Instant) {
        if self.per_sec == 0 || amount == 0 {
            return;
        }
        let (now_ns, cost) = (self.ns(now), self.cost_ns(amount));
        let _ = self
            .paid_until_ns
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |until| {
                Some(
                    until
                        .max(now_ns.saturating_sub(SECOND_NS))
                        .saturating_add(cost),
                )
            });
    }
}

fn retry_secs(until_ns: u64, now_ns: u64) -> u64 {
    until_ns.saturating_sub(now_ns).div_ceil(SECOND_NS).max(1)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_seconds_worth_at_once_then_one_by_one() {
        let (rate, now) = (Rate::new(10), Instant::now());
        let taken = (0..100).filter(|_| rate.take(now).is_ok()).count();
        assert_eq!(taken, 10);
        assert_eq!(rate.take(now), Err(1));
        let later = now + Duration::from_millis(300);
        assert_eq!((0..100).filter(|_| rate.take(later).is_ok()).count(), 3);
    }

    #[test]
    fn what_moved_is_made_up_for() {
        let (rate, now) = (Rate::new(1000), Instant::now());
        rate.charge(500, now);
        assert_eq!(rate.check(now), Ok(()));
        rate.charge(10_500, now);
        assert_eq!(rate.check(now), Err(10));
        assert_eq!(rate.check(now + Duration::from_secs(11)), Ok(()));
        let free = Rate::new(0);
        free.charge(u64::MAX, now);
        assert!(free.check(now).is_ok() && free.take(now).is_ok());
    }

    proptest! {
        #[test]
        fn a_rate_holds(per_sec in 1u64..1000, steps in prop::collection::vec(0u64..50, 1..200)) {
            let (rate, mut now) = (Rate::new(per_sec), Instant::now());
            let (begin, mut taken) = (now, 0);
            for step in steps {
                now += Duration::from_millis(step);
                taken += u64::from(rate.take(now).is_ok());
            }
            let secs = (now - begin).as_secs_f64();
            prop_assert!(taken as f64 <= per_sec as f64 * (secs + 1.0) + 1.0);
        }

        #[test]
        fn no_number_panics(per_sec in any::<u64>(), amount in any::<u64>()) {
            let rate = Rate::new(per_sec);
            rate.charge(amount, Instant::now());
            let _ = (rate.check(Instant::now()), rate.take(Instant::now()));
        }
    }
}
