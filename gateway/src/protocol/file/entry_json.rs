//! What is said of an entry in JSON: SeaweedFS's shape, and the CRC-32C of a file's bytes beside it.

use std::collections::BTreeMap;
use std::time::{Duration, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use moongate_filer::{Body, Chunk, Entry};
use serde::ser::{SerializeSeq, Serializer};
use serde::{Serialize, ser};

use crate::files::{etag, fid_of};

/// An entry with its path.
#[derive(Clone, Copy, Debug)]
pub struct Described<'a> {
    /// Where it is.
    pub path: &'a str,
    /// What it is.
    pub entry: &'a Entry,
    /// Whether to list its chunks: metadata and listings do, walks of large trees do not.
    pub with_chunks: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Shape<'a> {
    full_path: &'a str,
    mtime: Time,
    crtime: Time,
    mode: u32,
    uid: u32,
    gid: u32,
    mime: &'a str,
    ttl_sec: u32,
    user_name: &'a str,
    group_names: Option<&'a [String]>,
    symlink_target: &'a str,
    md5: Option<Base64<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    crc32c: Option<Hex>,
    file_size: u64,
    extended: Option<Extended<'a>>,
    #[serde(rename = "chunks", skip_serializing_if = "Option::is_none")]
    chunks: Option<Chunks<'a>>,
    hard_link_id: Option<()>,
    hard_link_counter: u32,
    content: Option<Base64<'a>>,
    remote: Option<()>,
    quota: u64,
}

impl Serialize for Described<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let attributes = &self.entry.attributes;
        let content = self.entry.content();
        let (chunks, inline): (&[Chunk], Option<&[u8]>) = match content.map(|content| &content.body)
        {
            Some(Body::Chunks(chunks)) => (chunks, None),
            Some(Body::Inline(bytes)) => (&[], Some(bytes)),
            None => (&[], None),
        };
        Shape {
            full_path: self.path,
            mtime: Time(attributes.mtime_ns),
            crtime: Time(attributes.crtime_ns),
            mode: attributes.mode,
            uid: attributes.uid,
            gid: attributes.gid,
            mime: &attributes.mime,
            ttl_sec: attributes.ttl_secs,
            user_name: &attributes.user_name,
            group_names: Some(&attributes.group_names[..]).filter(|names| !names.is_empty()),
            symlink_target: attributes.symlink_target.as_deref().unwrap_or_default(),
            md5: attributes.md5.as_ref().map(|md5| Base64(md5)),
            crc32c: content.and_then(etag::crc32c_of).map(Hex),
            file_size: self.entry.size(),
            extended: Some(Extended(&attributes.extended)).filter(|pairs| !pairs.0.is_empty()),
            chunks: (self.with_chunks && !chunks.is_empty()).then_some(Chunks(chunks)),
            hard_link_id: None,
            hard_link_counter: 0,
            content: inline.filter(|_| self.with_chunks).map(Base64),
            remote: None,
            quota: 0,
        }
        .serialize(serializer)
    }
}

/// Nanoseconds since 1970 as RFC 3339.
struct Time(u64);

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let time = UNIX_EPOCH + Duration::from_nanos(self.0);
        serializer.collect_str(&humantime::format_rfc3339_nanos(time))
    }
}

struct Hex(u32);

impl Serialize for Hex {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{:08x}", self.0))
    }
}

struct Base64<'a>(&'a [u8]);

impl Serialize for Base64<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&BASE64.encode(self.0))
    }
}

struct Extended<'a>(&'a BTreeMap<String, Vec<u8>>);

impl Serialize for Extended<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, Base64(value))))
    }
}

struct Chunks<'a>(&'a [Chunk]);

#[derive(Serialize)]
struct ChunkShape {
    file_id: String,
    size: u64,
    #[serde(skip_serializing_if = "is_zero")]
    offset: u64,
    modified_ts_ns: u64,
    #[serde(skip_serializing_if = "String::is_empty")]
    e_tag: String,
    fid: FidShape,
}

#[derive(Serialize)]
struct FidShape {
    volume_id: u32,
    file_key: u64,
    cookie: u32,
}

const fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl Serialize for Chunks<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut all = serializer.serialize_seq(Some(self.0.len()))?;
        for chunk in self.0 {
            all.serialize_element(&shape_of(chunk))?;
        }
        all.end()
    }
}

fn shape_of(chunk: &Chunk) -> ChunkShape {
    ChunkShape {
        file_id: fid_of(&chunk.needle).to_string(),
        size: chunk.bytes,
        offset: chunk.offset,
        modified_ts_ns: chunk.modified_ns,
        e_tag: chunk.md5.map(|md5| BASE64.encode(md5)).unwrap_or_default(),
        fid: FidShape {
            volume_id: chunk.needle.volume,
            file_key: chunk.needle.key,
            cookie: chunk.needle.cookie,
        },
    }
}

/// Appends an entry as JSON.
///
/// # Errors
/// Never for what the filer holds; the type has it.
pub fn push(described: &Described<'_>, out: &mut Vec<u8>) -> Result<(), serde_json::Error> {
    serde_json::to_writer(out, described).map_err(ser::Error::custom)
}

#[cfg(test)]
mod tests {
    use moongate_filer::{Attributes, Content};

    use super::*;

    #[test]
    fn a_file_as_seaweedfs_describes_it() {
        let attributes = Attributes {
            mode: 0o660,
            mtime_ns: 1_700_000_000_123_456_789,
            mime: "image/jpeg".into(),
            extended: BTreeMap::from([("Seaweed-Label".to_owned(), b"cat".to_vec())]),
            ..Attributes::default()
        };
        let entry = Entry::file(attributes, Content::inline(b"moon".to_vec()));
        let described = Described {
            path: "/a/b.jpg",
            entry: &entry,
            with_chunks: true,
        };
        let mut json = Vec::new();
        push(&described, &mut json).unwrap();
        let value: serde_json::Value = serde_json::from_slice(&json).unwrap();
        assert_eq!(value["FullPath"], "/a/b.jpg");
        assert_eq!(value["Mtime"], "2023-11-14T22:13:20.123456789Z");
        assert_eq!(value["Mode"], 432);
        assert_eq!(value["FileSize"], 4);
        assert_eq!(value["Crc32c"], format!("{:08x}", crc32c::crc32c(b"moon")));
        assert_eq!(value["Extended"]["Seaweed-Label"], BASE64.encode(b"cat"));
        assert_eq!(value["Content"], BASE64.encode(b"moon"));
        assert!(value["Md5"].is_null());
    }
}
