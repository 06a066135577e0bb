//! Plain GETs and PUTs of small images, by the lane of the connection ([`crate::http::lane`]): the same answers that [`read`] and
//! [`write`](super::write) give, header by header.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use moongate_auth::tls::ClientCertificate;
use moongate_haystack::needle::Needle;
use moongate_haystack::volume::Volume;
use moongate_haystack::volume::writer::Done;

use super::entity_tag::EntityTag;
use super::load::load_small;
use super::path::{self, ObjectPath};
use super::prepare::{Terms, Upload, mime_by_name, prepare};
use super::read;
use super::visit::{Pass, Visit};
use crate::config::AccessLog;
use crate::http::lane::{Lane, Plain, What};
use crate::http::request_id::RequestId;
use crate::http::server::PeerInfo;
use crate::http::{date, disposition};
use crate::metrics::Operation;
use crate::policy::own;
use crate::protocol::exchange::SERVER_NAME;
use crate::state::Gateway;

/// The lane of the image port.
#[derive(Clone)]
pub struct ImageLane {
    gateway: Arc<Gateway>,
    /// Whether anything is asked: who calls, what they may, how much.
    asks: bool,
}

impl ImageLane {
    /// Over the images of this gateway.
    pub fn new(gateway: Arc<Gateway>) -> Self {
        let is_free =
            gateway.login.is_open() && gateway.tenants.is_empty() && !own::is_governed(&gateway);
        Self {
            gateway,
            asks: !is_free,
        }
    }
}

impl Lane for ImageLane {
    type Visit = Visit;

    fn visit(&self, peer: PeerInfo, certificate: Option<Arc<ClientCertificate>>) -> Visit {
        Visit::new(peer, certificate)
    }

    fn is_open(&self) -> bool {
        // Tokens of single images are looked at on the long way alone, and lines are logged there of answers that went well.
        let gateway = &self.gateway;
        !gateway.fid_tokens.guards(false) && gateway.config.log.access != AccessLog::All
    }

    async fn answer(
        &self,
        visit: &mut Visit,
        request: &Plain<'_>,
        head: &mut Vec<u8>,
    ) -> Option<Bytes> {
        let started = Instant::now();
        if !path::is_object(request.path) {
            return None;
        }
        let object = ObjectPath::parse(request.path).ok()?;
        let volume = self.gateway.store.volume(object.fid.volume)?;
        let (operation, status, stored) = match request.what {
            What::Get { .. } => (Operation::Read, 200, None),
            What::Put { body, .. } => (Operation::Write, 201, Some(body.len() as u64)),
        };
        let pass = if self.asks {
            let collection = &volume.files.collection;
            let asked = visit.pass(&self.gateway, request.shown, collection, operation);
            Some(asked.await?)
        } else {
            None
        };
        let is_within_rates = || {
            pass.as_ref()
                .is_none_or(|pass| pass.is_within_rates(started))
        };
        let body = match request.what {
            What::Get { accept_encoding } => {
                let body = self.get(&volume, &object, accept_encoding, head).await?;
                // Last, as nothing may have been counted if it is asked again.
                is_within_rates().then_some(body)?
            }
            What::Put { content_type, body } => {
                let may_store = pass.as_ref().is_none_or(Pass::may_store);
                (may_store && is_within_rates()).then_some(())?;
                self.put(&object, content_type, body, head).await?
            }
        };
        let (sent, received) = (body.len() as u64, stored.unwrap_or(0));
        if let Some(pass) = &pass {
            pass.used(&self.gateway, started, received + sent, stored);
        }
        let connections = &self.gateway.image_connections;
        connections.by_lane.fetch_add(1, Ordering::Relaxed);
        let metrics = &self.gateway.metrics;
        metrics.answered(operation, status, started.elapsed(), received, sent);
        Some(body)
    }
}

impl ImageLane {
    async fn get(
        &self,
        volume: &Arc<Volume>,
        object: &ObjectPath<'_>,
        accept_encoding: Option<&str>,
        head: &mut Vec<u8>,
    ) -> Option<Bytes> {
        let needle = load_small(&self.gateway, volume, &object.fid).await?;
        write_head(accept_encoding, object, &needle, head)?;
        Some(needle.data())
    }

    /// Stores an image. What goes wrong is told on the long way, which tries again: to store the same twice changes nothing.
    async fn put(
        &self,
        object: &ObjectPath<'_>,
        content_type: Option<&str>,
        body: &[u8],
        head: &mut Vec<u8>,
    ) -> Option<Bytes> {
        let gateway = &self.gateway;
        let len = body.len() as u64;
        if gateway.fid_tokens.guards(true) || len > gateway.intake.len_bytes_max {
            return None;
        }
        let _permit = gateway.budget.try_take(len)?;
        let name = object.file_name.as_deref().unwrap_or(object.last_segment);
        let upload = Upload {
            name: name.to_owned(),
            mime: content_type.map_or_else(|| mime_by_name(name), str::to_owned),
            data: Bytes::copy_from_slice(body),
            gzip: false,
            md5: None,
        };
        let (draft, stored) = prepare(upload, &Terms::default(), None).await.ok()?;
        let done = gateway.store.put(object.fid, draft, None, false).await;
        if !matches!(done, Ok(Done::Stored { .. })) {
            return None;
        }
        let answer = serde_json::to_vec(&stored).ok()?;
        head.extend_from_slice(b"HTTP/1.1 201 Created\r\n");
        field(head, "Content-Type", b"application/json");
        field(head, "X-Content-Type-Options", b"nosniff");
        field(head, "Etag", format!("\"{}\"", stored.e_tag).as_bytes());
        field(head, "Content-Md5", b"");
        finish(head, answer.len());
        Some(answer.into())
    }
}

/// Status line and headers. `None` for what needs more than the needle as it is stored.
fn write_head(
    accept_encoding: Option<&str>,
    object: &ObjectPath<'_>,
    needle: &Needle,
    head: &mut Vec<u8>,
) -> Option<()> {
    let packed = needle.is_gzip();
    if needle.is_chunk_manifest()
        || !needle.pairs().is_empty()
        || (packed && !read::gzip_is_among(accept_encoding.into_iter()))
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
    head.extend_from_slice(b"Accept-Ranges: bytes\r\n");
    let etag = if packed {
        field(head, "Vary", b"Accept-Encoding");
        field(head, "Content-Encoding", b"gzip");
        EntityTag::gzip(needle.checksum)
    } else {
        EntityTag::of(needle.checksum)
    };
    field(head, "Etag", etag.as_bytes());
    if let Some(secs) = needle.last_modified_secs {
        field(head, "Last-Modified", &date::text(secs));
    }
    let stored_name = String::from_utf8_lossy(needle.name());
    let name = file_name.unwrap_or(&stored_name);
    if !name.is_empty() {
        head.extend_from_slice(b"Content-Disposition: inline");
        disposition::push_file_name(head, name);
        head.extend_from_slice(b"\r\n");
    }
    finish(head, needle.data().len());
    Some(())
}

/// Headers that every answer has.
fn finish(head: &mut Vec<u8>, body_len: usize) {
    let mut digits = itoa::Buffer::new();
    field(head, "Content-Length", digits.format(body_len).as_bytes());
    field(head, "Server", SERVER_NAME.as_bytes());
    field(head, "X-Amz-Request-Id", &RequestId::fresh_digits());
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    field(
        head,
        "Date",
        &date::text(now.map_or(0, |since| since.as_secs())),
    );
}

#[inline]
fn field(head: &mut Vec<u8>, name: &str, value: &[u8]) {
    head.extend_from_slice(name.as_bytes());
    head.extend_from_slice(b": ");
    head.extend_from_slice(value);
    head.extend_from_slice(b"\r\n");
}
