//! OPEN: the bytes of a file, straight from the namespace. Nothing is read ahead of what the connection takes, and nothing once it is gone.

use std::ops::Range;

use futures::StreamExt as _;
use http::{HeaderValue, Method, StatusCode, header};
use moongate_cache::{Backend as _, BackendError, BackendFile, ErrorKind, Freshness};

use super::error::Refusal;
use super::{Asked, OCTETS, status, write};
use crate::http::range::{self, RangeOutcome};
use crate::http::{Body, Response};

/// Ranges up to this length are sent from memory at once, if they are there.
const AT_ONCE_BYTES_MAX: u64 = 4 << 20;
/// A file that changes while it is opened is opened again so many times.
const TRIES: usize = 3;

/// OPEN
pub async fn open(asked: &Asked<'_>) -> Result<Response, Refusal> {
    if write::wants_location(asked)? {
        return Ok(write::location(asked));
    }
    let mut freshness = asked.freshness();
    for _ in 1..TRIES {
        match attempt(asked, freshness).await {
            Err(Refusal::Store {
                kind: ErrorKind::Changed,
                ..
            }) => freshness = Freshness::Now,
            answered => return answered,
        }
    }
    attempt(asked, freshness).await
}

async fn attempt(asked: &Asked<'_>, freshness: Freshness) -> Result<Response, Refusal> {
    let offset = asked.params.number("offset", 0)?;
    let length = asked.params.number("length", 0)?;
    let opened = asked
        .namespace()
        .open(&asked.caller, &asked.path, freshness)
        .await;
    let file = opened.map_err(|error| not_opened(asked, error))?;
    let len = file.status().len;
    let start = offset.unwrap_or(0);
    if start >= len && start > 0 {
        let text = format!(
            "Offset={start} out of the range [0, {len}); OPEN, path={}",
            asked.path
        );
        return Err(Refusal::Io(text));
    }
    let mut response = Response::new(Body::empty());
    let mut range = start..start.saturating_add(length.unwrap_or(u64::MAX)).min(len);
    if offset.is_none() && length.is_none() {
        match of_header(asked, len) {
            RangeOutcome::Partial(ranges) => {
                if let [one] = ranges[..] {
                    range = one.start..one.start + one.len;
                    *response.status_mut() = StatusCode::PARTIAL_CONTENT;
                    let value = format!("bytes {}-{}/{len}", range.start, range.end - 1);
                    content_range(&mut response, &value);
                }
            }
            RangeOutcome::Unsatisfiable => {
                *response.status_mut() = StatusCode::RANGE_NOT_SATISFIABLE;
                content_range(&mut response, &format!("bytes */{len}"));
                return Ok(response);
            }
            RangeOutcome::Full => {}
        }
    }
    response.headers_mut().insert(header::CONTENT_TYPE, OCTETS);
    *response.body_mut() = body(&*file, range, asked.parts.method == Method::HEAD).await?;
    Ok(response)
}

fn not_opened(asked: &Asked<'_>, error: BackendError) -> Refusal {
    match error.kind {
        ErrorKind::IsADirectory => status::not_a_file(asked),
        _ => status::missing(error, || format!("File {} not found.", asked.path)),
    }
}

/// `Range` is no part of WebHDFS: the NameNode ignores it.
fn of_header(asked: &Asked<'_>, len: u64) -> RangeOutcome {
    let value = asked
        .parts
        .headers
        .get(header::RANGE)
        .and_then(|value| value.to_str().ok());
    value.map_or(RangeOutcome::Full, |value| range::parse(value, len))
}

fn content_range(response: &mut Response, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(header::CONTENT_RANGE, value);
    }
}

/// A range of a file as a body: at once what is in memory, else piece by piece as the connection takes it. The first piece is waited for, so
/// that what goes wrong at once has an answer; what goes wrong later cuts the connection.
///
/// # Errors
/// The first piece cannot be had.
pub async fn body(
    file: &dyn BackendFile,
    range: Range<u64>,
    head_only: bool,
) -> Result<Body, BackendError> {
    let len = range.end.saturating_sub(range.start);
    if len == 0 {
        return Ok(Body::empty());
    }
    if head_only {
        let nothing = futures::stream::empty().boxed();
        return Ok(Body::pulled(None, nothing, len));
    }
    if len <= AT_ONCE_BYTES_MAX
        && let Some(pieces) = file.read_now(range.clone())
    {
        return Ok(Body::chunks(pieces));
    }
    let mut pieces = file.read(range).await?;
    let first = pieces.next().await.transpose()?;
    let rest = pieces.map(|piece| piece.map_err(|error| std::io::Error::other(error.message)));
    Ok(Body::pulled(first, rest.boxed(), len))
}
