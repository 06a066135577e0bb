//! End to end tests of `hdfs://` itself: the real binary, judged by Hadoop's own programs, by hdfs-native, and by what a real cluster says.
#![allow(clippy::unwrap_used)]

mod bed;
mod changes;
mod damage;
mod hostile;
mod login;
mod readers;
mod several;
mod shell;
mod shell_writes;
mod spark;
mod wide;
mod writes;
