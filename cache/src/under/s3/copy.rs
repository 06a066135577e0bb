//! Renaming, which S3 has not: copies by the server, and then deletes.

use std::sync::Arc;

use futures::{StreamExt, TryStreamExt, stream};

use super::error::{already_exists, of_sdk};
use super::write::{Target, Upload};
use super::{Shared, tree};
use crate::backend::{BackendError, ErrorKind, RenameMode, Status};

/// What one request copies (Amazon S3 API reference, `CopyObject`); larger objects are copied part by part.
const COPY_BYTES_MAX: u64 = 5 << 30;
const COPY_PART_BYTES: u64 = 512 << 20;
/// Copies at once.
const COPIES_AT_ONCE: usize = 16;

pub(super) async fn rename(
    shared: &Arc<Shared>,
    from: &str,
    to: &str,
    mode: RenameMode,
) -> Result<(), BackendError> {
    let source = shared.status(from).await?;
    if from == "/" {
        let text = "/: the root of a mount stays as it is";
        return Err(BackendError::new(ErrorKind::Invalid, text));
    }
    let Some(to) = destination(shared, from, to, mode).await? else {
        return Ok(());
    };
    if to
        .strip_prefix(from)
        .is_some_and(|rest| rest.starts_with('/'))
    {
        let text = format!("{from}: a folder cannot be moved into itself");
        return Err(BackendError::new(ErrorKind::Invalid, text));
    }
    let target = shared.look(&to).await?;
    check(shared, &source, target.as_ref(), &to, mode).await?;
    if from == to {
        return Err(already_exists(&to));
    }
    if source.is_dir() {
        move_folder(shared, from, &to).await?;
    } else {
        copy(shared, from, &to, source.len).await?;
        tree::delete_object(shared, from).await?;
    }
    tree::keep_parent(shared, from).await
}

/// Where a source really goes; nowhere, if it is there already.
async fn destination(
    shared: &Shared,
    from: &str,
    to: &str,
    mode: RenameMode,
) -> Result<Option<String>, BackendError> {
    let into = match mode {
        RenameMode::Into => shared.look(to).await?,
        RenameMode::NoReplace | RenameMode::Replace => None,
    };
    let name = from.rsplit_once('/').map_or(from, |(_, name)| name);
    Ok(match into {
        Some(target) if target.is_dir() => Some(format!("{}/{name}", to.trim_end_matches('/'))),
        Some(_) if from == to => None,
        _ => Some(to.to_owned()),
    })
}

/// Whether a mode lets a source take the place of what is there.
async fn check(
    shared: &Shared,
    source: &Status,
    target: Option<&Status>,
    to: &str,
    mode: RenameMode,
) -> Result<(), BackendError> {
    let refuse = |kind, why: &str| Err(BackendError::new(kind, format!("{to}: {why}")));
    let Some(target) = target else { return Ok(()) };
    if mode != RenameMode::Replace {
        return Err(already_exists(to));
    }
    match (source.is_dir(), target.is_dir()) {
        (false, false) => Ok(()),
        (false, true) => refuse(ErrorKind::IsADirectory, "it is a folder"),
        (true, false) => refuse(ErrorKind::NotADirectory, "it is a file"),
        (true, true) if tree::is_empty(shared, to).await? => Ok(()),
        (true, true) => refuse(ErrorKind::NotEmpty, "the folder is not empty"),
    }
}

/// All keys, so that what is put into the source meanwhile stays there.
async fn move_folder(shared: &Arc<Shared>, from: &str, to: &str) -> Result<(), BackendError> {
    let (source, target) = (shared.keys.of_folder(from)?, shared.keys.of_folder(to)?);
    let mut moved = Vec::new();
    let mut token = None;
    loop {
        let (objects, next) = tree::keys_page(shared, from, &source, token).await?;
        let found = objects.into_iter().filter_map(|object| {
            let len = object.size.and_then(|size| u64::try_from(size).ok());
            Some((object.key?, len.unwrap_or(0)))
        });
        let page: Vec<(String, u64)> = found.collect();
        copy_keys(shared, from, &page, (&source, &target)).await?;
        moved.extend(page.into_iter().map(|(key, _)| key));
        token = next;
        if token.is_none() {
            break;
        }
    }
    // A folder of a server that keeps real ones goes after what is in it.
    moved.sort_unstable_by(|a, b| b.cmp(a));
    tree::delete_keys(shared, from, &moved).await
}

async fn copy_keys(
    shared: &Arc<Shared>,
    path: &str,
    page: &[(String, u64)],
    (source, target): (&str, &str),
) -> Result<(), BackendError> {
    let copies = page.iter().map(|(key, len)| {
        let below = key.strip_prefix(source).unwrap_or(key);
        copy_key(shared, path, key, format!("{target}{below}"), *len)
    });
    let copies: Vec<_> = copies.collect();
    stream::iter(copies)
        .buffer_unordered(COPIES_AT_ONCE)
        .try_collect()
        .await
}

async fn copy(shared: &Arc<Shared>, from: &str, to: &str, len: u64) -> Result<(), BackendError> {
    let (source, target) = (shared.keys.of_file(from)?, shared.keys.of_file(to)?);
    match (source, target) {
        (Some(source), Some(target)) => copy_key(shared, from, &source, target, len).await,
        _ => Err(BackendError::not_found(from)),
    }
}

async fn copy_key(
    shared: &Arc<Shared>,
    path: &str,
    from: &str,
    to: String,
    len: u64,
) -> Result<(), BackendError> {
    let source = copy_source(&shared.bucket, from);
    if len > COPY_BYTES_MAX {
        return copy_parts(shared, path, &source, to, len).await;
    }
    if from.ends_with('/') {
        // Not every server copies a marker, and it is empty anyway.
        let put = shared.client.put_object().bucket(&shared.bucket).key(to);
        return put
            .send()
            .await
            .map(drop)
            .map_err(|error| of_sdk(error, path));
    }
    let request = shared.client.copy_object().bucket(&shared.bucket).key(to);
    let copied = request.copy_source(source).send().await;
    copied.map(drop).map_err(|error| of_sdk(error, path))
}

async fn copy_parts(
    shared: &Arc<Shared>,
    path: &str,
    source: &str,
    key: String,
    len: u64,
) -> Result<(), BackendError> {
    let target = Target {
        shared: shared.clone(),
        path: path.to_owned(),
        key,
        overwrite: true,
    };
    let mut upload = Upload::begin(target).await?;
    let mut start = 0;
    while start < len {
        let end = len.min(start + COPY_PART_BYTES);
        upload
            .copy(source, format!("bytes={start}-{}", end - 1))
            .await?;
        start = end;
    }
    upload.complete().await
}

/// `bucket/key`, with all but what a URL can hold escaped.
fn copy_source(bucket: &str, key: &str) -> String {
    let mut source = format!("{bucket}/");
    for byte in key.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' | b'/' => {
                source.push(char::from(byte));
            }
            _ => source.push_str(&format!("%{byte:02X}")),
        }
    }
    source
}

#[cfg(test)]
mod tests {
    use super::copy_source;

    #[test]
    fn a_source_is_escaped() {
        assert_eq!(copy_source("b", "a b/ü+%.x"), "b/a%20b/%C3%BC%2B%25.x");
    }
}
