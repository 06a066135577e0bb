//! Kerberos as Hadoop speaks it over HTTP: tickets by SPNEGO, the signed cookie that spares the next one, delegation tokens, and the rules
//! by which a principal becomes a short name.
//!
//! **Owns:** formats and rules; each is given the time. Only [`kept`] touches a disk and only [`acceptor`] and [`initiator`] know a Kerberos library.
//! **Refuses to own:** HTTP: where these are found in a request, and what the answers look like.

pub mod acceptor;
mod ap_req;
pub mod auth_to_local;
pub mod cookie;
pub mod initiator;
pub mod kept;
pub mod keytab;
pub mod secrets;
mod skew;
mod substitution;
pub mod token;
mod writable;

pub use acceptor::{Accepted, Acceptor};
pub use auth_to_local::{Mechanism, NameRules, RuleError};
pub use initiator::Initiator;
pub use kept::{Kept, Lifetimes};
pub use secrets::Secrets;
pub use token::Token;
