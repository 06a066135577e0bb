//! GET and HEAD: a file, what is said of it, or a folder.

use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use moongate_filer::{Entry, FilerError};
use moongate_haystack::store::now_ns;

use super::entry_json::Described;
use super::{Ask, archive, list, mounts_in, shards};
use crate::files::{FileError, content, etag};
use crate::http::conditional::{self, Outcome, Validators};
use crate::http::date;
use crate::http::disposition::{self, Disposition};
use crate::http::range::{self, ByteRange, RangeOutcome};
use crate::http::{Body, Response, json};
use crate::protocol::image::read::overridden;
use crate::state::Gateway;

/// CRC-32C of a whole file, where it is known.
pub const CRC32C: HeaderName = HeaderName::from_static("x-moongate-crc32c");
const OCTET_STREAM: &str = "application/octet-stream";
/// Several ranges of files up to this length are answered as such; of longer ones with the whole, as RFC 9110 allows.
const RANGES_OF_BYTES_MAX: u64 = 1 << 20;
/// Attributes that are sent as headers by their own names; those with the prefix `Seaweed-` are as well.
const SENT_AS_HEADERS: [&str; 3] = ["Cache-Control", "Expires", "Content-Disposition"];

/// Answers GET and HEAD.
pub async fn get(gateway: &Arc<Gateway>, ask: Ask<'_>) -> Result<Response, FileError> {
    let path = ask.target.path.clone();
    let found = gateway
        .files
        .run(move |filer| filer.find(&path, now_ns()))
        .await;
    let entry = match found {
        Err(FileError::Filer(FilerError::NotFound(path)))
            if mounts_in::are_below(&gateway.namespace, path.as_str()) =>
        {
            return folder(gateway, ask).await;
        }
        found => found?,
    };
    if ask.query.is_true("metadata") {
        let described = Described {
            path: ask.target.path.as_str(),
            entry: &entry,
            with_chunks: true,
        };
        let pretty = ask.query.get_set("pretty").is_some();
        return Ok(json::json(StatusCode::OK, &described, pretty));
    }
    if entry.is_folder() {
        return folder(gateway, ask).await;
    }
    if ask.target.is_folder_form() {
        return Err(FilerError::NotAFolder(ask.target.path.clone()).into());
    }
    file(gateway, ask, &entry).await
}

async fn folder(gateway: &Arc<Gateway>, ask: Ask<'_>) -> Result<Response, FileError> {
    if ask.query.get("shards").is_some() {
        return shards::shard(gateway, ask).await;
    }
    match ask.query.get("archive") {
        Some(format) => archive::folder(gateway, ask, format).await,
        None => list::folder(gateway, ask).await,
    }
}

/// The tag and the date that conditions are compared with.
pub fn last_modified_secs(entry: &Entry) -> u64 {
    entry.attributes.mtime_ns / 1_000_000_000
}

async fn file(gateway: &Arc<Gateway>, ask: Ask<'_>, entry: &Entry) -> Result<Response, FileError> {
    let tag = format!("\"{}\"", etag::of_entry(entry));
    let validators = Validators {
        etag: &tag,
        last_modified_secs: Some(last_modified_secs(entry)),
    };
    let mut headers = headers_of(&ask, entry, &tag);
    let status = match conditional::evaluate(ask.method, ask.headers, Some(&validators)) {
        Outcome::Proceed => StatusCode::OK,
        Outcome::NotModified => StatusCode::NOT_MODIFIED,
        Outcome::PreconditionFailed => StatusCode::PRECONDITION_FAILED,
    };
    if status != StatusCode::OK {
        return Ok(with(status, headers, Body::empty()));
    }
    let mime = overridden(ask.query, &mut headers).or_else(|| mime_of(&ask, entry));
    match wanted(&ask, &validators, entry.size()) {
        Wanted::Unsatisfiable => {
            headers.insert(
                header::CONTENT_RANGE,
                text(&format!("bytes */{}", entry.size())),
            );
            Ok(with(
                StatusCode::RANGE_NOT_SATISFIABLE,
                headers,
                Body::empty(),
            ))
        }
        Wanted::Several(outcome) => {
            let bytes = match entry.content() {
                Some(content) => content::whole(gateway, content).await?,
                None => bytes::Bytes::new(),
            };
            Ok(range::respond_range(headers, bytes, mime, &outcome))
        }
        Wanted::One(status, range) => {
            if status == StatusCode::PARTIAL_CONTENT {
                let last = range.start + range.len - 1;
                let value = format!("bytes {}-{last}/{}", range.start, entry.size());
                headers.insert(header::CONTENT_RANGE, text(&value));
            }
            if let Some(mime) = mime {
                headers.insert(header::CONTENT_TYPE, mime);
            }
            let body = body(gateway, &ask, entry, range, &mut headers).await?;
            Ok(with(status, headers, body))
        }
    }
}

async fn body(
    gateway: &Arc<Gateway>,
    ask: &Ask<'_>,
    entry: &Entry,
    range: ByteRange,
    headers: &mut HeaderMap,
) -> Result<Body, FileError> {
    if *ask.method == Method::HEAD {
        headers.insert(header::CONTENT_LENGTH, range.len.into());
        return Ok(Body::empty());
    }
    match entry.content() {
        Some(content) => {
            Ok(content::body(gateway, content, range.start..range.start + range.len).await?)
        }
        None => Ok(Body::empty()),
    }
}

/// What of a file is to be sent.
enum Wanted {
    One(StatusCode, ByteRange),
    Several(RangeOutcome),
    Unsatisfiable,
}

fn wanted(ask: &Ask<'_>, validators: &Validators<'_>, len: u64) -> Wanted {
    let whole = Wanted::One(StatusCode::OK, ByteRange { start: 0, len });
    let value = ask
        .headers
        .get(header::RANGE)
        .and_then(|value| value.to_str().ok());
    let Some(value) = value.filter(|_| *ask.method == Method::GET) else {
        return whole;
    };
    if !conditional::if_range_allows(ask.headers, validators) {
        return whole;
    }
    match range::parse(value, len) {
        RangeOutcome::Full => whole,
        RangeOutcome::Unsatisfiable => Wanted::Unsatisfiable,
        RangeOutcome::Partial(ranges) => match ranges[..] {
            [one] => Wanted::One(StatusCode::PARTIAL_CONTENT, one),
            _ if len <= RANGES_OF_BYTES_MAX => Wanted::Several(RangeOutcome::Partial(ranges)),
            _ => whole,
        },
    }
}

fn with(status: StatusCode, headers: HeaderMap, body: Body) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

fn headers_of(ask: &Ask<'_>, entry: &Entry, tag: &str) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(16);
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(header::ETAG, text(tag));
    let modified = date::value(last_modified_secs(entry));
    headers.insert(header::LAST_MODIFIED, modified);
    headers.insert(
        header::ACCESS_CONTROL_EXPOSE_HEADERS,
        HeaderValue::from_static("Content-Disposition"),
    );
    if let Some(crc) = entry.content().and_then(etag::crc32c_of) {
        headers.insert(CRC32C, text(&format!("{crc:08x}")));
    }
    let kind = if ask.query.is_true("dl") {
        Disposition::Attachment
    } else {
        Disposition::Inline
    };
    let name = ask.target.path.name();
    let name = name.as_ref().map_or("", |name| name.as_str());
    headers.insert(header::CONTENT_DISPOSITION, disposition::format(kind, name));
    add_attributes(entry, &mut headers);
    headers
}

fn add_attributes(entry: &Entry, headers: &mut HeaderMap) {
    for (name, value) in &entry.attributes.extended {
        let sent = name.starts_with("Seaweed-") || SENT_AS_HEADERS.contains(&name.as_str());
        if let (true, Ok(name), Ok(value)) = (
            sent,
            HeaderName::try_from(name.as_str()),
            HeaderValue::from_bytes(value),
        ) {
            headers.insert(name, value);
        }
    }
}

/// Media type: what was stored, else what the name says.
fn mime_of(ask: &Ask<'_>, entry: &Entry) -> Option<HeaderValue> {
    let stored = &entry.attributes.mime;
    if !stored.is_empty() {
        return HeaderValue::from_str(stored).ok();
    }
    let guessed = mime_guess::from_path(ask.target.path.as_str()).first_raw();
    Some(HeaderValue::from_static(guessed.unwrap_or(OCTET_STREAM)))
}

fn text(value: &str) -> HeaderValue {
    HeaderValue::from_str(value).unwrap_or(HeaderValue::from_static(""))
}
