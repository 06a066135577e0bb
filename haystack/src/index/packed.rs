//! The entries of one page of the index, packed: which keys it has ([`Keys`]), and beside them 6 bytes each of offset and size; 9 in a page of which
//! a needle stands beyond 32 GiB or is larger than 64 KiB.

use super::Entry;
use super::keys::Keys;
use crate::id::NeedleKey;
use crate::needle::ALIGNMENT_BYTES;

/// Bits of a key that tell it from the others of its page.
pub const PAGE_KEY_BITS: u32 = 13;
/// Keys in the range of one page.
pub const PAGE_KEYS: u64 = 1 << PAGE_KEY_BITS;

/// The live entries of one page, sorted by key.
#[derive(Debug, Default)]
pub struct Packed {
    keys: Keys,
    places: Places,
}

/// Where the needles stand and how large they are, in the order of their keys.
#[derive(Debug)]
enum Places {
    Narrow(Vec<Narrow>),
    Wide(Vec<Wide>),
}

/// 32 bits of offset, in units of 8 bytes, low half first; 16 of size.
type Narrow = [u16; 3];
/// 40 bits of offset, 32 of size, low bytes first.
type Wide = [u8; 9];

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

impl Default for Places {
    fn default() -> Self {
        Self::Narrow(Vec::new())
    }
}

fn narrow(entry: &Entry) -> Option<Narrow> {
    let units = u32::try_from(entry.offset / ALIGNMENT_BYTES).ok()?;
    let size = u16::try_from(entry.size).ok()?;
    Some([units as u16, (units >> 16) as u16, size])
}

fn wide(entry: &Entry) -> Wide {
    let mut place = [0; size_of::<Wide>()];
    let units = entry.offset / ALIGNMENT_BYTES;
    place[..5].copy_from_slice(&units.to_le_bytes()[..5]);
    place[5..].copy_from_slice(&entry.size.to_le_bytes());
    place
}

const fn live(units: u64, size: u32) -> Entry {
    Entry {
        offset: units * ALIGNMENT_BYTES,
        size,
        deleted: false,
    }
}

fn of_narrow([low, high, size]: Narrow) -> Entry {
    live(u64::from(low) | u64::from(high) << 16, size.into())
}

fn of_wide([a, b, c, d, e, size @ ..]: Wide) -> Entry {
    let units = u64::from_le_bytes([a, b, c, d, e, 0, 0, 0]);
    live(units, u32::from_le_bytes(size))
}

impl Places {
    fn get(&self, at: usize) -> Entry {
        match self {
            Self::Narrow(places) => of_narrow(places[at]),
            Self::Wide(places) => of_wide(places[at]),
        }
    }

    fn set(&mut self, at: usize, entry: &Entry) {
        self.fit(entry);
        match (self, narrow(entry)) {
            (Self::Narrow(places), Some(place)) => places[at] = place,
            (Self::Narrow(_), None) => {}
            (Self::Wide(places), _) => places[at] = wide(entry),
        }
    }

    fn insert(&mut self, at: usize, entry: &Entry) {
        self.fit(entry);
        match (self, narrow(entry)) {
            (Self::Narrow(places), Some(place)) => insert(places, at, place),
            (Self::Narrow(_), None) => {}
            (Self::Wide(places), _) => insert(places, at, wide(entry)),
        }
    }

    /// Makes the places wide for an entry that takes it.
    fn fit(&mut self, entry: &Entry) {
        if let (Self::Narrow(places), None) = (&*self, narrow(entry)) {
            *self = Self::Wide(places.iter().map(|p| wide(&of_narrow(*p))).collect());
        }
    }

    fn remove(&mut self, at: usize) {
        match self {
            Self::Narrow(places) => drop(places.remove(at)),
            Self::Wide(places) => drop(places.remove(at)),
        }
    }

    fn shrink(&mut self) {
        match self {
            Self::Narrow(places) => exact(places),
            Self::Wide(places) => exact(places),
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Self::Narrow(places) => places.capacity() * size_of::<Narrow>(),
            Self::Wide(places) => places.capacity() * size_of::<Wide>(),
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
        self.find(key).ok().map(|at| self.places.get(at))
    }

    /// Puts an entry in, or takes it out if it is deleted.
    pub fn set(&mut self, key: NeedleKey, entry: &Entry) {
        match (self.find(key), entry.deleted) {
            (Ok(at), true) => {
                self.keys.remove(in_page(key));
                self.places.remove(at);
            }
            (Err(_), true) => {}
            (Ok(at), false) => self.places.set(at, entry),
            (Err(at), false) => {
                self.keys.insert(in_page(key));
                self.places.insert(at, entry);
            }
        }
    }

    /// With room for all keys of a range: to be filled, then [`shrink`](Self::shrink)ed. Arrays that grow step by step while a page is filled
    /// leave a trail of freed ones of every size in the allocator, on each thread that fills pages.
    pub fn with_room() -> Self {
        Self {
            keys: Keys::with_room(),
            places: Places::Narrow(Vec::with_capacity(PAGE_KEYS as usize)),
        }
    }

    /// Gives back the room that was kept for more.
    pub fn shrink(&mut self) {
        self.keys.shrink();
        self.places.shrink();
    }

    /// Memory of the arrays.
    pub fn bytes(&self) -> u64 {
        (self.keys.bytes() + self.places.bytes()) as u64
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
        assert_eq!(packed.bytes(), PAGE_KEYS * 6 + PAGE_KEYS.div_ceil(48) * 8);
    }
}
