//! Under stores: what lies behind a mount.

pub mod hdfs;
pub mod local;

pub use hdfs::{HdfsOptions, HdfsStore};
pub use local::LocalStore;
