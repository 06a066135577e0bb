//! Who is calling, and what may they do. No HTTP server, no store: the gateway joins these.
//!
//! An [`Identity`] is what every way of logging in ends in, and what every decision begins with.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod identity;
pub mod policy;

pub use identity::{Groups, Identity, Method};
