//! Under stores: what lies behind a mount.

pub mod hdfs;
pub mod local;
pub mod s3;

pub use hdfs::{HdfsOptions, HdfsStore};
pub use local::LocalStore;
pub use s3::{S3Credentials, S3Options, S3Store};
