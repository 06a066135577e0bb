//! Which pages a cache disk holds, where, and which goes next. It is made from the index when the disk is opened, and is what counts
//! from then on: a page that is not in it is not served.

use std::collections::HashMap;

use super::rows::Place;
use crate::files::{FileId, PageKey};
use crate::policy::s3_fifo::S3Fifo;
use crate::share::Owner;

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
    /// Pages by whom they are charged to.
    held: HashMap<Owner, Charged>,
    /// To whom a file is charged; nobody, if it is not here.
    owners: HashMap<FileId, Owner>,
    pages_of: HashMap<FileId, u64>,
    bytes: u64,
    pinned_bytes: u64,
    stamp: u64,
    extents: Extents,
}

/// The pages of one owner.
#[derive(Debug, Default)]
struct Charged {
    order: S3Fifo<PageKey>,
    held: Held,
}

/// How much an owner holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Held {
    pub bytes: u64,
    /// Pages that have gone for others.
    pub evictions: u64,
}

/// How much may be held.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// By all together.
    pub bytes_max: u64,
    pub pages_max: u64,
    /// By the owner who asks for room.
    pub share_bytes: u64,
}

/// Whether there is room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fit {
    Fits,
    /// Not yet: this page has gone for it.
    Evicted(PageKey, Freed),
    /// Nothing more can go.
    Never,
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
        self.charged(key).order.touch(key, uses);
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
            self.charged(key).order.insert(key, place.room());
        }
    }

    /// A page was on disk before a restart.
    pub fn restore(&mut self, key: PageKey, place: Place, is_pinned: bool) {
        self.add(key, place, is_pinned);
        self.extents.current = self.extents.current.max(place.extent);
        // An extent of before is not filled further: what was written after its last row is not known.
        self.extents.filled = EXTENT_BYTES;
        if !is_pinned {
            self.charged(key).order.restore(key, place.room());
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
        self.charged(key).held.bytes += place.room();
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
        let charged = self.charged(key);
        charged.order.remove(key);
        charged.held.bytes -= slot.place.room();
        self.bytes -= slot.place.room();
        if slot.is_pinned {
            self.pinned_bytes -= slot.place.room();
        }
        let is_file_gone = match self.pages_of.get_mut(&key.file) {
            Some(pages) if *pages > 1 => {
                *pages -= 1;
                false
            }
            _ => {
                self.owners.remove(&key.file);
                self.pages_of.remove(&key.file).is_some()
            }
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

    /// Takes off the page of an owner that goes next.
    pub fn evict(&mut self, owner: Owner) -> Option<(PageKey, Freed)> {
        let charged = self.held.get_mut(&owner)?;
        let key = charged.order.evict()?;
        charged.held.evictions += 1;
        Some((key, self.remove(key)?))
    }

    /// Whether an owner has room for so much more; if not, one page less. Who has a share makes room among their own where that is full, and else
    /// among what belongs to nobody: what another has a share for stays.
    pub fn fit(&mut self, owner: Owner, room: u64, bounds: &Bounds) -> Fit {
        let is_over = self.held(owner).bytes + room > bounds.share_bytes;
        let is_full = self.bytes + room > bounds.bytes_max || self.pages() >= bounds.pages_max;
        let from = match (is_over, is_full) {
            (true, _) => owner,
            (false, true) => Owner::NOBODY,
            (false, false) => return Fit::Fits,
        };
        let evicted = self.evict(from).or_else(|| self.evict(owner));
        evicted.map_or(Fit::Never, |(key, freed)| Fit::Evicted(key, freed))
    }

    /// Charges a file of so many pages, those that are here and those that come, to an owner.
    pub fn charge(&mut self, file: FileId, pages: u64, owner: Owner) {
        let was = self.owners.get(&file).copied().unwrap_or_default();
        if was == owner {
            return;
        }
        for key in self.pages_of(file, pages) {
            let Some(slot) = self.get(key) else { continue };
            let (room, from) = (slot.place.room(), self.held.entry(was).or_default());
            from.order.remove(key);
            from.held.bytes -= room;
            let to = self.held.entry(owner).or_default();
            to.held.bytes += room;
            if !slot.is_pinned {
                to.order.restore(key, room);
            }
        }
        self.owners.insert(file, owner);
    }

    /// What an owner holds.
    pub fn held(&self, owner: Owner) -> Held {
        self.held
            .get(&owner)
            .map_or_else(Held::default, |charged| charged.held)
    }

    fn charged(&mut self, key: PageKey) -> &mut Charged {
        let owner = self.owners.get(&key.file).copied().unwrap_or_default();
        self.held.entry(owner).or_default()
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
            self.charged(key).order.remove(key);
            self.pinned_bytes += room;
        } else {
            self.charged(key).order.restore(key, room);
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
        let evicted: Vec<_> = std::iter::from_fn(|| table.evict(Owner::NOBODY)).collect();
        assert_eq!(evicted.len(), 3);
        assert_eq!((table.pages(), table.pinned_bytes()), (1, PAGE));
        table.set_pinned(key(1, 0), false);
        assert_eq!(
            table.evict(Owner::NOBODY),
            Some((key(1, 0), Freed::File(FileId(1))))
        );
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

    /// What a model of shares knows: whose each page is, and how large.
    type Model = HashMap<PageKey, (Owner, u64, bool)>;

    fn sum(model: &Model, owner: Option<Owner>) -> u64 {
        let those = model
            .values()
            .filter(|(of, ..)| owner.is_none_or(|owner| owner == *of));
        those.map(|(_, room, _)| room).sum()
    }

    /// Puts a page of an owner as the writer does, and holds each eviction against the model.
    fn put_within(
        table: &mut Table,
        model: &mut Model,
        owner: Owner,
        key: PageKey,
        bounds: &Bounds,
    ) {
        let room = 4096;
        loop {
            let before = (sum(model, Some(owner)), sum(model, None));
            match table.fit(owner, room, bounds) {
                Fit::Fits => break,
                Fit::Never => {
                    let can_go = |(of, _, pinned): &(Owner, u64, bool)| {
                        !pinned && (*of == owner || *of == Owner::NOBODY)
                    };
                    // Over its share, only its own could go.
                    let is_over = before.0 + room > bounds.share_bytes;
                    let could = model
                        .values()
                        .any(|page| can_go(page) && (!is_over || page.0 == owner));
                    assert!(!could, "there was a page that could go");
                    return;
                }
                Fit::Evicted(gone, _) => {
                    let (whose, _, pinned) = model.remove(&gone).unwrap();
                    assert!(!pinned && (whose == owner || whose == Owner::NOBODY));
                    if before.0 + room > bounds.share_bytes {
                        assert_eq!(whose, owner, "over its share an owner makes room itself");
                    } else {
                        assert!(before.1 + room > bounds.bytes_max, "there was room");
                    }
                }
            }
        }
        table.charge(key.file, 8, owner);
        let place = Place {
            extent: 0,
            offset: key.page * 4096,
            len: 4096,
        };
        table.insert(key, place, false);
        model.insert(key, (owner, room, false));
        assert!(
            sum(model, Some(owner)) <= bounds.share_bytes && sum(model, None) <= bounds.bytes_max
        );
    }

    #[test]
    fn nobody_takes_the_place_of_another() {
        use moongate_disk::sim::Rng;
        let owners = [Owner::NOBODY, Owner::of_share(0), Owner::of_share(1)];
        let shares = [u64::MAX, 10 * 4096, 20 * 4096];
        for seed in 0..200 {
            let (mut rng, mut table, mut model) = (Rng::new(seed), Table::default(), Model::new());
            for _ in 0..600 {
                let n = rng.below(3);
                // Files 0 to 8, each of one owner.
                let key = key(n + 3 * rng.below(3), rng.below(8));
                let owner = owners[n as usize];
                match rng.below(8) {
                    0 => {
                        table.remove(key);
                        model.remove(&key);
                    }
                    1 => table.touch(key, 1),
                    2 if rng.below(4) == 0 => {
                        let is_pinned = rng.below(2) == 0;
                        table.set_pinned(key, is_pinned);
                        model.entry(key).and_modify(|page| page.2 = is_pinned);
                    }
                    _ if model.contains_key(&key) => {}
                    _ => {
                        let bounds = Bounds {
                            bytes_max: 40 * 4096,
                            pages_max: 1000,
                            share_bytes: shares[n as usize],
                        };
                        put_within(&mut table, &mut model, owner, key, &bounds);
                    }
                }
                for owner in owners {
                    assert_eq!(
                        table.held(owner).bytes,
                        sum(&model, Some(owner)),
                        "seed {seed}"
                    );
                }
                assert_eq!(table.bytes(), sum(&model, None), "seed {seed}");
            }
        }
    }

    #[test]
    fn what_was_there_before_a_restart_is_charged_when_it_is_asked_for() {
        let (mut table, owner) = (Table::default(), Owner::of_share(0));
        for page in 0..4 {
            let place = Place {
                extent: 0,
                offset: page * 4096,
                len: 4096,
            };
            table.restore(key(1, page), place, page == 0);
        }
        assert_eq!(table.held(Owner::NOBODY).bytes, 4 * 4096);
        table.charge(FileId(1), 4, owner);
        assert_eq!(table.held(Owner::NOBODY).bytes, 0);
        assert_eq!(table.held(owner).bytes, 4 * 4096);
        assert!(table.evict(Owner::NOBODY).is_none());
        let gone: Vec<_> = std::iter::from_fn(|| table.evict(owner)).collect();
        assert_eq!(gone.len(), 3, "the pinned one stays");
        assert_eq!(
            table.held(owner),
            Held {
                bytes: 4096,
                evictions: 3
            }
        );
    }
}
