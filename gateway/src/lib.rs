//! The gateway: every way in to the haystack, in one program.
//!
//! **Owns:** the protocols ([`protocol`]), HTTP and its limits ([`http`]), files by path ([`files`]), the tree of all mounts ([`namespace`]),
//! the configuration ([`config`]), the command line ([`cli`]) and its clients ([`client`]), archives
//! as they stream ([`archive`]), who calls ([`login`]), who shares it ([`tenancy`]), pictures made on read ([`transform`]) and metrics ([`metrics`]). **Refuses to own:** how images are stored ([`moongate_haystack`]), and how other stores
//! are read ([`moongate_cache`]).
//!
//! **Life of a request:** [`http::server`] takes the connection and its limits; [`protocol::image::serve`] routes, counts and logs it; a
//! handler reads the request, asks the store, and answers; [`protocol::image::error`] is the one table from errors to answers.

#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod archive;
pub mod cli;
pub mod client;
pub mod config;
pub mod files;
pub mod fsck;
pub mod http;
pub mod log;
pub mod login;
pub mod metrics;
pub mod namespace;
pub mod policy;
pub mod protocol;
pub mod serve;
pub mod state;
pub mod tenancy;
pub mod token;
pub mod transform;
