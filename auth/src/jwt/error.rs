//! Why a token is refused.

use crate::{Failure, LoginError};

/// Why a token is refused: what its owner can do about it, and nothing that helps to make another.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Too long, not three parts, not base64url, not JSON.
    #[error("the token is malformed: {0}")]
    Malformed(&'static str),
    /// No issuer of that name is configured.
    #[error("the token's issuer (iss) is not one that is accepted here")]
    Issuer,
    /// An algorithm that the issuer's keys are not for; `none` is always one.
    #[error("the token's algorithm (alg) is not one that its issuer's keys are for")]
    Algorithm,
    /// The issuer has no such key, as far as is known.
    #[error(
        "the token's key id (kid) is unknown: its issuer has no such key, or has one since less than a minute"
    )]
    UnknownKey,
    /// Signed by somebody else, or changed on the way.
    #[error("the token's signature does not fit")]
    Signature,
    /// It was good.
    #[error("the token has expired {0} s ago: get a new one")]
    Expired(u64),
    /// It will be good.
    #[error("the token is valid only in {0} s (nbf): compare the clocks")]
    NotYet(u64),
    /// It is for somebody else.
    #[error("the token is for another audience (aud): ask for one for {0}")]
    Audience(String),
    /// It does not say what is needed.
    #[error("the token has no usable claim {0}")]
    Claim(String),
    /// No rule makes a user of it.
    #[error("no rule gives this token's subject a user here")]
    NoUser,
    /// Its issuer could not be asked yet: 503, and worth another try.
    #[error("the token cannot be checked: the keys of its issuer could not be fetched yet")]
    KeysAway,
}

impl From<Refused> for LoginError {
    fn from(refused: Refused) -> Self {
        let failure = match refused {
            Refused::Malformed(_) | Refused::Claim(_) => Failure::Malformed,
            Refused::Signature | Refused::Algorithm => Failure::Forged,
            Refused::Expired(_) => Failure::Expired,
            Refused::NotYet(_) => Failure::Skew,
            Refused::Issuer | Refused::UnknownKey | Refused::Audience(_) => Failure::NotForUs,
            Refused::NoUser => Failure::NotAllowed,
            Refused::KeysAway => Failure::Unavailable,
        };
        Self::new(failure, refused.to_string())
    }
}
