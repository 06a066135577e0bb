//! What can go wrong with one thing that a client does, and what its caller does about it.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use http::StatusCode;

/// One failed step.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// No connection can be made: once the server has answered before, try again; else say so and stop.
    #[error(
        "{server} cannot be reached: {reason}; is it running there? --server or MOONGATE_URL names another"
    )]
    Unreachable {
        /// HOST:PORT.
        server: String,
        /// What the network said.
        reason: String,
    },
    /// The connection broke, or an answer was cut off: try again.
    #[error("the connection broke: {0}")]
    Broken(String),
    /// The server said no: try again if [`ClientError::may_pass`], else tell the user.
    #[error("{reason} (status {})", status.as_u16())]
    Refused {
        /// Its status.
        status: StatusCode,
        /// Its own words.
        reason: String,
        /// When it wants to be asked again.
        retry_after: Option<Duration>,
    },
    /// A file here cannot be read or written: tell the user.
    #[error("{}: {error}", path.display())]
    Local {
        /// Which one.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The answer is none that the server should give: is it a Moongate?
    #[error("the answer is not understood: {0}; is this a Moongate's file port?")]
    Answer(String),
    /// It cannot be done as asked; the text says why.
    #[error("{0}")]
    Impossible(String),
    /// The command line asks for what does not go together; the text says what to write.
    #[error("{0}")]
    Usage(String),
}

impl ClientError {
    /// A failure at a local path.
    pub fn local(path: &Path, error: io::Error) -> Self {
        let path = path.to_owned();
        Self::Local { path, error }
    }

    /// Whether the same call may succeed later.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Broken(_) => true,
            Self::Refused { status, .. } => matches!(status.as_u16(), 429 | 502 | 503 | 504),
            Self::Local { .. } | Self::Answer(_) | Self::Impossible(_) | Self::Usage(_) => false,
        }
    }

    /// Whether what is asked for is not there.
    pub fn is_missing(&self) -> bool {
        matches!(self, Self::Refused { status, .. } if *status == StatusCode::NOT_FOUND)
    }

    /// Whether the server has no such call for this.
    pub fn is_not_implemented(&self) -> bool {
        matches!(self, Self::Refused { status, .. } if *status == StatusCode::NOT_IMPLEMENTED)
    }

    /// Whether the server itself is gone, so that nothing else can succeed either.
    pub const fn is_unreachable(&self) -> bool {
        matches!(self, Self::Unreachable { .. })
    }

    /// How long the server asked to wait.
    pub const fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Refused { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}

impl From<super::address::BadAddress> for ClientError {
    fn from(error: super::address::BadAddress) -> Self {
        Self::Usage(error.to_string())
    }
}
