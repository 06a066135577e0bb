//! GET and HEAD of an object.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use moongate_haystack::needle::Needle;

use super::entity_tag::EntityTag;
use super::error::ImageError;
use super::load::{load, unpack, unpacked};
use super::manifest;
use super::path::ObjectPath;
use crate::http::conditional::{self, Outcome as Condition, Validators};
use crate::http::date;
use crate::http::disposition::{self, Disposition};
use crate::http::query::Query;
use crate::http::range::{self, RangeOutcome};
use crate::http::{Body, Response};
use crate::state::Gateway;
use crate::transform::{ImageKind, Outcome as Transformed, Transform, TransformError};

const OCTET_STREAM: &str = "application/octet-stream";
/// Room for the headers of an answer, and three pairs of the client's, in one allocation.
const HEADERS: usize = 12;

/// A GET or HEAD request, as far as it matters here.
#[derive(Clone, Copy)]
pub struct ReadRequest<'a> {
    /// GET or HEAD.
    pub method: &'a Method,
    /// Headers of the request.
    pub headers: &'a HeaderMap,
    /// Its parameters.
    pub query: &'a Query<'a>,
    /// What it names.
    pub object: &'a ObjectPath<'a>,
}

/// Answers a read.
pub async fn read(
    gateway: &Arc<Gateway>,
    request: ReadRequest<'_>,
) -> Result<Response, ImageError> {
    let with_deleted = request.query.is_true("readDeleted");
    let needle = &load(gateway, request.object, with_deleted).await?;
    if needle.is_chunk_manifest() && request.query.get("cm") != Some("false") {
        return Box::pin(manifest::read(gateway, &request, needle)).await;
    }
    if !request.query.is_empty()
        && let Some(kind) = image_kind(&request, needle)
        && let Some(transform) = Transform::from_query(|name| request.query.get(name))?
    {
        return Box::pin(transformed(gateway, &request, needle, transform, kind)).await;
    }
    let packed = needle.is_gzip() && accepts_gzip(request.headers);
    let etag = if packed {
        EntityTag::gzip(needle.checksum)
    } else {
        EntityTag::of(needle.checksum)
    };
    let mut headers = object_headers(&request, needle, &etag);
    let content = content(needle, packed, &mut headers).await?;
    Ok(respond(
        &request,
        needle,
        &etag,
        headers,
        content,
        content_type(&request, needle),
    ))
}

/// What kind of picture an object is, if it is one: by its URL, its name, its media type.
fn image_kind(request: &ReadRequest<'_>, needle: &Needle) -> Option<ImageKind> {
    let name = std::str::from_utf8(needle.name()).ok();
    let by_name = ImageKind::detect(Some(request.object.ext), name, None);
    by_name.or_else(|| ImageKind::detect(None, None, std::str::from_utf8(needle.mime()).ok()))
}

/// Headers that say what an object is, but not its type and length.
pub fn object_headers(request: &ReadRequest<'_>, needle: &Needle, etag: &str) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(HEADERS);
    add_pairs(needle.pairs(), &mut headers);
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    if let Ok(etag) = HeaderValue::from_str(etag) {
        headers.insert(header::ETAG, etag);
    }
    if let Some(secs) = needle.last_modified_secs {
        headers.insert(header::LAST_MODIFIED, date::value(secs));
    }
    let name = String::from_utf8_lossy(needle.name());
    name_it(request, &name, &mut headers);
    headers
}

/// Says under which name to save an object: that of the URL if it has one, else `stored`.
pub fn name_it(request: &ReadRequest<'_>, stored: &str, headers: &mut HeaderMap) {
    let name = request.object.file_name.as_deref().unwrap_or(stored);
    if !name.is_empty() {
        let kind = if request.query.is_true("dl") {
            Disposition::Attachment
        } else {
            Disposition::Inline
        };
        headers.insert(header::CONTENT_DISPOSITION, disposition::format(kind, name));
    }
}

/// Headers that frame the message or belong to the connection: no stored pair may set them.
const FRAMING: [HeaderName; 7] = [
    header::CONTENT_LENGTH,
    header::TRANSFER_ENCODING,
    header::CONNECTION,
    header::UPGRADE,
    header::TE,
    header::TRAILER,
    header::CONTENT_ENCODING,
];

/// `Seaweed-*` headers of the upload, without their prefix.
fn add_pairs(pairs: &[u8], headers: &mut HeaderMap) {
    if pairs.is_empty() {
        return;
    }
    let Ok(pairs) = serde_json::from_slice::<std::collections::BTreeMap<String, String>>(pairs)
    else {
        return;
    };
    for (name, value) in pairs {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value))
            && !FRAMING.contains(&name)
        {
            headers.insert(name, value);
        }
    }
}

/// Media type of an object.
pub fn content_type(request: &ReadRequest<'_>, needle: &Needle) -> Option<HeaderValue> {
    let media_type = media_type(request.object.file_name.as_deref(), needle)?;
    HeaderValue::from_bytes(media_type).ok()
}

/// What was stored as the media type, unless that says nothing; else what the name says.
pub fn media_type<'a>(file_name: Option<&str>, needle: &'a Needle) -> Option<&'a [u8]> {
    let stored = needle.mime();
    if !stored.is_empty() && stored != OCTET_STREAM.as_bytes() {
        return Some(stored);
    }
    let name = file_name.map_or_else(|| String::from_utf8_lossy(needle.name()), Cow::Borrowed);
    let guessed = mime_guess::from_path(&*name).first_raw();
    match guessed {
        Some(guessed) => Some(guessed.as_bytes()),
        None if needle.data().is_empty() && stored.is_empty() => None,
        None => Some(OCTET_STREAM.as_bytes()),
    }
}

/// The bytes to send: `packed` as they are stored, else as they were uploaded.
async fn content(
    needle: &Needle,
    packed: bool,
    headers: &mut HeaderMap,
) -> Result<Bytes, ImageError> {
    let data = needle.data();
    if !needle.is_gzip() {
        return Ok(data);
    }
    headers.insert(header::VARY, HeaderValue::from_static("Accept-Encoding"));
    if packed {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        return Ok(data);
    }
    Ok(unpacked(needle).await?)
}

fn accepts_gzip(headers: &HeaderMap) -> bool {
    let values = headers.get_all(header::ACCEPT_ENCODING);
    gzip_is_among(values.iter().filter_map(|value| value.to_str().ok()))
}

/// Whether values of `Accept-Encoding` take gzip (RFC 9110, 12.5.3): named, or by `*`, and not with `q=0`.
pub fn gzip_is_among<'a>(values: impl Iterator<Item = &'a str>) -> bool {
    let mut any = None;
    for coding in values.flat_map(|value| value.split(',')) {
        let (name, weight) = coding.split_once(';').unwrap_or((coding, ""));
        let refused = weight
            .trim()
            .strip_prefix("q=")
            .and_then(|q| q.trim().parse::<f32>().ok())
            .is_some_and(|q| q <= 0.0);
        match name.trim() {
            name if name.eq_ignore_ascii_case("gzip") || name.eq_ignore_ascii_case("x-gzip") => {
                return !refused;
            }
            "*" => any = Some(!refused),
            _ => {}
        }
    }
    any.unwrap_or(false)
}

/// The picture that a transform makes, under an entity tag of its own.
async fn transformed(
    gateway: &Arc<Gateway>,
    request: &ReadRequest<'_>,
    needle: &Needle,
    transform: Transform,
    kind: ImageKind,
) -> Result<Response, ImageError> {
    let variant = format!("\"{:08x}-{}\"", needle.checksum, transform.canonical());
    let validators = Validators {
        etag: &variant,
        last_modified_secs: needle.last_modified_secs,
    };
    if request.headers.contains_key(header::IF_NONE_MATCH)
        && conditional::evaluate(request.method, request.headers, Some(&validators))
            == Condition::NotModified
    {
        return Ok(not_modified(object_headers(request, needle, &variant)));
    }
    let limits = gateway.config.image.transform_limits();
    let data = if needle.is_gzip() {
        unpack(&needle.data()).unwrap_or_default()
    } else {
        needle.data()
    };
    let outcome = match gateway
        .transforms
        .run(transform, data.clone(), kind, limits)
        .await
    {
        // Named like a picture but none: sent as it is.
        Err(TransformError::Undecodable(_)) => Transformed::Original,
        outcome => outcome?,
    };
    Ok(match outcome {
        Transformed::Changed { bytes, mime } => {
            let headers = object_headers(request, needle, &variant);
            respond(
                request,
                needle,
                &variant,
                headers,
                bytes.into(),
                Some(HeaderValue::from_static(mime)),
            )
        }
        Transformed::Original => {
            let etag = EntityTag::of(needle.checksum);
            let headers = object_headers(request, needle, &etag);
            respond(
                request,
                needle,
                &etag,
                headers,
                data,
                content_type(request, needle),
            )
        }
    })
}

fn not_modified(headers: HeaderMap) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NOT_MODIFIED;
    *response.headers_mut() = headers;
    response
}

/// Parameters that override a header of the answer.
const OVERRIDES: [(&str, HeaderName); 6] = [
    ("response-content-type", header::CONTENT_TYPE),
    ("response-cache-control", header::CACHE_CONTROL),
    ("response-content-disposition", header::CONTENT_DISPOSITION),
    ("response-content-encoding", header::CONTENT_ENCODING),
    ("response-content-language", header::CONTENT_LANGUAGE),
    ("response-expires", header::EXPIRES),
];

/// Applies conditions, ranges and `response-*` overrides, and answers.
fn respond(
    request: &ReadRequest<'_>,
    needle: &Needle,
    etag: &str,
    mut headers: HeaderMap,
    content: Bytes,
    content_type: Option<HeaderValue>,
) -> Response {
    let validators = Validators {
        etag,
        last_modified_secs: needle.last_modified_secs,
    };
    match conditional::evaluate(request.method, request.headers, Some(&validators)) {
        Condition::Proceed => {}
        Condition::NotModified => return not_modified(headers),
        Condition::PreconditionFailed => {
            let mut response = not_modified(headers);
            *response.status_mut() = StatusCode::PRECONDITION_FAILED;
            return response;
        }
    }
    let content_type = overridden(request.query, &mut headers).or(content_type);
    let outcome = wanted_range(request, &validators, content.len() as u64);
    range::respond_range(headers, content, content_type, &outcome)
}

/// Sets the headers that `response-*` parameters ask for; returns the media type if it is one of them.
pub fn overridden(query: &Query<'_>, headers: &mut HeaderMap) -> Option<HeaderValue> {
    let mut content_type = None;
    if query.is_empty() {
        return None;
    }
    for (parameter, name) in OVERRIDES {
        let Some(value) = query
            .get_set(parameter)
            .and_then(|v| HeaderValue::from_str(v).ok())
        else {
            continue;
        };
        if name == header::CONTENT_TYPE {
            content_type = Some(value);
        } else {
            headers.insert(name, value);
        }
    }
    content_type
}

/// The ranges that a GET asks for and may have.
pub fn wanted_range(
    request: &ReadRequest<'_>,
    validators: &Validators<'_>,
    len: u64,
) -> RangeOutcome {
    let value = request
        .headers
        .get(header::RANGE)
        .filter(|_| *request.method == Method::GET);
    match value.and_then(|v| v.to_str().ok()) {
        Some(value) if conditional::if_range_allows(request.headers, validators) => {
            range::parse(value, len)
        }
        _ => RangeOutcome::Full,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gzip_is_negotiated_by_weight() {
        for (value, want) in [
            ("gzip", true),
            ("br, gzip;q=0.5", true),
            ("gzip;q=0", false),
            ("*", true),
            ("*;q=0", false),
            ("br", false),
            ("gzip;q=0, *", false),
        ] {
            let headers =
                HeaderMap::from_iter([(header::ACCEPT_ENCODING, HeaderValue::from_static(value))]);
            assert_eq!(accepts_gzip(&headers), want, "{value}");
        }
        assert!(!accepts_gzip(&HeaderMap::new()));
    }

    #[test]
    fn pairs_cannot_frame_the_message() {
        let mut headers = HeaderMap::new();
        add_pairs(
            br#"{"Label":"cat","Content-Length":"7","Bad Name":"x","Evil":"a\nb"}"#,
            &mut headers,
        );
        assert_eq!(headers.len(), 1);
        assert_eq!(headers["label"], "cat");
    }
}
