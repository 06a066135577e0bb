//! Test beds: real servers of other makes, started by the tests on free loopback ports and ended with them.

pub mod daemon;
pub mod hdfs;
mod ports;
