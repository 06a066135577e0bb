//! What the end to end tests stand on: the real `moongate` binary as a child process, an HTTP/1.1 client that sees
//! and says every byte, and a reader of SeaweedFS volumes of its own.
//!
//! It owns no product code on purpose: nothing here links the gateway or the haystack, so that a mistake in them
//! cannot hide in the test that looks for it. What is expected comes from the public contracts (SeaweedFS's HTTP API
//! and volume format, RFC 9110, RFC 9112).

pub mod api;
pub mod archives;
pub mod beds;
pub mod clock;
pub mod files;
pub mod gateway;
pub mod http;
pub mod payload;
pub mod small_disk;
pub mod spark;
pub mod tools;
pub mod volume;
pub mod wait;

pub use api::Fid;
pub use clock::Clock;
pub use gateway::Gateway;
pub use http::{Connection, Request, Response};
