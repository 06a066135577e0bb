//! What the NameNode says of a path, in the backend's words.

use hdfs_native::client::{ContentSummary, FileStatus};

use crate::backend::{FileKind, Status, Summary};

pub(super) fn of(status: &FileStatus, name: String) -> Status {
    let is_dir = status.isdir;
    let of_file = |value: Option<u64>| if is_dir { 0 } else { value.unwrap_or(0) };
    Status {
        name,
        kind: if is_dir {
            FileKind::Directory
        } else {
            FileKind::File
        },
        len: of_file(Some(status.length as u64)),
        modified_ms: status.modification_time,
        accessed_ms: of_file(Some(status.access_time)),
        owner: status.owner.as_str().into(),
        group: status.group.as_str().into(),
        permission: status.permission & 0o1777,
        replication: u16::try_from(of_file(status.replication.map(u64::from))).unwrap_or(u16::MAX),
        block_bytes: of_file(status.blocksize),
        etag: None,
    }
}

/// Quotas are signed on the wire's other side: -1 is none.
pub(super) fn summary(of: &ContentSummary) -> Summary {
    Summary {
        files: of.file_count,
        directories: of.directory_count,
        len: of.length,
        space_bytes: of.space_consumed,
        quota: of.quota.cast_signed(),
        space_quota_bytes: of.space_quota.cast_signed(),
    }
}
