//! Hadoop's messages, made from `proto/hadoop/*.proto`.

#![allow(missing_docs, clippy::all, clippy::pedantic)]

/// RPC, tokens and high availability.
pub mod common {
    include!(concat!(env!("OUT_DIR"), "/hadoop.common.rs"));
}

/// NameNode and DataNode.
pub mod hdfs {
    include!(concat!(env!("OUT_DIR"), "/hadoop.hdfs.rs"));
}
