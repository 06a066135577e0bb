//! End to end tests of the image service: the real binary, judged from outside by the contracts that it promises.
//!
//! Each file is one area; each test's name is the fact that it holds.
#![allow(clippy::unwrap_used)]

mod api_delete;
mod api_master;
mod api_pages;
mod api_read;
mod api_write;
mod durability;
mod flipped_bits;
mod full_disk;
mod hostile;
mod not_to_copy;
mod pictures;
mod program;
mod rebuild;
mod rfc9110;
mod samples;
mod transforms;
