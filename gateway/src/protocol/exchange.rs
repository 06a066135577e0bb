//! What every request of every port has in common: its id, the headers of its answer, its metrics and its access line.

use std::time::Instant;

use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};

use crate::config::AccessLog;
use crate::http::Response;
use crate::http::request_id::{REQUEST_ID, RequestId};
use crate::http::server::PeerInfo;
use crate::metrics::Operation;
use crate::state::Gateway;

/// What this program calls itself.
pub const SERVER_NAME: &str = concat!("Moongate/", env!("CARGO_PKG_VERSION"));
const SERVER: HeaderValue = HeaderValue::from_static(SERVER_NAME);

/// A request being answered.
#[derive(Debug)]
pub struct Exchange {
    started: Instant,
    peer: PeerInfo,
}

impl Exchange {
    /// Begins the clock.
    pub fn begin(peer: PeerInfo) -> Self {
        Self {
            started: Instant::now(),
            peer,
        }
    }

    /// Completes the answer's headers, counts it, and logs it if that is wished.
    pub fn end(
        self,
        gateway: &Gateway,
        request: &Parts,
        operation: Operation,
        mut response: Response,
    ) -> Response {
        let request_id = RequestId::of(&request.headers);
        let logged = logs(gateway, response.status()).then(|| request_id.clone());
        finish(
            gateway,
            request,
            request_id.into_header_value(),
            &mut response,
        );
        let received_bytes = declared_len(&request.headers).unwrap_or(0);
        let sent_bytes = response.body().len_bytes().unwrap_or(0);
        let (status, took) = (response.status(), self.started.elapsed());
        gateway
            .metrics
            .answered(operation, status.as_u16(), took, received_bytes, sent_bytes);
        if let Some(request_id) = logged {
            tracing::info!(
                target: "access", request_id = request_id.as_str(), peer = %self.peer.addr, method = %request.method, path = request.uri.path(),
                status = status.as_u16(), received_bytes, sent_bytes, took_us = took.as_micros() as u64
            );
        }
        response
    }
}

/// What Content-Length says, if it is there.
pub fn declared_len(headers: &HeaderMap) -> Option<u64> {
    headers
        .get(header::CONTENT_LENGTH)?
        .to_str()
        .ok()?
        .parse()
        .ok()
}

/// Headers that every answer has.
fn finish(gateway: &Gateway, request: &Parts, request_id: HeaderValue, response: &mut Response) {
    // hyper leaves out the length of an empty answer to HEAD; GET would have it.
    let headless = request.method == Method::HEAD && response.status() != StatusCode::NOT_MODIFIED;
    let len_bytes = response.body().len_bytes().filter(|_| headless);
    let headers = response.headers_mut();
    if let Some(len_bytes) = len_bytes
        && !headers.contains_key(header::CONTENT_LENGTH)
    {
        headers.insert(header::CONTENT_LENGTH, len_bytes.into());
    }
    headers.insert(header::SERVER, SERVER);
    headers.insert(REQUEST_ID, request_id);
    if gateway.config.image.cors && request.headers.contains_key(header::ORIGIN) {
        headers.insert(
            header::ACCESS_CONTROL_ALLOW_ORIGIN,
            HeaderValue::from_static("*"),
        );
        headers.insert(
            header::ACCESS_CONTROL_ALLOW_CREDENTIALS,
            HeaderValue::from_static("true"),
        );
    }
}

fn logs(gateway: &Gateway, status: StatusCode) -> bool {
    match gateway.config.log.access {
        AccessLog::Off => false,
        AccessLog::Errors => status.is_client_error() || status.is_server_error(),
        AccessLog::All => true,
    }
}
