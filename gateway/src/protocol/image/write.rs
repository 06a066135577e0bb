//! PUT, POST and DELETE of objects, and `/submit`.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use hyper::body::Incoming;
use md5::{Digest as _, Md5};
use moongate_haystack::HaystackError;
use moongate_haystack::id::FileId;
use moongate_haystack::needle::{Draft, NAME_BYTES_MAX, Needle, PAIRS_BYTES_MAX};
use moongate_haystack::store::layout::{Layout, Wish};
use moongate_haystack::store::now_ns;
use moongate_haystack::ttl::Ttl;
use moongate_haystack::volume::writer::{Done, Precondition};
use serde::Serialize;

use super::entity_tag::EntityTag;
use super::error::ImageError;
use super::manifest::Manifest;
use super::path::ObjectPath;
use super::read::{load, unpack};
use crate::http::Response;
use crate::http::conditional::{self, Outcome, Validators};
use crate::http::intake::{self, Collected};
use crate::http::json::json;
use crate::http::multipart::{self, Part};
use crate::http::query::Query;
use crate::http::{Body, disposition};
use crate::protocol::exchange::declared_len;
use crate::state::{Gateway, Urls};

const FILES_PER_UPLOAD_MAX: usize = 10_000;
/// Larger texts are packed off the request's thread.
const INLINE_GZIP_BYTES_MAX: usize = 64 << 10;
const PAIR_PREFIX: &str = "seaweed-";

/// One file of an upload.
pub struct Upload {
    /// Its name, as it is stored and told.
    pub name: String,
    /// Media type; empty if not known.
    pub mime: String,
    /// As it was sent.
    pub data: Bytes,
    /// The data are gzip.
    pub gzip: bool,
    /// Its MD5 in Base64, if the client says so.
    pub md5: Option<String>,
}

/// What is said of a stored file. Zero fields are left out, as SeaweedFS does.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Stored {
    #[serde(skip_serializing_if = "String::is_empty")]
    fid: String,
    /// As it was named.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Length before it was packed, bytes.
    #[serde(skip_serializing_if = "is_zero")]
    pub size: u64,
    /// CRC-32C of what is stored, eight digits.
    pub e_tag: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    mime: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    content_md5: Option<String>,
    /// Of an upload with several files: each of them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    files: Vec<Stored>,
    #[serde(skip)]
    unchanged: bool,
}

fn is_zero(n: &u64) -> bool {
    *n == 0
}

/// A request with a body that is to be stored.
pub struct WriteRequest<'a> {
    /// PUT or POST.
    pub method: &'a Method,
    /// Its headers.
    pub headers: &'a HeaderMap,
    /// Its parameters.
    pub query: &'a Query<'a>,
}

/// What holds for all files of a request.
pub struct Terms {
    /// `ts`, if it is given.
    pub ts_secs: Option<u64>,
    /// `ttl`.
    pub ttl: Ttl,
    /// The `Seaweed-*` headers.
    pub pairs: Bytes,
    /// The data are chunk manifests.
    pub chunk_manifest: bool,
    /// Durable before the answer, whatever the collection promises.
    pub fsync: bool,
}

/// Stores the body under the fid of an object URL; further files of a form get fids of their own.
pub async fn put(
    gateway: &Arc<Gateway>,
    request: WriteRequest<'_>,
    object: &ObjectPath<'_>,
    body: Incoming,
) -> Result<Response, ImageError> {
    if gateway.store.volume(object.fid.volume).is_none() {
        return Err(HaystackError::VolumeNotFound(object.fid.volume).into());
    }
    let terms = Terms::of(&request)?;
    let collected = collect(gateway, request.headers, body).await?;
    let name = object.file_name.as_deref().unwrap_or(object.last_segment);
    let uploads = uploads(&request, &collected, name)?;
    let several = uploads.len() > 1;
    let mut stored: Vec<Stored> = Vec::with_capacity(uploads.len());
    let mut fids = Vec::with_capacity(uploads.len());
    for (n, upload) in uploads.into_iter().enumerate() {
        let fid = if n == 0 {
            Ok(object.fid)
        } else {
            another_fid(gateway, &object.fid).await
        };
        let precondition = if n == 0 { precondition(&request) } else { None };
        let one = match fid {
            Ok(fid) => store(gateway, fid, upload, &terms, precondition)
                .await
                .map(|s| (fid, s)),
            Err(error) => Err(error),
        };
        match one {
            Ok((fid, one)) => {
                fids.push(fid);
                stored.push(Stored {
                    fid: if several {
                        fid.to_string()
                    } else {
                        String::new()
                    },
                    ..one
                });
            }
            Err(error) => {
                take_back(gateway, &fids).await;
                return Err(error);
            }
        }
    }
    drop(collected);
    Ok(created(stored, request.query))
}

/// All files of a form or none: what was stored of one that failed is deleted again.
pub async fn take_back(gateway: &Arc<Gateway>, fids: &[FileId]) {
    for fid in fids {
        if let Err(error) = gateway.store.delete(*fid, None).await {
            tracing::warn!(%fid, %error, "a file of a failed upload stays behind");
        }
    }
}

/// A new fid for volumes of the same kind as another's.
async fn another_fid(gateway: &Arc<Gateway>, like: &FileId) -> Result<FileId, ImageError> {
    let volume = gateway
        .store
        .volume(like.volume)
        .ok_or(HaystackError::VolumeNotFound(like.volume))?;
    let block = volume.generation().block;
    let layout = Layout {
        collection: volume.files.collection.clone(),
        placement: block.placement,
        ttl: block.ttl,
    };
    Ok(super::master::assign(
        gateway,
        Wish {
            layout,
            count: 1,
            ..Wish::default()
        },
    )
    .await?
    .fid)
}

fn created(mut stored: Vec<Stored>, query: &Query<'_>) -> Response {
    let several = stored.len() > 1;
    let first = stored.first();
    let tag = first
        .map(|s| format!("\"{}\"", s.e_tag))
        .unwrap_or_default();
    let md5 = first
        .and_then(|s| s.content_md5.clone())
        .unwrap_or_default();
    let unchanged = !several && first.is_some_and(|s| s.unchanged);
    let answer = if several {
        let head = &stored[0];
        let (name, e_tag, mime) = (head.name.clone(), head.e_tag.clone(), head.mime.clone());
        Stored {
            name,
            e_tag,
            mime,
            size: head.size,
            files: stored,
            ..Stored::default()
        }
    } else {
        stored.pop().unwrap_or_default()
    };
    let mut response = if unchanged {
        Response::new(Body::empty())
    } else {
        json(
            StatusCode::CREATED,
            &answer,
            query.get_set("pretty").is_some(),
        )
    };
    if unchanged {
        *response.status_mut() = StatusCode::NO_CONTENT;
    }
    let headers = response.headers_mut();
    for (name, value) in [
        (header::ETAG, tag),
        (header::HeaderName::from_static("content-md5"), md5),
    ] {
        if let Ok(value) = HeaderValue::try_from(value) {
            headers.insert(name, value);
        }
    }
    response
}

/// `/submit`: hands out a fid and stores the body under it in one call.
pub async fn submit(
    gateway: &Arc<Gateway>,
    request: WriteRequest<'_>,
    wish: Wish,
    body: Incoming,
) -> Result<Response, ImageError> {
    if *request.method != Method::POST {
        return Ok(crate::http::json::error_json(
            StatusCode::METHOD_NOT_ALLOWED,
            "Only submit via POST!",
        ));
    }
    let terms = Terms::of(&request)?;
    let collected = collect(gateway, request.headers, body).await?;
    let urls = gateway.urls(super::asked_host(request.headers));
    let mut answers = Vec::new();
    let mut fids = Vec::new();
    for upload in uploads(&request, &collected, "submit")? {
        let one = async {
            let fid = super::master::assign(gateway, wish.clone()).await?.fid;
            store(gateway, fid, upload, &terms, None)
                .await
                .map(|stored| (fid, stored))
        };
        match one.await {
            Ok((fid, stored)) => {
                fids.push(fid);
                answers.push(Submitted::new(urls, fid, stored));
            }
            Err(error) => {
                take_back(gateway, &fids).await;
                return Err(error);
            }
        }
    }
    let pretty = request.query.get_set("pretty").is_some();
    let Some(mut first) = answers.first().cloned() else {
        return Err(ImageError::BadRequest("the form has no file".into()));
    };
    if answers.len() > 1 {
        first.files = answers;
    }
    Ok(json(StatusCode::CREATED, &first, pretty))
}

/// Answer of `/submit`.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Submitted {
    e_tag: String,
    fid: String,
    file_name: String,
    file_url: String,
    size: u64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    files: Vec<Submitted>,
}

impl Submitted {
    fn new(urls: Urls<'_>, fid: FileId, stored: Stored) -> Self {
        let file_url = format!("{}/{fid}", urls.public_url);
        Self {
            e_tag: stored.e_tag,
            fid: fid.to_string(),
            file_name: stored.name,
            file_url,
            size: stored.size,
            files: Vec::new(),
        }
    }
}

async fn collect(
    gateway: &Gateway,
    headers: &HeaderMap,
    body: Incoming,
) -> Result<Collected, ImageError> {
    let declared = declared_len(headers);
    Ok(intake::collect(body, declared, &gateway.intake, &gateway.budget).await?)
}

impl Terms {
    /// As the request's headers and parameters say.
    pub fn of(request: &WriteRequest<'_>) -> Result<Self, ImageError> {
        let ts_secs = request.query.get_set("ts").and_then(|ts| ts.parse().ok());
        let ttl = Ttl::parse(request.query.get("ttl").unwrap_or_default())
            .map_err(|e| ImageError::BadRequest(e.to_string()))?;
        Ok(Self {
            ts_secs,
            ttl,
            pairs: pairs(request.headers)?,
            chunk_manifest: request.query.is_true("cm"),
            fsync: request.query.is_true("fsync"),
        })
    }
}

/// `Seaweed-*` headers as JSON, without the prefix and spelled as Go spells headers.
fn pairs(headers: &HeaderMap) -> Result<Bytes, ImageError> {
    let mut pairs = BTreeMap::new();
    for (name, value) in headers {
        if let (Some(name), Ok(value)) = (name.as_str().strip_prefix(PAIR_PREFIX), value.to_str()) {
            pairs.insert(title_case(name), value);
        }
    }
    if pairs.is_empty() {
        return Ok(Bytes::new());
    }
    let json = serde_json::to_vec(&pairs).map_err(|e| ImageError::BadRequest(e.to_string()))?;
    if json.len() > PAIRS_BYTES_MAX {
        return Err(ImageError::BadRequest(format!(
            "the Seaweed-* headers take {} bytes, at most {PAIRS_BYTES_MAX} can be stored",
            json.len()
        )));
    }
    Ok(json.into())
}

fn title_case(name: &str) -> String {
    let mut start = true;
    name.chars()
        .map(|c| {
            let c = if start { c.to_ascii_uppercase() } else { c };
            start = c == '-';
            c
        })
        .collect()
}

/// The files of a request: of a form all with a file name (or its first part), else the body.
fn uploads(
    request: &WriteRequest<'_>,
    collected: &Collected,
    url_name: &str,
) -> Result<Vec<Upload>, ImageError> {
    let content_type = request
        .headers
        .get(header::CONTENT_TYPE)
        .and_then(|v| v.to_str().ok());
    let is_form = content_type.is_none_or(|t| t.contains("form-data"));
    if *request.method != Method::POST || !is_form {
        return raw(request, collected, content_type, url_name).map(|upload| vec![upload]);
    }
    let parts = multipart::parse(content_type, collected.bytes.clone(), FILES_PER_UPLOAD_MAX)?;
    let mut files: Vec<Part> = parts;
    if files.iter().any(|part| part.file_name.is_some()) {
        files.retain(|part| part.file_name.is_some());
    } else {
        files.truncate(1);
    }
    if files.is_empty() {
        Err(ImageError::BadRequest("the form has no part".into()))
    } else {
        files.into_iter().map(of_part).collect()
    }
}

fn of_part(part: Part) -> Result<Upload, ImageError> {
    let name = part.file_name.unwrap_or_default();
    let declared = part
        .content_type
        .filter(|t| t != "application/octet-stream");
    let mime = declared.unwrap_or_else(|| mime_by_name(&name));
    Ok(Upload {
        name,
        mime,
        data: part.data,
        gzip: part.gzip,
        md5: part.content_md5,
    })
}

/// Media type by a name's extension; empty if it is not known.
pub fn mime_by_name(name: &str) -> String {
    mime_guess::from_path(name)
        .first_raw()
        .unwrap_or_default()
        .to_owned()
}

const URLENCODED: &str = "application/x-www-form-urlencoded";

fn raw(
    request: &WriteRequest<'_>,
    collected: &Collected,
    content_type: Option<&str>,
    url_name: &str,
) -> Result<Upload, ImageError> {
    if *request.method == Method::POST && content_type.is_some_and(|t| t.starts_with(URLENCODED)) {
        return Err(ImageError::BadRequest(format!(
            "a body of type {URLENCODED} is not stored: send the file with its own Content-Type, or as a form (curl -F file=@name)"
        )));
    }
    let named = request
        .headers
        .get(header::CONTENT_DISPOSITION)
        .and_then(|v| disposition::file_name(v.as_bytes()));
    let name = named.unwrap_or_else(|| url_name.to_owned());
    let header_text = |name: &str| {
        request
            .headers
            .get(name)
            .and_then(|v| v.to_str().ok())
            .map(str::to_owned)
    };
    let gzip = header_text("content-encoding").is_some_and(|v| v == "gzip");
    let mime = content_type.map_or_else(|| mime_by_name(&name), str::to_owned);
    Ok(Upload {
        name,
        mime,
        data: collected.bytes.clone(),
        gzip,
        md5: header_text("content-md5"),
    })
}

/// Stores one file.
async fn store(
    gateway: &Arc<Gateway>,
    fid: FileId,
    upload: Upload,
    terms: &Terms,
    precondition: Option<Precondition>,
) -> Result<Stored, ImageError> {
    let (draft, stored) = prepare(upload, terms, None).await?;
    let done = gateway
        .store
        .put(fid, draft, precondition, terms.fsync)
        .await?;
    Ok(Stored {
        unchanged: done == Done::Unchanged,
        ..stored
    })
}

/// Makes a needle of a file: packs it, checks it, names it. `mtime_secs`: when it was last changed, unless the request says
/// otherwise; `None` for now.
pub async fn prepare(
    upload: Upload,
    terms: &Terms,
    mtime_secs: Option<u64>,
) -> Result<(Draft, Stored), ImageError> {
    let Upload {
        name,
        mime,
        data,
        gzip,
        md5,
    } = upload;
    let (data, size, gzip) = if gzip {
        check_gzip(data).await?
    } else {
        pack(data, &mime, terms.chunk_manifest).await?
    };
    let content_md5 = md5
        .map(|declared| check_md5(&declared, &data, gzip, size))
        .transpose()?;
    if terms.chunk_manifest {
        Manifest::parse(&data)?;
    }
    let last_modified_secs = terms
        .ts_secs
        .or(mtime_secs)
        .unwrap_or_else(|| now_ns() / 1_000_000_000);
    let draft = Draft {
        data,
        name: clip_name(&name),
        mime: Bytes::from(mime.clone()),
        pairs: terms.pairs.clone(),
        last_modified_secs: Some(last_modified_secs),
        ttl: terms.ttl,
        gzip,
        chunk_manifest: terms.chunk_manifest,
        checksum: 0,
    }
    .with_checksum();
    let stored = Stored {
        name,
        size,
        e_tag: format!("{:08x}", draft.checksum),
        mime,
        content_md5,
        ..Stored::default()
    };
    Ok((draft, stored))
}

/// A name that fits; longer ones are not stored, as SeaweedFS does it.
fn clip_name(name: &str) -> Bytes {
    if name.len() <= NAME_BYTES_MAX {
        Bytes::copy_from_slice(name.as_bytes())
    } else {
        Bytes::new()
    }
}

/// Length of what a gzip upload unpacks to; an upload that is no gzip is refused, or nobody could read it.
async fn check_gzip(data: Bytes) -> Result<(Bytes, u64, bool), ImageError> {
    let packed = data.clone();
    let unpacked =
        tokio::task::spawn_blocking(move || unpack(&packed).map(|u| u.len() as u64)).await;
    let bad = |e: &dyn std::fmt::Display| {
        ImageError::BadRequest(format!(
            "Content-Encoding is gzip but the data cannot be unpacked: {e}"
        ))
    };
    let size = unpacked.map_err(|e| bad(&e))?.map_err(|e| bad(&e))?;
    Ok((data, size, true))
}

/// Packs texts where that saves more than a tenth.
async fn pack(
    data: Bytes,
    mime: &str,
    chunk_manifest: bool,
) -> Result<(Bytes, u64, bool), ImageError> {
    let size = data.len() as u64;
    if chunk_manifest || !is_packable(mime, &data) {
        return Ok((data, size, false));
    }
    let packed = if data.len() <= INLINE_GZIP_BYTES_MAX {
        gzip(&data)
    } else {
        let data = data.clone();
        tokio::task::spawn_blocking(move || gzip(&data))
            .await
            .unwrap_or_default()
    };
    let saves = !packed.is_empty() && packed.len() as u64 * 10 < size * 9;
    Ok(if saves {
        (packed.into(), size, true)
    } else {
        (data, size, false)
    })
}

fn gzip(data: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(data.len() / 2), Compression::default());
    let packed = encoder.write_all(data).and_then(|()| encoder.finish());
    packed.unwrap_or_default()
}

/// Text, markup, scripts and WAV, by their media type or, without one, by their first bytes.
fn is_packable(mime: &str, data: &[u8]) -> bool {
    if mime.is_empty() {
        let head = &data[..data.len().min(512)];
        let text =
            |b: &u8| !b.is_ascii_control() || matches!(b, b'\t' | b'\n' | b'\r' | 0x0c | 0x1b);
        return !head.is_empty()
            && head.iter().all(text)
            && std::str::from_utf8(head).map_or_else(|e| e.error_len().is_none(), |_| true);
    }
    let mime = mime.split(';').next().unwrap_or_default().trim();
    mime.starts_with("text/")
        || mime.ends_with("xml")
        || mime.ends_with("script")
        || matches!(mime, "audio/wav" | "audio/wave" | "audio/x-wav")
}

fn check_md5(declared: &str, data: &Bytes, gzip: bool, size: u64) -> Result<String, ImageError> {
    let actual = if gzip {
        unpack(data)
            .map(|plain| Md5::digest(&plain))
            .unwrap_or_default()
    } else {
        Md5::digest(data)
    };
    let actual = BASE64.encode(actual);
    if actual == declared {
        return Ok(actual);
    }
    let declared: String = declared.chars().take(64).collect();
    Err(ImageError::BadRequest(format!(
        "Content-MD5 did not match md5 of file data expected [{declared}] received [{actual}] size {size}"
    )))
}

/// `If-Match` and the like of a request, to be checked when it is its turn to write.
fn precondition(request: &WriteRequest<'_>) -> Option<Precondition> {
    let conditions = [
        header::IF_MATCH,
        header::IF_NONE_MATCH,
        header::IF_UNMODIFIED_SINCE,
    ];
    if !conditions
        .iter()
        .any(|name| request.headers.contains_key(name))
    {
        return None;
    }
    let (method, headers) = (request.method.clone(), request.headers.clone());
    Some(Box::new(move |present: Option<&Needle>| {
        let tag = EntityTag::of(present.map_or(0, |needle| needle.checksum));
        let current = present.map(|needle| Validators {
            etag: &tag,
            last_modified_secs: needle.last_modified_secs,
        });
        conditional::evaluate(&method, &headers, current.as_ref()) == Outcome::Proceed
    }))
}

/// Answer of a DELETE.
#[derive(Serialize)]
struct Deleted {
    size: u64,
}

/// Deletes an object; of a large one its chunks too.
pub async fn delete(
    gateway: &Arc<Gateway>,
    request: WriteRequest<'_>,
    object: &ObjectPath<'_>,
) -> Result<Response, ImageError> {
    let manifest = match load(gateway, object, false).await {
        Ok(needle) if needle.is_chunk_manifest() => Some(Manifest::of(&needle)?),
        _ => None,
    };
    let done = gateway
        .store
        .delete(object.fid, precondition(&request))
        .await?;
    let Done::Deleted { size } = done else {
        return Err(HaystackError::NotFound.into());
    };
    let mut size = u64::from(size);
    if let Some(manifest) = manifest {
        size = manifest.len_bytes();
        let chunks: Vec<FileId> = manifest
            .chunks
            .iter()
            .filter_map(|chunk| chunk.fid.parse().ok())
            .collect();
        take_back(gateway, &chunks).await;
    }
    Ok(json(
        StatusCode::ACCEPTED,
        &Deleted { size },
        request.query.get_set("pretty").is_some(),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_packed() {
        assert!(
            is_packable("text/plain; charset=utf-8", b"")
                && is_packable("image/svg+xml", b"")
                && is_packable("application/javascript", b"")
        );
        assert!(!is_packable("image/jpeg", b"plain") && !is_packable("application/json", b"{}"));
        assert!(
            is_packable("", b"plain text\n")
                && !is_packable("", &[0xff, 0xd8])
                && !is_packable("", b"")
        );
    }

    #[test]
    fn pairs_are_spelled_as_go_spells_headers() {
        let headers = HeaderMap::from_iter([
            (
                header::HeaderName::from_static("seaweed-my-label"),
                HeaderValue::from_static("cat"),
            ),
            (
                header::HeaderName::from_static("x-other"),
                HeaderValue::from_static("dog"),
            ),
        ]);
        assert_eq!(pairs(&headers).unwrap(), r#"{"My-Label":"cat"}"#);
    }
}
