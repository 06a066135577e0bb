//! End to end tests of who is let in: the real binary with a real KDC, a real HDFS that wants tickets, and clients of other makes.
#![allow(clippy::unwrap_used)]

mod access_keys;
mod certificates;
mod desk;
mod directory;
mod doas;
mod fid_tokens;
mod hdfs;
mod hdfs_frames;
mod hdfs_rpc;
mod issuer;
mod jwt;
mod keys;
mod lane;
mod ranger_admin;
mod shell;
mod spark;
#[path = "../policy/state.rs"]
#[allow(dead_code)]
mod state;
mod tenants;
mod tickets;
mod tokens;
