//! Files that are being read: a client asks for many stretches of one, and each comes as an operation of its own.

use std::sync::Arc;
use std::time::Duration;

use moka::sync::Cache;
use moongate_cache::{BackendFile, Version};

/// Most files that are kept open.
const FILES_MAX: u64 = 10_000;
/// How long a file is read before it is opened again, in the reader's name: so long a right that was taken away may last.
pub const OPENED_FOR: Duration = Duration::from_secs(30);

/// Whose read of what.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    /// Who reads.
    pub user: Arc<str>,
    /// Who acts for them.
    pub real_user: Option<Arc<str>>,
    /// Where.
    pub path: String,
    /// Which content.
    pub version: Version,
}

/// The files.
#[derive(Debug)]
pub struct Opened {
    files: Cache<Key, Arc<dyn BackendFile>>,
}

impl Default for Opened {
    fn default() -> Self {
        Self {
            files: Cache::builder()
                .max_capacity(FILES_MAX)
                .time_to_live(OPENED_FOR)
                .build(),
        }
    }
}

impl Opened {
    /// One that was opened a moment ago.
    pub fn get(&self, key: &Key) -> Option<Arc<dyn BackendFile>> {
        self.files.get(key)
    }

    /// Keeps one for the reads that follow.
    pub fn keep(&self, key: Key, file: Arc<dyn BackendFile>) {
        self.files.insert(key, file);
    }

    /// Forgets one of which nothing more can be read.
    pub fn forget(&self, key: &Key) {
        self.files.invalidate(key);
    }
}
