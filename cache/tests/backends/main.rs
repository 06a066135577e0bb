//! Every backend against the real thing: the contract that all share, and the faults that each has of its own.
//!
//! The servers are started by the test beds of `moongate-tests`, from what `scripts/hadoop.sh` and `scripts/versitygw.sh` install.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

mod cached;
mod faults;
mod hdfs;
mod on_hdfs;
mod pair;
mod s3;
