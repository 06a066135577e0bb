//! The answer to who is not let in.

use http::{HeaderValue, StatusCode, header};
use hyper::ext::ReasonPhrase;
use moongate_auth::Failure;

use super::{Refusal, kerberos};
use crate::http::Response;
use crate::http::json::error_json;
use crate::state::Gateway;

/// The status of a failure.
pub const fn status_of(failure: Failure) -> StatusCode {
    match failure {
        Failure::Missing
        | Failure::Malformed
        | Failure::Forged
        | Failure::Expired
        | Failure::Replayed
        | Failure::Skew
        | Failure::NotForUs
        | Failure::NotAllowed => StatusCode::UNAUTHORIZED,
        Failure::BadName => StatusCode::BAD_REQUEST,
        Failure::Impersonation => StatusCode::FORBIDDEN,
        Failure::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
    }
}

/// As JSON, for all ports but WebHDFS, which has its own shape.
pub fn json(gateway: &Gateway, refusal: &Refusal) -> Response {
    let mut response = error_json(status_of(refusal.failure), &refusal.text);
    challenge(gateway, refusal, &mut response);
    response
}

/// Adds how one may log in, to an answer of 401.
pub fn challenge(gateway: &Gateway, refusal: &Refusal, response: &mut Response) {
    if response.status() != StatusCode::UNAUTHORIZED {
        return;
    }
    // Java's clients show their users nothing but the status line.
    if let Ok(reason) = ReasonPhrase::try_from(refusal.text.as_bytes()) {
        response.extensions_mut().insert(reason);
    }
    let headers = response.headers_mut();
    if gateway.login.kerberos.is_some() {
        headers.append(
            header::WWW_AUTHENTICATE,
            HeaderValue::from_static("Negotiate"),
        );
        headers.append(header::SET_COOKIE, kerberos::cleared());
    }
}
