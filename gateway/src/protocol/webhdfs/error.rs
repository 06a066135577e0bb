//! The one table from what can go wrong to what Hadoop's clients understand: the class of an exception and a status.
//!
//! The statuses are those of `org.apache.hadoop.hdfs.web.resources.ExceptionHandler`; but what is worth to be tried again answers 503.

use http::{HeaderValue, StatusCode, header};
use moongate_auth::tenants::Over;
use moongate_auth::{Failure, LoginError};
use moongate_cache::{BackendError, ErrorKind};
use serde_json::json;

use super::Op;
use crate::http::Response;
use crate::http::intake::IntakeError;
use crate::http::json::json as answer;
use crate::login::answer::status_of;
use crate::tenancy::Fenced;

/// Why a request is not carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The store says no.
    Store {
        /// What kind of no.
        kind: ErrorKind,
        /// The class by which the store itself names it.
        class: Option<String>,
        /// In words.
        message: String,
    },
    /// The request makes no sense: IllegalArgumentException.
    Illegal(String),
    /// There is no such operation, or not here: UnsupportedOperationException.
    Unsupported(String),
    /// Somebody is not let in, or may not act as somebody else.
    Login(LoginError),
    /// A delegation token is not good, or not the caller's to renew or cancel.
    Token(LoginError),
    /// IOException.
    Io(String),
    /// The body of an upload did not come.
    Body(String),
}

impl Refusal {
    /// As the NameNode says that a parameter is wrong.
    pub fn parameter(name: &str, why: &str) -> Self {
        Self::Illegal(format!(
            "Invalid value for webhdfs parameter \"{name}\": {why}"
        ))
    }

    /// In words.
    pub fn message(&self) -> &str {
        match self {
            Self::Store { message, .. }
            | Self::Illegal(message)
            | Self::Unsupported(message)
            | Self::Io(message)
            | Self::Body(message) => message,
            Self::Login(error) | Self::Token(error) => &error.text,
        }
    }
}

impl From<BackendError> for Refusal {
    fn from(error: BackendError) -> Self {
        Self::Store {
            kind: error.kind,
            class: error.class,
            message: error.message,
        }
    }
}

impl From<&Fenced> for Refusal {
    fn from(fenced: &Fenced) -> Self {
        let class = match fenced {
            Fenced::NotYours(_) => "org.apache.hadoop.security.AccessControlException",
            Fenced::Over(Over::Rate { .. } | Over::NotCounted { .. }) => {
                "org.apache.hadoop.ipc.RetriableException"
            }
            Fenced::Over(Over::Quota { .. }) => {
                "org.apache.hadoop.hdfs.protocol.DSQuotaExceededException"
            }
        };
        Self::Store {
            kind: ErrorKind::PermissionDenied,
            class: Some(class.to_owned()),
            message: fenced.to_string(),
        }
    }
}

impl From<IntakeError> for Refusal {
    fn from(error: IntakeError) -> Self {
        Self::Body(error.to_string())
    }
}

/// A class of Java, and the status that goes with it.
type Exception = (&'static str, StatusCode);

const NOT_FOUND: Exception = ("java.io.FileNotFoundException", StatusCode::NOT_FOUND);
const EXISTS: Exception = (
    "org.apache.hadoop.fs.FileAlreadyExistsException",
    StatusCode::FORBIDDEN,
);
const DENIED: Exception = (
    "org.apache.hadoop.security.AccessControlException",
    StatusCode::FORBIDDEN,
);
const IO: Exception = ("java.io.IOException", StatusCode::FORBIDDEN);
const ILLEGAL: Exception = (
    "java.lang.IllegalArgumentException",
    StatusCode::BAD_REQUEST,
);
const UNSUPPORTED: Exception = (
    "java.lang.UnsupportedOperationException",
    StatusCode::BAD_REQUEST,
);
const LATER: Exception = (
    "org.apache.hadoop.ipc.RetriableException",
    StatusCode::SERVICE_UNAVAILABLE,
);

/// What an error of a store is in Java, where the store did not name it itself. Some depend on what was asked.
const fn of_kind(kind: ErrorKind, op: Op) -> Exception {
    match kind {
        ErrorKind::NotFound => NOT_FOUND,
        ErrorKind::AlreadyExists => EXISTS,
        ErrorKind::PermissionDenied => DENIED,
        ErrorKind::NotADirectory => match op {
            Op::Create | Op::MakeDirs | Op::Rename => (
                "org.apache.hadoop.fs.ParentNotDirectoryException",
                StatusCode::FORBIDDEN,
            ),
            _ => DENIED,
        },
        ErrorKind::IsADirectory => match op {
            Op::Create | Op::Append => EXISTS,
            _ => NOT_FOUND,
        },
        ErrorKind::NotEmpty => (
            "org.apache.hadoop.fs.PathIsNotEmptyDirectoryException",
            StatusCode::FORBIDDEN,
        ),
        ErrorKind::Invalid => ILLEGAL,
        ErrorKind::Unsupported => UNSUPPORTED,
        ErrorKind::Unavailable | ErrorKind::TimedOut => LATER,
        ErrorKind::Changed | ErrorKind::NoSpace | ErrorKind::Failed => IO,
    }
}

/// What a token that is not good is in Java.
const fn of_token(failure: Failure) -> Exception {
    match failure {
        Failure::Impersonation => DENIED,
        Failure::Unavailable => LATER,
        _ => (
            "org.apache.hadoop.security.token.SecretManager$InvalidToken",
            StatusCode::FORBIDDEN,
        ),
    }
}

/// What a login that fails is in Java.
const fn of_login(failure: Failure) -> Exception {
    let status = status_of(failure);
    match failure {
        Failure::BadName => ILLEGAL,
        Failure::Unavailable => LATER,
        Failure::Impersonation => (
            "org.apache.hadoop.security.authorize.AuthorizationException",
            status,
        ),
        Failure::Missing
        | Failure::Malformed
        | Failure::Forged
        | Failure::Expired
        | Failure::Replayed
        | Failure::Skew
        | Failure::NotForUs
        | Failure::NotAllowed => (
            "org.apache.hadoop.security.authentication.client.AuthenticationException",
            status,
        ),
    }
}

/// The status of a class that a store named: by what the class extends.
fn status_of_class(class: &str) -> StatusCode {
    match class.rsplit('.').next().unwrap_or_default() {
        "FileNotFoundException" => StatusCode::NOT_FOUND,
        "IllegalArgumentException"
        | "HadoopIllegalArgumentException"
        | "InvalidPathException"
        | "UnsupportedOperationException" => StatusCode::BAD_REQUEST,
        "RetriableException" | "StandbyException" | "SafeModeException" => {
            StatusCode::SERVICE_UNAVAILABLE
        }
        "NullPointerException" | "RuntimeException" | "IllegalStateException" => {
            StatusCode::INTERNAL_SERVER_ERROR
        }
        _ => StatusCode::FORBIDDEN,
    }
}

/// Class and status of a refusal.
pub fn exception(refusal: &Refusal, op: Op) -> (String, StatusCode) {
    let (class, status) = match refusal {
        Refusal::Store {
            class: Some(class), ..
        } => return (class.clone(), status_of_class(class)),
        Refusal::Store { kind, .. } => of_kind(*kind, op),
        Refusal::Illegal(_) => ILLEGAL,
        Refusal::Unsupported(_) => UNSUPPORTED,
        Refusal::Login(error) => of_login(error.failure),
        Refusal::Token(error) => of_token(error.failure),
        Refusal::Io(_) => IO,
        Refusal::Body(_) => ("java.io.IOException", StatusCode::BAD_REQUEST),
    };
    (class.to_owned(), status)
}

/// The answer: `{"RemoteException":{"exception":…,"javaClassName":…,"message":…}}`.
pub fn response(refusal: &Refusal, op: Op) -> Response {
    let (class, status) = exception(refusal, op);
    let name = class.rsplit(['.', '$']).next().unwrap_or_default();
    // A NameNode's text may go on with a stack trace.
    let message = refusal.message().lines().next().unwrap_or_default();
    let said = json!({ "RemoteException": { "exception": name, "javaClassName": class, "message": message } });
    let mut response = answer(status, &said, false);
    if status == StatusCode::SERVICE_UNAVAILABLE {
        let again = HeaderValue::from_static("1");
        response.headers_mut().insert(header::RETRY_AFTER, again);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store(kind: ErrorKind, class: Option<&str>) -> Refusal {
        Refusal::Store {
            kind,
            class: class.map(str::to_owned),
            message: "why\n\tat org.apache".into(),
        }
    }

    #[test]
    fn the_table() {
        use ErrorKind::*;
        for (refusal, op, class, status) in [
            (
                store(NotFound, None),
                Op::Open,
                "java.io.FileNotFoundException",
                404,
            ),
            (
                store(AlreadyExists, None),
                Op::Create,
                "org.apache.hadoop.fs.FileAlreadyExistsException",
                403,
            ),
            (
                store(PermissionDenied, None),
                Op::Open,
                "org.apache.hadoop.security.AccessControlException",
                403,
            ),
            (
                store(NotADirectory, None),
                Op::Open,
                "org.apache.hadoop.security.AccessControlException",
                403,
            ),
            (
                store(NotADirectory, None),
                Op::MakeDirs,
                "org.apache.hadoop.fs.ParentNotDirectoryException",
                403,
            ),
            (
                store(IsADirectory, None),
                Op::Open,
                "java.io.FileNotFoundException",
                404,
            ),
            (
                store(IsADirectory, None),
                Op::Create,
                "org.apache.hadoop.fs.FileAlreadyExistsException",
                403,
            ),
            (
                store(NotEmpty, None),
                Op::Delete,
                "org.apache.hadoop.fs.PathIsNotEmptyDirectoryException",
                403,
            ),
            (
                store(Invalid, None),
                Op::Open,
                "java.lang.IllegalArgumentException",
                400,
            ),
            (
                store(Unsupported, None),
                Op::Concat,
                "java.lang.UnsupportedOperationException",
                400,
            ),
            (
                store(TimedOut, None),
                Op::Open,
                "org.apache.hadoop.ipc.RetriableException",
                503,
            ),
            (store(Changed, None), Op::Open, "java.io.IOException", 403),
            (
                store(Failed, Some("org.apache.hadoop.fs.InvalidPathException")),
                Op::Open,
                "org.apache.hadoop.fs.InvalidPathException",
                400,
            ),
            (
                store(
                    Failed,
                    Some("org.apache.hadoop.hdfs.protocol.QuotaExceededException"),
                ),
                Op::Open,
                "org.apache.hadoop.hdfs.protocol.QuotaExceededException",
                403,
            ),
            (
                Refusal::Illegal("x".into()),
                Op::Open,
                "java.lang.IllegalArgumentException",
                400,
            ),
            (
                Refusal::Io("x".into()),
                Op::Open,
                "java.io.IOException",
                403,
            ),
        ] {
            let got = exception(&refusal, op);
            assert_eq!(
                (got.0.as_str(), got.1.as_u16()),
                (class, status),
                "{refusal:?} {op:?}"
            );
        }
    }

    #[tokio::test]
    async fn the_shape() {
        use http_body_util::BodyExt as _;
        let response = response(&store(ErrorKind::NotFound, None), Op::Open);
        let body = response.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(
            std::str::from_utf8(&body).unwrap(),
            r#"{"RemoteException":{"exception":"FileNotFoundException","javaClassName":"java.io.FileNotFoundException","message":"why"}}"#
        );
    }
}
