//! What is hot of the index, in memory: packed pages over an [`IndexStore`].
//!
//! A page holds the live entries of one table with keys in one range of [`PAGE_KEYS`], as parallel arrays: 2 bytes of key, 4 of
//! offset, 2 of size (4 where a needle is larger than 64 KiB), about 8 bytes a needle. Pages are filled on demand, kept up to date by the
//! writers, and evicted when the budget is used up; a resident page also answers that a key is absent.

use std::collections::HashSet;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::{Mutex, RwLock};
use quick_cache::sync::Cache;

use super::{Change, Entry, IndexError, IndexStore, Progress, TableId};
use crate::id::NeedleKey;
use crate::needle::ALIGNMENT_BYTES;
use crate::sequence;

const PAGE_KEY_BITS: u32 = 11;
/// Keys in the range of one page.
pub const PAGE_KEYS: u64 = 1 << PAGE_KEY_BITS;
/// Memory that a full page of large needles takes; the budget is counted in such pages, so it is an upper bound.
const PAGE_BYTES: u64 = PAGE_KEYS * 10 + 256;
const PAGES_MIN: u64 = 16;
/// Once the budget is used up, one miss in so many brings its page in; the others read the one entry they need.
const ADMIT_ONE_IN: u64 = 16;

/// A page: one table, one range of keys.
type PageKey = (TableId, u64);

#[derive(Debug)]
enum Page {
    /// Being filled from the store; changes that came meanwhile wait here, in order.
    Loading(Vec<Change>),
    Ready(Packed),
}

/// The live entries of one page, sorted by key.
#[derive(Debug, Default)]
struct Packed {
    keys: Vec<u16>,
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
fn insert<T>(vec: &mut Vec<T>, at: usize, value: T) {
    if vec.len() == vec.capacity() {
        vec.reserve_exact(vec.len() / 8 + 8);
    }
    vec.insert(at, value);
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

impl Packed {
    fn find(&self, key: NeedleKey) -> Result<usize, usize> {
        self.keys.binary_search(&((key.0 % PAGE_KEYS) as u16))
    }

    fn get(&self, key: NeedleKey) -> Option<Entry> {
        let at = self.find(key).ok()?;
        let high = self.offsets_high.get(at).copied().unwrap_or(0);
        let units = u64::from(high) << 32 | u64::from(self.offsets[at]);
        Some(Entry {
            offset: units * ALIGNMENT_BYTES,
            size: self.sizes.get(at),
            deleted: false,
        })
    }

    fn set(&mut self, key: NeedleKey, entry: &Entry) {
        match (self.find(key), entry.deleted) {
            (Ok(at), true) => self.remove(at),
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
        insert(&mut self.keys, at, (key.0 % PAGE_KEYS) as u16);
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

    fn remove(&mut self, at: usize) {
        self.keys.remove(at);
        self.offsets.remove(at);
        if !self.offsets_high.is_empty() {
            self.offsets_high.remove(at);
        }
        self.sizes.remove(at);
    }

    fn shrink(&mut self) {
        self.keys.shrink_to_fit();
        self.offsets.shrink_to_fit();
        self.offsets_high.shrink_to_fit();
        match &mut self.sizes {
            Sizes::Small(sizes) => sizes.shrink_to_fit(),
            Sizes::Wide(sizes) => sizes.shrink_to_fit(),
        }
    }
}

/// What memory knows of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lookup {
    /// Live, here.
    Live(Entry),
    /// Deleted or never put.
    Absent,
    /// Ask the store ([`HotIndex::get`]), which may read a disk.
    Unknown,
}

/// An index store with its hot pages.
#[derive(Debug)]
pub struct HotIndex {
    store: Arc<dyn IndexStore>,
    pages: Cache<PageKey, Arc<RwLock<Page>>>,
    pages_max: u64,
    loading: Mutex<HashSet<PageKey>>,
    misses: AtomicU64,
}

fn page_key(table: TableId, key: NeedleKey) -> PageKey {
    (table, key.0 >> PAGE_KEY_BITS)
}

impl HotIndex {
    /// Keeps pages worth at most `memory_bytes` (but always a few).
    pub fn new(store: Arc<dyn IndexStore>, memory_bytes: u64) -> Self {
        let pages_max = (memory_bytes / PAGE_BYTES).max(PAGES_MIN);
        let pages = Cache::new(usize::try_from(pages_max).unwrap_or(usize::MAX));
        Self {
            store,
            pages,
            pages_max,
            loading: Mutex::default(),
            misses: AtomicU64::new(0),
        }
    }

    /// The store below.
    pub fn store(&self) -> &Arc<dyn IndexStore> {
        &self.store
    }

    /// Lookups that memory could not answer.
    pub fn misses(&self) -> u64 {
        self.misses.load(Ordering::Relaxed)
    }

    /// Pages in memory.
    pub fn pages(&self) -> usize {
        self.pages.len()
    }

    /// Looks a key up in memory only.
    pub fn peek(&self, table: TableId, key: NeedleKey) -> Lookup {
        let Some(page) = self.pages.get(&page_key(table, key)) else {
            return Lookup::Unknown;
        };
        match &*page.read() {
            Page::Loading(_) => Lookup::Unknown,
            Page::Ready(packed) => packed.get(key).map_or(Lookup::Absent, Lookup::Live),
        }
    }

    /// Looks a key up, in the store where memory does not know, and brings its page in. `None` for absent and deleted keys.
    pub fn get(&self, table: TableId, key: NeedleKey) -> Result<Option<Entry>, IndexError> {
        match self.peek(table, key) {
            Lookup::Live(entry) => return Ok(Some(entry)),
            Lookup::Absent => return Ok(None),
            Lookup::Unknown => {}
        }
        let misses = self.misses.fetch_add(1, Ordering::Relaxed);
        let room = (self.pages.len() as u64) < self.pages_max;
        let wanted = room || misses.is_multiple_of(ADMIT_ONE_IN);
        let page = page_key(table, key);
        if wanted && self.loading.lock().insert(page) {
            let filled = self.fill(page);
            self.loading.lock().remove(&page);
            return Ok(filled?.get(key));
        }
        Ok(self.store.get(table, key)?.filter(|entry| !entry.deleted))
    }

    /// Where a key stands, also if it is deleted; memory is not asked.
    pub fn get_with_deleted(
        &self,
        table: TableId,
        key: NeedleKey,
    ) -> Result<Option<Entry>, IndexError> {
        self.store.get(table, key)
    }

    /// Reads a page from the store. Changes that are applied meanwhile gather in the page, which is in the cache before
    /// the store is asked, so none is missed.
    fn fill(&self, page_key: PageKey) -> Result<Snapshot, IndexError> {
        let page = Arc::new(RwLock::new(Page::Loading(Vec::new())));
        self.pages.insert(page_key, Arc::clone(&page));
        let (table, range) = page_key;
        let first = range << PAGE_KEY_BITS;
        let mut packed = Packed::default();
        let read = self.store.scan(
            table,
            NeedleKey(first),
            NeedleKey(first | (PAGE_KEYS - 1)),
            &mut |key, entry| {
                packed.set(key, &entry);
                ControlFlow::Continue(())
            },
        );
        if let Err(error) = read {
            self.pages.remove(&page_key);
            return Err(error);
        }
        let mut state = page.write();
        if let Page::Loading(changes) = &*state {
            changes
                .iter()
                .for_each(|(key, entry)| packed.set(*key, entry));
        }
        packed.shrink();
        *state = Page::Ready(packed);
        drop(state);
        Ok(Snapshot(page))
    }

    /// Applies changes to the store, then to the pages in memory. `key_max` is the largest key of ours (see
    /// [`crate::sequence`]) that the table had before.
    pub fn apply(
        &self,
        table: TableId,
        changes: &[Change],
        progress: &Progress,
        key_max: Option<NeedleKey>,
    ) -> Result<(), IndexError> {
        self.store.apply(table, changes, progress)?;
        let mut key_max = key_max;
        for change in changes {
            self.apply_to_page(table, change, key_max);
            key_max = key_max.max(Some(change.0));
        }
        Ok(())
    }

    fn apply_to_page(&self, table: TableId, change: &Change, key_max: Option<NeedleKey>) {
        let page_key = page_key(table, change.0);
        if let Some(page) = self.pages.get(&page_key) {
            match &mut *page.write() {
                Page::Loading(changes) => changes.push(*change),
                Page::Ready(packed) => packed.set(change.0, &change.1),
            }
            return;
        }
        // The first key of a range above all others: the page is complete without asking the store. Keys that are not ours come
        // in any order, and `key_max` says nothing of them.
        let range_is_new = sequence::is_ours(change.0)
            && key_max.is_none_or(|max| max.0 >> PAGE_KEY_BITS < page_key.1);
        if range_is_new {
            let mut packed = Packed::default();
            packed.set(change.0, &change.1);
            self.pages
                .insert(page_key, Arc::new(RwLock::new(Page::Ready(packed))));
        }
    }

    /// Forgets the pages of a table and its rows.
    pub fn drop_table(&self, table: TableId) -> Result<(), IndexError> {
        self.pages.retain(|(of, _), _| *of != table);
        self.store.drop_table(table)
    }
}

/// A page that was just filled.
struct Snapshot(Arc<RwLock<Page>>);

impl Snapshot {
    fn get(&self, key: NeedleKey) -> Option<Entry> {
        match &*self.0.read() {
            Page::Ready(packed) => packed.get(key),
            Page::Loading(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::id::VolumeId;
    use crate::index::mem::MemIndex;

    const TABLE: TableId = TableId {
        volume: VolumeId(1),
        revision: 0,
    };

    #[derive(Clone, Debug)]
    enum Step {
        Apply(Vec<(u64, u64, u32, bool)>),
        Get(u64),
    }

    /// Few ranges and few keys, with offsets and sizes on both sides of what a packed page holds without widening.
    fn any_key() -> impl Strategy<Value = u64> {
        (0u64..40, 0u64..6).prop_map(|(range, key)| range * PAGE_KEYS + key)
    }

    fn any_step() -> impl Strategy<Value = Step> {
        let units = prop_oneof![1u64..1000, (1u64 << 31)..(1u64 << 34)];
        let size = prop_oneof![0u32..100, 60_000u32..200_000];
        let change = (any_key(), units, size, any::<bool>());
        prop_oneof![
            proptest::collection::vec(change, 1..6).prop_map(Step::Apply),
            any_key().prop_map(Step::Get),
        ]
    }

    proptest! {
        #[test]
        fn answers_as_a_plain_map(steps in proptest::collection::vec(any_step(), 1..80)) {
            let index = HotIndex::new(Arc::new(MemIndex::new()), 0);
            let mut model: BTreeMap<u64, Entry> = BTreeMap::new();
            for step in steps {
                match step {
                    Step::Apply(changes) => {
                        let key_max = model.keys().last().map(|k| NeedleKey(*k));
                        let changes: Vec<Change> = changes.into_iter()
                            .map(|(key, units, size, deleted)| (NeedleKey(key), Entry { offset: units * 8, size, deleted })).collect();
                        model.extend(changes.iter().map(|(k, e)| (k.0, *e)));
                        index.apply(TABLE, &changes, &Progress::default(), key_max).unwrap();
                    }
                    Step::Get(key) => {
                        let want = model.get(&key).copied().filter(|e| !e.deleted);
                        match index.peek(TABLE, NeedleKey(key)) {
                            Lookup::Live(entry) => prop_assert_eq!(Some(entry), want),
                            Lookup::Absent => prop_assert_eq!(None, want),
                            Lookup::Unknown => {}
                        }
                        prop_assert_eq!(index.get(TABLE, NeedleKey(key)).unwrap(), want);
                    }
                }
            }
        }
    }

    #[test]
    fn a_foreign_key_makes_no_page_without_asking_the_store() {
        let store = Arc::new(MemIndex::new());
        let entry = Entry {
            offset: 8,
            size: 1,
            deleted: false,
        };
        let (old, new) = (NeedleKey(1 << 60), NeedleKey((1 << 60) + 1));
        store
            .apply(TABLE, &[(old, entry)], &Progress::default())
            .unwrap();
        let index = HotIndex::new(store, 0);
        // No key of ours was ever put.
        index
            .apply(TABLE, &[(new, entry)], &Progress::default(), None)
            .unwrap();
        assert_eq!(index.get(TABLE, old).unwrap(), Some(entry));
        assert_eq!(index.get(TABLE, new).unwrap(), Some(entry));
    }

    #[test]
    fn a_page_of_small_needles_takes_about_eight_bytes_each() {
        let mut packed = Packed::default();
        for key in 0..PAGE_KEYS {
            packed.set(
                NeedleKey(key),
                &Entry {
                    offset: key * 5000 / 8 * 8 + 8,
                    size: 5000,
                    deleted: false,
                },
            );
        }
        let Sizes::Small(sizes) = &packed.sizes else {
            panic!("small needles keep small sizes")
        };
        let bytes =
            packed.keys.capacity() * 2 + packed.offsets.capacity() * 4 + sizes.capacity() * 2;
        assert!(bytes as u64 <= PAGE_KEYS * 10, "{bytes}");
    }

    #[test]
    fn changes_during_a_fill_are_not_missed() {
        let store = Arc::new(MemIndex::new());
        let index = Arc::new(HotIndex::new(store, 1 << 20));
        let writer = Arc::clone(&index);
        std::thread::scope(|scope| {
            scope.spawn(move || {
                for n in 1..2000u64 {
                    let change = (
                        NeedleKey(n % 7),
                        Entry {
                            offset: n * 8,
                            size: 1,
                            deleted: false,
                        },
                    );
                    writer
                        .apply(TABLE, &[change], &Progress::default(), Some(NeedleKey(6)))
                        .unwrap();
                }
            });
            scope.spawn(|| {
                for n in 0..2000u64 {
                    index.pages.remove(&page_key(TABLE, NeedleKey(0)));
                    index.get(TABLE, NeedleKey(n % 7)).unwrap();
                }
            });
        });
        for key in 0..7 {
            let want = index.get_with_deleted(TABLE, NeedleKey(key)).unwrap();
            assert_eq!(index.get(TABLE, NeedleKey(key)).unwrap(), want);
        }
    }
}
