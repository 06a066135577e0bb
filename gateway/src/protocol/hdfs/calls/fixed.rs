//! What is the same for all: the answers of a NameNode as it comes.

use super::encode;
use crate::protocol::hdfs::data::checksum::CHUNK_BYTES;
use crate::protocol::hdfs::proto::common::HaServiceStateProto;
use crate::protocol::hdfs::proto::hdfs::{
    BlockStoragePolicyProto, ChecksumTypeProto, FsServerDefaultsProto,
    GetServerDefaultsResponseProto, GetStoragePoliciesResponseProto, GetStoragePolicyResponseProto,
    HaServiceStateResponseProto, StorageTypeProto, StorageTypesProto,
};
use crate::protocol::webhdfs::locations::BLOCK_BYTES;

/// HDFS's own defaults, as WebHDFS tells them.
pub(super) fn server_defaults() -> Vec<u8> {
    encode(&GetServerDefaultsResponseProto {
        server_defaults: FsServerDefaultsProto {
            block_size: BLOCK_BYTES,
            bytes_per_checksum: CHUNK_BYTES as u32,
            write_packet_size: 65_536,
            replication: 3,
            file_buffer_size: 4096,
            encrypt_data_transfer: Some(false),
            trash_interval: Some(0),
            checksum_type: Some(ChecksumTypeProto::ChecksumCrc32c.into()),
            key_provider_uri: Some(String::new()),
            policy_id: Some(7),
            snapshot_trash_root_enabled: Some(false),
        },
    })
}

pub(super) fn active() -> Vec<u8> {
    encode(&HaServiceStateResponseProto {
        state: HaServiceStateProto::Active.into(),
    })
}

/// The one that HDFS has where none is set.
fn hot() -> BlockStoragePolicyProto {
    let archive = StorageTypesProto {
        storage_types: vec![StorageTypeProto::Archive.into()],
    };
    BlockStoragePolicyProto {
        policy_id: 7,
        name: "HOT".to_owned(),
        creation_policy: StorageTypesProto {
            storage_types: vec![StorageTypeProto::Disk.into()],
        },
        creation_fallback_policy: Some(StorageTypesProto::default()),
        replication_fallback_policy: Some(archive),
    }
}

pub(super) fn storage_policy() -> Vec<u8> {
    encode(&GetStoragePolicyResponseProto {
        storage_policy: hot(),
    })
}

pub(super) fn storage_policies() -> Vec<u8> {
    encode(&GetStoragePoliciesResponseProto {
        policies: vec![hot()],
    })
}
