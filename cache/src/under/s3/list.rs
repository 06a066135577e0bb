//! Listing a folder in the order of its names, page by page.
//!
//! S3 lists a folder `a` as the prefix `a/`, and so after `a-` and `a.b`, which come after `a` as names. What S3 has not listed yet and should
//! stand before what it has listed can only be a folder whose name is the beginning of S3's last key, followed there by a byte less than `/`.
//! There are few of these: each page asks for them. [`candidates`] is that rule.

use std::collections::BTreeMap;

use aws_sdk_s3::operation::list_objects_v2::ListObjectsV2Output;
use futures::future::try_join_all;

use super::error::of_sdk;
use super::{Shared, folder};
use crate::backend::{BackendError, ErrorKind, FileKind, Listing, Status};

/// S3 gives no more at once.
const KEYS_MAX: usize = 1000;
/// Said to readers, who split files by it.
const BLOCK_BYTES: u64 = 128 << 20;

/// What S3 says of an object.
#[derive(Debug)]
pub(super) struct Object {
    pub(super) len: i64,
    pub(super) modified_secs: i64,
    pub(super) etag: Option<String>,
}

impl Object {
    pub(super) fn status(self, name: String) -> Status {
        Status {
            kind: FileKind::File,
            len: u64::try_from(self.len).unwrap_or(0),
            // A listing tells milliseconds and a HEAD does not: both must be the same version.
            modified_ms: u64::try_from(self.modified_secs).unwrap_or(0) * 1000,
            permission: 0o666,
            replication: 1,
            block_bytes: BLOCK_BYTES,
            etag: self.etag.map(Into::into),
            ..folder(name)
        }
    }
}

pub(super) async fn list(
    shared: &Shared,
    path: &str,
    after: Option<&str>,
    limit: usize,
) -> Result<Listing, BackendError> {
    let prefix = shared.keys.of_folder(path)?;
    let mut page = Page::new(after);
    let mut wanted = limit.saturating_add(1);
    while page.more && page.entries.len() < wanted {
        wanted = wanted.max(1);
        let listed = fetch(shared, path, &prefix, &page, wanted - page.entries.len()).await?;
        page.take(&prefix, listed);
    }
    if !page.saw_any && after.is_none() {
        return itself(shared, path).await;
    }
    if page.more {
        let names = candidates(&page.last, after);
        let probes = names
            .into_iter()
            .filter(|name| !page.entries.contains_key(*name));
        let found = try_join_all(probes.map(|name| probe(shared, path, name))).await?;
        page.entries.extend(found.into_iter().flatten());
    }
    let more = page.more || page.entries.len() > limit;
    let entries = page.entries.into_values().take(limit);
    Ok(Listing {
        entries: entries.collect(),
        more,
    })
}

/// What is known of a page so far.
struct Page<'a> {
    after: Option<&'a str>,
    entries: BTreeMap<String, Status>,
    /// S3's last key, below the folder.
    last: String,
    token: Option<String>,
    more: bool,
    saw_any: bool,
}

impl<'a> Page<'a> {
    fn new(after: Option<&'a str>) -> Self {
        Self {
            after,
            entries: BTreeMap::new(),
            last: String::new(),
            token: None,
            more: true,
            saw_any: false,
        }
    }

    fn take(&mut self, prefix: &str, listed: ListObjectsV2Output) {
        let below = |key: Option<&str>| Some(key?.strip_prefix(prefix)?.to_owned());
        for object in listed.contents() {
            let Some(key) = below(object.key()) else {
                continue;
            };
            let found = Object {
                len: object.size().unwrap_or(0),
                modified_secs: object.last_modified().map_or(0, |time| time.secs()),
                etag: object.e_tag().map(str::to_owned),
            };
            let status = found.status(key.clone());
            self.add(key.clone(), key, status);
        }
        for common in listed.common_prefixes() {
            let Some(key) = below(common.prefix()) else {
                continue;
            };
            let name = key.trim_end_matches('/').to_owned();
            let status = folder(name.clone());
            self.add(key, name, status);
        }
        self.more = listed.is_truncated().unwrap_or(false);
        self.token = listed.next_continuation_token;
    }

    /// An object before a folder of the same name. What no path can name (`a//b`, and the folder's own marker) is passed over.
    fn add(&mut self, key: String, name: String, status: Status) {
        self.saw_any = true;
        if key > self.last {
            self.last = key;
        }
        let is_next = self.after.is_none_or(|after| name.as_str() > after);
        let can_be_named = !matches!(name.as_str(), "" | "." | "..");
        if is_next && can_be_named {
            self.entries.entry(name).or_insert(status);
        }
    }
}

async fn fetch(
    shared: &Shared,
    path: &str,
    prefix: &str,
    page: &Page<'_>,
    wanted: usize,
) -> Result<ListObjectsV2Output, BackendError> {
    let keys = i32::try_from(wanted.clamp(1, KEYS_MAX)).unwrap_or(i32::MAX);
    let mut request = shared.client.list_objects_v2();
    request = request
        .bucket(&shared.bucket)
        .prefix(prefix)
        .delimiter("/")
        .max_keys(keys);
    request = match (&page.token, page.after) {
        (Some(token), _) => request.continuation_token(token),
        (None, Some(after)) => request.start_after(format!("{prefix}{after}")),
        (None, None) => request,
    };
    request.send().await.map_err(|error| of_sdk(error, path))
}

/// Nothing is in it: it is a file, or the empty root, or not there.
async fn itself(shared: &Shared, path: &str) -> Result<Listing, BackendError> {
    match shared.object(path).await {
        Ok(file) => Ok(Listing {
            entries: [file].into(),
            more: false,
        }),
        Err(error) if error.kind == ErrorKind::NotFound && path == "/" => Ok(Listing::default()),
        Err(error) => Err(error),
    }
}

async fn probe(
    shared: &Shared,
    path: &str,
    name: &str,
) -> Result<Option<(String, Status)>, BackendError> {
    let inner = format!("{}/{name}", path.trim_end_matches('/'));
    let is_folder = shared.is_folder(&inner).await?;
    Ok(is_folder.then(|| (name.to_owned(), folder(name.to_owned()))))
}

/// Names of folders that S3 will list after `last` and that stand before it as names.
fn candidates<'a>(last: &'a str, after: Option<&str>) -> Vec<&'a str> {
    let ends = last
        .bytes()
        .enumerate()
        .skip(1)
        .filter(|(_, byte)| *byte < b'/');
    ends.filter_map(|(end, _)| last.get(..end))
        .filter(|name| after.is_none_or(|after| *name > after))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn folders_that_s3_lists_late_are_asked_for() {
        assert_eq!(candidates("part-0001.snappy", None), ["part", "part-0001"]);
        assert_eq!(candidates("part-0001.snappy", Some("part")), ["part-0001"]);
        assert_eq!(candidates("plain", None), [""; 0]);
        assert_eq!(candidates("folder/", None), [""; 0]);
        assert_eq!(candidates("-", None), [""; 0]);
        assert_eq!(candidates("é x", None), ["é"]);
    }

    proptest! {
        /// A page made of S3's first keys and the candidates is the first names, whatever the names are.
        #[test]
        fn a_page_is_the_first_names(
            files in proptest::collection::btree_set("[ab0 .-]{1,4}", 0..12),
            folders in proptest::collection::btree_set("[ab0 .-]{1,4}", 0..12),
            fetched in 1_usize..12,
            after in proptest::option::of("[ab0 .-]{1,3}"),
        ) {
            let after = after.as_deref();
            let is_next = |name: &&str| after.is_none_or(|after| *name > after);
            let names: BTreeSet<&str> = files.iter().chain(&folders).map(String::as_str).filter(is_next).collect();
            // As S3 lists: folders with their slash, and those whose keys come after the start.
            let keys: BTreeSet<String> = files.iter().cloned().chain(folders.iter().map(|name| format!("{name}/"))).collect();
            let listed: Vec<&str> = keys.iter().map(String::as_str).filter(is_next).take(fetched).collect();
            let more = keys.iter().map(String::as_str).filter(is_next).count() > fetched;
            let mut seen: BTreeSet<&str> = listed.iter().map(|key| key.trim_end_matches('/')).filter(is_next).collect();
            if more && let Some(last) = listed.last() {
                seen.extend(candidates(last, after).into_iter().filter(|name| folders.contains(*name)));
            }
            let want: Vec<&str> = names.iter().copied().take(seen.len()).collect();
            prop_assert_eq!(seen.into_iter().collect::<Vec<_>>(), want);
        }
    }
}
