//! From a file as it was sent to a needle: packed, checked, named.

use std::collections::BTreeMap;
use std::io::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::HeaderMap;
use md5::{Digest as _, Md5};
use moongate_haystack::id::FileId;
use moongate_haystack::needle::{Draft, NAME_BYTES_MAX, PAIRS_BYTES_MAX};
use moongate_haystack::store::now_ns;
use moongate_haystack::ttl::Ttl;
use serde::Serialize;

use super::error::ImageError;
use super::load::unpack;
use super::manifest::Manifest;
use super::write::WriteRequest;

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
    /// Under what it is stored, where that is told.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub fid: String,
    /// As it was named.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Length before it was packed, bytes.
    #[serde(skip_serializing_if = "is_zero")]
    pub size: u64,
    /// CRC-32C of what is stored, eight digits.
    pub e_tag: String,
    /// Media type.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub mime: String,
    /// MD5 in Base64, where the client sent one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_md5: Option<String>,
    /// Of an upload with several files: each of them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<Stored>,
    /// The same bytes were there already.
    #[serde(skip)]
    pub unchanged: bool,
}

impl Stored {
    /// Tells its fid as well: of an upload with several files.
    #[must_use]
    pub fn under(self, fid: &FileId) -> Self {
        Self {
            fid: fid.to_string(),
            ..self
        }
    }
}

fn is_zero(n: &u64) -> bool {
    *n == 0
}

/// What holds for all files of a request; by default nothing out of the ordinary.
#[derive(Default)]
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

/// Media type by a name's extension; empty if it is not known.
pub fn mime_by_name(name: &str) -> String {
    mime_guess::from_path(name)
        .first_raw()
        .unwrap_or_default()
        .to_owned()
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

#[cfg(test)]
mod tests {
    use http::{HeaderValue, header};

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
