//! Statuses and absences, by path.

use std::sync::Arc;

use moka::ops::compute::Op;
use moka::sync::Cache;

use super::{Known, Moment};

/// What an entry costs beside its strings: the entry, the status, and the cache's own books.
const ENTRY_BYTES: usize = 320;

/// Statuses by path, bounded by their bytes.
#[derive(Debug)]
pub struct Statuses {
    by_path: Cache<Arc<str>, (Known, Moment)>,
}

impl Statuses {
    pub(super) fn new(bytes_max: u64) -> Self {
        let weigh = |path: &Arc<str>, (known, _): &(Known, Moment)| {
            let etag = known.as_ref().and_then(|s| s.etag.as_ref());
            let bytes = ENTRY_BYTES + 2 * path.len() + etag.map_or(0, |e| e.len());
            u32::try_from(bytes).unwrap_or(u32::MAX)
        };
        Self {
            by_path: Cache::builder()
                .max_capacity(bytes_max)
                .weigher(weigh)
                .build(),
        }
    }

    pub(super) fn get(&self, path: &str) -> Option<(Known, Moment)> {
        self.by_path.get(path)
    }

    /// Learns an answer. If two answers to questions that overlapped differ, nobody knows which is the later one: neither is kept.
    pub(super) fn put(&self, path: &str, known: Known, moment: Moment) {
        let entry = self.by_path.entry(Arc::from(path));
        entry.and_compute_with(|held| {
            let Some((old, asked)) = held.map(moka::Entry::into_value) else {
                return Op::Put((known, moment));
            };
            match (asked.ticket > moment.ticket, same(&old, &known)) {
                (false, _) => Op::Put((known, moment)),
                (true, true) => Op::Nop,
                (true, false) => Op::Remove,
            }
        });
    }
}

fn same(one: &Known, other: &Known) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => one.version() == other.version() && one.kind == other.kind,
        (None, None) => true,
        _ => false,
    }
}
