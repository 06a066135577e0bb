//! Plain GETs of small images, by the lane of the connection ([`crate::http::lane`]): the same answer that [`read`] gives, header by header.

use std::cell::RefCell;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use moongate_haystack::needle::Needle;

use super::entity_tag::EntityTag;
use super::load::load_small;
use super::path::{self, ObjectPath};
use super::read;
use crate::config::AccessLog;
use crate::http::disposition;
use crate::http::lane::{Lane, PlainGet};
use crate::http::request_id::RequestId;
use crate::metrics::Operation;
use crate::policy::own;
use crate::protocol::exchange::SERVER_NAME;
use crate::state::Gateway;

/// The lane of the image port.
#[derive(Clone)]
pub struct ImageLane {
    gateway: Arc<Gateway>,
}

impl ImageLane {
    /// Over the images of this gateway.
    pub const fn new(gateway: Arc<Gateway>) -> Self {
        Self { gateway }
    }
}

impl Lane for ImageLane {
    fn is_open(&self) -> bool {
        // Lines of answers that went well are written by the exchange of the long way; and who calls, and whose an image is, is asked there
        // alone.
        let gateway = &self.gateway;
        gateway.config.log.access != AccessLog::All
            && gateway.login.is_open()
            && gateway.tenants.is_empty()
            && !gateway.fid_tokens.guards(false)
            && !own::is_governed(gateway)
    }

    async fn answer(&self, request: &PlainGet<'_>, head: &mut Vec<u8>) -> Option<Bytes> {
        let started = Instant::now();
        if !path::is_object(request.path) {
            return None;
        }
        let object = ObjectPath::parse(request.path).ok()?;
        let needle = load_small(&self.gateway, &object.fid).await?;
        write_head(request, &object, &needle, head)?;
        let body = needle.data();
        let (took, sent_bytes) = (started.elapsed(), body.len() as u64);
        self.gateway
            .metrics
            .answered(Operation::Read, 200, took, 0, sent_bytes);
        Some(body)
    }
}

/// Status line and headers. `None` for what needs more than the needle as it is stored.
fn write_head(
    request: &PlainGet<'_>,
    object: &ObjectPath<'_>,
    needle: &Needle,
    head: &mut Vec<u8>,
) -> Option<()> {
    let packed = needle.is_gzip();
    if needle.is_chunk_manifest()
        || !needle.pairs().is_empty()
        || (packed && !read::gzip_is_among(request.accept_encoding.into_iter()))
    {
        return None;
    }
    head.extend_from_slice(b"HTTP/1.1 200 OK\r\n");
    let file_name = object.file_name.as_deref();
    if let Some(media_type) = read::media_type(file_name, needle) {
        if !media_type.iter().all(|byte| matches!(byte, b' '..=b'~')) {
            return None;
        }
        field(head, "Content-Type", media_type);
    }
    let mut digits = itoa::Buffer::new();
    field(
        head,
        "Content-Length",
        digits.format(needle.data().len()).as_bytes(),
    );
    field(head, "Accept-Ranges", b"bytes");
    let etag = if packed {
        field(head, "Vary", b"Accept-Encoding");
        field(head, "Content-Encoding", b"gzip");
        EntityTag::gzip(needle.checksum)
    } else {
        EntityTag::of(needle.checksum)
    };
    field(head, "Etag", etag.as_bytes());
    if let Some(date) = needle.last_modified_secs.and_then(read::http_date_text) {
        field(head, "Last-Modified", &date);
    }
    let stored_name = String::from_utf8_lossy(needle.name());
    let name = file_name.unwrap_or(&stored_name);
    if !name.is_empty() {
        field(
            head,
            "Content-Disposition",
            disposition::inline(name).as_bytes(),
        );
    }
    field(head, "Server", SERVER_NAME.as_bytes());
    field(head, "X-Amz-Request-Id", &RequestId::fresh_digits());
    date(head);
    Some(())
}

fn field(head: &mut Vec<u8>, name: &str, value: &[u8]) {
    head.extend_from_slice(name.as_bytes());
    head.extend_from_slice(b": ");
    head.extend_from_slice(value);
    head.extend_from_slice(b"\r\n");
}

/// The `Date` field, which is made once a second on each thread.
fn date(head: &mut Vec<u8>) {
    thread_local! {
        static DATE: RefCell<(u64, Vec<u8>)> = const { RefCell::new((0, Vec::new())) };
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let secs = now.as_ref().map_or(0, Duration::as_secs);
    DATE.with_borrow_mut(|(made, line)| {
        if *made != secs || line.is_empty() {
            line.clear();
            if let Some(text) = read::http_date_text(secs) {
                field(line, "Date", &text);
            }
            *made = secs;
        }
        head.extend_from_slice(line);
    });
}
