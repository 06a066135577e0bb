//! The entity tag of an object: the CRC-32C of its stored bytes, as SeaweedFS has it.

use std::ops::Deref;

const HEX: &[u8; 16] = b"0123456789abcdef";
const DIGITS: usize = 8;
const GZIP: &[u8] = b"-gzip";
const BYTES_MAX: usize = 2 + DIGITS + GZIP.len();

/// An entity tag with its quotes, e.g. `"d4a26623"`. Every answer has one, so it takes no allocation.
#[derive(Debug, Clone, Copy)]
pub struct EntityTag {
    text: [u8; BYTES_MAX],
    len: usize,
}

impl EntityTag {
    /// Of an object whose stored bytes have this checksum.
    pub fn of(checksum: u32) -> Self {
        Self::with_suffix(checksum, b"")
    }

    /// Of the same object sent as the gzip that is stored: another representation, so another tag (RFC 9110, section 8.8.3).
    pub fn gzip(checksum: u32) -> Self {
        Self::with_suffix(checksum, GZIP)
    }

    fn with_suffix(checksum: u32, suffix: &[u8]) -> Self {
        let digits: [u8; DIGITS] =
            std::array::from_fn(|n| HEX[(checksum >> (4 * (DIGITS - 1 - n))) as usize & 15]);
        let mut text = [b'"'; BYTES_MAX];
        let end = 1 + DIGITS + suffix.len();
        text[1..=DIGITS].copy_from_slice(&digits);
        text[1 + DIGITS..end].copy_from_slice(suffix);
        Self { text, len: end + 1 }
    }

    /// The tag as the bytes of its header.
    pub fn as_bytes(&self) -> &[u8] {
        &self.text[..self.len]
    }
}

impl Deref for EntityTag {
    type Target = str;

    fn deref(&self) -> &str {
        std::str::from_utf8(self.as_bytes()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spelled_as_seaweedfs_does() {
        assert_eq!(&*EntityTag::of(0xd4a2_6623), "\"d4a26623\"");
        assert_eq!(&*EntityTag::of(7), "\"00000007\"");
        assert_eq!(&*EntityTag::gzip(7), "\"00000007-gzip\"");
    }
}
