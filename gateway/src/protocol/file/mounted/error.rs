//! The one table from a store's errors to answers of the file port.

use http::{HeaderValue, StatusCode, header};
use moongate_cache::{BackendError, ErrorKind};

use crate::http::json::error_json;
use crate::http::{Body, Response};
use crate::login::answer as login;
use crate::metrics::Operation;
use crate::protocol::webhdfs::error::Refusal;

/// Why a request about a mounted path is not answered as it wished.
#[derive(Debug)]
pub enum MountedError {
    /// The store says no.
    Store(BackendError),
    /// The request makes no sense: says what would.
    BadRequest(String),
    /// Mounts have no such call.
    NotHere(String),
    /// A condition of the request does not hold; nothing was changed.
    PreconditionFailed,
    /// The caller may not say who they are, or the body did not come.
    Refused(Refusal),
}

impl From<BackendError> for MountedError {
    fn from(error: BackendError) -> Self {
        Self::Store(error)
    }
}

impl From<Refusal> for MountedError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Store {
                kind,
                class,
                message,
            } => Self::Store(BackendError {
                kind,
                class,
                message,
            }),
            refusal => Self::Refused(refusal),
        }
    }
}

/// The status of an error of a store.
pub const fn status_of(kind: ErrorKind) -> StatusCode {
    match kind {
        ErrorKind::NotFound => StatusCode::NOT_FOUND,
        ErrorKind::AlreadyExists
        | ErrorKind::NotADirectory
        | ErrorKind::IsADirectory
        | ErrorKind::NotEmpty
        | ErrorKind::Changed => StatusCode::CONFLICT,
        ErrorKind::PermissionDenied => StatusCode::FORBIDDEN,
        ErrorKind::Invalid => StatusCode::BAD_REQUEST,
        ErrorKind::Unsupported => StatusCode::NOT_IMPLEMENTED,
        ErrorKind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        ErrorKind::TimedOut => StatusCode::GATEWAY_TIMEOUT,
        ErrorKind::NoSpace => StatusCode::INSUFFICIENT_STORAGE,
        ErrorKind::Failed => StatusCode::BAD_GATEWAY,
    }
}

/// The answer to an error. Reads of what is not there have an empty body, as those of the gateway's own files have.
pub fn answer(operation: Operation, error: &MountedError) -> Response {
    let (status, text) = match error {
        MountedError::Store(error) => (status_of(error.kind), error.message.as_str()),
        MountedError::BadRequest(text) => (StatusCode::BAD_REQUEST, text.as_str()),
        MountedError::NotHere(text) => (StatusCode::NOT_IMPLEMENTED, text.as_str()),
        MountedError::PreconditionFailed => (
            StatusCode::PRECONDITION_FAILED,
            "a condition of the request does not hold",
        ),
        MountedError::Refused(refusal) => (of_refusal(refusal), refusal.message()),
    };
    if operation == Operation::FileRead && status == StatusCode::NOT_FOUND {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = status;
        return response;
    }
    let mut response = error_json(status, text);
    if status == StatusCode::SERVICE_UNAVAILABLE {
        let again = HeaderValue::from_static("1");
        response.headers_mut().insert(header::RETRY_AFTER, again);
    }
    response
}

const fn of_refusal(refusal: &Refusal) -> StatusCode {
    match refusal {
        Refusal::Store { kind, .. } => status_of(*kind),
        Refusal::Login(error) | Refusal::Token(error) => login::status_of(error.failure),
        Refusal::Illegal(_) | Refusal::Body(_) => StatusCode::BAD_REQUEST,
        Refusal::Unsupported(_) => StatusCode::NOT_IMPLEMENTED,
        Refusal::Io(_) => StatusCode::BAD_GATEWAY,
    }
}
