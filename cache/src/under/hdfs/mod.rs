//! HDFS as an under store, no Java: by hdfs-native, and bytes of clusters without logins by a reader of our own ([`own`]).
//!
//! A file's version is its length and its time of change in milliseconds: HDFS tells no more. Bytes are of the version that they were opened
//! with: none is handed out before the NameNode has been asked again, after blocks have been located and after the last bytes have come.
//!
//! hdfs-native has no call for truncate, concat and file checksums: these are [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported) here.

mod acl;
mod calls;
mod clients;
mod error;
mod list;
mod own;
mod read;
mod reading;
mod rename;
mod status;
mod write;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use hdfs_native::WriteOptions;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;

use crate::backend::{
    AclStatus, Backend, BackendError, BackendFile, BackendWriter, Caller, Change, CreateOptions,
    ErrorKind, Freshness, Listing, RenameMode, Status, Summary,
};
use calls::Calls;
use list::Snapshots;
use read::HdfsFile;
use write::HdfsWriter;

/// Where an HDFS is, and in whose name it is used.
#[derive(Clone, Debug)]
pub struct HdfsOptions {
    /// `hdfs://host:port` of one NameNode, or `hdfs://nameservice` that the configuration explains.
    pub url: String,
    /// Folder with `core-site.xml` and `hdfs-site.xml`; else that of `HADOOP_CONF_DIR`, if any.
    pub config_dir: Option<PathBuf>,
    /// Hadoop's own keys; they win over the files.
    pub config: BTreeMap<String, String>,
    /// In whose name without `impersonate`; else the process's user, or the principal's.
    pub user: Option<String>,
    /// Kerberos principal, `gateway/host@REALM`; else that of the ticket cache.
    pub principal: Option<String>,
    /// Its keytab.
    pub keytab: Option<PathBuf>,
    /// Where the tickets are kept that the keytab gets (`MEMORY:name`), for all that asks in the principal's name.
    pub tickets: Option<String>,
    /// Asks in each caller's own name. The NameNode must let the gateway: `hadoop.proxyuser.<gateway>.hosts` and `.groups`.
    pub impersonate: bool,
    /// The longest that a call of the NameNode may take, and the longest silence within a read.
    pub request_timeout: Duration,
    /// The longest silence of one DataNode before another one is read from. Writes wait for half of `request_timeout`.
    pub datanode_timeout: Duration,
    /// Whether anybody cuts files (`hdfs dfs -truncate`) and lets them grow again: HDFS then changes bytes under a reader, and after the last
    /// bytes of a read have come it is asked whether that has happened. That is one round trip for each read.
    pub truncates: bool,
    /// Reads by the reader of our own where the cluster needs no more (`false`: by hdfs-native always, for comparison).
    pub own_reader: bool,
    /// Reads at once; each may hold up to 12 MB of what a fast DataNode has sent to a slow reader.
    pub streams_max: usize,
}

impl HdfsOptions {
    /// An HDFS without Kerberos, in the callers' own names.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            config_dir: None,
            config: BTreeMap::new(),
            user: None,
            principal: None,
            keytab: None,
            tickets: None,
            impersonate: true,
            request_timeout: Duration::from_secs(30),
            datanode_timeout: Duration::from_secs(5),
            truncates: true,
            own_reader: true,
            streams_max: 32,
        }
    }
}

/// An HDFS as a [`Backend`].
#[derive(Clone)]
pub struct HdfsStore {
    calls: Arc<Calls>,
    streams: Arc<Semaphore>,
    snapshots: Snapshots,
}

impl HdfsStore {
    /// Prepares a store. The NameNode is first asked when there is something to ask. To be called within a tokio runtime, in which
    /// hdfs-native then works.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] of a URL or configuration that names no NameNode.
    pub fn open(options: HdfsOptions) -> Result<Self, BackendError> {
        let runtime = Handle::try_current().map_err(|_| {
            let text = "an HDFS store is opened within a tokio runtime";
            BackendError::new(ErrorKind::Invalid, text)
        })?;
        let streams = Arc::new(Semaphore::new(options.streams_max.max(1)));
        let calls = Arc::new(Calls::new(options, runtime)?);
        Ok(Self {
            calls,
            streams,
            snapshots: Snapshots::default(),
        })
    }

    /// Whether anything was read by the reader of our own: which one it was, for tests and comparisons.
    pub fn has_read_itself(&self) -> bool {
        self.calls.has_read_itself()
    }

    async fn status_of(&self, caller: &Caller, path: &str) -> Result<Status, BackendError> {
        let status = self
            .calls
            .ask(caller, path, |client| async move {
                client.get_file_info(path).await
            })
            .await?;
        Ok(status::of(&status, String::new()))
    }
}

impl fmt::Debug for HdfsStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HdfsStore({})", self.calls.url())
    }
}

#[async_trait]
impl Backend for HdfsStore {
    fn kind(&self) -> &'static str {
        "hdfs"
    }

    async fn status(
        &self,
        caller: &Caller,
        path: &str,
        _freshness: Freshness,
    ) -> Result<Status, BackendError> {
        self.status_of(caller, path).await
    }

    async fn list(
        &self,
        caller: &Caller,
        path: &str,
        after: Option<&str>,
        limit: usize,
        freshness: Freshness,
    ) -> Result<Listing, BackendError> {
        let page = list::Page { after, limit };
        self.snapshots
            .page(&self.calls, caller, path, page, freshness)
            .await
    }

    async fn open(
        &self,
        caller: &Caller,
        path: &str,
        _freshness: Freshness,
    ) -> Result<Arc<dyn BackendFile>, BackendError> {
        let status = self.status_of(caller, path).await?;
        if status.is_dir() {
            let text = format!("{path}: it is a folder");
            return Err(BackendError::new(ErrorKind::IsADirectory, text));
        }
        let (calls, streams) = (self.calls.clone(), self.streams.clone());
        let file = HdfsFile::new(calls, streams, caller.clone(), path, status);
        Ok(Arc::new(file))
    }

    async fn open_known(
        &self,
        caller: &Caller,
        path: &str,
        known: &Status,
    ) -> Result<Arc<dyn BackendFile>, BackendError> {
        let status = Status {
            name: String::new(),
            ..known.clone()
        };
        let (calls, streams) = (self.calls.clone(), self.streams.clone());
        let file = HdfsFile::new(calls, streams, caller.clone(), path, status);
        Ok(Arc::new(file))
    }

    async fn create(
        &self,
        caller: &Caller,
        path: &str,
        options: &CreateOptions,
    ) -> Result<Box<dyn BackendWriter>, BackendError> {
        let mut wanted = WriteOptions::default()
            .overwrite(options.overwrite)
            .create_parent(options.create_parents)
            .permission(u32::from(options.permission));
        wanted.replication = options.replication.map(u32::from);
        wanted.block_size = options.block_bytes;
        let writer = self
            .calls
            .begin(caller, path, |client| async move {
                client.create(path, wanted).await
            })
            .await?;
        let calls = self.calls.clone();
        let writer = HdfsWriter::new(calls, caller.clone(), path, writer, write::Of::NewFile);
        Ok(Box::new(writer))
    }

    async fn append(
        &self,
        caller: &Caller,
        path: &str,
    ) -> Result<Box<dyn BackendWriter>, BackendError> {
        let writer = self
            .calls
            .begin(
                caller,
                path,
                |client| async move { client.append(path).await },
            )
            .await?;
        let calls = self.calls.clone();
        let writer = HdfsWriter::new(calls, caller.clone(), path, writer, write::Of::OldFile);
        Ok(Box::new(writer))
    }

    async fn make_dirs(
        &self,
        caller: &Caller,
        path: &str,
        permission: u16,
    ) -> Result<(), BackendError> {
        let permission = u32::from(permission);
        self.calls
            .tell(caller, path, |client| async move {
                client.mkdirs(path, permission, true).await
            })
            .await
    }

    async fn rename(
        &self,
        caller: &Caller,
        from: &str,
        to: &str,
        mode: RenameMode,
    ) -> Result<(), BackendError> {
        rename::rename(&self.calls, caller, from, to, mode).await
    }

    async fn delete(
        &self,
        caller: &Caller,
        path: &str,
        recursive: bool,
    ) -> Result<bool, BackendError> {
        self.calls
            .tell(caller, path, |client| async move {
                client.delete(path, recursive).await
            })
            .await
    }

    async fn change(
        &self,
        caller: &Caller,
        path: &str,
        change: &Change,
    ) -> Result<(), BackendError> {
        acl::change(&self.calls, caller, path, change).await
    }

    async fn summary(&self, caller: &Caller, path: &str) -> Result<Summary, BackendError> {
        let summary = self
            .calls
            // It walks the tree: with all the time of a call, and once.
            .tell(caller, path, |client| async move {
                client.get_content_summary(path).await
            })
            .await?;
        Ok(status::summary(&summary))
    }

    async fn acl(&self, caller: &Caller, path: &str) -> Result<AclStatus, BackendError> {
        acl::of(&self.calls, caller, path).await
    }
}
