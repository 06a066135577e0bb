//! The one table from errors to answers of the image API, as SeaweedFS's clients expect them.

use http::{HeaderValue, StatusCode, header};
use moongate_cache::BackendError;
use moongate_haystack::HaystackError;
use moongate_haystack::store::layout::AssignError;
use serde_json::json;

use crate::http::intake::IntakeError;
use crate::http::json::{error_json, json as json_answer};
use crate::http::multipart::MultipartError;
use crate::http::{Body, Response};
use crate::metrics::Operation;
use crate::tenancy::Fenced;
use crate::transform::TransformError;

/// Why a request is not answered as it wished.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// The store says no.
    #[error(transparent)]
    Store(#[from] HaystackError),
    /// No key is given out.
    #[error(transparent)]
    Assign(#[from] AssignError),
    /// The body did not come.
    #[error(transparent)]
    Intake(#[from] IntakeError),
    /// The body is no form.
    #[error(transparent)]
    Multipart(#[from] MultipartError),
    /// No picture can be made of it.
    #[error(transparent)]
    Transform(#[from] TransformError),
    /// The caller's tenant may not, or not now.
    #[error(transparent)]
    Fenced(#[from] Fenced),
    /// The request makes no sense.
    #[error("{0}")]
    BadRequest(String),
    /// A parameter of the master's API makes no sense; SeaweedFS answers 406.
    #[error("{0}")]
    NotAcceptable(String),
    /// The caller may not.
    #[error("{0}")]
    Forbidden(String),
    /// Nothing under that name.
    #[error("{0}")]
    NotFound(String),
}

impl From<BackendError> for ImageError {
    /// What a check says.
    fn from(error: BackendError) -> Self {
        Self::Forbidden(error.message)
    }
}

/// Seconds after which a client may try again what was refused for load.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("1");

fn with_status(status: StatusCode) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

fn retry(mut response: Response) -> Response {
    response
        .headers_mut()
        .insert(header::RETRY_AFTER, RETRY_AFTER);
    response
}

/// The answer to an error of an operation.
pub fn answer(operation: Operation, error: &ImageError) -> Response {
    let text = error.to_string();
    match error {
        ImageError::Store(error) => store_answer(operation, error),
        ImageError::Assign(error) => assign_answer(error),
        ImageError::Intake(error) => intake_answer(error),
        ImageError::Multipart(_) => error_json(StatusCode::BAD_REQUEST, &text),
        ImageError::Transform(error) => transform_answer(error),
        ImageError::Fenced(error) => error.answer(),
        // SeaweedFS answers reads with an empty body.
        ImageError::BadRequest(_) if operation == Operation::Read => {
            with_status(StatusCode::BAD_REQUEST)
        }
        ImageError::BadRequest(_) => error_json(StatusCode::BAD_REQUEST, &text),
        ImageError::Forbidden(_) => error_json(StatusCode::FORBIDDEN, &text),
        ImageError::NotAcceptable(_) => error_json(StatusCode::NOT_ACCEPTABLE, &text),
        ImageError::NotFound(_) if operation == Operation::Read => {
            with_status(StatusCode::NOT_FOUND)
        }
        ImageError::NotFound(_) => error_json(StatusCode::NOT_FOUND, &text),
    }
}

fn store_answer(operation: Operation, error: &HaystackError) -> Response {
    let said = |status| error_json(status, &error.to_string());
    let write_failed =
        |status| error_json(status, &format!("failed to write to local disk: {error}"));
    match (error, operation) {
        (HaystackError::VolumeNotFound(_) | HaystackError::NotFound, Operation::Read) => {
            with_status(StatusCode::NOT_FOUND)
        }
        (HaystackError::VolumeNotFound(_) | HaystackError::NotFound, Operation::Delete) => {
            json_answer(StatusCode::NOT_FOUND, &json!({ "size": 0 }), false)
        }
        (HaystackError::VolumeNotFound(_) | HaystackError::NotFound, _) => {
            said(StatusCode::NOT_FOUND)
        }
        (HaystackError::CookieMismatch(_), Operation::Delete) => error_json(
            StatusCode::BAD_REQUEST,
            "File Random Cookie does not match.",
        ),
        (HaystackError::CookieMismatch(_), _) => write_failed(StatusCode::INTERNAL_SERVER_ERROR),
        (HaystackError::KeyNeverAssigned(_), _) => said(StatusCode::BAD_REQUEST),
        (HaystackError::PreconditionFailed, _) => with_status(StatusCode::PRECONDITION_FAILED),
        (HaystackError::ReadOnly(..), Operation::Delete) => error_json(
            StatusCode::INTERNAL_SERVER_ERROR,
            &format!("Deletion Failed: {error}"),
        ),
        (HaystackError::ReadOnly(..), _) => write_failed(StatusCode::INTERNAL_SERVER_ERROR),
        (HaystackError::VolumeFull(_) | HaystackError::NoSpace(_), _) => {
            said(StatusCode::INSUFFICIENT_STORAGE)
        }
        (HaystackError::Busy, _) => retry(said(StatusCode::SERVICE_UNAVAILABLE)),
        (HaystackError::Damaged { .. } | HaystackError::Storage(_), _) => {
            said(StatusCode::INTERNAL_SERVER_ERROR)
        }
    }
}

fn assign_answer(error: &AssignError) -> Response {
    let said = |status| error_json(status, &error.to_string());
    match error {
        AssignError::UnknownDataCenter(_) | AssignError::UnknownRack(_) => {
            said(StatusCode::BAD_REQUEST)
        }
        AssignError::TooFewServers { .. } => retry(said(StatusCode::SERVICE_UNAVAILABLE)),
        AssignError::NoRoom | AssignError::TooMany { .. } => said(StatusCode::NOT_ACCEPTABLE),
        AssignError::DisksFull | AssignError::Failed(HaystackError::NoSpace(_)) => {
            said(StatusCode::INSUFFICIENT_STORAGE)
        }
        AssignError::Failed(_) => said(StatusCode::INTERNAL_SERVER_ERROR),
    }
}

fn intake_answer(error: &IntakeError) -> Response {
    let said = |status| error_json(status, &error.to_string());
    match error {
        IntakeError::TooLarge { limit_bytes } => error_json(
            StatusCode::BAD_REQUEST,
            &format!("file over the limited {limit_bytes} bytes"),
        ),
        IntakeError::Stalled { .. } => said(StatusCode::REQUEST_TIMEOUT),
        IntakeError::Busy => retry(said(StatusCode::TOO_MANY_REQUESTS)),
        IntakeError::Truncated | IntakeError::Protocol(_) => said(StatusCode::BAD_REQUEST),
    }
}

fn transform_answer(error: &TransformError) -> Response {
    let said = |status| error_json(status, &error.to_string());
    match error {
        TransformError::Parameter { .. } => said(StatusCode::BAD_REQUEST),
        TransformError::TooLarge { .. }
        | TransformError::TooMuchMemory { .. }
        | TransformError::Undecodable(_) => said(StatusCode::UNPROCESSABLE_ENTITY),
        TransformError::Busy { .. } => retry(said(StatusCode::SERVICE_UNAVAILABLE)),
    }
}

#[cfg(test)]
mod tests {
    use moongate_haystack::id::{Cookie, NeedleKey, VolumeId};
    use moongate_haystack::needle::NeedleError;

    use super::*;

    /// The whole table, as clients see it.
    #[test]
    fn statuses() {
        let volume = VolumeId(3);
        let damaged = HaystackError::Damaged {
            volume,
            key: NeedleKey(1),
            fault: NeedleError::Checksum,
        };
        let cases = [
            (HaystackError::VolumeNotFound(volume), [404, 404, 404]),
            (HaystackError::NotFound, [404, 404, 404]),
            (HaystackError::CookieMismatch(Cookie(1)), [500, 500, 400]),
            (
                HaystackError::KeyNeverAssigned(NeedleKey(9)),
                [400, 400, 400],
            ),
            (HaystackError::PreconditionFailed, [412, 412, 412]),
            (HaystackError::ReadOnly(volume, "x".into()), [500, 500, 500]),
            (HaystackError::VolumeFull(volume), [507, 507, 507]),
            (HaystackError::NoSpace(volume), [507, 507, 507]),
            (damaged, [500, 500, 500]),
            (HaystackError::Busy, [503, 503, 503]),
            (HaystackError::Storage("x".into()), [500, 500, 500]),
        ];
        for (error, statuses) in cases {
            for (operation, status) in [Operation::Read, Operation::Write, Operation::Delete]
                .into_iter()
                .zip(statuses)
            {
                assert_eq!(
                    store_answer(operation, &error).status().as_u16(),
                    status,
                    "{error} of {operation:?}"
                );
            }
        }
    }
}
