//! A shuffle that needs no memory: a keyed permutation of 0..n, computed one element at a time.
//!
//! A Feistel network over the smallest even number of bits that holds n, walked until it lands below n ("cycle walking": Black and Rogaway,
//! Ciphers with Arbitrary Finite Domains, CT-RSA 2002). Part of the contract: a seed gives the same order in every version.

const ROUNDS: u64 = 6;

/// A permutation of the numbers below `len`.
#[derive(Clone, Copy, Debug)]
pub struct Permutation {
    len: u64,
    half_bits: u32,
    seed: u64,
}

impl Permutation {
    /// The permutation of 0..len that belongs to a seed.
    pub const fn new(len: u64, seed: u64) -> Self {
        let bits = 64 - len.saturating_sub(1).leading_zeros();
        let half_bits = if bits < 2 { 1 } else { bits.div_ceil(2) };
        Self {
            len,
            half_bits,
            seed,
        }
    }

    /// Where `index`, which is below `len`, comes to lie.
    pub const fn at(&self, index: u64) -> u64 {
        let mut place = self.pass(index);
        while place >= self.len {
            place = self.pass(place);
        }
        place
    }

    const fn pass(&self, block: u64) -> u64 {
        let mask = (1 << self.half_bits) - 1;
        let (mut left, mut right) = (block >> self.half_bits, block & mask);
        let mut round = 0;
        while round < ROUNDS {
            let key = mix(self.seed ^ mix(round + 1));
            (left, right) = (right, left ^ (mix(right ^ key) & mask));
            round += 1;
        }
        (left << self.half_bits) | right
    }
}

/// The finaliser of SplitMix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators, OOPSLA 2014).
const fn mix(mut z: u64) -> u64 {
    z = z.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_number_once() {
        for len in (1..200).chain([1023, 1024, 1025, 70_001]) {
            let permutation = Permutation::new(len, 42);
            let mut seen = vec![false; usize::try_from(len).unwrap()];
            for index in 0..len {
                let place = usize::try_from(permutation.at(index)).unwrap();
                assert!(
                    !std::mem::replace(&mut seen[place], true),
                    "{len}: {place} twice"
                );
            }
        }
    }

    #[test]
    fn the_order_of_a_seed_never_changes() {
        let order = |seed| {
            (0..10)
                .map(|n| Permutation::new(10, seed).at(n))
                .collect::<Vec<_>>()
        };
        assert_eq!(order(1), order(1));
        assert_ne!(order(1), order(2));
        assert_eq!(order(1), ORDER_OF_SEED_1);
    }

    /// As it was when shards were first served.
    const ORDER_OF_SEED_1: [u64; 10] = [9, 4, 1, 2, 7, 0, 5, 6, 3, 8];

    #[test]
    fn it_shuffles() {
        let len = 10_000;
        let permutation = Permutation::new(len, 7);
        let kept = (0..len)
            .filter(|n| permutation.at(*n).abs_diff(*n) < 10)
            .count();
        let rising = (1..len)
            .filter(|n| permutation.at(*n) > permutation.at(*n - 1))
            .count();
        assert!(kept < 60, "{kept} stayed in place");
        assert!((4_700..5_300).contains(&rising), "{rising} of {len} rise");
    }
}
