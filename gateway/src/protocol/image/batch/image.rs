//! An image as an entry of an archive: its head, its name.

use moongate_haystack::id::FileId;
use moongate_haystack::needle::Needle;

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
