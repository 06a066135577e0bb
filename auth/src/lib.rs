//! Who is calling, and what may they do. No HTTP server, no store: the gateway joins these.
//!
//! An [`Identity`] is what every way of logging in ends in, and what every decision begins with. A login that fails ends in a
//! [`LoginError`].

#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod audit;
mod identity;
pub mod kerberos;
mod login_error;
pub mod native;
pub mod policy;
pub mod proxy;

pub use identity::{Groups, Identity, Method};
pub use login_error::{Failure, LoginError};
