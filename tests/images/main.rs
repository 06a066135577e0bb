//! End to end tests of the image service: the real binary, judged from outside by the contracts that it promises.
//!
//! Each file is one area; each test's name is the fact that it holds.
#![allow(clippy::unwrap_used)]

mod admin;
mod api_assign;
mod api_delete;
mod api_encoding;
mod api_every_answer;
mod api_forms;
mod api_master;
mod api_pages;
mod api_read;
mod api_refusals;
mod api_write;
mod chunk_manifests;
mod command_line;
mod durability;
mod flipped_bits;
mod full_disk;
mod fuzz;
mod hostile_connections;
mod hostile_framing;
mod lane;
mod not_to_copy;
mod pictures;
mod process;
mod rebuild;
mod rfc9110_conditions;
mod rfc9110_encoding;
mod rfc9110_ranges;
mod samples;
mod several_files;
mod transforms;
mod transforms_bounds;
mod transforms_cached;
mod ttl;
mod volume_files;
