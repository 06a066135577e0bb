//! A reader of HDFS of our own, for clusters without logins: what hdfs-native does, with fewer copies. Bytes are received straight into
//! the memory in which they will be kept, and checked by the processor's own instruction.
//!
//! **Owns:** the question where blocks are ([`rpc`], [`located`]), connections to DataNodes ([`nodes`]), packets ([`block`]), and which replica
//! is read next ([`stream`]). **Refuses to own:** versions (see `reading`), and all that is no read. A cluster with Kerberos, protected or encrypted
//! transfer, or a configuration that is not understood here, and a file in stripes, in an encryption zone or being written, is read by hdfs-native.

mod block;
mod conf;
mod idle;
mod located;
mod nodes;
mod rpc;
mod socket;
mod stream;

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use moongate_hdfs_wire::proto::hdfs::{
    GetBlockLocationsRequestProto, GetBlockLocationsResponseProto, GetServerDefaultsRequestProto,
    GetServerDefaultsResponseProto,
};
use tokio::sync::OnceCell;

use super::HdfsOptions;
use super::reading::Blocks;
use crate::backend::{BackendError, ErrorKind};
pub(super) use located::LocatedFile;
use nodes::Nodes;
use rpc::Rpc;

/// A cluster that is read so.
#[derive(Debug)]
pub(super) struct Own {
    rpc: Rpc,
    nodes: Nodes,
    by_hostname: bool,
    /// Whether DataNodes take who does not encrypt: the NameNode says so, once.
    is_open: OnceCell<bool>,
    /// Whether a DataNode has given anything.
    has_read: AtomicBool,
}

impl Own {
    /// `None` where hdfs-native is needed.
    pub(super) fn of(options: &HdfsOptions) -> Option<Self> {
        let plain = options.own_reader.then(|| conf::plain(options))??;
        Some(Self {
            rpc: Rpc::new(plain.namenodes, options.request_timeout),
            nodes: Nodes::new(options.datanode_timeout),
            by_hostname: plain.by_hostname,
            is_open: OnceCell::new(),
            has_read: AtomicBool::new(false),
        })
    }

    /// Where the blocks of a file are now; `None` of one that hdfs-native must read.
    pub(super) async fn locate(
        &self,
        user: &Arc<str>,
        path: &str,
    ) -> Result<Option<LocatedFile>, BackendError> {
        let ask_defaults = || async {
            let none = GetServerDefaultsRequestProto::default();
            let method = "getServerDefaults";
            let said: GetServerDefaultsResponseProto = self.rpc.ask(user, method, &none).await?;
            Ok::<_, BackendError>(!said.server_defaults.encrypt_data_transfer())
        };
        if !*self.is_open.get_or_try_init(ask_defaults).await? {
            return Ok(None);
        }
        let request = GetBlockLocationsRequestProto {
            src: path.to_owned(),
            offset: 0,
            length: i64::MAX.cast_unsigned(),
        };
        let said: GetBlockLocationsResponseProto =
            self.rpc.ask(user, "getBlockLocations", &request).await?;
        let Some(said) = said.locations else {
            let text = format!("{path}: it is not there");
            return Err(BackendError::new(ErrorKind::NotFound, text));
        };
        Ok(LocatedFile::of(path, said, self.by_hostname))
    }

    /// Whether its DataNodes are known to speak as this reader does.
    pub(super) fn has_read(&self) -> bool {
        self.has_read.load(Ordering::Relaxed)
    }

    /// The bytes of a range of a file; see [`stream::stream`].
    pub(super) fn blocks(
        self: &Arc<Self>,
        file: &Arc<LocatedFile>,
        range: Range<u64>,
        page_bytes: u64,
    ) -> Blocks {
        stream::stream(Arc::clone(self), Arc::clone(file), range, page_bytes)
    }
}
