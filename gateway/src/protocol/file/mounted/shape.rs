//! What a store says of a file, in the words of the file port.

use http::{HeaderMap, HeaderValue, header};
use moongate_cache::Status;
use moongate_filer::{Attributes, Body, Content, Entry};

use crate::http::conditional::Validators;
use crate::http::date;

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
    let modified = date::value(status.modified_ms / 1000);
    headers.insert(header::LAST_MODIFIED, modified);
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

#[cfg(test)]
mod tests {
    use moongate_cache::FileKind;

    use super::*;

    #[test]
    fn a_store_may_say_any_time() {
        let status = Status {
            name: String::new(),
            kind: FileKind::File,
            len: 0,
            modified_ms: u64::MAX,
            accessed_ms: 0,
            owner: "alice".into(),
            group: "staff".into(),
            permission: 0o644,
            replication: 1,
            block_bytes: 128 << 20,
            etag: None,
        };
        let headers = headers(&status, "tag", "/a");
        assert_eq!(
            headers[header::LAST_MODIFIED],
            "Fri, 31 Dec 9999 23:59:59 GMT"
        );
    }
}
