//! End to end tests of mounts, of WebHDFS and of plain paths over them: the real binary, judged by what a real NameNode answers.
#![allow(clippy::unwrap_used)]

mod across;
mod commands;
mod disk_faults;
mod door;
mod many;
mod mounted;
mod mounts;
mod namenode;
mod paths;
mod programs;
mod python;
mod readers;
mod spark;
mod stores;
mod webhdfs_read;
mod webhdfs_refusals;
mod webhdfs_write;
