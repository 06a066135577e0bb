//! What an operator may ask of the cache for a path and all below it.

use std::collections::HashMap;
use std::sync::Arc;

use super::CachedBackend;
use crate::backend::{BackendError, ErrorKind};
use crate::files::{FileId, PageKey};

/// How much of a tree the cache holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Residency {
    /// Files of which it holds something.
    pub files: u64,
    /// Bytes of these files, held or not.
    pub bytes: u64,
    /// Bytes held in memory.
    pub in_ram: u64,
    /// Bytes held on disk.
    pub on_disk: u64,
    /// Of those, bytes that are pinned.
    pub pinned: u64,
}

impl CachedBackend {
    /// Forgets what is known of names at a path and below: the next answers come from the under store. Pages stay, for the version that
    /// they are of.
    pub fn invalidate(&self, path: &str) {
        self.mount.names.forget_tree(path);
        self.mount.names.forget_parents(path);
    }

    /// Lets go all pages at a path and below, pinned ones too; says how many bytes that were, in memory and on disk.
    pub async fn free(&self, path: &str) -> u64 {
        let (mount, cache) = (&self.mount, &self.mount.cache);
        let dropping = match &cache.disk {
            Some(disk) => disk.drop_path(&mount.id, &path.into(), true),
            None => Vec::new(),
        };
        let mut freed = 0;
        // The versions stay known: who reads one just now fetches on.
        for file in mount.files.within(path) {
            let pages = cache.pages_of(&file.version);
            freed += self.bytes_in_ram(file.id, pages);
            cache.forget_in_ram(file.id, pages);
        }
        for dropping in dropping {
            // No answer: the disk is off, and does it before it is on again.
            for dropped in dropping.await.unwrap_or_default() {
                freed += dropped.bytes + self.bytes_in_ram(dropped.file, dropped.pages);
                cache.forget_in_ram(dropped.file, dropped.pages);
            }
        }
        freed
    }

    /// Keeps on disk what is, or comes to be, at a path and below, as far as the bound of pins allows. Survives a restart.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] without a disk tier; [`ErrorKind::Unavailable`] if no cache disk could note it.
    pub async fn pin(&self, path: &str) -> Result<(), BackendError> {
        self.set_pin(path, true).await
    }

    /// Takes back a [`Self::pin`] of this very path.
    ///
    /// # Errors
    /// As of [`Self::pin`].
    pub async fn unpin(&self, path: &str) -> Result<(), BackendError> {
        self.set_pin(path, false).await
    }

    async fn set_pin(&self, path: &str, is_pinned: bool) -> Result<(), BackendError> {
        let Some(disk) = &self.mount.cache.disk else {
            let text = "pins are kept on disk: set cache.dirs and cache.disk_bytes";
            return Err(BackendError::new(ErrorKind::Unsupported, text));
        };
        if disk.pin(&self.mount.id, &path.into(), is_pinned).await {
            return Ok(());
        }
        let text = "no cache disk works now; look at the log, and try again later";
        Err(BackendError::new(ErrorKind::Unavailable, text))
    }

    /// How much the cache holds of what is at a path and below.
    pub async fn residency(&self, path: &str) -> Residency {
        let (mount, cache) = (&self.mount, &self.mount.cache);
        let mut files: HashMap<FileId, Residency> = HashMap::new();
        if let Some(disk) = &cache.disk {
            for file in disk.files_within(&mount.id, path).await {
                let held = Residency {
                    files: 1,
                    bytes: file.version.len,
                    in_ram: self.bytes_in_ram(file.id, cache.pages_of(&file.version)),
                    on_disk: file.bytes,
                    pinned: file.pinned_bytes,
                };
                files.insert(file.id, held);
            }
        }
        for file in mount.files.within(path) {
            let in_ram = || self.bytes_in_ram(file.id, cache.pages_of(&file.version));
            files.entry(file.id).or_insert_with(|| Residency {
                files: 1,
                bytes: file.version.len,
                in_ram: in_ram(),
                ..Residency::default()
            });
        }
        let held = files.values().filter(|file| file.in_ram + file.on_disk > 0);
        held.fold(Residency::default(), |sum, file| sum.with(file))
    }

    fn bytes_in_ram(&self, file: FileId, pages: u64) -> u64 {
        let ram = &self.mount.cache.ram;
        let of = |page| ram.bytes_of(PageKey { file, page });
        (0..pages).map(of).sum()
    }

    /// The mount's name in the cache.
    pub fn mount_id(&self) -> Arc<str> {
        Arc::clone(&self.mount.id)
    }
}

impl Residency {
    const fn with(self, other: &Self) -> Self {
        Self {
            files: self.files + other.files,
            bytes: self.bytes + other.bytes,
            in_ram: self.in_ram + other.in_ram,
            on_disk: self.on_disk + other.on_disk,
            pinned: self.pinned + other.pinned,
        }
    }
}
