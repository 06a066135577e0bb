//! The needle: one stored object as a record in a `.dat` file (format: docs/on-disk-format.md).
//!
//! A record is a 16-byte header, a body, a tail with the CRC-32C of the data, and 1 to 8 bytes of padding to the next
//! multiple of 8. SeaweedFS leaves whatever is in its buffer in the padding; we put a *seal* there (see [`crate::seal`]), so that
//! header and metadata are checked on every read too.

mod draft;
mod read;
mod sealed;
#[cfg(test)]
mod tests;

use crate::id::{Cookie, NeedleKey};

pub use draft::{Draft, encode_marker};
pub use read::Needle;

/// Bytes of cookie, key and Size before a record's body.
pub const HEADER_BYTES: usize = 16;
/// Where the key stands in a header.
pub const KEY_AT: usize = 4;
/// Records start at multiples of this.
pub const ALIGNMENT_BYTES: u64 = 8;
const CHECKSUM_BYTES: usize = 4;
const APPENDED_AT_BYTES: usize = 8;
/// Longest name, mime and pairs that a record can hold.
pub const NAME_BYTES_MAX: usize = 255;
/// Longest JSON of pairs that a record can hold.
pub const PAIRS_BYTES_MAX: usize = u16::MAX as usize;
/// Longest data that the engine takes in one needle; SeaweedFS's own default limit is 256 MiB.
pub const DATA_BYTES_MAX: usize = 1 << 30;

mod flag {
    pub const GZIP: u8 = 0x01;
    pub const NAME: u8 = 0x02;
    pub const MIME: u8 = 0x04;
    pub const LAST_MODIFIED: u8 = 0x08;
    pub const TTL: u8 = 0x10;
    pub const PAIRS: u8 = 0x20;
    pub const CHUNK_MANIFEST: u8 = 0x80;
}

/// Layout of a volume's records. Version 3 is what we write; 1 and 2 are read (and 2 appended to) as they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    /// Data only.
    V1 = 1,
    /// With metadata.
    V2 = 2,
    /// With metadata and the time of the append.
    V3 = 3,
}

impl Version {
    /// From the super block's byte.
    pub const fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            1 => Some(Self::V1),
            2 => Some(Self::V2),
            3 => Some(Self::V3),
            _ => None,
        }
    }

    const fn tail_bytes(self) -> usize {
        match self {
            Self::V3 => CHECKSUM_BYTES + APPENDED_AT_BYTES,
            Self::V1 | Self::V2 => CHECKSUM_BYTES,
        }
    }
}

/// Length in bytes of a whole record whose header says `size`, padding included.
pub const fn record_bytes(size: u32, version: Version) -> u64 {
    let unpadded = HEADER_BYTES as u64 + size as u64 + version.tail_bytes() as u64;
    unpadded + (ALIGNMENT_BYTES - unpadded % ALIGNMENT_BYTES)
}

/// The first 16 bytes of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Must be named by whoever reads it.
    pub cookie: Cookie,
    /// Key in the volume.
    pub key: NeedleKey,
    /// Length of the body in bytes; 0 for a delete marker or an empty object of SeaweedFS.
    pub size: u32,
}

impl Header {
    /// Reads a header; `None` if the bytes are too few or Size is negative.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let size = u32_at(bytes, 12)?;
        (i32::try_from(size).is_ok()).then_some(())?;
        Some(Self {
            cookie: Cookie(u32_at(bytes, 0)?),
            key: NeedleKey(u64_at(bytes, 4)?),
            size,
        })
    }

    fn encode(self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.cookie.0.to_be_bytes());
        out.extend_from_slice(&self.key.0.to_be_bytes());
        out.extend_from_slice(&self.size.to_be_bytes());
    }
}

/// Why bytes are not the needle that was asked for. None of these may be served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NeedleError {
    /// The record is shorter than its header says.
    #[error("record is cut short")]
    Truncated,
    /// Lengths inside the record contradict each other.
    #[error("record's fields do not add up to its size")]
    Malformed,
    /// The data's CRC-32C is not the stored one.
    #[error("data does not match its CRC-32C")]
    Checksum,
    /// Header or metadata were changed after they were written.
    #[error("header or metadata do not match the record's seal")]
    Seal,
}

/// Where and as whom a draft is written.
#[derive(Clone, Copy, Debug)]
pub struct Stamp {
    /// Key of the record.
    pub key: NeedleKey,
    /// Cookie of the record.
    pub cookie: Cookie,
    /// Unix nanoseconds, strictly increasing in a volume.
    pub appended_at_ns: u64,
    /// Offset in the `.dat` where the record will stand.
    pub offset: u64,
}

pub(crate) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes
        .get(at..at + 4)?
        .try_into()
        .ok()
        .map(u32::from_be_bytes)
}

pub(crate) fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    bytes
        .get(at..at + 8)?
        .try_into()
        .ok()
        .map(u64::from_be_bytes)
}
