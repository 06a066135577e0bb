//! Who is calling, and what may they do. No HTTP server, no store: the gateway joins these.
//!
//! An [`Identity`] is what every way of logging in ends in, and what every decision begins with.
#![cfg_attr(
    test,
    allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::print_stdout)
)]

pub mod fetch;
pub mod groups;
mod identity;
pub mod jwt;
pub mod keys;
pub mod watched;

pub use identity::{Groups, Identity, Method};
