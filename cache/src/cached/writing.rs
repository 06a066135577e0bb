//! A change through the cache: before it begins and after it ends, what was known of what it touches is forgotten.
//!
//! Before, so that what is asked from now on is asked of the store; after, so that an answer that was got while it went on, and may show
//! either side of it, is not believed (see [`crate::policy::epochs`]).

use std::collections::BTreeSet;
use std::future::Future;
use std::sync::Arc;

use tokio::sync::oneshot;

use crate::mount::Mount;
use crate::mutant::{self, Mutant};
use crate::names::parents;
use crate::tier::Dropped;

/// A change under way. Dropped before it has ended (the client went away), it forgets as well: the store may have done it.
#[derive(Debug)]
pub struct Writing {
    mount: Arc<Mount>,
    files: Vec<Arc<str>>,
    trees: Vec<Arc<str>>,
    folders: BTreeSet<Arc<str>>,
    has_ended: bool,
}

type Dropping = Vec<oneshot::Receiver<Vec<Dropped>>>;

impl Writing {
    pub(super) fn of(mount: &Arc<Mount>) -> Self {
        Self {
            mount: Arc::clone(mount),
            files: Vec::new(),
            trees: Vec::new(),
            folders: BTreeSet::new(),
            has_ended: false,
        }
    }

    /// It touches what is at this path.
    pub(super) fn file(mut self, path: &str) -> Self {
        self.files.push(path.into());
        self.mount.names.forget(path);
        self
    }

    /// It touches what is at this path and all below.
    pub(super) fn tree(mut self, path: &str) -> Self {
        self.trees.push(path.into());
        self.mount.names.forget_tree(path);
        self
    }

    /// It touches what the folders above a path look like, or whether they are there.
    pub(super) fn parents(mut self, path: &str) -> Self {
        self.mount.names.forget_parents(path);
        self.folders.extend(parents(path).map(Arc::from));
        self
    }

    pub(super) fn mount(&self) -> Arc<Mount> {
        Arc::clone(&self.mount)
    }

    /// Does it, and forgets.
    pub(super) async fn after<T>(mut self, work: impl Future<Output = T>) -> T {
        let result = self.during(work).await;
        self.has_ended = true;
        result
    }

    /// Does a part of it that others may see, and forgets.
    pub(super) async fn during<T>(&self, work: impl Future<Output = T>) -> T {
        let result = work.await;
        for dropping in self.forget() {
            // No answer: the disk is off, and does it before it is on again.
            let dropped = dropping.await.unwrap_or_default();
            for Dropped { file, pages, .. } in dropped {
                self.mount.cache.forget_in_ram(file, pages);
            }
        }
        result
    }

    /// Bars what the disks hold, then forgets what is known, then what is in memory.
    fn forget(&self) -> Dropping {
        if mutant::is(Mutant::KeepAfterWrite) {
            return Vec::new();
        }
        let dropping = self.drop_on_disk();
        self.forget_names();
        let files = &self.mount.files;
        if mutant::is(Mutant::KeepTrees) {
            return dropping;
        }
        let taken = self
            .files
            .iter()
            .filter_map(|path| files.take_unless(path, None));
        let below = self.trees.iter().flat_map(|path| files.take_tree(path));
        for file in taken.chain(below) {
            self.mount.cache.drop_version(&file);
        }
        dropping
    }

    fn drop_on_disk(&self) -> Dropping {
        let Some(disk) = &self.mount.cache.disk else {
            return Vec::new();
        };
        if mutant::is(Mutant::KeepOnDiskAfterWrite) {
            return Vec::new();
        }
        let mount = &self.mount.id;
        let files = self
            .files
            .iter()
            .flat_map(|path| disk.drop_path(mount, path, false));
        let trees = self
            .trees
            .iter()
            .flat_map(|path| disk.drop_path(mount, path, true));
        files.chain(trees).collect()
    }

    fn forget_names(&self) {
        for path in self.files.iter().chain(&self.folders) {
            self.mount.names.forget(path);
        }
        for path in &self.trees {
            self.mount.names.forget_tree(path);
        }
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        if !self.has_ended {
            self.forget();
        }
    }
}
