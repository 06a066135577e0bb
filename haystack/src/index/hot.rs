//! What is hot of the index, in memory: packed pages over an [`IndexStore`].
//!
//! A page holds the live entries of one table with keys in one range of [`PAGE_KEYS`], as [`Packed`] arrays of about 6 bytes a needle. Pages
//! are filled on demand, kept up to date by the writers, and evicted when the budget is used up; a resident page also answers that a key is
//! absent. How many keys of a range are in one table depends on how many volumes are written to at once, so what a page counts for in the
//! budget is learned from those that are in memory.

use std::collections::HashSet;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::{Mutex, RwLock};
use quick_cache::Weighter;
use quick_cache::sync::Cache;

use super::packed::{PAGE_KEY_BITS, PAGE_KEYS, Packed};
use super::{Change, Entry, IndexError, IndexStore, Progress, TableId};
use crate::id::NeedleKey;
use crate::sequence;

/// Memory that a full page of large needles takes: what each counts for until more is known.
const FULL_PAGE_BYTES: u64 = PAGE_KEYS * 8 + SLOT_BYTES;
/// Memory that a page takes beside its entries: its place in the cache, the heads of its arrays.
const SLOT_BYTES: u64 = 256;
const PAGES_MIN: u64 = 16;
/// One page more changes what is known of a page by so much: one part in so many.
const LEARN_ONE_IN: u64 = 8;
/// Once the budget is used up, one miss in so many brings its page in; the others read the one entry they need.
const ADMIT_ONE_IN: u64 = 64;

/// A page: one table, one range of keys.
type PageKey = (TableId, u64);

/// A page, and what it counts for in the budget, which is the same for as long as it is in memory.
#[derive(Debug)]
struct Slot {
    weight_bytes: u64,
    page: RwLock<Page>,
}

#[derive(Clone, Debug)]
struct ByWeight;

impl Weighter<PageKey, Arc<Slot>> for ByWeight {
    fn weight(&self, _: &PageKey, slot: &Arc<Slot>) -> u64 {
        slot.weight_bytes
    }
}

#[derive(Debug)]
enum Page {
    /// Being filled from the store; changes that came meanwhile wait here, in order.
    Loading(Vec<Change>),
    Ready(Packed),
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
    pages: Cache<PageKey, Arc<Slot>, ByWeight>,
    /// What a page takes in memory, about: a moving mean of those that were filled or done growing.
    page_bytes: AtomicU64,
    loading: Mutex<HashSet<PageKey>>,
    misses: AtomicU64,
}

fn page_key(table: TableId, key: NeedleKey) -> PageKey {
    (table, key.0 >> PAGE_KEY_BITS)
}

impl HotIndex {
    /// Keeps pages worth at most `memory_bytes` (but always a few).
    pub fn new(store: Arc<dyn IndexStore>, memory_bytes: u64) -> Self {
        let memory_bytes = memory_bytes.max(PAGES_MIN * FULL_PAGE_BYTES);
        let pages = usize::try_from(memory_bytes / FULL_PAGE_BYTES).unwrap_or(usize::MAX);
        Self {
            store,
            pages: Cache::with_weighter(pages, memory_bytes, ByWeight),
            page_bytes: AtomicU64::new(FULL_PAGE_BYTES),
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
        match &*page.page.read() {
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
        let page_bytes = self.page_bytes.load(Ordering::Relaxed);
        let room = self.pages.weight() + page_bytes <= self.pages.capacity();
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
        let slot = self.slot(Page::Loading(Vec::new()));
        self.pages.insert(page_key, Arc::clone(&slot));
        let (table, range) = page_key;
        let first = range << PAGE_KEY_BITS;
        let mut packed = Packed::with_room();
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
        let mut state = slot.page.write();
        if let Page::Loading(changes) = &*state {
            changes
                .iter()
                .for_each(|(key, entry)| packed.set(*key, entry));
        }
        packed.shrink();
        self.learn(&packed);
        *state = Page::Ready(packed);
        drop(state);
        Ok(Snapshot(slot))
    }

    fn slot(&self, page: Page) -> Arc<Slot> {
        Arc::new(Slot {
            weight_bytes: self.page_bytes.load(Ordering::Relaxed),
            page: RwLock::new(page),
        })
    }

    fn learn(&self, packed: &Packed) {
        let mean = self.page_bytes.load(Ordering::Relaxed);
        let bytes = packed.bytes() + SLOT_BYTES;
        // Of two who learn at once one may be forgotten: it is a mean.
        let learned = mean - mean / LEARN_ONE_IN + bytes / LEARN_ONE_IN;
        self.page_bytes.store(learned, Ordering::Relaxed);
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
            match &mut *page.page.write() {
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
            self.learn_from_before(page_key);
            let mut packed = Packed::default();
            packed.set(change.0, &change.1);
            self.pages.insert(page_key, self.slot(Page::Ready(packed)));
        }
    }

    /// A table's last page but one is done growing.
    fn learn_from_before(&self, (table, range): PageKey) {
        let before = range.checked_sub(1);
        if let Some(slot) = before.and_then(|range| self.pages.peek(&(table, range)))
            && let Page::Ready(packed) = &*slot.page.read()
        {
            self.learn(packed);
        }
    }

    /// Forgets the pages of a table and its rows.
    pub fn drop_table(&self, table: TableId) -> Result<(), IndexError> {
        self.pages.retain(|(of, _), _| *of != table);
        self.store.drop_table(table)
    }
}

/// A page that was just filled.
struct Snapshot(Arc<Slot>);

impl Snapshot {
    fn get(&self, key: NeedleKey) -> Option<Entry> {
        match &*self.0.page.read() {
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
    fn pages_of_few_keys_count_for_what_they_take() {
        // As many as 40 full pages, and 400 of a sixteenth of their keys.
        let (memory_bytes, ranges, step) = (40 * FULL_PAGE_BYTES, 400, 16);
        let index = HotIndex::new(Arc::new(MemIndex::new()), memory_bytes);
        let keys = || (0..ranges * PAGE_KEYS).step_by(step).map(NeedleKey);
        for key in keys() {
            let entry = Entry {
                offset: (key.0 + 1) * 8,
                size: 1,
                deleted: false,
            };
            index.store.load(TABLE, &[(key, entry)]).unwrap();
        }
        for key in keys() {
            assert!(index.get(TABLE, key).unwrap().is_some());
        }
        let known = keys().filter(|key| index.peek(TABLE, *key) != Lookup::Unknown);
        assert!(known.count() as u64 * 10 >= 9 * ranges * PAGE_KEYS / step as u64);
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
