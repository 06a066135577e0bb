//! The memory, shared out: a tier of its own for each share, and one for the rest.
//!
//! What is set aside for an owner is not lent: memory that others have filled could not be had back at once.

use std::sync::Arc;

use crate::files::{FileId, PageKey};
use crate::ram::{Farewell, RamTier};
use crate::share::{Owner, Share};
use crate::stats::Counters;

/// All pages in memory.
#[derive(Debug)]
pub struct RamShares {
    rest: RamTier,
    shares: Vec<RamTier>,
}

impl RamShares {
    pub(crate) fn new(
        bytes_max: u64,
        shares: &[Share],
        counters: &Arc<Counters>,
        farewell: &Arc<Farewell>,
    ) -> Self {
        let tier = |bytes| RamTier::new(bytes, Arc::clone(counters), Arc::clone(farewell));
        let own: Vec<u64> = shares.iter().map(|share| share.of(bytes_max)).collect();
        Self {
            rest: tier(bytes_max.saturating_sub(own.iter().sum())),
            shares: own.into_iter().map(tier).collect(),
        }
    }

    /// The tier that holds an owner's pages.
    pub(crate) fn of(&self, owner: Owner) -> &RamTier {
        let own = owner.share().and_then(|place| self.shares.get(place));
        own.unwrap_or(&self.rest)
    }

    fn all(&self) -> impl Iterator<Item = &RamTier> {
        std::iter::once(&self.rest).chain(&self.shares)
    }

    /// Lets go the pages of a file of so many, whoever's they are.
    pub(crate) fn forget(&self, file: FileId, pages: u64) {
        for page in 0..pages {
            self.all()
                .for_each(|tier| tier.remove(PageKey { file, page }));
        }
    }

    /// Bytes of a page that are here.
    pub(crate) fn bytes_of(&self, key: PageKey) -> u64 {
        self.all().map(|tier| tier.bytes_of(key)).sum()
    }

    pub(crate) fn len_bytes(&self) -> u64 {
        self.all().map(RamTier::len_bytes).sum()
    }

    pub(crate) fn len_pages(&self) -> u64 {
        self.all().map(RamTier::len_pages).sum()
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use moongate_disk::sim::Rng;

    use super::*;

    const RAM: u64 = 4 << 20;
    const PAGE: usize = 10_000;

    fn key(owner: u64, page: u64) -> PageKey {
        PageKey {
            file: FileId(owner),
            page,
        }
    }

    fn shared(percents: &[u8]) -> RamShares {
        let share = |percent: &u8| Share {
            name: String::new(),
            percent: *percent,
        };
        let shares: Vec<Share> = percents.iter().map(share).collect();
        let farewell: Arc<Farewell> = Arc::new(|_, _| {});
        RamShares::new(RAM, &shares, &Arc::default(), &farewell)
    }

    /// Random pages of three owners and of nobody: whoever puts how much, what the others have stays.
    #[test]
    fn nobody_takes_the_place_of_another() {
        for seed in 0..20 {
            let mut rng = Rng::new(seed);
            let ram = shared(&[20, 30]);
            let owners = [Owner::NOBODY, Owner::of_share(0), Owner::of_share(1)];
            let bounds = [RAM / 2, RAM / 5, RAM / 10 * 3];
            // Few enough to fit into the smallest share's part for whole pages.
            for (owner, n) in owners.iter().zip(0..) {
                for page in 0..20 {
                    ram.of(*owner).put(key(n, page), Bytes::from(vec![1; PAGE]));
                }
            }
            let greedy = rng.below(3) as usize;
            for page in 1000..2000 + rng.below(500) {
                let owner = owners[greedy];
                ram.of(owner)
                    .put(key(greedy as u64, page), Bytes::from(vec![1; PAGE]));
                assert!(ram.of(owner).len_bytes() <= bounds[greedy], "seed {seed}");
            }
            for (owner, n) in owners.iter().zip(0..).filter(|(_, n)| *n != greedy as u64) {
                for page in 0..20 {
                    assert!(
                        ram.of(*owner).contains(key(n, page)),
                        "seed {seed}, owner {n}"
                    );
                }
            }
            assert!(ram.len_bytes() <= RAM, "seed {seed}");
        }
    }

    #[test]
    fn what_is_forgotten_is_forgotten_everywhere() {
        let ram = shared(&[50]);
        for owner in [Owner::NOBODY, Owner::of_share(0), Owner::of_share(7)] {
            ram.of(owner).put(key(1, 0), Bytes::from(vec![1; PAGE]));
            assert_eq!(ram.bytes_of(key(1, 0)), PAGE as u64);
            ram.forget(FileId(1), 1);
            assert_eq!(ram.bytes_of(key(1, 0)), 0);
        }
    }
}
