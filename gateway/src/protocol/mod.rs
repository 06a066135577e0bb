//! The ways in. Each protocol is a thin adapter: it reads a request, asks the store, and writes the answer.

pub mod admin;
pub mod batch;
pub mod exchange;
pub mod file;
pub mod hdfs;
pub mod image;
pub mod webhdfs;
