//! Whose pages are whose, where the cache is shared out.
//!
//! Owns: what a share is and to whom a path's pages are charged. Refuses to own: the pages ([`crate::ram_shares`] in memory, the table of each cache
//! disk there). A share is a part of the memory and of each disk. Its owner holds no more than that, and makes room among its own pages; nobody
//! else's pages take the place of its own.

use crate::policy::epochs::is_within;

/// The most that all shares may be together, in percent: the rest is for pages that belong to no share.
pub const SHARES_PERCENT_MAX: u32 = 90;

/// To whom pages are charged: a share by its place in [`crate::CacheConfig::shares`], or nobody of their own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Owner(Option<usize>);

impl Owner {
    /// Whoever has no share.
    pub const NOBODY: Self = Self(None);

    /// The owner of the share at this place.
    pub const fn of_share(place: usize) -> Self {
        Self(Some(place))
    }

    /// The place of the share.
    pub const fn share(self) -> Option<usize> {
        self.0
    }
}

/// A part of the cache that is somebody's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Share {
    /// Whose, for metrics.
    pub name: String,
    /// Percent of the memory, and of each cache disk.
    pub percent: u8,
}

impl Share {
    /// What it is of so many bytes.
    pub(crate) fn of(&self, bytes: u64) -> u64 {
        bytes / 100 * u64::from(self.percent)
    }
}

/// What a share holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ShareStats {
    /// Whose.
    pub name: String,
    /// Bytes held in memory.
    pub ram_bytes: u64,
    /// Bytes held on cache disks.
    pub disk_bytes: u64,
    /// Pages that memory let go for other pages of the same owner.
    pub ram_evictions: u64,
    /// Pages that cache disks let go.
    pub disk_evictions: u64,
}

/// Folders of a mount whose files are charged to a share; the first that a path is in decides.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Owners(pub Vec<(String, Owner)>);

impl Owners {
    /// To whom the pages of a path are charged.
    pub(crate) fn of(&self, path: &str) -> Owner {
        let found = self.0.iter().find(|(folder, _)| is_within(path, folder));
        found.map_or(Owner::NOBODY, |(_, owner)| *owner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_belongs_to_the_folder_that_it_is_in() {
        let (a, b) = (Owner::of_share(0), Owner::of_share(1));
        let owners = Owners(vec![("/x/a".into(), a), ("/x/b".into(), b)]);
        for (path, owner) in [
            ("/x/a", a),
            ("/x/a/f", a),
            ("/x/ab", Owner::NOBODY),
            ("/x", Owner::NOBODY),
            ("/x/b/c/d", b),
        ] {
            assert_eq!(owners.of(path), owner, "{path}");
        }
        let all = Owners(vec![("/".into(), a)]);
        assert_eq!((all.of("/"), all.of("/f")), (a, a));
    }
}
