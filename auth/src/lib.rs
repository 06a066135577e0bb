//! Who is calling, and what may they do. No HTTP server, no store: the gateway joins these.
//!
//! An [`Identity`] is what every way of logging in ends in, and what every decision begins with. A login that fails ends in a
//! [`LoginError`].

#![cfg_attr(
    test,
    allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::print_stdout)
)]

pub mod audit;
pub mod fetch;
pub mod groups;
mod identity;
pub mod jwt;
pub mod kerberos;
pub mod keys;
mod login_error;
pub mod native;
pub mod policy;
pub mod proxy;
pub mod sasl;
pub mod tenants;
pub mod tls;
pub mod watched;

pub use identity::{Groups, Identity, Method};
pub use login_error::{Failure, LoginError};
