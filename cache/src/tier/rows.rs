//! The rows of a cache disk's index. Numbers are big-endian; RocksDB's own checksums guard them.
//!
//! | key | value |
//! | --- | --- |
//! | `m` | format (4 bytes), bytes of a page (8) |
//! | `f` mount 0 path | file id (8), length (8), time of change (8), 0 or 1 and the ETag |
//! | `i` file id (8) | mount 0 path |
//! | `p` file id (8) page (8) | extent (8; 0: the file's own), offset (8), length (4), a CRC-32C (4) of each block |
//! | `n` mount 0 path | nothing: pinned |

use crate::backend::Version;
use crate::files::{FileId, PageKey};
use moongate_disk::BLOCK_BYTES;

/// The format that [`meta`] names.
pub const FORMAT: u32 = 1;
pub const META: &[u8] = b"m";
pub const FILE: u8 = b'f';
pub const NAME: u8 = b'i';
pub const PAGE: u8 = b'p';
pub const PIN: u8 = b'n';

/// Where a page is on its disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Place {
    /// An extent that many small files share; 0: the file's own.
    pub extent: u64,
    /// Bytes from the start of that.
    pub offset: u64,
    /// Bytes of the page; it takes whole blocks.
    pub len: u32,
}

impl Place {
    /// Bytes that it takes on disk.
    pub const fn room(&self) -> u64 {
        (self.len as u64).next_multiple_of(BLOCK_BYTES as u64)
    }
}

/// Mount and path as part of a key.
pub fn name(mount: &str, path: &str) -> Vec<u8> {
    [mount.as_bytes(), &[0], path.as_bytes()].concat()
}

/// Mount and path of [`name`].
pub fn split_name(name: &[u8]) -> Option<(&str, &str)> {
    std::str::from_utf8(name).ok()?.split_once('\0')
}

pub fn keyed(kind: u8, rest: &[u8]) -> Vec<u8> {
    [&[kind], rest].concat()
}

pub fn page_key(key: PageKey) -> Vec<u8> {
    let mut row = keyed(PAGE, &key.file.0.to_be_bytes());
    row.extend_from_slice(&key.page.to_be_bytes());
    row
}

pub fn split_page_key(row: &[u8]) -> Option<PageKey> {
    let mut row = row.strip_prefix(&[PAGE])?;
    let key = PageKey {
        file: FileId(number(&mut row)?),
        page: number(&mut row)?,
    };
    row.is_empty().then_some(key)
}

pub fn meta(page_bytes: u64) -> Vec<u8> {
    [&FORMAT.to_be_bytes()[..], &page_bytes.to_be_bytes()].concat()
}

pub fn file(id: FileId, version: &Version) -> Vec<u8> {
    let mut row = Vec::new();
    for number in [id.0, version.len, version.modified_ms] {
        row.extend_from_slice(&number.to_be_bytes());
    }
    row.push(u8::from(version.etag.is_some()));
    if let Some(etag) = &version.etag {
        row.extend_from_slice(etag.as_bytes());
    }
    row
}

pub fn split_file(mut row: &[u8]) -> Option<(FileId, Version)> {
    let id = FileId(number(&mut row)?);
    let (len, modified_ms) = (number(&mut row)?, number(&mut row)?);
    let (has_etag, etag) = row.split_first()?;
    let etag = match has_etag {
        0 => None,
        _ => Some(std::str::from_utf8(etag).ok()?.into()),
    };
    let version = Version {
        len,
        modified_ms,
        etag,
    };
    Some((id, version))
}

pub fn page(place: Place, sums: &[u32]) -> Vec<u8> {
    let mut row = Vec::with_capacity(20 + 4 * sums.len());
    row.extend_from_slice(&place.extent.to_be_bytes());
    row.extend_from_slice(&place.offset.to_be_bytes());
    row.extend_from_slice(&place.len.to_be_bytes());
    for sum in sums {
        row.extend_from_slice(&sum.to_be_bytes());
    }
    row
}

pub fn split_place(row: &[u8]) -> Option<Place> {
    let mut rest = row;
    let (extent, offset) = (number(&mut rest)?, number(&mut rest)?);
    let len = u32::from_be_bytes(*rest.first_chunk()?);
    let place = Place {
        extent,
        offset,
        len,
    };
    let blocks = (len as usize).div_ceil(BLOCK_BYTES);
    (rest.len() == 4 + 4 * blocks).then_some(place)
}

pub fn sums(row: &[u8]) -> Vec<u32> {
    let sums = row.get(20..).unwrap_or_default().as_chunks().0;
    sums.iter().map(|sum| u32::from_be_bytes(*sum)).collect()
}

fn number(row: &mut &[u8]) -> Option<u64> {
    let (number, rest) = row.split_first_chunk()?;
    *row = rest;
    Some(u64::from_be_bytes(*number))
}

/// The checksum of a block: of its bytes, and of whose they are, so that another page's bytes never pass.
pub fn sum(key: PageKey, block: u64, bytes: &[u8]) -> u32 {
    let mut whose = [0_u8; 24];
    let (file, rest) = whose.split_at_mut(8);
    let (page, place) = rest.split_at_mut(8);
    file.copy_from_slice(&key.file.0.to_be_bytes());
    page.copy_from_slice(&key.page.to_be_bytes());
    place.copy_from_slice(&block.to_be_bytes());
    crc32c::crc32c_append(crc32c::crc32c(&whose), bytes)
}

/// The checksums of a page's blocks.
pub fn sums_of(key: PageKey, bytes: &[u8]) -> Vec<u32> {
    let blocks = bytes.chunks(BLOCK_BYTES).zip(0..);
    blocks
        .map(|(bytes, block)| sum(key, block, bytes))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn rows_are_read_as_they_were_written(id: u64, page_no: u64, len: u64, time: u64, etag: Option<String>,
                                              extent: u64, offset: u64, sums_in in prop::collection::vec(any::<u32>(), 1..9)) {
            let key = PageKey { file: FileId(id), page: page_no };
            prop_assert_eq!(split_page_key(&page_key(key)), Some(key));
            let version = Version { len, modified_ms: time, etag: etag.map(Into::into) };
            prop_assert_eq!(split_file(&file(FileId(id), &version)), Some((FileId(id), version)));
            let place = Place { extent, offset, len: (sums_in.len() * BLOCK_BYTES) as u32 };
            let row = page(place, &sums_in);
            prop_assert_eq!(split_place(&row), Some(place));
            prop_assert_eq!(sums(&row), sums_in);
            prop_assert_eq!(split_place(&row[..row.len() - 1]), None);
        }

        #[test]
        fn names_are_read_as_they_were_written(mount in "[a-z/]{0,9}", path in "/[^\0]{0,9}") {
            let name = name(&mount, &path);
            prop_assert_eq!(split_name(&name), Some((&*mount, &*path)));
        }

        #[test]
        fn a_flipped_bit_or_another_pages_bytes_are_noticed(bytes in prop::collection::vec(any::<u8>(), 1..9000), bit: prop::sample::Index) {
            let key = PageKey { file: FileId(7), page: 1 };
            let bit = bit.index(bytes.len() * 8);
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            prop_assert_ne!(sums_of(key, &bytes), sums_of(key, &flipped));
            let other = PageKey { page: 2, ..key };
            prop_assert_ne!(sums_of(key, &bytes), sums_of(other, &bytes));
        }
    }
}
