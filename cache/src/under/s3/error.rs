//! The SDK's errors, as what a caller does about them. The only place where they are looked at.

use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};

use crate::backend::{BackendError, ErrorKind};

/// S3's own words ("Error responses" of the API reference, and what other servers add). What has none goes by its HTTP status.
const CODES: [(&str, ErrorKind); 26] = [
    ("NoSuchKey", ErrorKind::NotFound),
    ("NotFound", ErrorKind::NotFound),
    ("NoSuchBucket", ErrorKind::NotFound),
    ("AccessDenied", ErrorKind::PermissionDenied),
    ("AccountProblem", ErrorKind::PermissionDenied),
    ("AllAccessDisabled", ErrorKind::PermissionDenied),
    ("ExpiredToken", ErrorKind::PermissionDenied),
    ("InvalidAccessKeyId", ErrorKind::PermissionDenied),
    ("InvalidObjectState", ErrorKind::PermissionDenied),
    ("InvalidToken", ErrorKind::PermissionDenied),
    ("SignatureDoesNotMatch", ErrorKind::PermissionDenied),
    ("PreconditionFailed", ErrorKind::Changed),
    ("InvalidRange", ErrorKind::Changed),
    ("ConditionalRequestConflict", ErrorKind::Unavailable),
    ("InternalError", ErrorKind::Unavailable),
    ("OperationAborted", ErrorKind::Unavailable),
    ("RequestTimeout", ErrorKind::Unavailable),
    ("ServiceUnavailable", ErrorKind::Unavailable),
    ("SlowDown", ErrorKind::Unavailable),
    ("QuotaExceeded", ErrorKind::NoSpace),
    ("XMinioStorageFull", ErrorKind::NoSpace),
    ("EntityTooLarge", ErrorKind::Invalid),
    ("InvalidArgument", ErrorKind::Invalid),
    ("KeyTooLongError", ErrorKind::Invalid),
    ("ExistingObjectIsDirectory", ErrorKind::IsADirectory),
    ("NotImplemented", ErrorKind::Unsupported),
];

/// An error of a request about a path.
pub(super) fn of_sdk<E>(error: SdkError<E, HttpResponse>, path: &str) -> BackendError
where
    E: std::error::Error + ProvideErrorMetadata + 'static,
{
    let (code, message) = (error.code(), error.message());
    let kind = kind_of(&error, code);
    if kind == ErrorKind::NotFound && code != Some("NoSuchBucket") {
        let class = code.map(str::to_owned);
        return BackendError {
            class,
            ..BackendError::not_found(path)
        };
    }
    let why = match (code, message) {
        (Some(code), Some(message)) => format!("{code}: {message}"),
        (Some(code), None) => code.to_owned(),
        (None, _) => DisplayErrorContext(&error).to_string(),
    };
    let class = code.map(str::to_owned);
    let message = format!("{path}: {why}");
    BackendError {
        kind,
        class,
        message,
    }
}

fn kind_of<E>(error: &SdkError<E, HttpResponse>, code: Option<&str>) -> ErrorKind {
    match error {
        SdkError::TimeoutError(_) => ErrorKind::TimedOut,
        SdkError::DispatchFailure(failure) if failure.is_timeout() => ErrorKind::TimedOut,
        SdkError::DispatchFailure(failure) if failure.is_io() => ErrorKind::Unavailable,
        // No credentials, above all.
        SdkError::DispatchFailure(_) => ErrorKind::PermissionDenied,
        SdkError::ResponseError(_) => ErrorKind::Unavailable,
        SdkError::ServiceError(answer) => {
            let known = CODES.iter().find(|(name, _)| Some(*name) == code);
            known.map_or_else(
                || of_status(answer.raw().status().as_u16()),
                |(_, kind)| *kind,
            )
        }
        SdkError::ConstructionFailure(_) => ErrorKind::Invalid,
        // The SDK may add more.
        _ => ErrorKind::Failed,
    }
}

/// A HEAD has no body, and so no code.
fn of_status(status: u16) -> ErrorKind {
    match status {
        401 | 403 => ErrorKind::PermissionDenied,
        404 => ErrorKind::NotFound,
        412 | 416 => ErrorKind::Changed,
        408 | 429 | 500 | 502 | 503 | 504 => ErrorKind::Unavailable,
        501 => ErrorKind::Unsupported,
        507 => ErrorKind::NoSpace,
        _ => ErrorKind::Failed,
    }
}

/// [`ErrorKind::AlreadyExists`], in words.
pub(super) fn already_exists(path: &str) -> BackendError {
    let text = format!("{path}: it is there already");
    BackendError::new(ErrorKind::AlreadyExists, text)
}

/// [`ErrorKind::Changed`], in words.
pub(super) fn changed(path: &str) -> BackendError {
    let text = format!("{path}: the file has changed since it was opened; open it again");
    BackendError::new(ErrorKind::Changed, text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn codes_are_named_once() {
        let names: BTreeSet<_> = CODES.iter().map(|(name, _)| name).collect();
        assert_eq!(names.len(), CODES.len());
    }
}
