//! What HDFS speaks on the wire, for both sides of it: the gateway that serves `hdfs://`, and the cache that reads of a cluster.
//!
//! **Owns:** Hadoop's messages ([`proto`], made of `proto/hadoop/*.proto`), the frames of its RPC ([`frame`]), the heads of the packets of a
//! block ([`packet`]) and the checksums in them ([`sums`]). **Refuses to own:** sockets, time, and what any of it means.
//! Nothing here panics on what comes, or sets memory aside for what a length only promises.

#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod frame;
pub mod packet;
pub mod proto;
pub mod sums;
