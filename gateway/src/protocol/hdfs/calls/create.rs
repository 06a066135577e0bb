//! create and append: a file is begun in its store, and its writer has the lease.

use std::sync::Arc;

use bytes::Bytes;
use moongate_cache::{
    Backend as _, BackendError, BackendWriter, CreateOptions, ErrorKind, Freshness,
};

use super::change::{not_there, permission};
use super::{Answer, Call, Reach, decode, encode};
use crate::namespace::now_ms;
use crate::protocol::hdfs::lease::{Holder, OpenFile, Opened, being_created};
use crate::protocol::hdfs::proto::hdfs::hdfs_file_status_proto::FileType;
use crate::protocol::hdfs::proto::hdfs::{
    AppendRequestProto, AppendResponseProto, CreateRequestProto, CreateResponseProto,
    FsPermissionProto, HdfsFileStatusProto,
};
use crate::protocol::hdfs::refused::Refused;
use crate::protocol::webhdfs::Op;
use crate::protocol::webhdfs::error::Refusal;
use crate::protocol::webhdfs::locations::BLOCK_BYTES;
use crate::tenancy;

/// Bits of `CreateFlagProto`.
const CREATE: u32 = 1;
const OVERWRITE: u32 = 2;

impl Call<'_> {
    /// Who writes.
    pub(super) fn holder(&self, client: String) -> Holder {
        let user = Arc::clone(&self.caller.user);
        Holder { user, client }
    }

    pub(super) async fn create(&self, body: Bytes) -> Answer {
        let asked: CreateRequestProto = decode(body)?;
        let path = self.path(&asked.src, Reach::One)?;
        let options = options(&asked)?;
        if asked.create_flag & CREATE == 0 {
            self.look(&path).await?;
        }
        let holder = self.holder(asked.client_name);
        if let Some(other) = self.ask.hdfs.leases.at(&path) {
            self.may_take(&path, &holder, &other, options.overwrite)
                .await?;
        }
        let (gateway, tenant) = (&self.ask.hdfs.gateway, self.caller.tenant.as_deref());
        tenancy::files::grows(gateway, tenant, &path, 0, 1)?;
        let begun = Opened {
            path: path.clone(),
            holder,
            tenant: self.caller.tenant.clone(),
            block_bytes: asked.block_size,
            at: 0,
        };
        let file = self.ask.hdfs.leases.begin(OpenFile::new(begun))?;
        let created = self.namespace().create(&self.caller, &path, &options);
        let address = self.ask.peer.addr.ip();
        self.begun(&file, created.await)
            .await
            .map_err(|error| not_created(error, &path, &address.to_string()))?;
        let fs = HdfsFileStatusProto {
            permission: FsPermissionProto {
                perm: u32::from(options.permission),
            },
            owner: self.caller.user.to_string(),
            block_replication: Some(asked.replication),
            blocksize: Some(asked.block_size),
            modification_time: now_ms(),
            file_id: Some(file.id),
            ..new_file()
        };
        Ok(encode(&CreateResponseProto { fs: Some(fs) }))
    }

    /// What somebody else writes is had by replacing it, or when they have been silent for too long: then it is there, with what they wrote.
    async fn may_take(
        &self,
        path: &str,
        holder: &Holder,
        other: &Arc<OpenFile>,
        overwrite: bool,
    ) -> Result<(), Refused> {
        let leases = &self.ask.hdfs.leases;
        if overwrite {
            self.may_end(path, other).await?;
            leases.end(other);
            other.drop_writer().await;
            return Ok(());
        }
        self.nobody_writes(path, holder).await
    }

    /// Closes what somebody writes who has been silent for too long.
    ///
    /// # Errors
    /// Somebody writes it who is there.
    pub(super) async fn nobody_writes(&self, path: &str, holder: &Holder) -> Result<(), Refused> {
        let leases = &self.ask.hdfs.leases;
        let Some(other) = leases.at(path) else {
            return Ok(());
        };
        if !leases.is_late(&other.holder) {
            return Err(being_created(path, holder, &other.holder).into());
        }
        leases.recover(&other).await;
        Ok(())
    }

    async fn begun(
        &self,
        file: &OpenFile,
        begun: Result<Box<dyn BackendWriter>, BackendError>,
    ) -> Result<(), BackendError> {
        match begun {
            Ok(writer) => {
                file.writes_to(writer).await;
                Ok(())
            }
            Err(error) => {
                self.ask.hdfs.leases.end(file);
                Err(error)
            }
        }
    }

    /// No last block is told, as if it were full: what is added begins a block of its own.
    pub(super) async fn append(&self, body: Bytes) -> Answer {
        let asked: AppendRequestProto = decode(body)?;
        let path = self.path(&asked.src, Reach::One)?;
        let holder = self.holder(asked.client_name);
        self.nobody_writes(&path, &holder).await?;
        let found = self
            .namespace()
            .status(&self.caller, &path, Freshness::Now)
            .await;
        let found = found.map_err(|error| {
            not_there(error, || {
                format!("Failed to append to non-existent file {path}")
            })
        })?;
        if found.is_dir() {
            let text = format!("Cannot append to directory {path}; already exists as a directory.");
            let error = BackendError::new(ErrorKind::IsADirectory, text);
            return Err(Refused::of(&error.into(), Op::Append));
        }
        let mut stat = super::status::message(&found, &path, "");
        let begun = Opened {
            path: path.clone(),
            holder,
            tenant: self.caller.tenant.clone(),
            block_bytes: stat.blocksize(),
            at: found.len,
        };
        let file = self.ask.hdfs.leases.begin(OpenFile::new(begun))?;
        let appended = self.namespace().append(&self.caller, &path).await;
        self.begun(&file, appended)
            .await
            .map_err(|error| Refused::of(&error.into(), Op::Append))?;
        stat.file_id = Some(file.id);
        Ok(encode(&AppendResponseProto {
            block: None,
            stat: Some(stat),
        }))
    }
}

fn options(asked: &CreateRequestProto) -> Result<CreateOptions, Refused> {
    let illegal = |text: &str| Refused::from(Refusal::Illegal(text.to_owned()));
    if asked.block_size == 0 {
        return Err(illegal("a block size of 0"));
    }
    let replication = u16::try_from(asked.replication).map_err(|_| illegal("too many copies"))?;
    Ok(CreateOptions {
        overwrite: asked.create_flag & OVERWRITE != 0,
        create_parents: asked.create_parent,
        permission: permission(asked.masked.perm),
        replication: Some(replication).filter(|copies| *copies > 0),
        block_bytes: Some(asked.block_size),
    })
}

fn not_created(error: BackendError, path: &str, address: &str) -> Refused {
    let text = match error.kind {
        ErrorKind::IsADirectory => format!("{path} already exists as a directory"),
        ErrorKind::AlreadyExists if error.class.is_none() => {
            format!("{path} for client {address} already exists")
        }
        _ => return Refused::of(&error.into(), Op::Create),
    };
    Refused::of(&BackendError::new(error.kind, text).into(), Op::Create)
}

/// A file without a name.
fn new_file() -> HdfsFileStatusProto {
    HdfsFileStatusProto {
        file_type: FileType::IsFile.into(),
        path: Bytes::new(),
        blocksize: Some(BLOCK_BYTES),
        ..HdfsFileStatusProto::default()
    }
}
