//! The one table from errors to answers of the file API.

use http::{HeaderValue, StatusCode, header};
use moongate_filer::FilerError;
use moongate_haystack::HaystackError;
use moongate_haystack::store::layout::AssignError;

use crate::files::FileError;
use crate::files::shards::ShardsError;
use crate::http::intake::IntakeError;
use crate::http::json::error_json;
use crate::http::{Body, Response};
use crate::metrics::Operation;

/// Seconds after which a client may try again what was refused for load.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("1");

/// The answer to an error of an operation. Reads of what is not there have an empty body, as SeaweedFS's have.
pub fn answer(operation: Operation, error: &FileError) -> Response {
    let status = status_of(error);
    if operation == Operation::FileRead && status == StatusCode::NOT_FOUND {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = status;
        return response;
    }
    let mut response = error_json(status, &error.to_string());
    if matches!(
        status,
        StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS
    ) {
        response
            .headers_mut()
            .insert(header::RETRY_AFTER, RETRY_AFTER);
    }
    response
}

/// The status of an error.
pub fn status_of(error: &FileError) -> StatusCode {
    match error {
        FileError::Filer(error) => filer_status(error),
        FileError::Store(error) => store_status(error),
        FileError::Assign(error) => assign_status(error),
        FileError::Shards(error) => shards_status(error),
        FileError::Intake(error) => intake_status(error),
        FileError::Fenced(error) => error.status(),
        FileError::Multipart(_) | FileError::BadRequest(_) => StatusCode::BAD_REQUEST,
        FileError::Forbidden(_) => StatusCode::FORBIDDEN,
        FileError::PreconditionFailed => StatusCode::PRECONDITION_FAILED,
        FileError::Conflict(_) => StatusCode::CONFLICT,
    }
}

const fn filer_status(error: &FilerError) -> StatusCode {
    match error {
        FilerError::NotFound(_) => StatusCode::NOT_FOUND,
        FilerError::NotAFolder(_)
        | FilerError::IsAFolder(_)
        | FilerError::Exists(_)
        | FilerError::NotEmpty(_)
        | FilerError::IntoItself { .. } => StatusCode::CONFLICT,
        FilerError::NameTooLong { .. } | FilerError::PathTooLong { .. } => StatusCode::URI_TOO_LONG,
        FilerError::TooDeep { .. } | FilerError::BadName(_) | FilerError::Reserved => {
            StatusCode::BAD_REQUEST
        }
        FilerError::Root => StatusCode::FORBIDDEN,
        FilerError::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
        FilerError::Corrupt(_) | FilerError::Storage(_) => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

const fn shards_status(error: &ShardsError) -> StatusCode {
    match error {
        ShardsError::Filer(error) => filer_status(error),
        ShardsError::Io(_) => StatusCode::INTERNAL_SERVER_ERROR,
        ShardsError::Unknown(_) => StatusCode::GONE,
        ShardsError::Sample(_) => StatusCode::BAD_REQUEST,
    }
}

const fn store_status(error: &HaystackError) -> StatusCode {
    match error {
        HaystackError::VolumeFull(_) | HaystackError::NoSpace(_) => {
            StatusCode::INSUFFICIENT_STORAGE
        }
        HaystackError::Busy => StatusCode::SERVICE_UNAVAILABLE,
        HaystackError::PreconditionFailed => StatusCode::PRECONDITION_FAILED,
        // A name that points to nothing is our damage, not the client's mistake.
        HaystackError::VolumeNotFound(_)
        | HaystackError::NotFound
        | HaystackError::CookieMismatch(_)
        | HaystackError::KeyNeverAssigned(_)
        | HaystackError::ReadOnly(..)
        | HaystackError::Damaged { .. }
        | HaystackError::Storage(_) => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

const fn assign_status(error: &AssignError) -> StatusCode {
    match error {
        AssignError::UnknownDataCenter(_)
        | AssignError::UnknownRack(_)
        | AssignError::TooMany { .. } => StatusCode::BAD_REQUEST,
        AssignError::TooFewServers { .. } => StatusCode::SERVICE_UNAVAILABLE,
        AssignError::NoRoom | AssignError::DisksFull => StatusCode::INSUFFICIENT_STORAGE,
        AssignError::Failed(error) => store_status(error),
    }
}

const fn intake_status(error: &IntakeError) -> StatusCode {
    match error {
        IntakeError::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
        IntakeError::Stalled { .. } => StatusCode::REQUEST_TIMEOUT,
        IntakeError::Busy => StatusCode::SERVICE_UNAVAILABLE,
        IntakeError::Truncated | IntakeError::Protocol(_) => StatusCode::BAD_REQUEST,
    }
}

#[cfg(test)]
mod tests {
    use moongate_filer::FilePath;

    use super::*;

    #[test]
    fn statuses() {
        let path = FilePath::root();
        for (error, want) in [
            (FilerError::NotFound(path.clone()).into(), 404),
            (FilerError::NotAFolder(path.clone()).into(), 409),
            (FilerError::NotEmpty(path).into(), 409),
            (FilerError::NameTooLong { bytes: 300 }.into(), 414),
            (FilerError::BadName("why").into(), 400),
            (HaystackError::NotFound.into(), 500),
            (HaystackError::Busy.into(), 503),
            (AssignError::DisksFull.into(), 507),
            (FileError::PreconditionFailed, 412),
        ] {
            assert_eq!(status_of(&error).as_u16(), want, "{error}");
        }
    }
}
