//! A folder as the namespace shows it: what its store lists, and the mounts in it as folders, page by page in order.

use std::sync::Arc;

use moongate_cache::{FileKind, Listing, Status};

/// What stands for a folder that only leads to mounts.
pub fn folder(name: &str, modified_ms: u64) -> Status {
    Status {
        name: name.to_owned(),
        kind: FileKind::Directory,
        len: 0,
        modified_ms,
        accessed_ms: 0,
        owner: Arc::from("moongate"),
        group: Arc::from("moongate"),
        permission: 0o755,
        replication: 0,
        block_bytes: 0,
        etag: None,
    }
}

/// A page of at most `limit` entries from a page of the store and the mounts of the folder that come after the page's beginning. A
/// mount hides what the store has under its name.
pub fn merged(listed: &Listing, mounts: Vec<Status>, limit: usize) -> Listing {
    if mounts.is_empty() {
        return listed.clone();
    }
    // Beyond the store's page it is not known what comes between: mounts there belong to a later page.
    let end = listed
        .more
        .then(|| listed.entries.last().map(|last| last.name.clone()))
        .flatten();
    let total = mounts.len();
    let mounts: Vec<Status> = mounts
        .into_iter()
        .filter(|mount| end.as_ref().is_none_or(|end| mount.name <= *end))
        .collect();
    let cut = mounts.len() < total;
    let hidden = |entry: &&Status| !mounts.iter().any(|mount| mount.name == entry.name);
    let mut entries: Vec<Status> = listed.entries.iter().filter(hidden).cloned().collect();
    entries.extend(mounts);
    entries.sort_by(|a, b| a.name.cmp(&b.name));
    let more = listed.more || cut || entries.len() > limit;
    entries.truncate(limit);
    Listing {
        entries: entries.into(),
        more,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(names: &str, more: bool) -> Listing {
        Listing {
            entries: entries(names).into(),
            more,
        }
    }

    fn entries(names: &str) -> Vec<Status> {
        names
            .split_whitespace()
            .map(|name| folder(name, 1))
            .collect()
    }

    fn names(listing: &Listing) -> String {
        let names: Vec<&str> = listing.entries.iter().map(|entry| &*entry.name).collect();
        names.join(" ")
    }

    #[test]
    fn mounts_come_in_their_place() {
        for (listed, more, mounts, limit, want, goes_on) in [
            ("a c", false, "b", 9, "a b c", false),
            ("a c", true, "b d", 9, "a b c", true),
            ("a c", false, "b d", 3, "a b c", true),
            ("a b c", false, "b", 9, "a b c", false),
            ("", false, "b d", 1, "b", true),
            ("", false, "b", 9, "b", false),
        ] {
            let merged = merged(&page(listed, more), entries(mounts), limit);
            assert_eq!((names(&merged).as_str(), merged.more), (want, goes_on));
        }
    }
}
