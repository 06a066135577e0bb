//! The gateway's HTTP/1.1 layer, directly on hyper.
//!
//! It owns what every HTTP protocol of the gateway needs and none should write twice: the listener and
//! its limits ([`server`]), bodies in both directions ([`body`], [`intake`], [`arriving`]), and the parts of the
//! standard that are easy to get nearly right ([`conditional`], [`range`], [`multipart`],
//! [`disposition`]). It refuses to own routes, identities and storage: it knows nothing of needles or
//! files, and nothing here reads a configuration file.
//!
//! The life of a request: [`server::serve`] accepts the socket and parses the head within its limits;
//! the protocol's service takes a [`request_id::RequestId`] and a [`query::Query`], reads the body
//! through [`intake::collect`], asks [`conditional::evaluate`] and [`range::parse`] what to send, and
//! hands back a [`body::Response`], which leaves under the write deadline of the connection.

#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod arriving;
pub mod body;
pub mod conditional;
pub mod date;
pub mod disposition;
pub mod intake;
pub mod json;
pub mod lane;
pub mod multipart;
pub mod parameters;
pub mod query;
pub mod range;
pub mod request_id;
mod rewound;
pub mod server;
mod socket;
mod tls;
mod watchdog;

pub use body::{Body, Response};
