//! A bound on bytes a second: who takes more than there is waits for its turn.

use std::time::Duration;

/// How far ahead of its rate it may get, as time.
const BURST: Duration = Duration::from_millis(100);

/// Bytes a second.
#[derive(Clone, Debug)]
pub struct Rate {
    bytes_per_sec: u64,
    /// When all that was taken is paid for.
    free_at: Duration,
}

impl Rate {
    /// So many bytes a second; 0: as many as there are.
    pub const fn new(bytes_per_sec: u64) -> Self {
        Self {
            bytes_per_sec,
            free_at: Duration::ZERO,
        }
    }

    /// Takes bytes; says how long to wait before the next.
    pub fn take(&mut self, now: Duration, bytes: u64) -> Duration {
        if self.bytes_per_sec == 0 {
            return Duration::ZERO;
        }
        let cost = Duration::from_secs_f64(bytes as f64 / self.bytes_per_sec as f64);
        self.free_at = self.free_at.max(now).saturating_add(cost);
        self.free_at.saturating_sub(now).saturating_sub(BURST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_waits_as_told_keeps_to_the_rate() {
        let (mut rate, mut now) = (Rate::new(1000), Duration::ZERO);
        for _ in 0..100 {
            now += rate.take(now, 100);
        }
        assert!(
            now > Duration::from_secs_f64(9.8) && now <= Duration::from_secs(10),
            "{now:?}"
        );
        assert_eq!(Rate::new(0).take(now, u64::MAX), Duration::ZERO);
    }
}
