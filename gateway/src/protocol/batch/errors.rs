//! What goes wrong in a batch, and the status of that.

use http::StatusCode;
use moongate_haystack::HaystackError;

use super::answer::Broken;
use crate::archive::ArchiveError;
use crate::http::intake::IntakeError;
use crate::metrics::Operation;
use crate::protocol::image::error::{ImageError, answer};

impl Broken {
    /// Too much is in flight: try again.
    pub fn busy() -> Self {
        Self::from(ImageError::from(IntakeError::Busy))
    }

    /// The request makes no sense.
    pub fn bad(error: impl Into<String>, offset: Option<u64>) -> Self {
        Self {
            status: StatusCode::BAD_REQUEST,
            error: error.into(),
            offset,
        }
    }
}

impl From<ArchiveError> for Broken {
    fn from(error: ArchiveError) -> Self {
        Self::bad(error.to_string(), Some(error.offset))
    }
}

impl From<ImageError> for Broken {
    fn from(error: ImageError) -> Self {
        Self {
            status: answer(Operation::BatchPut, &error).status(),
            error: error.to_string(),
            offset: None,
        }
    }
}

impl From<IntakeError> for Broken {
    fn from(error: IntakeError) -> Self {
        ImageError::from(error).into()
    }
}

/// Whether no other image of the batch will fare better.
pub const fn ends_the_batch(error: &HaystackError) -> bool {
    matches!(
        error,
        HaystackError::NoSpace(_) | HaystackError::Busy | HaystackError::Storage(_)
    )
}
