//! Which keys of its range a page of the index has: a sorted list while they are few, a bitmap with counts once they are many, as the
//! containers of Roaring bitmaps are (Chambi, Lemire, Kaser, Godin: Better bitmap performance with Roaring bitmaps, 2016). A list
//! takes 2 bytes a key, a bitmap a sixth of a byte for each key of the range, and where a key stands in it is found in one read of memory.

use super::packed::PAGE_KEYS;

/// Keys of a word; what is left of it counts the keys before them.
const WORD_KEYS: usize = 48;
const WORDS: usize = (PAGE_KEYS as usize).div_ceil(WORD_KEYS);
const ONE_BEFORE: u64 = 1 << WORD_KEYS;

/// As many keys as take the same memory in both shapes.
const MAP_FROM: usize = size_of::<KeyMap>() / size_of::<u16>();

/// A set of keys, each counted from the first of the page's range.
#[derive(Debug)]
pub enum Keys {
    /// Sorted.
    Listed(Vec<u16>),
    /// A bit for each key of the range.
    Mapped(Box<KeyMap>),
}

/// A bitmap of a page's range: words of 48 keys, above them how many keys stand before the word.
#[derive(Debug)]
pub struct KeyMap([u64; WORDS]);

impl Default for Keys {
    fn default() -> Self {
        Self::Listed(Vec::new())
    }
}

fn word_and_bit(key: u16) -> (usize, u64) {
    let key = usize::from(key) % PAGE_KEYS as usize;
    (key / WORD_KEYS, 1 << (key % WORD_KEYS))
}

/// How many keys stand before one with this bit in its word.
const fn rank(word: u64, bit: u64) -> usize {
    (word / ONE_BEFORE) as usize + (word & (bit - 1)).count_ones() as usize
}

impl KeyMap {
    const fn empty() -> Self {
        Self([0; WORDS])
    }

    fn find(&self, key: u16) -> Result<usize, usize> {
        let (at, bit) = word_and_bit(key);
        let word = self.0[at];
        let rank = rank(word, bit);
        if word & bit == 0 { Err(rank) } else { Ok(rank) }
    }

    fn insert(&mut self, key: u16) {
        let (at, bit) = word_and_bit(key);
        self.0[at] |= bit;
        self.0[at + 1..].iter_mut().for_each(|n| *n += ONE_BEFORE);
    }

    fn remove(&mut self, key: u16) {
        let (at, bit) = word_and_bit(key);
        self.0[at] &= !bit;
        self.0[at + 1..].iter_mut().for_each(|n| *n -= ONE_BEFORE);
    }

    const fn len(&self) -> usize {
        rank(self.0[WORDS - 1], ONE_BEFORE)
    }

    fn iter(&self) -> impl Iterator<Item = u16> {
        (0..PAGE_KEYS as u16).filter(|key| self.find(*key).is_ok())
    }
}

impl Keys {
    /// A set that takes the whole range without growing.
    pub fn with_room() -> Self {
        Self::Mapped(Box::new(KeyMap::empty()))
    }

    /// How many keys stand before this one: `Ok` if it is in the set, `Err` if it is not.
    pub fn find(&self, key: u16) -> Result<usize, usize> {
        match self {
            Self::Listed(keys) => keys.binary_search(&key),
            Self::Mapped(map) => map.find(key),
        }
    }

    /// Puts in a key that is not there.
    pub fn insert(&mut self, key: u16) {
        if let Self::Listed(keys) = &*self
            && keys.len() >= MAP_FROM
        {
            *self = map_of(keys);
        }
        match self {
            Self::Listed(keys) => {
                if let Err(at) = keys.binary_search(&key) {
                    super::packed::insert(keys, at, key);
                }
            }
            Self::Mapped(map) => map.insert(key),
        }
    }

    /// Takes out a key that is there.
    pub fn remove(&mut self, key: u16) {
        match self {
            Self::Listed(keys) => {
                if let Ok(at) = keys.binary_search(&key) {
                    keys.remove(at);
                }
            }
            Self::Mapped(map) => map.remove(key),
        }
    }

    /// Takes the smaller shape, without slack.
    pub fn shrink(&mut self) {
        match self {
            Self::Mapped(map) if map.len() < MAP_FROM => {
                let mut keys = Vec::with_capacity(map.len());
                keys.extend(map.iter());
                *self = Self::Listed(keys);
            }
            Self::Mapped(_) => {}
            Self::Listed(keys) => super::packed::exact(keys),
        }
    }

    /// Memory beside the head.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Listed(keys) => keys.capacity() * size_of::<u16>(),
            Self::Mapped(map) => size_of_val(&**map),
        }
    }
}

fn map_of(keys: &[u16]) -> Keys {
    let mut map = Box::new(KeyMap::empty());
    keys.iter().for_each(|key| map.insert(*key));
    Keys::Mapped(map)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn any_key() -> impl Strategy<Value = u16> {
        0..PAGE_KEYS as u16
    }

    proptest! {
        /// In whichever shape, and across the change of shapes.
        #[test]
        fn counts_as_a_plain_set(
            filled in proptest::collection::vec(any_key(), 0..2 * MAP_FROM),
            steps in proptest::collection::vec((any_key(), any::<bool>()), 0..100),
            room in any::<bool>(),
            shrink in any::<bool>(),
        ) {
            let mut keys = if room { Keys::with_room() } else { Keys::default() };
            let mut model = BTreeSet::new();
            for key in filled {
                if model.insert(key) {
                    keys.insert(key);
                }
            }
            if shrink {
                keys.shrink();
            }
            for (key, put) in steps {
                let rank = model.range(..key).count();
                prop_assert_eq!(keys.find(key), if model.contains(&key) { Ok(rank) } else { Err(rank) });
                if put && model.insert(key) {
                    keys.insert(key);
                } else if !put && model.remove(&key) {
                    keys.remove(key);
                }
            }
        }
    }
}
