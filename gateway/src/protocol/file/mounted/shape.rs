//! What a store says of a file, in the words of the file port.

use std::time::{Duration, UNIX_EPOCH};

use http::{HeaderMap, HeaderValue, header};
use moongate_cache::Status;
use moongate_filer::{Attributes, Body, Content, Entry};

use crate::http::conditional::Validators;

/// The same as an entry of the filer: it has no chunks.
pub fn entry_of(status: &Status) -> Entry {
    let ns = status.modified_ms.saturating_mul(1_000_000);
    let attributes = Attributes {
        mode: u32::from(status.permission),
        user_name: status.owner.to_string(),
        group_names: vec![status.group.to_string()],
        mtime_ns: ns,
        crtime_ns: ns,
        ..Attributes::default()
    };
    if status.is_dir() {
        return Entry::folder(attributes);
    }
    let content = Content {
        size: status.len,
        body: Body::Chunks(Vec::new()),
    };
    Entry::file(attributes, content)
}

/// The entity tag of a version, with its quotes: the store's own, else its length and time.
pub fn tag(status: &Status) -> String {
    match &status.etag {
        Some(etag) => format!("\"{}\"", etag.trim_matches('"')),
        None => format!("\"{:x}-{:x}\"", status.modified_ms, status.len),
    }
}

/// What conditions are compared with.
pub const fn validators<'t>(status: &Status, tag: &'t str) -> Validators<'t> {
    Validators {
        etag: tag,
        last_modified_secs: Some(status.modified_ms / 1000),
    }
}

/// Headers of a file's answer.
pub fn headers(status: &Status, tag: &str, path: &str) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(8);
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    insert(&mut headers, header::ETAG, tag);
    let modified = UNIX_EPOCH + Duration::from_secs(status.modified_ms / 1000);
    insert(
        &mut headers,
        header::LAST_MODIFIED,
        &httpdate::fmt_http_date(modified),
    );
    let mime = mime_guess::from_path(path).first_raw();
    let mime = HeaderValue::from_static(mime.unwrap_or("application/octet-stream"));
    headers.insert(header::CONTENT_TYPE, mime);
    headers
}

/// Sets a header whose value may hold what no header holds: then it is left out.
pub fn insert(headers: &mut HeaderMap, name: header::HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}
