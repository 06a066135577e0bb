//! What can go wrong, told apart by what the caller does next; and the one table that makes gRPC answers of it.

use tonic::{Code, Status};

/// An error of the driver or of an agent. The text says what to do.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// The request can never work: change it.
    #[error("{0}")]
    Invalid(String),
    /// What it names is not there.
    #[error("{0}")]
    NotFound(String),
    /// It is there, and is something else than what is asked for.
    #[error("{0}")]
    Differs(String),
    /// It is not in the state that this step needs, a volume that is mounted for example.
    #[error("{0}")]
    NotNow(String),
    /// There is no room for it. Says how much there is.
    #[error("{0}")]
    NoSpace(String),
    /// The size cannot be given.
    #[error("{0}")]
    OutOfRange(String),
    /// Another operation is at work on it: ask again.
    #[error("{0}")]
    Busy(String),
    /// A node, a daemon or a deadline: the outcome is open, and asking again is safe.
    #[error("{0}")]
    Unavailable(String),
    /// This should not be: a person must look.
    #[error("{0}")]
    Internal(String),
}

/// The crate's result.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    fn code(&self) -> Code {
        match self {
            Self::Invalid(_) => Code::InvalidArgument,
            Self::NotFound(_) => Code::NotFound,
            Self::Differs(_) => Code::AlreadyExists,
            Self::NotNow(_) => Code::FailedPrecondition,
            Self::NoSpace(_) => Code::ResourceExhausted,
            Self::OutOfRange(_) => Code::OutOfRange,
            Self::Busy(_) => Code::Aborted,
            Self::Unavailable(_) => Code::Unavailable,
            Self::Internal(_) => Code::Internal,
        }
    }
}

impl From<Error> for Status {
    fn from(error: Error) -> Self {
        if matches!(error, Error::Internal(_) | Error::Unavailable(_)) {
            tracing::warn!(%error, "a call failed");
        }
        Self::new(error.code(), error.to_string())
    }
}

/// An agent's answer, as the same kind of error here.
impl From<Status> for Error {
    fn from(status: Status) -> Self {
        let text = status.message().to_owned();
        match status.code() {
            Code::InvalidArgument => Self::Invalid(text),
            Code::NotFound => Self::NotFound(text),
            Code::AlreadyExists => Self::Differs(text),
            Code::FailedPrecondition => Self::NotNow(text),
            Code::ResourceExhausted => Self::NoSpace(text),
            Code::OutOfRange => Self::OutOfRange(text),
            Code::Aborted => Self::Busy(text),
            Code::Internal => Self::Internal(text),
            code => Self::Unavailable(format!("{code:?}: {text}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_comes_through_an_agent_as_what_it_was() {
        let errors = [
            Error::Invalid("a".into()),
            Error::NotFound("b".into()),
            Error::Differs("c".into()),
            Error::NotNow("d".into()),
            Error::NoSpace("e".into()),
            Error::OutOfRange("f".into()),
            Error::Busy("g".into()),
            Error::Internal("h".into()),
        ];
        for error in errors {
            let code = error.code();
            let back = Error::from(Status::from(error.clone()));
            assert_eq!((back.code(), back.to_string()), (code, error.to_string()));
        }
    }
}
