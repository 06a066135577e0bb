//! Chunk manifests: large objects of SeaweedFS, stored as a list of needles.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};
use moongate_haystack::HaystackError;
use moongate_haystack::id::FileId;
use moongate_haystack::needle::Needle;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use super::entity_tag::EntityTag;
use super::error::ImageError;
use super::load::{load, unpack};
use super::path::ObjectPath;
use super::read::{self, ReadRequest};
use crate::http::conditional::{self, Outcome, Validators};
use crate::http::range::RangeOutcome;
use crate::http::{Body, Response};
use crate::state::Gateway;

/// Chunks that are read ahead of the client.
const CHUNKS_AHEAD: usize = 2;

/// What a manifest needle holds, as JSON.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Manifest {
    /// Name of the object.
    pub name: String,
    /// Media type of the object.
    pub mime: String,
    /// Length of the object in bytes.
    pub size: u64,
    /// Its parts, in any order.
    pub chunks: Vec<Chunk>,
}

/// One part of an object.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Chunk {
    /// The needle that holds it.
    pub fid: String,
    /// Where it belongs, bytes from the start of the object.
    pub offset: u64,
    /// Its length in bytes.
    pub size: u64,
}

impl Manifest {
    /// Reads a manifest, unpacked where it is stored as gzip, with its chunks in order.
    pub fn of(needle: &Needle) -> Result<Self, ImageError> {
        let json = if needle.is_gzip() {
            unpack(&needle.data()).unwrap_or_default()
        } else {
            needle.data()
        };
        Self::parse(&json)
    }

    /// Reads the JSON of a manifest.
    pub fn parse(json: &[u8]) -> Result<Self, ImageError> {
        let bad =
            |e: &dyn std::fmt::Display| ImageError::BadRequest(format!("load chunk manifest: {e}"));
        let mut manifest: Self = serde_json::from_slice(json).map_err(|e| bad(&e))?;
        manifest.chunks.sort_by_key(|chunk| chunk.offset);
        for chunk in &manifest.chunks {
            chunk.fid.parse::<FileId>().map_err(|e| bad(&e))?;
        }
        Ok(manifest)
    }

    /// Length in bytes: what the manifest says, or its chunks reach.
    pub fn len_bytes(&self) -> u64 {
        let reach = self
            .chunks
            .iter()
            .map(|chunk| chunk.offset.saturating_add(chunk.size))
            .max()
            .unwrap_or(0);
        if self.size > 0 { self.size } else { reach }
    }
}

/// Answers a read of the object that a manifest stands for.
pub async fn read(
    gateway: &Arc<Gateway>,
    request: &ReadRequest<'_>,
    needle: &Needle,
) -> Result<Response, ImageError> {
    let damaged = |e: ImageError| HaystackError::Storage(e.to_string().into());
    let manifest = Manifest::of(needle).map_err(damaged)?;
    let etag = EntityTag::of(needle.checksum);
    let mut headers = read::object_headers(request, needle, &etag);
    headers.insert("x-file-store", HeaderValue::from_static("chunked"));
    if !manifest.name.is_empty() {
        read::name_it(request, &manifest.name, &mut headers);
    }
    let by_manifest = HeaderValue::from_str(&manifest.mime)
        .ok()
        .filter(|mime| !mime.is_empty());
    let content_type = read::overridden(request.query, &mut headers)
        .or(by_manifest)
        .or_else(|| read::content_type(request, needle));
    let len = manifest.len_bytes();
    let validators = Validators {
        etag: &etag,
        last_modified_secs: needle.last_modified_secs,
    };
    let (status, range) =
        match conditional::evaluate(request.method, request.headers, Some(&validators)) {
            Outcome::NotModified => (StatusCode::NOT_MODIFIED, 0..0),
            Outcome::PreconditionFailed => (StatusCode::PRECONDITION_FAILED, 0..0),
            Outcome::Proceed => match read::wanted_range(request, &validators, len) {
                RangeOutcome::Unsatisfiable => {
                    headers.insert(header::CONTENT_RANGE, text(&format!("bytes */{len}")));
                    (StatusCode::RANGE_NOT_SATISFIABLE, 0..0)
                }
                // Several ranges of so large an object are answered with all of it, as RFC 9110 allows.
                RangeOutcome::Partial(ranges) if ranges.len() == 1 => {
                    let range = ranges[0].start..ranges[0].start + ranges[0].len;
                    headers.insert(
                        header::CONTENT_RANGE,
                        text(&format!("bytes {}-{}/{len}", range.start, range.end - 1)),
                    );
                    (StatusCode::PARTIAL_CONTENT, range)
                }
                RangeOutcome::Partial(_) | RangeOutcome::Full => (StatusCode::OK, 0..len),
            },
        };
    if let (true, Some(content_type)) = (status.is_success(), content_type) {
        headers.insert(header::CONTENT_TYPE, content_type);
    }
    let mut response = Response::new(if status.is_success() {
        stream(gateway, manifest, range)
    } else {
        Body::empty()
    });
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    Ok(response)
}

fn text(value: &str) -> HeaderValue {
    HeaderValue::from_str(value).unwrap_or(HeaderValue::from_static(""))
}

/// Sends a range of an object, chunk by chunk. A chunk that cannot be read cuts the connection: the body is never short unseen.
fn stream(gateway: &Arc<Gateway>, manifest: Manifest, range: Range<u64>) -> Body {
    let (sender, receiver) = mpsc::channel(CHUNKS_AHEAD);
    let (gateway, len) = (Arc::clone(gateway), range.end - range.start);
    tokio::spawn(async move {
        if let Err(error) = send_chunks(&gateway, &manifest, range, &sender).await {
            tracing::warn!(%error, "a chunk of a large object cannot be read");
            let _ = sender
                .send(Err(std::io::Error::other(error.to_string())))
                .await;
        }
    });
    Body::stream(receiver, Some(len))
}

async fn send_chunks(
    gateway: &Arc<Gateway>,
    manifest: &Manifest,
    range: Range<u64>,
    sender: &mpsc::Sender<std::io::Result<Bytes>>,
) -> Result<(), HaystackError> {
    let mut at = range.start;
    for chunk in &manifest.chunks {
        let end = chunk.offset.saturating_add(chunk.size).min(range.end);
        if end <= at {
            continue;
        }
        if chunk.offset > at {
            return Err(HaystackError::Storage(
                format!("the manifest has no chunk at offset {at}").into(),
            ));
        }
        let object = ObjectPath {
            fid: chunk.fid.parse().map_err(|_| HaystackError::NotFound)?,
            ext: "",
            file_name: None,
            last_segment: "",
        };
        let needle = load(gateway, &object, false).await?;
        let data = if needle.is_gzip() {
            unpack(&needle.data()).unwrap_or_default()
        } else {
            needle.data()
        };
        let (from, to) = ((at - chunk.offset) as usize, (end - chunk.offset) as usize);
        if to > data.len() {
            return Err(HaystackError::Storage(
                format!("chunk {} is shorter than the manifest says", chunk.fid).into(),
            ));
        }
        if sender.send(Ok(data.slice(from..to))).await.is_err() {
            return Ok(());
        }
        at = end;
    }
    if at < range.end {
        Err(HaystackError::Storage(
            format!("the manifest has no chunk at offset {at}").into(),
        ))
    } else {
        Ok(())
    }
}
