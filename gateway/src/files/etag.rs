//! Entity tags and checksums of files.

use base16::{hex, hex_u32};
use md5::{Digest as _, Md5};
use moongate_filer::{Body, Chunk, Content, Entry};

mod base16 {
    //! Lower-case hex.
    use std::fmt::Write as _;

    pub fn hex(bytes: &[u8]) -> String {
        let mut text = String::with_capacity(2 * bytes.len());
        for byte in bytes {
            let _ = write!(text, "{byte:02x}");
        }
        text
    }

    pub fn hex_u32(number: u32) -> String {
        format!("{number:08x}")
    }
}

/// The entity tag of a file, without quotes. Equal tags mean equal bytes.
///
/// As SeaweedFS has it, the MD5 where that is known, or of several chunks the MD5 of their MD5s with their number; where only CRC-32Cs are
/// known (batches), the same of those; for what was changed in place, a digest of which bytes of which needle it shows.
pub fn of_entry(entry: &Entry) -> String {
    if let Some(md5) = &entry.attributes.md5 {
        return hex(md5);
    }
    match entry.content().map(|content| &content.body) {
        None => String::new(),
        Some(Body::Inline(bytes)) => hex(&Md5::digest(bytes)),
        Some(Body::Chunks(chunks)) => of_chunks(entry.size(), chunks),
    }
}

fn of_chunks(size: u64, chunks: &[Chunk]) -> String {
    if !follow_each_other(size, chunks) {
        return of_places(size, chunks);
    }
    let md5s: Option<Vec<[u8; 16]>> = chunks.iter().map(|chunk| chunk.md5).collect();
    let crcs: Option<Vec<u32>> = chunks.iter().map(|chunk| chunk.crc32c).collect();
    match (md5s.as_deref(), crcs.as_deref()) {
        (Some([one]), _) => hex(one),
        (None, Some([one])) => hex_u32(*one),
        (Some(all), _) => format!("{}-{}", hex(&Md5::digest(all.concat())), all.len()),
        (None, Some(all)) => {
            let bytes: Vec<u8> = all.iter().flat_map(|crc| crc.to_be_bytes()).collect();
            format!("{}-{}", hex_u32(crc32c::crc32c(&bytes)), all.len())
        }
        (None, None) => of_places(size, chunks),
    }
}

/// Needles never change, so what is shown of which of them stands for the bytes.
fn of_places(size: u64, chunks: &[Chunk]) -> String {
    let mut digest = Md5::new();
    digest.update(size.to_be_bytes());
    for chunk in chunks {
        let needle = &chunk.needle;
        for number in [
            u64::from(needle.volume),
            needle.key,
            chunk.offset,
            chunk.bytes,
            chunk.modified_ns,
        ] {
            digest.update(number.to_be_bytes());
        }
    }
    format!("{}-{}", hex(&digest.finalize()), chunks.len())
}

/// Whether each chunk begins where the one before it ends, and the last ends with the file.
fn follow_each_other(size: u64, chunks: &[Chunk]) -> bool {
    let mut at = 0;
    chunks.iter().all(|chunk| {
        let follows = chunk.offset == at;
        at = chunk.offset.saturating_add(chunk.bytes);
        follows
    }) && at == size
}

/// CRC-32C of a whole content, where it is known without reading it.
pub fn crc32c_of(content: &Content) -> Option<u32> {
    match &content.body {
        Body::Inline(bytes) => Some(crc32c::crc32c(bytes)),
        Body::Chunks(chunks) if follow_each_other(content.size, chunks) => {
            // Most files are one chunk. Combining takes microseconds, which a listing would pay for each of its entries.
            let (first, rest) = match chunks.split_first() {
                Some((first, rest)) => (first.crc32c?, rest),
                None => (0, &[][..]),
            };
            rest.iter().try_fold(first, |crc, chunk| {
                let bytes = usize::try_from(chunk.bytes).ok()?;
                Some(crc32c::crc32c_combine(crc, chunk.crc32c?, bytes))
            })
        }
        Body::Chunks(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use moongate_filer::{Attributes, Needle};

    use super::*;

    fn chunk(offset: u64, data: &[u8]) -> Chunk {
        let needle = Needle {
            volume: 1,
            key: offset + 1,
            cookie: 2,
        };
        Chunk {
            needle,
            offset,
            bytes: data.len() as u64,
            modified_ns: 1,
            md5: None,
            crc32c: Some(crc32c::crc32c(data)),
        }
    }

    fn tag(chunks: Vec<Chunk>) -> String {
        of_entry(&Entry::file(Attributes::default(), Content::chunks(chunks)))
    }

    #[test]
    fn checksums_of_chunks_make_that_of_the_file() {
        let content = Content::chunks(vec![chunk(0, b"moon"), chunk(4, b"gate")]);
        assert_eq!(crc32c_of(&content), Some(crc32c::crc32c(b"moongate")));
        let with_a_hole = Content::chunks(vec![chunk(0, b"moon"), chunk(5, b"gate")]);
        assert_eq!(crc32c_of(&with_a_hole), None);
        assert_eq!(
            crc32c_of(&Content::inline(b"moongate".to_vec())),
            Some(crc32c::crc32c(b"moongate"))
        );
        assert_eq!(crc32c_of(&Content::empty()), Some(0));
    }

    #[test]
    fn other_bytes_have_another_tag() {
        let one = tag(vec![chunk(0, b"moon")]);
        assert_eq!(one, format!("{:08x}", crc32c::crc32c(b"moon")));
        let tags = [
            one,
            tag(vec![chunk(0, b"moon"), chunk(4, b"gate")]),
            tag(vec![chunk(0, b"moon"), chunk(5, b"gate")]),
            tag(vec![chunk(0, b"moon"), chunk(2, b"gate")]),
        ];
        let distinct: std::collections::HashSet<&String> = tags.iter().collect();
        assert_eq!(distinct.len(), tags.len());
    }

    #[test]
    fn md5_as_seaweedfs_has_it() {
        let md5 = |data: &[u8]| Some(Md5::digest(data).into());
        let (mut a, mut b) = (chunk(0, b"moon"), chunk(4, b"gate"));
        (a.md5, b.md5) = (md5(b"moon"), md5(b"gate"));
        assert_eq!(tag(vec![a.clone()]), hex(&Md5::digest(b"moon")));
        assert!(tag(vec![a, b]).ends_with("-2"));
    }
}
