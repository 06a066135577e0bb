//! The first entries of folders, as far as they were asked for.

use std::sync::Arc;

use moka::sync::Cache;

use super::Moment;
use crate::backend::{Listing, Status};

/// What an entry costs beside its name.
const ENTRY_BYTES: usize = 160;

/// Beginnings of folders, by path, bounded by their bytes.
#[derive(Debug)]
pub struct Listings {
    by_path: Cache<Arc<str>, Arc<Beginning>>,
    /// One folder's share.
    folder_bytes_max: u64,
}

/// The entries of a folder from its first one on.
#[derive(Debug)]
struct Beginning {
    entries: Arc<[Status]>,
    more: bool,
    /// Of the oldest part.
    asked: Moment,
    bytes: u64,
}

impl Listings {
    pub(super) fn new(bytes_max: u64) -> Self {
        let weigh = |path: &Arc<str>, beginning: &Arc<Beginning>| {
            u32::try_from(beginning.bytes + path.len() as u64).unwrap_or(u32::MAX)
        };
        Self {
            by_path: Cache::builder()
                .max_capacity(bytes_max)
                .weigher(weigh)
                .build(),
            folder_bytes_max: bytes_max / 4,
        }
    }

    pub(super) fn get(
        &self,
        path: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Option<(Listing, Moment)> {
        let held = self.by_path.get(path)?;
        let start = after.map_or(0, |name| position_after(&held.entries, name));
        let rest = held.entries.get(start..)?;
        if rest.len() < limit && held.more {
            return None;
        }
        let listing = if start == 0 && rest.len() <= limit {
            Listing {
                entries: Arc::clone(&held.entries),
                more: held.more,
            }
        } else {
            let part = rest.get(..limit.min(rest.len()))?;
            Listing {
                entries: part.into(),
                more: held.more || part.len() < rest.len(),
            }
        };
        Some((listing, held.asked))
    }

    /// Learns what comes after `after`. It is kept if it is the beginning, or follows one that is `still_good`.
    pub(super) fn put(
        &self,
        path: &str,
        after: Option<&str>,
        listing: &Listing,
        moment: Moment,
        still_good: impl Fn(Moment) -> bool,
    ) {
        let (entries, asked) = match after {
            None => (Arc::clone(&listing.entries), moment),
            Some(name) => {
                let Some(held) = self.by_path.get(path) else {
                    return;
                };
                let joins = held.entries.last().is_some_and(|last| last.name == name);
                if !joins || !still_good(held.asked) {
                    return;
                }
                let joined = held.entries.iter().chain(listing.entries.iter());
                (joined.cloned().collect(), held.asked)
            }
        };
        let bytes = weight(&entries);
        if bytes <= self.folder_bytes_max {
            let beginning = Beginning {
                entries,
                more: listing.more,
                asked,
                bytes,
            };
            self.by_path.insert(Arc::from(path), Arc::new(beginning));
        }
    }
}

fn position_after(entries: &[Status], name: &str) -> usize {
    entries.partition_point(|entry| entry.name.as_bytes() <= name.as_bytes())
}

fn weight(entries: &[Status]) -> u64 {
    let one = |status: &Status| {
        let etag = status.etag.as_ref().map_or(0, |e| e.len());
        (ENTRY_BYTES + status.name.len() + etag) as u64
    };
    entries.iter().map(one).sum()
}
