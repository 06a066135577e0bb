//! Which page of the disk tier goes first: S3-FIFO (Yang et al., "FIFO queues are all you need for cache eviction", SOSP 2023).
//!
//! A new page enters a small queue; one that is used again before it reaches the end moves to the main queue, the others go. So a scan that
//! reads everything once passes through the small queue and leaves the main one alone. A page that went from the small queue and comes
//! back soon enters the main one at once.

use std::collections::{HashMap, HashSet, VecDeque};
use std::hash::Hash;

/// The small queue's share of the bytes, in percent.
const SMALL_PERCENT: u64 = 10;
/// Uses beyond this are not counted.
const USES_MAX: u8 = 3;

/// The order of eviction.
#[derive(Clone, Debug)]
pub struct S3Fifo<K> {
    held: HashMap<K, Held>,
    small: VecDeque<(K, u32)>,
    main: VecDeque<(K, u32)>,
    ghosts: HashSet<K>,
    ghosts_order: VecDeque<K>,
    small_bytes: u64,
    bytes: u64,
    stamp: u32,
}

#[derive(Clone, Debug)]
struct Held {
    bytes: u64,
    uses: u8,
    is_small: bool,
    /// Tells its place in a queue from one that it has left.
    stamp: u32,
}

impl<K> Default for S3Fifo<K> {
    fn default() -> Self {
        Self {
            held: HashMap::new(),
            small: VecDeque::new(),
            main: VecDeque::new(),
            ghosts: HashSet::new(),
            ghosts_order: VecDeque::new(),
            small_bytes: 0,
            bytes: 0,
            stamp: 0,
        }
    }
}

impl<K: Copy + Eq + Hash> S3Fifo<K> {
    /// Takes a page in.
    pub fn insert(&mut self, key: K, bytes: u64) {
        let is_small = !self.ghosts.remove(&key);
        self.place(key, bytes, is_small);
    }

    /// Takes in a page that was held before a restart.
    pub fn restore(&mut self, key: K, bytes: u64) {
        self.place(key, bytes, false);
    }

    fn place(&mut self, key: K, bytes: u64, is_small: bool) {
        self.remove(key);
        self.stamp = self.stamp.wrapping_add(1);
        let stamp = self.stamp;
        self.held.insert(
            key,
            Held {
                bytes,
                uses: 0,
                is_small,
                stamp,
            },
        );
        self.bytes += bytes;
        if is_small {
            self.small_bytes += bytes;
            self.small.push_back((key, stamp));
        } else {
            self.main.push_back((key, stamp));
        }
        self.compact();
    }

    /// A page was used so many times.
    pub fn touch(&mut self, key: K, uses: u32) {
        if let Some(held) = self.held.get_mut(&key) {
            let uses = u8::try_from(uses).unwrap_or(USES_MAX);
            held.uses = held.uses.saturating_add(uses).min(USES_MAX);
        }
    }

    /// Forgets a page.
    pub fn remove(&mut self, key: K) {
        if let Some(held) = self.held.remove(&key) {
            self.bytes -= held.bytes;
            if held.is_small {
                self.small_bytes -= held.bytes;
            }
        }
    }

    /// The page that goes next; it is forgotten.
    pub fn evict(&mut self) -> Option<K> {
        loop {
            let from_small = self.small_bytes * 100 > self.bytes * SMALL_PERCENT;
            let gone = if from_small || self.main.is_empty() {
                self.evict_small()
            } else {
                self.evict_main()
            };
            if gone.is_some() || self.held.is_empty() {
                return gone;
            }
        }
    }

    fn evict_small(&mut self) -> Option<K> {
        while let Some((key, stamp)) = self.small.pop_front() {
            let Some(held) = self.current(key, stamp) else {
                continue;
            };
            if held.uses > 0 {
                let bytes = held.bytes;
                self.place(key, bytes, false);
                continue;
            }
            self.remove(key);
            self.remember(key);
            return Some(key);
        }
        None
    }

    fn evict_main(&mut self) -> Option<K> {
        while let Some((key, stamp)) = self.main.pop_front() {
            let Some(held) = self.current(key, stamp) else {
                continue;
            };
            if held.uses > 0 {
                held.uses -= 1;
                self.main.push_back((key, stamp));
                continue;
            }
            self.remove(key);
            return Some(key);
        }
        None
    }

    fn current(&mut self, key: K, stamp: u32) -> Option<&mut Held> {
        self.held.get_mut(&key).filter(|held| held.stamp == stamp)
    }

    /// As many ghosts as pages.
    fn remember(&mut self, key: K) {
        if self.ghosts.insert(key) {
            self.ghosts_order.push_back(key);
        }
        while self.ghosts_order.len() > self.held.len().max(16) {
            if let Some(old) = self.ghosts_order.pop_front() {
                self.ghosts.remove(&old);
            }
        }
    }

    /// Takes places out of the queues that were left, before they are most of them.
    fn compact(&mut self) {
        if self.small.len() + self.main.len() > 2 * self.held.len() + 64 {
            let held = &self.held;
            let stands = |(key, stamp): &(K, u32)| held.get(key).is_some_and(|h| h.stamp == *stamp);
            self.small.retain(stands);
            self.main.retain(stands);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use moongate_disk::sim::Rng;

    /// Holds at most `max` pages of one byte; says which went.
    fn put(fifo: &mut S3Fifo<u64>, key: u64, max: u64) -> Option<u64> {
        let gone = (fifo.bytes >= max).then(|| fifo.evict()).flatten();
        fifo.insert(key, 1);
        gone
    }

    #[test]
    fn a_scan_leaves_alone_what_is_used() {
        let mut fifo = S3Fifo::default();
        for key in 0..50 {
            put(&mut fifo, key, 100);
            fifo.touch(key, 1);
        }
        for key in 1000..3000 {
            let gone = put(&mut fifo, key, 100);
            assert!(gone.is_none_or(|gone| gone >= 1000), "{gone:?}");
            (0..50).for_each(|key| fifo.touch(key, 1));
        }
    }

    #[test]
    fn what_comes_back_soon_stays() {
        let mut fifo = S3Fifo::default();
        for key in 0..100 {
            put(&mut fifo, key, 100);
        }
        let gone = put(&mut fifo, 100, 100).unwrap();
        put(&mut fifo, gone, 100);
        assert!(!fifo.held[&gone].is_small);
    }

    #[test]
    fn each_page_goes_once_and_all_go() {
        for seed in 0..50 {
            let mut rng = Rng::new(seed);
            let (mut fifo, mut held) = (S3Fifo::default(), HashSet::new());
            for _ in 0..500 {
                let key = rng.below(40);
                match rng.below(4) {
                    0 | 1 => {
                        fifo.insert(key, 1 + key);
                        held.insert(key);
                    }
                    2 => fifo.touch(key, 1),
                    _ => match fifo.evict() {
                        Some(gone) => assert!(held.remove(&gone), "seed {seed}"),
                        None => assert!(held.is_empty(), "seed {seed}"),
                    },
                }
                assert_eq!(fifo.bytes, held.iter().map(|key| 1 + key).sum::<u64>());
                assert!(fifo.small.len() + fifo.main.len() <= 2 * held.len() + 66);
            }
            while let Some(gone) = fifo.evict() {
                assert!(held.remove(&gone), "seed {seed}");
            }
            assert!(held.is_empty(), "seed {seed}");
        }
    }
}
