//! An image as an entry of an archive: its head, its bytes, its name.

use std::io;

use bytes::Bytes;
use moongate_haystack::HaystackError;
use moongate_haystack::id::FileId;
use moongate_haystack::needle::Needle;

use super::super::error::ImageError;
use super::super::read::unpack;
use crate::archive::Entry;

/// Permissions of every entry.
pub const MODE: u32 = 0o644;

/// What an archive says of an image.
pub fn entry<'a>(name: &'a str, needle: &'a Needle, size_bytes: u64) -> Entry<'a> {
    let appended_secs = needle.appended_at_ns / 1_000_000_000;
    Entry {
        name,
        size_bytes,
        mtime_secs: needle.last_modified_secs.unwrap_or(appended_secs),
        mode: MODE,
        mime: std::str::from_utf8(needle.mime()).unwrap_or_default(),
        crc32: None,
    }
}

/// An image's bytes as they were uploaded.
pub async fn plain(needle: &Needle) -> Result<Bytes, ImageError> {
    let data = needle.data();
    if !needle.is_gzip() {
        return Ok(data);
    }
    let unpacked = tokio::task::spawn_blocking(move || unpack(&data)).await;
    let unpacked = unpacked.map_err(|e| HaystackError::Storage(e.to_string().into()))?;
    let bad = |e: io::Error| {
        HaystackError::Storage(format!("the stored gzip cannot be unpacked: {e}").into())
    };
    Ok(unpacked.map_err(bad)?)
}

/// The name of an image that was stored without one.
pub fn by_fid(fid: &FileId, needle: &Needle) -> String {
    let mime = std::str::from_utf8(needle.mime()).unwrap_or_default();
    let mime = mime.split(';').next().unwrap_or_default().trim();
    let ext = match mime {
        "image/jpeg" => Some("jpg"),
        "image/png" => Some("png"),
        "image/webp" => Some("webp"),
        "image/tiff" => Some("tif"),
        "text/plain" => Some("txt"),
        "" | "application/octet-stream" => None,
        other => mime_guess::get_mime_extensions_str(other).and_then(|all| all.first().copied()),
    };
    ext.map_or_else(|| fid.to_string(), |ext| format!("{fid}.{ext}"))
}
