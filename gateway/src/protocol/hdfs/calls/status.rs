//! What is known of files and folders.

use bytes::Bytes;
use moongate_cache::{Backend as _, BackendError, ErrorKind, Freshness, Status};

use super::{Answer, Call, Reach, decode, done, encode, fixed};
use crate::protocol::hdfs::proto::hdfs::hdfs_file_status_proto::FileType;
use crate::protocol::hdfs::proto::hdfs::{
    CheckAccessRequestProto, ContentSummaryProto, FsPermissionProto, GetContentSummaryRequestProto,
    GetContentSummaryResponseProto, GetErasureCodingPolicyRequestProto, GetEzForPathRequestProto,
    GetFileInfoRequestProto, GetFileInfoResponseProto, GetFsStatsResponseProto,
    GetLocatedFileInfoRequestProto, GetPreferredBlockSizeRequestProto,
    GetPreferredBlockSizeResponseProto, GetQuotaUsageRequestProto, GetQuotaUsageResponseProto,
    GetStoragePolicyRequestProto, HdfsFileStatusProto, IsFileClosedRequestProto,
    IsFileClosedResponseProto, QuotaUsageProto,
};
use crate::protocol::hdfs::refused::Refused;
use crate::protocol::hdfs::token::number;
use crate::protocol::webhdfs::access;
use crate::protocol::webhdfs::locations::BLOCK_BYTES;

/// Of a file or folder at `path`, under this name.
pub(super) fn message(found: &Status, path: &str, name: &str) -> HdfsFileStatusProto {
    let kind = if found.is_dir() {
        FileType::IsDir
    } else {
        FileType::IsFile
    };
    let block_bytes = match found.block_bytes {
        0 if !found.is_dir() => BLOCK_BYTES,
        given => given,
    };
    let replication = if found.is_dir() {
        0
    } else {
        found.replication.max(1)
    };
    HdfsFileStatusProto {
        file_type: kind.into(),
        path: Bytes::copy_from_slice(name.as_bytes()),
        length: found.len,
        permission: FsPermissionProto {
            perm: u32::from(found.permission & 0o1777),
        },
        owner: found.owner.to_string(),
        group: found.group.to_string(),
        modification_time: found.modified_ms,
        access_time: found.accessed_ms,
        block_replication: Some(u32::from(replication)),
        blocksize: Some(block_bytes),
        file_id: Some(number(path.as_bytes())),
        ..HdfsFileStatusProto::default()
    }
}

/// `None` where nothing is, which is an answer and no error.
pub(super) fn if_there<T>(asked: Result<T, BackendError>) -> Result<Option<T>, BackendError> {
    match asked {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.kind == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

impl Call<'_> {
    pub(super) async fn look(&self, path: &str) -> Result<Status, BackendError> {
        let found = self
            .namespace()
            .status(&self.caller, path, Freshness::Cached);
        found.await.map_err(|error| match error.kind {
            ErrorKind::NotFound => {
                BackendError::new(ErrorKind::NotFound, format!("File does not exist: {path}"))
            }
            _ => error,
        })
    }

    pub(super) async fn file_info(&self, body: Bytes) -> Answer {
        let asked: GetFileInfoRequestProto = decode(body)?;
        let path = self.path(&asked.src, Reach::One)?;
        let found = if_there(self.look(&path).await)?;
        let fs = found.map(|found| message(&found, &path, ""));
        Ok(encode(&GetFileInfoResponseProto { fs }))
    }

    pub(super) async fn located_file_info(&self, body: Bytes) -> Answer {
        let asked: GetLocatedFileInfoRequestProto = decode(body)?;
        let path = self.path(asked.src(), Reach::One)?;
        let found = if_there(self.look(&path).await)?;
        let fs = found.map(|found| self.located_status(&found, &path, ""));
        Ok(encode(&GetFileInfoResponseProto { fs }))
    }

    pub(super) async fn content_summary(&self, body: Bytes) -> Answer {
        let asked: GetContentSummaryRequestProto = decode(body)?;
        let path = self.path(&asked.path, Reach::All)?;
        let sum = self.sum(&path).await?;
        let policy = if sum.directories == 0 {
            "Replicated"
        } else {
            ""
        };
        let summary = ContentSummaryProto {
            length: sum.len,
            file_count: sum.files,
            directory_count: sum.directories,
            quota: sum.quota.cast_unsigned(),
            space_consumed: sum.space_bytes,
            space_quota: sum.space_quota_bytes.cast_unsigned(),
            erasure_coding_policy: Some(policy.to_owned()),
            ..ContentSummaryProto::default()
        };
        Ok(encode(&GetContentSummaryResponseProto { summary }))
    }

    pub(super) async fn quota_usage(&self, body: Bytes) -> Answer {
        let asked: GetQuotaUsageRequestProto = decode(body)?;
        let path = self.path(&asked.path, Reach::All)?;
        let sum = self.sum(&path).await?;
        let usage = QuotaUsageProto {
            file_and_directory_count: sum.files + sum.directories,
            quota: sum.quota.cast_unsigned(),
            space_consumed: sum.space_bytes,
            space_quota: sum.space_quota_bytes.cast_unsigned(),
        };
        Ok(encode(&GetQuotaUsageResponseProto { usage }))
    }

    async fn sum(&self, path: &str) -> Result<moongate_cache::Summary, BackendError> {
        let summed = self.namespace().summary(&self.caller, path).await;
        summed.map_err(|error| match error.kind {
            ErrorKind::NotFound => {
                BackendError::new(ErrorKind::NotFound, format!("File does not exist: {path}"))
            }
            _ => error,
        })
    }

    /// Of the disks below the gateway's own files: what is mounted has room of its own, of which nothing is known.
    pub(super) fn fs_stats(&self) -> Vec<u8> {
        let dirs = self.ask.hdfs.gateway.store.dirs();
        let (mut capacity, mut remaining) = (0, 0);
        for dir in dirs {
            let space = dir.space();
            capacity += space.total_bytes;
            remaining += space.free_bytes;
        }
        encode(&GetFsStatsResponseProto {
            capacity,
            used: capacity.saturating_sub(remaining),
            remaining,
            ..GetFsStatsResponseProto::default()
        })
    }

    pub(super) async fn check_access(&self, body: Bytes) -> Answer {
        let asked: CheckAccessRequestProto = decode(body)?;
        let path = self.path(&asked.path, Reach::One)?;
        let found = self.look(&path).await.map_err(|error| match error.kind {
            ErrorKind::NotFound => {
                BackendError::new(ErrorKind::NotFound, format!("Path not found: {path}"))
            }
            _ => error,
        })?;
        let bits = u8::try_from(asked.mode & 7).unwrap_or(7);
        if !access::settled(self.namespace(), &self.caller, &path, bits).await? {
            access::verdict(&found, &self.caller, &path, bits)?;
        }
        Ok(done())
    }

    pub(super) async fn is_file_closed(&self, body: Bytes) -> Answer {
        let asked: IsFileClosedRequestProto = decode(body)?;
        self.looked_at(&asked.src).await?;
        let path = self.path(&asked.src, Reach::One)?;
        let result = self.ask.hdfs.leases.at(&path).is_none();
        Ok(encode(&IsFileClosedResponseProto { result }))
    }

    pub(super) async fn preferred_block_size(&self, body: Bytes) -> Answer {
        let asked: GetPreferredBlockSizeRequestProto = decode(body)?;
        let path = self.path(&asked.filename, Reach::One)?;
        let found = message(&self.look(&path).await?, &path, "");
        let bsize = found.blocksize();
        Ok(encode(&GetPreferredBlockSizeResponseProto { bsize }))
    }

    /// Nothing here is in one: the gateway reads what it may read as it is.
    pub(super) async fn no_encryption_zone(&self, body: Bytes) -> Answer {
        let asked: GetEzForPathRequestProto = decode(body)?;
        self.looked_at(&asked.src).await?;
        Ok(done())
    }

    pub(super) async fn no_erasure_coding(&self, body: Bytes) -> Answer {
        let asked: GetErasureCodingPolicyRequestProto = decode(body)?;
        self.looked_at(&asked.src).await?;
        Ok(done())
    }

    pub(super) async fn storage_policy(&self, body: Bytes) -> Answer {
        let asked: GetStoragePolicyRequestProto = decode(body)?;
        self.looked_at(&asked.path).await?;
        Ok(fixed::storage_policy())
    }

    async fn looked_at(&self, given: &str) -> Result<(), Refused> {
        let path = self.path(given, Reach::One)?;
        self.may_look(&path).await?;
        self.look(&path).await?;
        Ok(())
    }
}
