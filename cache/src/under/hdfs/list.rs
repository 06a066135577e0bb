//! Listing. The NameNode lists in the order of *signed* bytes (`DFSUtilClient.compareBytes`), a thousand entries a call: a folder is fetched
//! whole, put in the order of unsigned bytes, and kept for a moment for whoever pages through it.

use std::sync::Arc;
use std::time::Duration;

use moka::sync::Cache;

use super::calls::Calls;
use super::status;
use crate::backend::{BackendError, Caller, Freshness, Listing, Status};

/// Entries of all snapshots together.
const ENTRIES_MAX: u64 = 1_000_000;
/// How long later pages are of the listing that the first one was of.
const KEPT: Duration = Duration::from_secs(10);

/// Which part of a folder.
#[derive(Clone, Copy, Debug)]
pub(super) struct Page<'a> {
    pub(super) after: Option<&'a str>,
    pub(super) limit: usize,
}

/// By user and path.
type Key = (Arc<str>, Arc<str>);

/// Folders that somebody pages through.
#[derive(Clone, Debug)]
pub(super) struct Snapshots {
    folders: Cache<Key, Arc<[Status]>>,
}

impl Default for Snapshots {
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

impl Snapshots {
    pub(super) async fn page(
        &self,
        calls: &Calls,
        caller: &Caller,
        path: &str,
        page: Page<'_>,
        freshness: Freshness,
    ) -> Result<Listing, BackendError> {
        let key = (caller.user.clone(), Arc::from(path));
        let kept = self.folders.get(&key);
        let may_be_kept = page.after.is_some() && freshness == Freshness::Cached;
        let entries = match kept {
            Some(entries) if may_be_kept => entries,
            _ => whole(calls, caller, path).await?.into(),
        };
        let listing = cut(&entries, page);
        if listing.more {
            self.folders.insert(key, entries);
        } else {
            self.folders.invalidate(&key);
        }
        Ok(listing)
    }
}

fn cut(entries: &Arc<[Status]>, page: Page<'_>) -> Listing {
    let start = page.after.map_or(0, |after| {
        entries.partition_point(|entry| entry.name.as_str() <= after)
    });
    let end = entries.len().min(start.saturating_add(page.limit));
    if (start, end) == (0, entries.len()) {
        let entries = entries.clone();
        return Listing {
            entries,
            more: false,
        };
    }
    Listing {
        entries: entries.get(start..end).unwrap_or_default().into(),
        more: end < entries.len(),
    }
}

/// Each step of a long listing has the time of a call.
async fn whole(calls: &Calls, caller: &Caller, path: &str) -> Result<Vec<Status>, BackendError> {
    let folder = path.trim_end_matches('/');
    let (entries, iterator) = calls
        .ask(caller, path, |client| async move {
            let iterator = client.list_status_iter(path, false);
            let first = iterator.next().await.transpose()?;
            Ok((first, iterator))
        })
        .await?;
    let iterator = &iterator;
    let mut entries: Vec<_> = entries.into_iter().collect();
    while let Some(next) = calls
        .tell(caller, path, |_| async move {
            iterator.next().await.transpose()
        })
        .await?
    {
        entries.push(next);
    }
    let named = |entry: &hdfs_native::client::FileStatus| {
        let rest = entry.path.strip_prefix(folder).unwrap_or(&entry.path);
        status::of(entry, rest.trim_start_matches('/').to_owned())
    };
    let mut entries: Vec<Status> = entries.iter().map(named).collect();
    entries.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::FileKind;

    fn entries(names: &[&str]) -> Arc<[Status]> {
        let entry = |name: &&str| Status {
            name: (*name).to_owned(),
            kind: FileKind::File,
            len: 0,
            modified_ms: 0,
            accessed_ms: 0,
            owner: "o".into(),
            group: "g".into(),
            permission: 0,
            replication: 1,
            block_bytes: 1,
            etag: None,
        };
        names.iter().map(entry).collect()
    }

    fn cut_names(after: Option<&str>, limit: usize) -> (Vec<String>, bool) {
        let listing = cut(&entries(&["a", "b", "d"]), Page { after, limit });
        let names = listing.entries.iter().map(|e| e.name.clone()).collect();
        (names, listing.more)
    }

    #[test]
    fn a_page_begins_after_a_name_that_need_not_be_there() {
        let names = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(cut_names(None, 9), (names(&["a", "b", "d"]), false));
        assert_eq!(cut_names(None, 2), (names(&["a", "b"]), true));
        assert_eq!(cut_names(Some("b"), 2), (names(&["d"]), false));
        assert_eq!(cut_names(Some("c"), 1), (names(&["d"]), false));
        assert_eq!(cut_names(Some("a"), 1), (names(&["b"]), true));
        assert_eq!(cut_names(Some("z"), 1), (names(&[]), false));
        assert_eq!(cut_names(None, 0), (names(&[]), true));
    }
}
