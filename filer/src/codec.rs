//! An entry as the bytes of its row, and back.
//!
//! | bytes | what |
//! | --- | --- |
//! | 1 | version, [`crate::wire::VERSION`] |
//! | 1 | flags: kind in the low two bits (0 inline, 1 chunks, 2 folder), 4 = MD5 follows, 8 = symbolic link |
//! | numbers | mode, uid, gid, mtime ns, crtime ns, ttl seconds |
//! | texts | user name; count of groups and their names; media type |
//! | 16 | MD5, if flagged |
//! | text | where the link leads, if flagged |
//! | number, pairs | count of extended attributes; name and bytes of each |
//! | kind 0 | size; length and bytes |
//! | kind 1 | size; count; of each chunk volume, key, cookie (4 bytes little-endian), offset, bytes, modified ns, and 0, or 1 and its MD5 |
//! | kind 2 | the folder's id |
//! | 4 | CRC-32 (IEEE) of all before it, little-endian |
//!
//! Numbers are LEB128; texts are their length as a number and UTF-8.

use crate::entry::{Attributes, Body, Chunk, Content, Entry, Kind, Needle};
use crate::keys::FolderId;
use crate::wire::DecodeError;
use crate::wire::{Reader, Writer};

/// The longest encoded entry, in bytes: about 200,000 chunks.
pub const ROW_BYTES_MAX: usize = 8 << 20;

const KIND_BITS: u8 = 3;
const KIND_INLINE: u8 = 0;
const KIND_CHUNKS: u8 = 1;
const KIND_FOLDER: u8 = 2;
const CHUNK_HAS_MD5: u8 = 1;
const CHUNK_HAS_CRC: u8 = 2;
const HAS_MD5: u8 = 4;
const HAS_LINK: u8 = 8;

/// A row of the table of entries: an entry, and for a folder the id under which its own entries are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    pub entry: Entry,
    /// `Some` exactly for folders.
    pub folder: Option<FolderId>,
}

type Result<T> = std::result::Result<T, DecodeError>;

/// A row as bytes. A folder without an id gets 0, which no folder has.
pub fn encode_row(row: &Row) -> Vec<u8> {
    let mut out = Writer::new();
    out.byte(flags_of(&row.entry));
    encode_attributes(&row.entry.attributes, &mut out);
    match &row.entry.kind {
        Kind::File(content) => encode_content(content, &mut out),
        Kind::Folder => out.number(row.folder.map_or(0, |id| id.0)),
    }
    out.finish()
}

/// A row from bytes.
///
/// # Errors
/// The bytes are not a row's.
pub fn decode_row(bytes: &[u8]) -> Result<Row> {
    let mut from = Reader::new(bytes)?;
    let flags = from.byte()?;
    if flags & !(KIND_BITS | HAS_MD5 | HAS_LINK) != 0 {
        return Err(DecodeError::Flags(flags));
    }
    let attributes = decode_attributes(flags, &mut from)?;
    let (kind, folder) = match flags & KIND_BITS {
        KIND_INLINE => (Kind::File(decode_inline(&mut from)?), None),
        KIND_CHUNKS => (Kind::File(decode_chunks(&mut from)?), None),
        KIND_FOLDER => (Kind::Folder, Some(FolderId(from.number()?))),
        _ => return Err(DecodeError::Flags(flags)),
    };
    from.finish()?;
    Ok(Row {
        entry: Entry { attributes, kind },
        folder,
    })
}

fn flags_of(entry: &Entry) -> u8 {
    let kind = match &entry.kind {
        Kind::Folder => KIND_FOLDER,
        Kind::File(content) => match content.body {
            Body::Inline(_) => KIND_INLINE,
            Body::Chunks(_) => KIND_CHUNKS,
        },
    };
    let flag = |set: bool, bit: u8| if set { bit } else { 0 };
    let attributes = &entry.attributes;
    kind | flag(attributes.md5.is_some(), HAS_MD5)
        | flag(attributes.symlink_target.is_some(), HAS_LINK)
}

fn encode_attributes(attributes: &Attributes, out: &mut Writer) {
    for number in [attributes.mode, attributes.uid, attributes.gid] {
        out.number(number.into());
    }
    out.number(attributes.mtime_ns);
    out.number(attributes.crtime_ns);
    out.number(attributes.ttl_secs.into());
    out.bytes(attributes.user_name.as_bytes());
    out.number(attributes.group_names.len() as u64);
    for group in &attributes.group_names {
        out.bytes(group.as_bytes());
    }
    out.bytes(attributes.mime.as_bytes());
    if let Some(md5) = &attributes.md5 {
        out.fixed(md5);
    }
    if let Some(target) = &attributes.symlink_target {
        out.bytes(target.as_bytes());
    }
    out.number(attributes.extended.len() as u64);
    for (name, value) in &attributes.extended {
        out.bytes(name.as_bytes());
        out.bytes(value);
    }
}

fn decode_attributes(flags: u8, from: &mut Reader<'_>) -> Result<Attributes> {
    // In the order of the bytes: a struct's fields are evaluated as they are written.
    Ok(Attributes {
        mode: from.number_u32()?,
        uid: from.number_u32()?,
        gid: from.number_u32()?,
        mtime_ns: from.number()?,
        crtime_ns: from.number()?,
        ttl_secs: from.number_u32()?,
        user_name: from.text()?,
        group_names: (0..from.count()?)
            .map(|_| from.text())
            .collect::<Result<_>>()?,
        mime: from.text()?,
        md5: (flags & HAS_MD5 != 0).then(|| from.fixed()).transpose()?,
        symlink_target: (flags & HAS_LINK != 0).then(|| from.text()).transpose()?,
        extended: (0..from.count()?)
            .map(|_| Ok((from.text()?, from.bytes()?.to_vec())))
            .collect::<Result<_>>()?,
    })
}

fn encode_content(content: &Content, out: &mut Writer) {
    out.number(content.size);
    match &content.body {
        Body::Inline(bytes) => out.bytes(bytes),
        Body::Chunks(chunks) => {
            out.number(chunks.len() as u64);
            for chunk in chunks {
                encode_chunk(chunk, out);
            }
        }
    }
}

fn encode_chunk(chunk: &Chunk, out: &mut Writer) {
    encode_needle(&chunk.needle, out);
    out.number(chunk.offset);
    out.number(chunk.bytes);
    out.number(chunk.modified_ns);
    let flag = |set: bool, bit: u8| if set { bit } else { 0 };
    out.byte(
        flag(chunk.md5.is_some(), CHUNK_HAS_MD5) | flag(chunk.crc32c.is_some(), CHUNK_HAS_CRC),
    );
    if let Some(md5) = &chunk.md5 {
        out.fixed(md5);
    }
    if let Some(crc) = &chunk.crc32c {
        out.fixed(&crc.to_le_bytes());
    }
}

fn decode_inline(from: &mut Reader<'_>) -> Result<Content> {
    Ok(Content {
        size: from.number()?,
        body: Body::Inline(from.bytes()?.to_vec()),
    })
}

fn decode_chunks(from: &mut Reader<'_>) -> Result<Content> {
    let size = from.number()?;
    let chunks = (0..from.count()?).map(|_| decode_chunk(from));
    Ok(Content {
        size,
        body: Body::Chunks(chunks.collect::<Result<_>>()?),
    })
}

fn decode_chunk(from: &mut Reader<'_>) -> Result<Chunk> {
    let (needle, offset) = (decode_needle(from)?, from.number()?);
    let (bytes, modified_ns) = (from.number()?, from.number()?);
    let flags = from.byte()?;
    if flags & !(CHUNK_HAS_MD5 | CHUNK_HAS_CRC) != 0 {
        return Err(DecodeError::Flags(flags));
    }
    let md5 = (flags & CHUNK_HAS_MD5 != 0)
        .then(|| from.fixed())
        .transpose()?;
    let crc32c = (flags & CHUNK_HAS_CRC != 0)
        .then(|| from.fixed())
        .transpose()?;
    Ok(Chunk {
        needle,
        offset,
        bytes,
        modified_ns,
        md5,
        crc32c: crc32c.map(u32::from_le_bytes),
    })
}

fn encode_needle(needle: &Needle, out: &mut Writer) {
    out.number(needle.volume.into());
    out.number(needle.key);
    out.fixed(&needle.cookie.to_le_bytes());
}

fn decode_needle(from: &mut Reader<'_>) -> Result<Needle> {
    Ok(Needle {
        volume: from.number_u32()?,
        key: from.number()?,
        cookie: u32::from_le_bytes(from.fixed()?),
    })
}

/// The needles of a row of the released queue as bytes: version, count, needles as in a chunk, checksum.
pub fn encode_needles(needles: &[Needle]) -> Vec<u8> {
    let mut out = Writer::new();
    out.number(needles.len() as u64);
    for needle in needles {
        encode_needle(needle, &mut out);
    }
    out.finish()
}

/// Needles from bytes.
///
/// # Errors
/// The bytes are not a list of needles.
pub fn decode_needles(bytes: &[u8]) -> Result<Vec<Needle>> {
    let mut from = Reader::new(bytes)?;
    let needles = (0..from.count()?)
        .map(|_| decode_needle(&mut from))
        .collect::<Result<_>>()?;
    from.finish()?;
    Ok(needles)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    prop_compose! {
        fn needles()(volume: u32, key: u64, cookie: u32) -> Needle {
            Needle { volume, key, cookie }
        }
    }

    prop_compose! {
        fn chunks()(needle in needles(), offset: u64, bytes: u64, modified_ns: u64, md5: Option<[u8; 16]>, crc32c: Option<u32>) -> Chunk {
            Chunk { needle, offset, bytes, modified_ns, md5, crc32c }
        }
    }

    prop_compose! {
        fn attributes()(
            numbers: [u32; 4], times: [u64; 2], texts in [".{0,5}", ".{0,5}"],
            group_names in prop::collection::vec(".{0,3}", 0..3), md5: Option<[u8; 16]>,
            extended in prop::collection::btree_map(".{0,4}", prop::collection::vec(any::<u8>(), 0..5), 0..3),
            symlink_target in prop::option::of(".{0,4}"),
        ) -> Attributes {
            let ([mode, uid, gid, ttl_secs], [mtime_ns, crtime_ns], [user_name, mime]) = (numbers, times, texts);
            Attributes { mode, uid, gid, user_name, group_names, mtime_ns, crtime_ns, mime, ttl_secs, md5, extended, symlink_target }
        }
    }

    fn bodies() -> impl Strategy<Value = Body> {
        prop_oneof![
            prop::collection::vec(any::<u8>(), 0..9).prop_map(Body::Inline),
            prop::collection::vec(chunks(), 0..4).prop_map(Body::Chunks),
        ]
    }

    fn rows() -> impl Strategy<Value = Row> {
        let file =
            (attributes(), bodies(), any::<u64>()).prop_map(|(attributes, body, size)| Row {
                entry: Entry {
                    attributes,
                    kind: Kind::File(Content { size, body }),
                },
                folder: None,
            });
        let folder = (attributes(), any::<u64>()).prop_map(|(attributes, id)| Row {
            entry: Entry {
                attributes,
                kind: Kind::Folder,
            },
            folder: Some(FolderId(id)),
        });
        prop_oneof![file, folder]
    }

    /// Bytes with a sound frame, so that what is inside is looked at.
    fn framed(body: &[u8]) -> Vec<u8> {
        let mut out = Writer::new();
        out.fixed(body);
        out.finish()
    }

    /// The format must not change by accident: rows that are stored must stay readable.
    #[test]
    fn the_bytes_are_as_documented() {
        let needle = Needle {
            volume: 3,
            key: 300,
            cookie: 0x0102_0304,
        };
        let content = Content {
            size: 9,
            body: Body::Chunks(vec![Chunk {
                needle,
                offset: 0,
                bytes: 9,
                modified_ns: 1,
                md5: None,
                crc32c: None,
            }]),
        };
        let attributes = Attributes {
            mode: 0o660,
            mime: "a/b".into(),
            ..Attributes::default()
        };
        let row = Row {
            entry: Entry::file(attributes, content),
            folder: None,
        };
        let body = [
            1, 1, 0xb0, 3, 0, 0, 0, 0, 0, 0, 0, 3, b'a', b'/', b'b', 0, 9, 1, 3, 0xac, 2, 4, 3, 2,
            1, 0, 9, 1, 0,
        ];
        let mut wanted = body.to_vec();
        wanted.extend(crc32fast::hash(&body).to_le_bytes());
        assert_eq!(encode_row(&row), wanted);
    }

    proptest! {
        #[test]
        fn rows_are_read_as_written(row in rows()) {
            prop_assert_eq!(decode_row(&encode_row(&row)), Ok(row));
        }

        #[test]
        fn needles_are_read_as_written(list in prop::collection::vec(needles(), 0..5)) {
            prop_assert_eq!(decode_needles(&encode_needles(&list)), Ok(list));
        }

        #[test]
        fn a_flipped_bit_is_noticed(row in rows(), at: prop::sample::Index, bit in 0..8_u8) {
            let mut bytes = encode_row(&row);
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
            prop_assert!(decode_row(&bytes).is_err());
        }

        #[test]
        fn a_cut_is_noticed(row in rows(), at: prop::sample::Index) {
            let bytes = encode_row(&row);
            prop_assert!(decode_row(&bytes[..at.index(bytes.len())]).is_err());
        }

        #[test]
        fn any_bytes_are_read_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            let _ = decode_row(&bytes);
            let _ = decode_row(&framed(&bytes));
            let _ = decode_needles(&framed(&bytes));
        }
    }
}
