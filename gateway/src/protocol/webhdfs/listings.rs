//! Folders that somebody goes through batch by batch (LISTSTATUS_BATCH).
//!
//! The NameNode sorts names by their bytes as if these were signed, no store here does, and each batch says how many entries are left: both
//! take the whole listing. It is made for the first batch, and kept a moment for those that follow. Without that a mount that caches no
//! names (`ttl = "0s"`) would list the folder anew for each batch.

use std::sync::Arc;
use std::time::Duration;

use moka::sync::Cache;
use moongate_cache::Status;

/// Entries of all folders together: some 100 MB.
const ENTRIES_MAX: u64 = 500_000;
/// How long later batches are of the listing that the first one was of; HDFS mounts keep theirs as long.
const KEPT: Duration = Duration::from_secs(10);

/// By user and path.
type Key = (Arc<str>, Arc<str>);

/// What is kept. See the module.
#[derive(Debug)]
pub struct Listings {
    folders: Cache<Key, Arc<[Status]>>,
}

impl Default for Listings {
    fn default() -> Self {
        let weigh =
            |_: &Key, entries: &Arc<[Status]>| u32::try_from(entries.len()).unwrap_or(u32::MAX);
        Self {
            folders: Cache::builder()
                .weigher(weigh)
                .max_capacity(ENTRIES_MAX)
                .time_to_live(KEPT)
                .build(),
        }
    }
}

impl Listings {
    /// The listing that this user is going through.
    pub fn get(&self, user: &Arc<str>, path: &str) -> Option<Arc<[Status]>> {
        self.folders.get(&(Arc::clone(user), Arc::from(path)))
    }

    /// Keeps a listing of which more is to come, or lets it go with its last batch.
    pub fn keep(&self, user: &Arc<str>, path: &str, entries: &Arc<[Status]>, more: bool) {
        let key = (Arc::clone(user), Arc::from(path));
        if more {
            self.folders.insert(key, Arc::clone(entries));
        } else {
            self.folders.invalidate(&key);
        }
    }
}
