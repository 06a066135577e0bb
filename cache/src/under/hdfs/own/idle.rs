//! Connections that nobody uses now, kept for a short while.

use std::collections::HashMap;
use std::fmt;
use std::hash::Hash;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// Kept ones by where they lead.
pub(super) struct Idle<K, C> {
    kept: Mutex<HashMap<K, Vec<(C, Instant)>>>,
    lasts: Duration,
    each_max: usize,
    all_max: usize,
}

impl<K, C> fmt::Debug for Idle<K, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Idle")
    }
}

impl<K: Eq + Hash, C> Idle<K, C> {
    /// Each for at most so long, so many for each place, so many in all.
    pub(super) fn new(lasts: Duration, each_max: usize, all_max: usize) -> Self {
        Self {
            kept: Mutex::default(),
            lasts,
            each_max,
            all_max,
        }
    }

    /// The one that was put last and `is_open` still.
    pub(super) fn take(&self, key: &K, is_open: impl Fn(&C) -> bool) -> Option<C> {
        let mut kept = self.kept.lock();
        let of_key = kept.get_mut(key)?;
        while let Some((connection, since)) = of_key.pop() {
            if since.elapsed() < self.lasts && is_open(&connection) {
                return Some(connection);
            }
        }
        kept.remove(key);
        None
    }

    /// Keeps one, if there is room.
    pub(super) fn put(&self, key: K, connection: C) {
        let mut kept = self.kept.lock();
        kept.retain(|_, of_key| {
            of_key.retain(|(_, since)| since.elapsed() < self.lasts);
            !of_key.is_empty()
        });
        let all: usize = kept.values().map(Vec::len).sum();
        let of_key = kept.entry(key).or_default();
        if all < self.all_max && of_key.len() < self.each_max {
            of_key.push((connection, Instant::now()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_are_kept_for_a_while_and_few() {
        let idle = Idle::new(Duration::from_secs(3600), 2, 3);
        for connection in 0..4 {
            idle.put("a", connection);
        }
        idle.put("b", 7);
        idle.put("b", 8);
        assert_eq!(idle.take(&"b", |_| true), Some(7));
        assert_eq!(idle.take(&"a", |connection| *connection == 0), Some(0));
        assert_eq!(idle.take(&"a", |_| true), None);
        let brief = Idle::new(Duration::ZERO, 2, 3);
        brief.put("a", 9);
        assert_eq!(brief.take(&"a", |_| true), None);
    }
}
