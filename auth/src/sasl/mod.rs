//! SASL as Hadoop's own protocols speak it, the accepting side: DIGEST-MD5 for tokens ([`digest`]) and GSSAPI for tickets
//! ([`gssapi`]), each with what then protects the connection ([`Layer`]).
//!
//! **Owns:** the mechanisms' messages. **Refuses to own:** frames, sockets, and who may log in how.

mod des;
pub mod digest;
mod directives;
pub mod gssapi;
mod sealed;

use crate::{Failure, LoginError};

/// How much a connection is protected once it is known who is at its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Qop {
    /// Not at all: who it is, was proved at its begin.
    Authentication,
    /// Nobody can change what is sent.
    Integrity,
    /// Nobody can read it either.
    Privacy,
}

impl Qop {
    /// As SASL calls it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Authentication => "auth",
            Self::Integrity => "auth-int",
            Self::Privacy => "auth-conf",
        }
    }

    /// What SASL calls so.
    pub fn named(name: &str) -> Option<Self> {
        let all = [Self::Authentication, Self::Integrity, Self::Privacy];
        all.into_iter().find(|qop| qop.name() == name)
    }

    /// Its bit in GSSAPI's offer (RFC 4752, section 3.3).
    const fn bit(self) -> u8 {
        match self {
            Self::Authentication => 1,
            Self::Integrity => 2,
            Self::Privacy => 4,
        }
    }
}

/// What seals all that is sent and opens all that comes, in order.
pub trait Layer: Send {
    /// Seals a message.
    ///
    /// # Errors
    /// The mechanism failed.
    fn wrap(&mut self, message: &[u8]) -> Result<Vec<u8>, LoginError>;

    /// Opens a message.
    ///
    /// # Errors
    /// It was changed, sent before, or is none.
    fn unwrap(&mut self, message: &[u8]) -> Result<Vec<u8>, LoginError>;
}

/// A layer, where there is one.
pub type Protection = Option<Box<dyn Layer>>;

pub(crate) fn malformed(text: impl Into<String>) -> LoginError {
    LoginError::new(Failure::Malformed, text)
}

pub(crate) fn forged(text: impl Into<String>) -> LoginError {
    LoginError::new(Failure::Forged, text)
}
