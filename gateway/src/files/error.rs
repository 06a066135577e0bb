//! What can go wrong with a file.

use moongate_cache::{BackendError, ErrorKind};
use moongate_filer::FilerError;
use moongate_haystack::HaystackError;
use moongate_haystack::store::layout::AssignError;

use super::shards::ShardsError;
use crate::http::intake::IntakeError;
use crate::http::multipart::MultipartError;
use crate::protocol::image::error::ImageError;
use crate::tenancy::Fenced;

/// Why a request for files is not answered as it wished.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The names say no.
    #[error(transparent)]
    Filer(#[from] FilerError),
    /// The contents say no.
    #[error(transparent)]
    Store(#[from] HaystackError),
    /// There is no place to store into.
    #[error(transparent)]
    Assign(#[from] AssignError),
    /// There is no listing to make shards from.
    #[error(transparent)]
    Shards(#[from] ShardsError),
    /// The body did not come.
    #[error(transparent)]
    Intake(#[from] IntakeError),
    /// The body is no form.
    #[error(transparent)]
    Multipart(#[from] MultipartError),
    /// The caller's tenant may not, or not now.
    #[error(transparent)]
    Fenced(#[from] Fenced),
    /// The request makes no sense: say what would.
    #[error("{0}")]
    BadRequest(String),
    /// The caller may not: let them ask whoever writes the policies.
    #[error("{0}")]
    Forbidden(String),
    /// A condition of the request does not hold; nothing was changed.
    #[error("a condition of the request does not hold")]
    PreconditionFailed,
    /// Something is there already, or changed meanwhile: look, and ask again.
    #[error("{0}")]
    Conflict(String),
}

impl From<BackendError> for FileError {
    /// What a check says: that the caller may not, or why it cannot be told.
    fn from(error: BackendError) -> Self {
        match error.kind {
            ErrorKind::PermissionDenied => Self::Forbidden(error.message),
            ErrorKind::Invalid => Self::BadRequest(error.message),
            _ => Self::Store(HaystackError::Storage(error.message.into())),
        }
    }
}

impl From<ImageError> for FileError {
    fn from(error: ImageError) -> Self {
        match error {
            ImageError::Store(error) => Self::Store(error),
            ImageError::Assign(error) => Self::Assign(error),
            ImageError::Intake(error) => Self::Intake(error),
            ImageError::Multipart(error) => Self::Multipart(error),
            ImageError::Fenced(error) => Self::Fenced(error),
            ImageError::Forbidden(text) => Self::Forbidden(text),
            ImageError::Transform(_)
            | ImageError::BadRequest(_)
            | ImageError::NotAcceptable(_)
            | ImageError::NotFound(_) => Self::BadRequest(error.to_string()),
        }
    }
}
