//! Why somebody is not let in.

/// What kind of no. Each is counted by itself, and has one status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Failure {
    /// Nothing was shown that says who it is.
    Missing,
    /// What was shown cannot be read: truncated, oversized, or something else altogether.
    Malformed,
    /// It was not made by who it says, or was changed since.
    Forged,
    /// Its time is over, or was ended.
    Expired,
    /// It was shown before.
    Replayed,
    /// The clocks are too far apart.
    Skew,
    /// It is meant for a key, an audience or an issuer that is not ours.
    NotForUs,
    /// A way of logging in that is not switched on here.
    NotAllowed,
    /// A name that nobody can have.
    BadName,
    /// Who it is, is known; but they may not act for the other.
    Impersonation,
    /// It cannot be told now: what would know does not answer.
    Unavailable,
}

impl Failure {
    /// As it is called in metrics.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Malformed => "malformed",
            Self::Forged => "forged",
            Self::Expired => "expired",
            Self::Replayed => "replayed",
            Self::Skew => "skew",
            Self::NotForUs => "not_for_us",
            Self::NotAllowed => "not_allowed",
            Self::BadName => "bad_name",
            Self::Impersonation => "impersonation",
            Self::Unavailable => "unavailable",
        }
    }
}

/// A login that failed. The text goes to the client: it says what to do, and holds no secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct LoginError {
    /// What kind.
    pub failure: Failure,
    /// In words.
    pub text: String,
}

impl LoginError {
    /// Of this kind, in these words.
    pub fn new(failure: Failure, text: impl Into<String>) -> Self {
        Self {
            failure,
            text: text.into(),
        }
    }
}
