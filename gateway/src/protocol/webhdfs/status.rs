//! What is known of files and folders: GETFILESTATUS, LISTSTATUS, LISTSTATUS_BATCH, GETCONTENTSUMMARY, GETFILECHECKSUM and their like.

use std::sync::Arc;

use moongate_cache::{Backend as _, BackendError, Caller, ErrorKind, Freshness, Status};
use serde_json::json;

use super::error::Refusal;
use super::json::{FileStatus, FileStatuses, Octal, named};
use super::{Asked, acl as acls, passthrough, write};
use crate::http::Response;
use crate::namespace::Namespace;

/// Entries of a folder that are asked of the store at once.
const PAGE_LEN: usize = 10_000;
/// Entries of one answer to LISTSTATUS_BATCH: `dfs.ls.limit`.
pub const BATCH_LEN: usize = 1000;

/// The NameNode's words for what is not there; each operation has its own.
pub fn missing(error: BackendError, text: impl FnOnce() -> String) -> Refusal {
    if error.kind == ErrorKind::NotFound {
        return Refusal::from(BackendError::new(ErrorKind::NotFound, text()));
    }
    error.into()
}

/// `File does not exist: /a`, and `Path is not a file: /d` of a folder.
pub fn no_file(asked: &Asked<'_>, error: BackendError) -> Refusal {
    if error.kind == ErrorKind::IsADirectory {
        return not_a_file(asked);
    }
    missing(error, || format!("File does not exist: {}", asked.path))
}

/// `Path is not a file: /d`
pub fn not_a_file(asked: &Asked<'_>) -> Refusal {
    let text = format!("Path is not a file: {}", asked.path);
    Refusal::from(BackendError::new(ErrorKind::IsADirectory, text))
}

/// The status of what is asked.
pub async fn of(asked: &Asked<'_>) -> Result<Status, Refusal> {
    let found = asked
        .namespace()
        .status(&asked.caller, &asked.path, asked.freshness())
        .await;
    let mut status = found.map_err(|error| no_file(asked, error))?;
    status.name.clear();
    Ok(status)
}

/// GETFILESTATUS
pub async fn file(asked: &Asked<'_>) -> Result<Response, Refusal> {
    Ok(named("FileStatus", &FileStatus(&of(asked).await?)))
}

async fn entries(asked: &Asked<'_>) -> Result<Vec<Status>, Refusal> {
    let (namespace, caller) = (asked.namespace(), &asked.caller);
    let listed = all_entries(namespace, caller, &asked.path, asked.freshness()).await;
    listed.map_err(|error| missing(error, || format!("File {} does not exist.", asked.path)))
}

/// All entries of a folder in HDFS's order: by bytes, as if these were signed.
///
/// # Errors
/// What the store says.
pub async fn all_entries(
    namespace: &Namespace,
    caller: &Caller,
    path: &str,
    freshness: Freshness,
) -> Result<Vec<Status>, BackendError> {
    let mut entries: Vec<Status> = Vec::new();
    loop {
        let after = entries.last().map(|last| last.name.clone());
        let page = namespace
            .list(caller, path, after.as_deref(), PAGE_LEN, freshness)
            .await?;
        let nothing = page.entries.is_empty();
        entries.extend(page.entries.iter().cloned());
        if !page.more || nothing {
            break;
        }
    }
    if !entries.iter().all(|entry| entry.name.is_ascii()) {
        entries.sort_unstable_by(|a, b| signed(&a.name).cmp(signed(&b.name)));
    }
    Ok(entries)
}

/// Where the entries after a name begin, in HDFS's order.
pub fn start_after(entries: &[Status], after: &str) -> usize {
    entries.partition_point(|entry| signed(&entry.name).le(signed(after)))
}

/// The bytes of a name as Java compares them.
fn signed(name: &str) -> impl Iterator<Item = i8> + '_ {
    name.bytes().map(u8::cast_signed)
}

/// LISTSTATUS
pub async fn list(asked: &Asked<'_>) -> Result<Response, Refusal> {
    let entries = entries(asked).await?;
    Ok(named("FileStatuses", &Listed { entries: &entries }))
}

#[derive(serde::Serialize)]
struct Listed<'a> {
    #[serde(rename = "FileStatus", serialize_with = "statuses")]
    entries: &'a [Status],
}

fn statuses<S: serde::Serializer>(entries: &[Status], serializer: S) -> Result<S::Ok, S::Error> {
    serde::Serialize::serialize(&FileStatuses(entries), serializer)
}

#[derive(serde::Serialize)]
struct Partial<'a> {
    #[serde(rename = "FileStatuses")]
    statuses: Listed<'a>,
}

#[derive(serde::Serialize)]
#[serde(rename_all = "camelCase")]
struct Batch<'a> {
    partial_listing: Partial<'a>,
    remaining_entries: usize,
}

/// LISTSTATUS_BATCH
pub async fn batch(asked: &Asked<'_>) -> Result<Response, Refusal> {
    let after = asked
        .params
        .text("startAfter")
        .filter(|after| !after.is_empty());
    let (listings, user) = (&asked.gateway.listings, &asked.caller.user);
    let is_fresh = asked.freshness() == Freshness::Now;
    let kept = after.filter(|_| !is_fresh);
    let entries: Arc<[Status]> = match kept.and_then(|_| listings.get(user, &asked.path)) {
        Some(entries) => entries,
        None => entries(asked).await?.into(),
    };
    let start = after.map_or(0, |after| start_after(&entries, after));
    let end = entries.len().min(start + BATCH_LEN);
    listings.keep(user, &asked.path, &entries, end < entries.len());
    let page = entries.get(start..end).unwrap_or_default();
    let batch = Batch {
        partial_listing: Partial {
            statuses: Listed { entries: page },
        },
        remaining_entries: entries.len() - end,
    };
    Ok(named("DirectoryListing", &batch))
}

/// GETCONTENTSUMMARY
pub async fn summary(asked: &Asked<'_>) -> Result<Response, Refusal> {
    let summed = asked.namespace().summary(&asked.caller, &asked.path).await;
    let sum = summed.map_err(|error| no_file(asked, error))?;
    // The policy of a file is told, that of a folder only if it has one.
    let policy = if sum.directories == 0 {
        "Replicated"
    } else {
        ""
    };
    Ok(named(
        "ContentSummary",
        &json!({
            "directoryCount": sum.directories, "ecPolicy": policy, "fileCount": sum.files, "length": sum.len,
            "quota": sum.quota, "snapshotDirectoryCount": 0, "snapshotFileCount": 0, "snapshotLength": 0,
            "snapshotSpaceConsumed": 0, "spaceConsumed": sum.space_bytes, "spaceQuota": sum.space_quota_bytes, "typeQuota": {},
        }),
    ))
}

/// GETQUOTAUSAGE
pub async fn quota_usage(asked: &Asked<'_>) -> Result<Response, Refusal> {
    let summed = asked.namespace().summary(&asked.caller, &asked.path).await;
    let sum = summed.map_err(|error| no_file(asked, error))?;
    Ok(named(
        "QuotaUsage",
        &json!({
            "fileAndDirectoryCount": sum.files + sum.directories, "quota": sum.quota,
            "spaceConsumed": sum.space_bytes, "spaceQuota": sum.space_quota_bytes, "typeQuota": {},
        }),
    ))
}

/// GETFILECHECKSUM
pub async fn checksum(asked: &Asked<'_>) -> Result<Response, Refusal> {
    if write::wants_location(asked)? {
        return Ok(write::location(asked));
    }
    let had = asked.namespace().checksum(&asked.caller, &asked.path).await;
    let refused = |error: BackendError| match error.kind {
        ErrorKind::IsADirectory => not_a_file(asked),
        _ => missing(error, || format!("File {} not found.", asked.path)),
    };
    let checksum = match had {
        Ok(checksum) => checksum,
        Err(error) => return passthrough::instead(asked, "GETFILECHECKSUM", refused(error)).await,
    };
    Ok(named(
        "FileChecksum",
        &json!({ "algorithm": checksum.algorithm, "bytes": checksum.bytes, "length": checksum.len }),
    ))
}

/// GETACLSTATUS
pub async fn acl(asked: &Asked<'_>) -> Result<Response, Refusal> {
    let had = asked.namespace().acl(&asked.caller, &asked.path).await;
    let acl = had.map_err(|error| missing(error, || format!("cannot find {}", asked.path)))?;
    let entries: Vec<String> = acl.entries.iter().map(acls::text).collect();
    Ok(named(
        "AclStatus",
        &json!({
            "entries": entries, "group": acl.group, "owner": acl.owner,
            "permission": Octal(acl.permission & 0o777), "stickyBit": acl.sticky,
        }),
    ))
}

/// GETHOMEDIRECTORY
pub fn home(asked: &Asked<'_>) -> Response {
    named("Path", &format!("/user/{}", asked.caller.user))
}

/// GETTRASHROOT
pub fn trash_root(asked: &Asked<'_>) -> Response {
    named("Path", &format!("/user/{}/.Trash", asked.caller.user))
}

/// GETDELEGATIONTOKEN, as simple authentication has it.
pub fn no_token() -> Response {
    named("Token", &serde_json::Value::Null)
}

/// GETSERVERDEFAULTS: HDFS's own defaults, which clients of other stores are as well served by.
pub fn server_defaults() -> Response {
    named(
        "FsServerDefaults",
        &json!({
            "replication": 3, "encryptDataTransfer": false, "defaultStoragePolicyId": 7, "writePacketSize": 65536,
            "fileBufferSize": 4096, "checksumType": 2, "trashInterval": 0, "keyProviderUri": "", "blockSize": 134_217_728,
            "bytesPerChecksum": 512,
        }),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_ordered_as_signed_bytes() {
        let mut names = vec!["10", "a", "aé", "ab", "é", "文", ""];
        names.sort_by(|a, b| signed(a).cmp(signed(b)));
        assert_eq!(names, ["", "é", "文", "10", "a", "aé", "ab"]);
    }
}
