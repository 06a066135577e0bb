//! The entries of one page of the index, packed: which keys it has ([`Keys`]), and beside them parallel arrays of 4 bytes of offset (5 beyond
//! 32 GiB) and 2 of size (4 where a needle is larger than 64 KiB).

use super::Entry;
use super::keys::Keys;
use crate::id::NeedleKey;
use crate::needle::ALIGNMENT_BYTES;

/// Bits of a key that tell it from the others of its page.
pub const PAGE_KEY_BITS: u32 = 11;
/// Keys in the range of one page.
pub const PAGE_KEYS: u64 = 1 << PAGE_KEY_BITS;

/// The live entries of one page, sorted by key.
#[derive(Debug, Default)]
pub struct Packed {
    keys: Keys,
    offsets: Vec<u32>,
    /// Bits 32 to 39 of the offsets, only once one of them is not 0.
    offsets_high: Vec<u8>,
    sizes: Sizes,
}

#[derive(Debug)]
enum Sizes {
    Small(Vec<u16>),
    Wide(Vec<u32>),
}

impl Default for Sizes {
    fn default() -> Self {
        Self::Small(Vec::new())
    }
}

/// Inserts with little slack: pages are many, and most of them are done growing.
pub(super) fn insert<T>(vec: &mut Vec<T>, at: usize, value: T) {
    if vec.len() == vec.capacity() {
        vec.reserve_exact(vec.len() / 8 + 8);
    }
    vec.insert(at, value);
}

/// Moves to an allocation of just this length: one that is shrunk in place keeps its size in the allocator.
pub(super) fn exact<T: Copy>(vec: &mut Vec<T>) {
    *vec = vec.as_slice().to_vec();
}

impl Sizes {
    fn get(&self, at: usize) -> u32 {
        match self {
            Self::Small(sizes) => sizes[at].into(),
            Self::Wide(sizes) => sizes[at],
        }
    }

    /// Makes room for a size that takes more than 16 bits.
    fn widen_for(&mut self, size: u32) {
        if let (Self::Small(sizes), true) = (&*self, size > u32::from(u16::MAX)) {
            *self = Self::Wide(sizes.iter().map(|s| u32::from(*s)).collect());
        }
    }

    fn set(&mut self, at: usize, size: u32) {
        self.widen_for(size);
        match self {
            Self::Small(sizes) => sizes[at] = size as u16,
            Self::Wide(sizes) => sizes[at] = size,
        }
    }

    fn insert(&mut self, at: usize, size: u32) {
        self.widen_for(size);
        match self {
            Self::Small(sizes) => insert(sizes, at, size as u16),
            Self::Wide(sizes) => insert(sizes, at, size),
        }
    }

    fn remove(&mut self, at: usize) {
        match self {
            Self::Small(sizes) => drop(sizes.remove(at)),
            Self::Wide(sizes) => drop(sizes.remove(at)),
        }
    }
}

/// A key, counted from the first of its page.
fn in_page(key: NeedleKey) -> u16 {
    (key.0 % PAGE_KEYS) as u16
}

impl Packed {
    fn find(&self, key: NeedleKey) -> Result<usize, usize> {
        self.keys.find(in_page(key))
    }

    /// Where a key stands.
    pub fn get(&self, key: NeedleKey) -> Option<Entry> {
        let at = self.find(key).ok()?;
        let high = self.offsets_high.get(at).copied().unwrap_or(0);
        let units = u64::from(high) << 32 | u64::from(self.offsets[at]);
        Some(Entry {
            offset: units * ALIGNMENT_BYTES,
            size: self.sizes.get(at),
            deleted: false,
        })
    }

    /// Puts an entry in, or takes it out if it is deleted.
    pub fn set(&mut self, key: NeedleKey, entry: &Entry) {
        match (self.find(key), entry.deleted) {
            (Ok(at), true) => self.remove(at, key),
            (Err(_), true) => {}
            (Ok(at), false) => self.replace(at, entry),
            (Err(at), false) => self.insert(at, key, entry),
        }
    }

    fn replace(&mut self, at: usize, entry: &Entry) {
        let high = self.high_of(entry);
        self.offsets[at] = (entry.offset / ALIGNMENT_BYTES) as u32;
        if let Some(slot) = self.offsets_high.get_mut(at) {
            *slot = high;
        }
        self.sizes.set(at, entry.size);
    }

    fn insert(&mut self, at: usize, key: NeedleKey, entry: &Entry) {
        let high = self.high_of(entry);
        if self.offsets_high.len() == self.keys.len() && (high > 0 || !self.offsets_high.is_empty())
        {
            insert(&mut self.offsets_high, at, high);
        }
        self.keys.insert(in_page(key));
        insert(
            &mut self.offsets,
            at,
            (entry.offset / ALIGNMENT_BYTES) as u32,
        );
        self.sizes.insert(at, entry.size);
    }

    /// High byte of an entry's offset; makes room for high bytes when the first that is not 0 comes.
    fn high_of(&mut self, entry: &Entry) -> u8 {
        let high = ((entry.offset / ALIGNMENT_BYTES) >> 32) as u8;
        if high > 0 && self.offsets_high.is_empty() {
            self.offsets_high = vec![0; self.keys.len()];
        }
        high
    }

    fn remove(&mut self, at: usize, key: NeedleKey) {
        self.keys.remove(in_page(key));
        self.offsets.remove(at);
        if !self.offsets_high.is_empty() {
            self.offsets_high.remove(at);
        }
        self.sizes.remove(at);
    }

    /// With room for all keys of a range: to be filled, then [`shrink`](Self::shrink)ed. Arrays that grow step by step while a page is filled
    /// leave a trail of freed ones of every size in the allocator, on each thread that fills pages.
    pub fn with_room() -> Self {
        let keys = PAGE_KEYS as usize;
        Self {
            keys: Keys::with_room(),
            offsets: Vec::with_capacity(keys),
            offsets_high: Vec::new(),
            sizes: Sizes::Small(Vec::with_capacity(keys)),
        }
    }

    /// Gives back the room that was kept for more.
    pub fn shrink(&mut self) {
        self.keys.shrink();
        exact(&mut self.offsets);
        exact(&mut self.offsets_high);
        match &mut self.sizes {
            Sizes::Small(sizes) => exact(sizes),
            Sizes::Wide(sizes) => exact(sizes),
        }
    }

    /// Memory of the arrays.
    pub fn bytes(&self) -> u64 {
        let sizes = match &self.sizes {
            Sizes::Small(sizes) => sizes.capacity() * size_of::<u16>(),
            Sizes::Wide(sizes) => sizes.capacity() * size_of::<u32>(),
        };
        let bytes = self.keys.bytes()
            + self.offsets.capacity() * size_of::<u32>()
            + self.offsets_high.capacity()
            + sizes;
        bytes as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_of_small_needles_takes_about_six_bytes_each() {
        let mut packed = Packed::default();
        for key in 0..PAGE_KEYS {
            let entry = Entry {
                offset: key * 5000 / 8 * 8 + 8,
                size: 5000,
                deleted: false,
            };
            packed.set(NeedleKey(key), &entry);
        }
        assert!(packed.bytes() <= PAGE_KEYS * 8, "{}", packed.bytes());
        packed.shrink();
        assert_eq!(
            packed.bytes(),
            PAGE_KEYS * 6 + PAGE_KEYS / 8 + PAGE_KEYS / 32
        );
    }
}
