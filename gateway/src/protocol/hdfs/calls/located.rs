//! Where files can be read: at this gateway, block by block, so that jobs split them as they would in their store.

use bytes::Bytes;
use moongate_cache::{Backend as _, BackendError, ErrorKind, Freshness, Status};

use super::{Answer, Call, Reach, decode, encode, status};
use crate::protocol::hdfs::opened::Key;
use crate::protocol::hdfs::owners::Peer;
use crate::protocol::hdfs::proto::hdfs::{
    DatanodeIdProto, DatanodeInfoProto, ExtendedBlockProto, GetBlockLocationsRequestProto,
    GetBlockLocationsResponseProto, HdfsFileStatusProto, LocatedBlockProto, LocatedBlocksProto,
    StorageTypeProto,
};
use crate::protocol::hdfs::refused::Refused;
use crate::protocol::hdfs::token::BlockToken;
use crate::protocol::webhdfs::Op;
use crate::protocol::webhdfs::error::Refusal;
use crate::protocol::webhdfs::locations::{Block, blocks_of};

/// Name of what would be a pool of blocks.
const POOL: &str = "BP-moongate";
/// Name of what would be a disk.
const STORAGE: &str = "DS-moongate";
const RACK: &str = "/default-rack";

impl Call<'_> {
    /// Opens the file in the caller's name, so that whoever may not read it is told so here, as by a NameNode.
    pub(super) async fn block_locations(&self, body: Bytes) -> Answer {
        let asked: GetBlockLocationsRequestProto = decode(body)?;
        let path = self.path(&asked.src, Reach::One)?;
        let opened = self
            .namespace()
            .open(&self.caller, &path, Freshness::Cached)
            .await;
        let file = opened.map_err(|error| not_opened(error, &path))?;
        let found = file.status();
        let blocks = blocks_of(found.len, found.block_bytes, asked.offset, asked.length);
        let located = self.located(found, &path, blocks);
        let key = Key {
            user: self.caller.user.clone(),
            real_user: self.caller.real_user.clone(),
            version: found.version(),
            path,
        };
        self.ask.hdfs.opened.keep(key, file);
        Ok(encode(&GetBlockLocationsResponseProto {
            locations: Some(located),
        }))
    }

    /// A file's status with all its blocks; a folder's without.
    pub(super) fn located_status(
        &self,
        found: &Status,
        path: &str,
        name: &str,
    ) -> HdfsFileStatusProto {
        let all = blocks_of(found.len, found.block_bytes, 0, found.len);
        let locations = (!found.is_dir()).then(|| self.located(found, path, all));
        HdfsFileStatusProto {
            locations,
            ..status::message(found, path, name)
        }
    }

    fn located(
        &self,
        found: &Status,
        path: &str,
        blocks: impl Iterator<Item = Block>,
    ) -> LocatedBlocksProto {
        let last = blocks_of(found.len, found.block_bytes, found.len.saturating_sub(1), 1).last();
        LocatedBlocksProto {
            file_length: found.len,
            blocks: blocks.map(|block| self.block(found, path, block)).collect(),
            under_construction: false,
            last_block: last.map(|block| self.block(found, path, block)),
            is_last_block_complete: true,
            ..LocatedBlocksProto::default()
        }
    }

    fn block(&self, found: &Status, path: &str, block: Block) -> LocatedBlockProto {
        let real_user = self.caller.real_user.as_deref();
        let token = BlockToken::new(path, found, block, &self.caller.user, real_user);
        let mut told = self.told_block(&token, block);
        let owners = self.ask.hdfs.owners.of(token.block_id());
        if !owners.is_empty() {
            let node = |peer: &Peer| node(&peer.host, peer.port);
            told.locs = owners.into_iter().map(node).collect();
            told.is_cached = vec![false; told.locs.len()];
            told.storage_types = vec![StorageTypeProto::Disk.into(); told.locs.len()];
            told.storage_i_ds = vec![STORAGE.to_owned(); told.locs.len()];
        }
        told
    }

    /// A block, here, with the token that opens it.
    pub(super) fn told_block(&self, token: &BlockToken, block: Block) -> LocatedBlockProto {
        let here = node(&self.ask.host.to_string(), self.ask.hdfs.data_port);
        LocatedBlockProto {
            b: ExtendedBlockProto {
                pool_id: POOL.to_owned(),
                block_id: token.block_id(),
                generation_stamp: 1,
                num_bytes: Some(block.len),
            },
            offset: block.start,
            locs: vec![here],
            corrupt: false,
            block_token: self.ask.hdfs.tokens.seal(token),
            is_cached: vec![false],
            storage_types: vec![StorageTypeProto::Disk.into()],
            storage_i_ds: vec![STORAGE.to_owned()],
            ..LocatedBlockProto::default()
        }
    }
}

/// A gateway as a DataNode: this one by the address that the client has for it, others as they are configured.
fn node(host: &str, port: u16) -> DatanodeInfoProto {
    let port = u32::from(port);
    DatanodeInfoProto {
        id: DatanodeIdProto {
            ip_addr: host.to_owned(),
            host_name: host.to_owned(),
            datanode_uuid: format!("moongate-{host}-{port}"),
            xfer_port: port,
            info_port: port,
            ipc_port: port,
            ..DatanodeIdProto::default()
        },
        location: Some(RACK.to_owned()),
        ..DatanodeInfoProto::default()
    }
}

fn not_opened(error: BackendError, path: &str) -> Refused {
    let text = match error.kind {
        ErrorKind::IsADirectory => format!("Path is not a file: {path}"),
        ErrorKind::NotFound => format!("File does not exist: {path}"),
        _ => return error.into(),
    };
    Refused::of(
        &Refusal::from(BackendError::new(error.kind, text)),
        Op::Open,
    )
}
