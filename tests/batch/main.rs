//! End to end tests of batches: the real binary against archives made and read by other programs (Python, GNU tar, bsdtar, unzip).
//!
//! Each file is one area; each test's name is the fact that it holds.
#![allow(clippy::unwrap_used)]

mod broken;
mod clients;
mod crash;
mod delete;
mod download;
mod fuzz;
mod mixed;
mod upload;
