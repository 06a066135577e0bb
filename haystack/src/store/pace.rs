//! Keeping a background reader to a number of bytes a second.

use std::time::{Duration, Instant};

const NAP_MAX: Duration = Duration::from_millis(200);

/// Bytes a second, measured from its making.
pub struct Pace {
    bytes_per_sec: u64,
    started: Instant,
    bytes: u64,
}

impl Pace {
    /// No faster than this; 0 for no limit.
    pub fn new(bytes_per_sec: u64) -> Self {
        Self {
            bytes_per_sec,
            started: Instant::now(),
            bytes: 0,
        }
    }

    /// After reading `bytes`: waits until they were allowed, or `stop` says to give up.
    pub fn wait(&mut self, bytes: u64, stop: impl Fn() -> bool) {
        if self.bytes_per_sec == 0 {
            return;
        }
        self.bytes += bytes;
        let due = Duration::from_secs_f64(self.bytes as f64 / self.bytes_per_sec as f64);
        while !stop() {
            match due.checked_sub(self.started.elapsed()) {
                Some(rest) if !rest.is_zero() => std::thread::sleep(rest.min(NAP_MAX)),
                _ => return,
            }
        }
    }
}
