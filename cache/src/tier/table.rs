//! Which pages a cache disk holds, where, and which goes next. It is made from the index when the disk is opened, and is what counts
//! from then on: a page that is not in it is not served.

use std::collections::HashMap;

use super::rows::Place;
use crate::files::{FileId, PageKey};
use crate::policy::s3_fifo::S3Fifo;

/// Bytes of an extent.
pub const EXTENT_BYTES: u64 = 64 << 20;
/// Files up to so many bytes share extents.
pub const SMALL_FILE_BYTES: u64 = 256 << 10;

/// A page that the disk holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot {
    pub place: Place,
    pub is_pinned: bool,
    /// Tells it from an earlier one of the same page.
    pub stamp: u64,
}

/// The pages of one cache disk.
#[derive(Debug, Default)]
pub struct Table {
    slots: HashMap<PageKey, Slot>,
    order: S3Fifo<PageKey>,
    pages_of: HashMap<FileId, u64>,
    bytes: u64,
    pinned_bytes: u64,
    stamp: u64,
    extents: Extents,
}

#[derive(Debug, Default)]
struct Extents {
    live_bytes: HashMap<u64, u64>,
    /// The one that is being filled; 0: none yet.
    current: u64,
    filled: u64,
}

/// What the removal of a page leaves to be given back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Freed {
    /// A stretch of an extent, or of a file that has other pages still.
    Stretch(FileId, Place),
    /// The file has no page any more.
    File(FileId),
    /// The extent has none, and the small file whose page it was neither.
    Extent(FileId, u64),
    /// A small file is gone; its extent has others.
    SmallFile(FileId, Place),
}

impl Table {
    pub fn get(&self, key: PageKey) -> Option<Slot> {
        self.slots.get(&key).copied()
    }

    /// A page is used, so many times.
    pub fn touch(&mut self, key: PageKey, uses: u32) {
        self.order.touch(key, uses);
    }

    /// Room for a page of a file of `file_len` bytes.
    pub fn place(&mut self, key: PageKey, len: u32, file_len: u64, page_bytes: u64) -> Place {
        if file_len > SMALL_FILE_BYTES.min(page_bytes) {
            return Place {
                extent: 0,
                offset: key.page * page_bytes,
                len,
            };
        }
        self.extents.place(len)
    }

    /// A page is on disk.
    pub fn insert(&mut self, key: PageKey, place: Place, is_pinned: bool) {
        self.add(key, place, is_pinned);
        if !is_pinned {
            self.order.insert(key, place.room());
        }
    }

    /// A page was on disk before a restart.
    pub fn restore(&mut self, key: PageKey, place: Place, is_pinned: bool) {
        self.add(key, place, is_pinned);
        self.extents.current = self.extents.current.max(place.extent);
        // An extent of before is not filled further: what was written after its last row is not known.
        self.extents.filled = EXTENT_BYTES;
        if !is_pinned {
            self.order.restore(key, place.room());
        }
    }

    fn add(&mut self, key: PageKey, place: Place, is_pinned: bool) {
        self.stamp += 1;
        let stamp = self.stamp;
        let slot = Slot {
            place,
            is_pinned,
            stamp,
        };
        if self.slots.insert(key, slot).is_none() {
            *self.pages_of.entry(key.file).or_default() += 1;
        }
        self.bytes += place.room();
        if is_pinned {
            self.pinned_bytes += place.room();
        }
        if place.extent != 0 {
            *self.extents.live_bytes.entry(place.extent).or_default() += place.room();
        }
    }

    /// Takes a page off.
    pub fn remove(&mut self, key: PageKey) -> Option<Freed> {
        let slot = self.slots.remove(&key)?;
        self.order.remove(key);
        self.bytes -= slot.place.room();
        if slot.is_pinned {
            self.pinned_bytes -= slot.place.room();
        }
        let is_file_gone = match self.pages_of.get_mut(&key.file) {
            Some(pages) if *pages > 1 => {
                *pages -= 1;
                false
            }
            _ => self.pages_of.remove(&key.file).is_some(),
        };
        Some(match (slot.place.extent, is_file_gone) {
            (0, true) => Freed::File(key.file),
            (0, false) => Freed::Stretch(key.file, slot.place),
            (extent, is_gone) => match (self.extents.release(&slot.place), is_gone) {
                (true, _) => Freed::Extent(key.file, extent),
                (false, true) => Freed::SmallFile(key.file, slot.place),
                (false, false) => Freed::Stretch(key.file, slot.place),
            },
        })
    }

    /// As [`Self::remove`], if it is still that very one.
    pub fn remove_slot(&mut self, key: PageKey, slot: &Slot) -> Option<Freed> {
        let is_same = self.get(key).is_some_and(|held| held.stamp == slot.stamp);
        is_same.then(|| self.remove(key)).flatten()
    }

    /// Takes off the page that goes next.
    pub fn evict(&mut self) -> Option<(PageKey, Freed)> {
        let key = self.order.evict()?;
        Some((key, self.remove(key)?))
    }

    /// Pins a page, or not any more; a page that is not here is left alone.
    pub fn set_pinned(&mut self, key: PageKey, is_pinned: bool) {
        let Some(slot) = self.slots.get_mut(&key) else {
            return;
        };
        if slot.is_pinned == is_pinned {
            return;
        }
        slot.is_pinned = is_pinned;
        let room = slot.place.room();
        if is_pinned {
            self.order.remove(key);
            self.pinned_bytes += room;
        } else {
            self.order.restore(key, room);
            self.pinned_bytes -= room;
        }
    }

    pub fn has_file(&self, file: FileId) -> bool {
        self.pages_of.contains_key(&file)
    }

    /// The pages of a file of so many pages that are here.
    pub fn pages_of(&self, file: FileId, pages: u64) -> Vec<PageKey> {
        let left = self.pages_of.get(&file).copied().unwrap_or_default();
        let keys = (0..pages).map(|page| PageKey { file, page });
        keys.filter(|key| self.slots.contains_key(key))
            .take(left as usize)
            .collect()
    }

    pub const fn bytes(&self) -> u64 {
        self.bytes
    }

    pub const fn pinned_bytes(&self) -> u64 {
        self.pinned_bytes
    }

    pub fn pages(&self) -> u64 {
        self.slots.len() as u64
    }

    /// Whether an extent holds a page, or may get one.
    pub fn has_extent(&self, extent: u64) -> bool {
        self.extents.live_bytes.contains_key(&extent)
    }
}

impl Extents {
    fn place(&mut self, len: u32) -> Place {
        let mut place = Place {
            extent: self.current,
            offset: self.filled,
            len,
        };
        if self.current == 0 || self.filled + place.room() > EXTENT_BYTES {
            self.current += 1;
            place.extent = self.current;
            place.offset = 0;
        }
        self.filled = place.offset + place.room();
        place
    }

    /// Whether the extent holds nothing any more and gets nothing more.
    fn release(&mut self, place: &Place) -> bool {
        let Some(live) = self.live_bytes.get_mut(&place.extent) else {
            return false;
        };
        *live = live.saturating_sub(place.room());
        let is_empty = *live == 0;
        if is_empty {
            self.live_bytes.remove(&place.extent);
        }
        is_empty && place.extent != self.current
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: u64 = 1 << 20;

    fn key(file: u64, page: u64) -> PageKey {
        PageKey {
            file: FileId(file),
            page,
        }
    }

    fn put(table: &mut Table, key: PageKey, len: u32, file_len: u64) -> Place {
        let place = table.place(key, len, file_len, PAGE);
        table.insert(key, place, false);
        place
    }

    #[test]
    fn a_large_file_lies_in_order_and_small_ones_together() {
        let mut table = Table::default();
        let large = put(&mut table, key(1, 3), PAGE as u32, 9 * PAGE);
        assert_eq!((large.extent, large.offset), (0, 3 * PAGE));
        let small: Vec<_> = (2..5)
            .map(|n| put(&mut table, key(n, 0), 5000, 5000))
            .collect();
        assert_eq!(
            small
                .iter()
                .map(|p| (p.extent, p.offset))
                .collect::<Vec<_>>(),
            [(1, 0), (1, 8192), (1, 16384)]
        );
        assert_eq!(table.bytes(), PAGE + 3 * 8192);
        assert_eq!(table.remove(key(1, 3)), Some(Freed::File(FileId(1))));
        assert_eq!(
            table.remove(key(2, 0)),
            Some(Freed::SmallFile(FileId(2), small[0]))
        );
    }

    #[test]
    fn an_extent_that_is_full_and_empty_again_goes() {
        let mut table = Table::default();
        let pages = EXTENT_BYTES / SMALL_FILE_BYTES + 1;
        for n in 0..pages {
            put(
                &mut table,
                key(n, 0),
                SMALL_FILE_BYTES as u32,
                SMALL_FILE_BYTES,
            );
        }
        let freed: Vec<_> = (0..pages).filter_map(|n| table.remove(key(n, 0))).collect();
        let gone = freed
            .iter()
            .filter(|f| matches!(f, Freed::Extent(_, 1)))
            .count();
        assert_eq!(gone, 1);
        assert_eq!((table.bytes(), table.pages()), (0, 0));
    }

    #[test]
    fn what_is_pinned_is_not_evicted() {
        let mut table = Table::default();
        for page in 0..4 {
            put(&mut table, key(1, page), PAGE as u32, 9 * PAGE);
        }
        table.set_pinned(key(1, 0), true);
        let evicted: Vec<_> = std::iter::from_fn(|| table.evict()).collect();
        assert_eq!(evicted.len(), 3);
        assert_eq!((table.pages(), table.pinned_bytes()), (1, PAGE));
        table.set_pinned(key(1, 0), false);
        assert_eq!(table.evict(), Some((key(1, 0), Freed::File(FileId(1)))));
    }

    #[test]
    fn extents_of_before_a_restart_are_not_filled_further() {
        let mut table = Table::default();
        let place = Place {
            extent: 5,
            offset: 0,
            len: 10,
        };
        table.restore(key(1, 0), place, false);
        assert_eq!(put(&mut table, key(2, 0), 10, 10).extent, 6);
    }
}
