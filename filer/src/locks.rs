//! Who may change what at the same time. No lock is held while the disk syncs.
//!
//! Taken in this order: `structure`, `making`, rows.

use parking_lot::{Mutex, MutexGuard, RwLock};

const STRIPES: usize = 1024;

/// See the module.
#[derive(Debug)]
pub struct Locks {
    /// Shared by every operation; alone for what takes a folder away (rename, delete), so that a folder that was found stays
    /// where it is for as long as an operation lasts.
    pub structure: RwLock<()>,
    /// Held by whoever makes folders: two that miss the same one must not both make it.
    pub making: Mutex<()>,
    /// Held by whoever reads rows in order to change them; a row's stripe is told by its key.
    stripes: Vec<Mutex<()>>,
}

impl Locks {
    pub fn new() -> Self {
        Self {
            structure: RwLock::new(()),
            making: Mutex::new(()),
            stripes: (0..STRIPES).map(|_| Mutex::new(())).collect(),
        }
    }

    /// Locks these rows, whatever others lock in whatever order.
    pub fn rows<'k>(&self, keys: impl Iterator<Item = &'k [u8]>) -> Vec<MutexGuard<'_, ()>> {
        let mut stripes: Vec<usize> = keys
            .map(|key| crc32fast::hash(key) as usize % STRIPES)
            .collect();
        stripes.sort_unstable();
        stripes.dedup();
        let stripes = stripes
            .into_iter()
            .filter_map(|index| self.stripes.get(index));
        stripes.map(Mutex::lock).collect()
    }
}
