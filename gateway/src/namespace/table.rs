//! Which mount a path belongs to: the longest that leads there.

use std::collections::BTreeSet;
use std::sync::Arc;

use moongate_cache::{Backend, CachedBackend};

use super::guard::Guard;
use super::path;
use crate::config::MountConfig;

/// Where a mount was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// In the configuration file: it is taken away there.
    Config,
    /// While the gateway ran: it is kept in the data folder.
    Admin,
}

/// A store at a path.
#[derive(Debug)]
pub struct Mount {
    /// What was asked for.
    pub config: MountConfig,
    /// By whom.
    pub origin: Origin,
    /// What serves it: the cache over the store, or the store.
    pub backend: Arc<dyn Backend>,
    /// The cache over the store, if it has one.
    pub cached: Option<Arc<CachedBackend>>,
    /// Asks the store whether a caller may see what the cache holds, where the store knows callers.
    pub guard: Option<Guard>,
    /// Since when, in milliseconds since 1970.
    pub since_ms: u64,
    /// Why the store could not be opened, if so.
    pub refused: Option<String>,
}

impl Mount {
    /// Its path.
    pub fn path(&self) -> &str {
        &self.config.path
    }

    /// What kind of store it is.
    pub fn backend_kind(&self) -> &'static str {
        self.backend.kind()
    }
}

/// All mounts, the longest paths first. It never changes: another takes its place.
#[derive(Clone, Debug, Default)]
pub struct Table {
    mounts: Vec<Arc<Mount>>,
}

impl Table {
    /// A table of these.
    pub fn new(mut mounts: Vec<Arc<Mount>>) -> Self {
        mounts.sort_by(|a, b| {
            let lengths = b.path().len().cmp(&a.path().len());
            lengths.then_with(|| a.path().cmp(b.path()))
        });
        Self { mounts }
    }

    /// The mount of a path, and the path within it. `None`: it is the root's.
    pub fn resolve<'p>(&self, sought: &'p str) -> Option<(&Arc<Mount>, &'p str)> {
        self.mounts.iter().find_map(|mount| {
            let inner = path::within(sought, mount.path())?;
            Some((mount, inner))
        })
    }

    /// The mount that stands at exactly this path.
    pub fn at(&self, sought: &str) -> Option<&Arc<Mount>> {
        self.mounts.iter().find(|mount| mount.path() == sought)
    }

    /// The mounts below a path, not at it.
    pub fn below<'t>(&'t self, folder: &'t str) -> impl Iterator<Item = &'t Arc<Mount>> {
        self.mounts.iter().filter(move |mount| {
            mount.path() != folder && path::within(mount.path(), folder).is_some()
        })
    }

    /// The names in a folder that lead to mounts, in order.
    pub fn names_in(&self, folder: &str) -> BTreeSet<&str> {
        self.mounts
            .iter()
            .filter_map(|mount| path::names(path::within(mount.path(), folder)?).next())
            .collect()
    }

    /// Whether nothing is mounted.
    pub const fn is_empty(&self) -> bool {
        self.mounts.is_empty()
    }

    /// All of them, in order of their paths.
    pub fn all(&self) -> Vec<Arc<Mount>> {
        let mut mounts = self.mounts.clone();
        mounts.sort_by(|a, b| a.path().cmp(b.path()));
        mounts
    }

    /// This table with one more mount.
    pub fn with(&self, mount: Mount) -> Self {
        let mut mounts = self.mounts.clone();
        mounts.push(Arc::new(mount));
        Self::new(mounts)
    }

    /// This table without the mount at a path.
    pub fn without(&self, path: &str) -> Self {
        let mounts = self.mounts.iter().filter(|mount| mount.path() != path);
        Self::new(mounts.cloned().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::super::refusing::Refusing;
    use super::*;

    fn mount(path: &str) -> Mount {
        Mount {
            config: MountConfig {
                path: path.into(),
                ..MountConfig::default()
            },
            origin: Origin::Admin,
            backend: Arc::new(Refusing::new("nothing")),
            cached: None,
            guard: None,
            since_ms: 0,
            refused: None,
        }
    }

    fn table() -> Table {
        let mounts = ["/a", "/a/b/c", "/d/e"].map(|path| Arc::new(mount(path)));
        Table::new(mounts.into())
    }

    fn found(table: &Table, path: &str) -> Option<(String, String)> {
        let (mount, inner) = table.resolve(path)?;
        Some((mount.path().to_owned(), inner.to_owned()))
    }

    #[test]
    fn the_longest_wins() {
        let table = table();
        let pair = |a: &str, b: &str| Some((a.to_owned(), b.to_owned()));
        assert_eq!(found(&table, "/a/b"), pair("/a", "/b"));
        assert_eq!(found(&table, "/a/b/c"), pair("/a/b/c", "/"));
        assert_eq!(found(&table, "/a/b/c/x/y"), pair("/a/b/c", "/x/y"));
        assert_eq!(found(&table, "/a/b/cc"), pair("/a", "/b/cc"));
        assert_eq!(found(&table, "/d"), None);
        assert_eq!(found(&table.without("/a"), "/a/b"), None);
        assert_eq!(found(&table.with(mount("/")), "/d"), pair("/", "/d"));
    }

    #[test]
    fn parents_show_the_names_that_lead_to_mounts() {
        let table = table();
        let names = |folder: &str| {
            table
                .names_in(folder)
                .into_iter()
                .collect::<Vec<_>>()
                .join(" ")
        };
        assert_eq!(names("/"), "a d");
        assert_eq!(names("/a"), "b");
        assert_eq!(names("/a/b"), "c");
        assert_eq!(names("/d"), "e");
        assert_eq!(names("/x"), "");
        assert_eq!(table.below("/a").count(), 1);
        assert_eq!(table.below("/").count(), 3);
    }
}
