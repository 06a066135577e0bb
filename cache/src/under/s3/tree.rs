//! Whole folders: every key that begins so.

use std::collections::HashSet;

use aws_sdk_s3::types::{Delete, Object, ObjectIdentifier};

use super::error::of_sdk;
use super::{Shared, keys};
use crate::backend::{BackendError, ErrorKind, Summary};

/// S3 deletes no more at once (`DeleteObjects`).
const DELETED_AT_ONCE: usize = 1000;

/// A page of the keys that begin with a prefix, and where the next one begins.
pub(super) async fn keys_page(
    shared: &Shared,
    path: &str,
    prefix: &str,
    token: Option<String>,
) -> Result<(Vec<Object>, Option<String>), BackendError> {
    let request = shared.client.list_objects_v2().bucket(&shared.bucket);
    let request = request.prefix(prefix).set_continuation_token(token);
    let listed = request.send().await.map_err(|error| of_sdk(error, path))?;
    let more = listed.is_truncated().unwrap_or(false);
    let token = listed.next_continuation_token.filter(|_| more);
    Ok((listed.contents.unwrap_or_default(), token))
}

pub(super) async fn delete(
    shared: &Shared,
    path: &str,
    recursive: bool,
) -> Result<bool, BackendError> {
    let Some(found) = shared.look(path).await? else {
        return Ok(false);
    };
    if !found.is_dir() {
        delete_object(shared, path).await?;
    } else if path == "/" {
        let text = "/: the root of a mount stays as it is";
        return Err(BackendError::new(ErrorKind::Invalid, text));
    } else {
        delete_folder(shared, path, recursive).await?;
    }
    keep_parent(shared, path).await?;
    Ok(true)
}

pub(super) async fn delete_object(shared: &Shared, path: &str) -> Result<(), BackendError> {
    let Some(key) = shared.keys.of_file(path)? else {
        return Ok(());
    };
    let request = shared
        .client
        .delete_object()
        .bucket(&shared.bucket)
        .key(key);
    let deleted = request.send().await;
    deleted.map(drop).map_err(|error| of_sdk(error, path))
}

/// A folder that has lost its last file is still there.
pub(super) async fn keep_parent(shared: &Shared, path: &str) -> Result<(), BackendError> {
    let parent = keys::parent(path);
    if parent == "/" || shared.is_folder(parent).await? {
        return Ok(());
    }
    shared.put_marker(parent).await
}

/// Whether anything but its own marker is in it.
pub(super) async fn is_empty(shared: &Shared, path: &str) -> Result<bool, BackendError> {
    let prefix = shared.keys.of_folder(path)?;
    let request = shared.client.list_objects_v2().bucket(&shared.bucket);
    let listed = request.prefix(&prefix).max_keys(2).send().await;
    let listed = listed.map_err(|error| of_sdk(error, path))?;
    Ok(listed
        .contents()
        .iter()
        .all(|object| object.key() == Some(&prefix)))
}

async fn delete_folder(shared: &Shared, path: &str, recursive: bool) -> Result<(), BackendError> {
    if !recursive && !is_empty(shared, path).await? {
        let text = format!("{path}: the folder is not empty");
        return Err(BackendError::new(ErrorKind::NotEmpty, text));
    }
    let prefix = shared.keys.of_folder(path)?;
    // From the start again each time: what was listed is gone, if it could be deleted.
    loop {
        let (objects, token) = keys_page(shared, path, &prefix, None).await?;
        let mut keys: Vec<String> = objects
            .into_iter()
            .filter_map(|object| object.key)
            .collect();
        if keys.is_empty() {
            return Ok(());
        }
        // What is in a folder before its marker: some servers keep real folders.
        keys.sort_unstable_by(|a, b| b.cmp(a));
        delete_keys(shared, path, &keys).await?;
        if token.is_none() {
            return Ok(());
        }
    }
}

pub(super) async fn delete_keys(
    shared: &Shared,
    path: &str,
    keys: &[String],
) -> Result<(), BackendError> {
    for some in keys.chunks(DELETED_AT_ONCE) {
        let one = |key: &String| ObjectIdentifier::builder().key(key).build();
        let objects: Result<Vec<_>, _> = some.iter().map(one).collect();
        let batch = objects.and_then(|objects| {
            Delete::builder()
                .set_objects(Some(objects))
                .quiet(true)
                .build()
        });
        let batch = batch
            .map_err(|error| BackendError::new(ErrorKind::Failed, format!("{path}: {error}")))?;
        let request = shared.client.delete_objects().bucket(&shared.bucket);
        let done = request.delete(batch).send().await;
        let done = done.map_err(|error| of_sdk(error, path))?;
        if let Some(error) = done.errors().first() {
            let (key, why) = (
                error.key().unwrap_or(path),
                error.message().unwrap_or("it says not why"),
            );
            let text = format!("{key}: the server did not delete it: {why}");
            return Err(BackendError::new(ErrorKind::Failed, text));
        }
    }
    Ok(())
}

pub(super) async fn summary(shared: &Shared, path: &str) -> Result<Summary, BackendError> {
    let found = shared.status(path).await?;
    let mut sum = Summary {
        quota: -1,
        space_quota_bytes: -1,
        ..Summary::default()
    };
    if !found.is_dir() {
        (sum.files, sum.len, sum.space_bytes) = (1, found.len, found.len);
        return Ok(sum);
    }
    let prefix = shared.keys.of_folder(path)?;
    let mut folders = HashSet::from([String::new()]);
    let mut token = None;
    loop {
        let (objects, next) = keys_page(shared, path, &prefix, token).await?;
        for object in &objects {
            let below = object.key().and_then(|key| key.strip_prefix(&prefix));
            count(
                &mut sum,
                &mut folders,
                below.unwrap_or_default(),
                object.size(),
            );
        }
        if next.is_none() {
            break;
        }
        token = next;
    }
    sum.directories = folders.len() as u64;
    Ok(sum)
}

/// An object is a file, unless it is a marker; each `/` in its key ends a folder.
fn count(sum: &mut Summary, folders: &mut HashSet<String>, key: &str, size: Option<i64>) {
    for (end, _) in key.match_indices('/') {
        let name = key.get(..end).unwrap_or_default();
        if !folders.contains(name) {
            folders.insert(name.to_owned());
        }
    }
    if !key.is_empty() && !key.ends_with('/') {
        let len = size.and_then(|size| u64::try_from(size).ok()).unwrap_or(0);
        sum.files += 1;
        sum.len += len;
        sum.space_bytes += len;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markers_are_folders_and_no_files() {
        let mut sum = Summary::default();
        let mut folders = HashSet::from([String::new()]);
        for (key, size) in [
            ("", 0),
            ("a/", 0),
            ("a/b/c", 5),
            ("a/d", 7),
            ("e", 1),
            ("f/", 0),
        ] {
            count(&mut sum, &mut folders, key, Some(size));
        }
        assert_eq!((sum.files, sum.len, folders.len()), (3, 13, 4));
    }
}
