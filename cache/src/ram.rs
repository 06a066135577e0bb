//! The tier in memory: pages by how often they are used, a small window of the latest ones, and parts of pages that were read once.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use bytes::Bytes;
use moka::notification::RemovalCause;
use moka::policy::EvictionPolicy;
use moka::sync::Cache;

use crate::files::PageKey;
use crate::stats::{Counter, Counters};

/// One part in so many of the memory is a window of the latest pages: readers that follow each other closely find them there even when
/// the rest is full of pages that are used more often.
const WINDOW_SHARE: u64 = 16;
/// One part in so many is for parts of pages.
const PARTS_SHARE: u64 = 8;
/// Parts of one page that are kept apart.
const PARTS_MAX: usize = 32;
/// What an entry costs beside its bytes.
const ENTRY_BYTES: usize = 200;

/// A page in memory.
#[derive(Debug)]
pub struct Page {
    pub(crate) bytes: Bytes,
    hits: AtomicU32,
}

/// Blocks of a page, ascending by where they begin in it.
#[derive(Clone, Debug, Default)]
pub struct Parts {
    blocks: Vec<(u64, Bytes)>,
}

/// What is told of a page that memory lets go: how often it was used there.
pub type Farewell = dyn Fn(PageKey, u32) + Send + Sync;

/// Pages in memory.
#[derive(Debug)]
pub struct RamTier {
    pages: Cache<PageKey, Arc<Page>>,
    window: Cache<PageKey, Arc<Page>>,
    parts: Cache<PageKey, Arc<Parts>>,
    bytes_max: u64,
    evictions: Arc<Counter>,
}

impl RamTier {
    pub(crate) fn new(bytes_max: u64, counters: Arc<Counters>, farewell: Arc<Farewell>) -> Self {
        let evictions = Arc::<Counter>::default();
        let evicted = Arc::clone(&evictions);
        let (window, parts) = (bytes_max / WINDOW_SHARE, bytes_max / PARTS_SHARE);
        let pages = Cache::builder()
            .max_capacity(bytes_max - window - parts)
            .weigher(|_, page: &Arc<Page>| weight(page.bytes.len()))
            .eviction_listener(move |key: Arc<PageKey>, page: Arc<Page>, cause| {
                if cause == RemovalCause::Size {
                    counters.ram_evictions.add(1);
                    evicted.add(1);
                    farewell(*key, page.hits.load(Ordering::Relaxed));
                }
            });
        let window = Cache::builder()
            .max_capacity(window)
            .eviction_policy(EvictionPolicy::lru())
            .weigher(|_, page: &Arc<Page>| weight(page.bytes.len()));
        let parts = Cache::builder()
            .max_capacity(parts)
            .weigher(|_, parts: &Arc<Parts>| weight(parts.len_bytes()));
        Self {
            pages: pages.build(),
            window: window.build(),
            parts: parts.build(),
            bytes_max,
            evictions,
        }
    }

    /// Pages that were let go for others.
    pub(crate) fn evictions(&self) -> u64 {
        self.evictions.get()
    }

    /// A page, if it is here.
    pub(crate) fn get(&self, key: PageKey) -> Option<Arc<Page>> {
        let page = self.pages.get(&key).or_else(|| self.window.get(&key))?;
        page.hits.fetch_add(1, Ordering::Relaxed);
        Some(page)
    }

    pub(crate) fn contains(&self, key: PageKey) -> bool {
        self.pages.contains_key(&key) || self.window.contains_key(&key)
    }

    pub(crate) fn put(&self, key: PageKey, bytes: Bytes) {
        let page = Arc::new(Page {
            bytes,
            hits: AtomicU32::new(0),
        });
        self.window.insert(key, Arc::clone(&page));
        self.pages.insert(key, page);
        self.parts.invalidate(&key);
        // Now, not when 64 insertions have come together: those would be 64 MiB too many.
        self.window.run_pending_tasks();
        self.pages.run_pending_tasks();
    }

    /// Bytes of a page's parts, if they hold all of `wanted`.
    pub(crate) fn part(&self, key: PageKey, wanted: &Range<u64>) -> Option<Bytes> {
        self.parts.get(&key)?.find(wanted)
    }

    /// How many parts of a page are here.
    pub(crate) fn parts_held(&self, key: PageKey) -> usize {
        self.parts.get(&key).map_or(0, |parts| parts.blocks.len())
    }

    pub(crate) fn put_part(&self, key: PageKey, start: u64, bytes: Bytes) {
        let held = self.parts.get(&key).unwrap_or_default();
        self.parts.insert(key, Arc::new(held.with(start, bytes)));
    }

    pub(crate) fn remove(&self, key: PageKey) {
        self.pages.invalidate(&key);
        self.window.invalidate(&key);
        self.parts.invalidate(&key);
    }

    /// Bytes of a page that are here.
    pub(crate) fn bytes_of(&self, key: PageKey) -> u64 {
        let page = self.pages.get(&key).or_else(|| self.window.get(&key));
        let parts = || self.parts.get(&key).map_or(0, |parts| parts.len_bytes());
        page.map_or_else(parts, |page| page.bytes.len()) as u64
    }

    /// Whether there is room, so that nothing has to go for a new page.
    pub(crate) fn has_room(&self) -> bool {
        self.len_bytes() < self.bytes_max / 2
    }

    pub(crate) fn len_bytes(&self) -> u64 {
        self.pages.weighted_size() + self.parts.weighted_size()
    }

    pub(crate) fn len_pages(&self) -> u64 {
        self.pages.entry_count()
    }
}

fn weight(bytes: usize) -> u32 {
    u32::try_from(bytes + ENTRY_BYTES).unwrap_or(u32::MAX)
}

impl Parts {
    fn len_bytes(&self) -> usize {
        self.blocks.iter().map(|(_, bytes)| bytes.len()).sum()
    }

    fn find(&self, wanted: &Range<u64>) -> Option<Bytes> {
        let (start, bytes) = self.blocks.iter().find(|(start, bytes)| {
            *start <= wanted.start && wanted.end <= start + bytes.len() as u64
        })?;
        let from = (wanted.start - start) as usize;
        Some(bytes.slice(from..from + (wanted.end - wanted.start) as usize))
    }

    fn with(&self, start: u64, bytes: Bytes) -> Self {
        let mut blocks = self.blocks.clone();
        if blocks.len() >= PARTS_MAX {
            blocks.remove(0);
        }
        blocks.push((start, bytes));
        Self { blocks }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::FileId;

    fn tier(bytes: u64) -> RamTier {
        RamTier::new(bytes, Arc::default(), Arc::new(|_, _| {}))
    }

    fn key(page: u64) -> PageKey {
        PageKey {
            file: FileId(1),
            page,
        }
    }

    #[test]
    fn it_stays_within_its_bytes() {
        let tier = tier(1 << 20);
        for page in 0..1000 {
            tier.put(key(page), Bytes::from(vec![1; 10_000]));
            assert!(tier.len_bytes() <= 1 << 20);
        }
        assert!(tier.len_pages() > 50);
    }

    #[test]
    fn the_latest_page_is_here_even_if_the_others_are_used_more() {
        let tier = tier(1 << 20);
        for page in 0..80 {
            tier.put(key(page), Bytes::from(vec![1; 10_000]));
            (0..10).for_each(|_| drop(tier.get(key(page))));
        }
        tier.put(key(999), Bytes::from(vec![1; 10_000]));
        assert!(tier.get(key(999)).is_some());
    }

    #[test]
    fn parts_answer_for_what_they_hold() {
        let tier = tier(1 << 20);
        tier.put_part(key(0), 100, Bytes::from_static(b"0123456789"));
        assert_eq!(tier.part(key(0), &(102..105)).unwrap(), "234");
        assert!(tier.part(key(0), &(99..105)).is_none());
        assert!(tier.part(key(0), &(105..111)).is_none());
        assert_eq!(tier.parts_held(key(0)), 1);
        tier.put(key(0), Bytes::from(vec![1; 200]));
        assert_eq!(tier.parts_held(key(0)), 0);
    }
}
