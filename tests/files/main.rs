//! End to end tests of the file port: the real binary, judged from outside by docs/http-api.md, RFC 9110 and what other programs make
//! and read.
//!
//! Each file is one area; each test's name is the fact that it holds. `MOONGATE_TEST_SCALE=full` makes the large ones as large as they
//! are meant to be.
#![allow(clippy::unwrap_used)]

mod archives;
mod batches;
mod crash;
mod cut_short;
mod hostile;
mod names;
mod rfc9110;
mod rows_change;
mod rows_list;
mod rows_write;
mod scale;
mod shards;
mod space;
