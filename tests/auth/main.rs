//! End to end tests of who is let in: the real binary with a real KDC, a real HDFS that wants tickets, and clients of other makes.
#![allow(clippy::unwrap_used)]

mod desk;
mod doas;
mod hdfs;
mod keys;
mod shell;
mod tickets;
mod tokens;
