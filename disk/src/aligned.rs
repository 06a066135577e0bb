//! Memory that a device can be read into past the page cache (`O_DIRECT`, open(2)): address, place and length are whole blocks.

use std::fmt;
use std::io;
use std::ops::{Deref, DerefMut};

use crate::disk::buffer_for;

/// The block of direct reads and writes, in bytes; every device's own block divides it.
pub const BLOCK_BYTES: usize = 4096;

/// Bytes that begin on a block's border in memory. They never move.
pub struct AlignedBuf {
    /// With as many bytes in front as it takes to reach the border.
    bytes: Vec<u8>,
    start: usize,
}

impl AlignedBuf {
    /// An empty buffer with room for `len` bytes.
    ///
    /// # Errors
    /// `OutOfMemory`.
    pub fn with_capacity(len: usize) -> io::Result<Self> {
        let mut bytes = buffer_for(len.saturating_add(BLOCK_BYTES - 1))?;
        let start = padding(&bytes);
        bytes.resize(start, 0);
        Ok(Self { bytes, start })
    }

    /// Bytes to which no more can be added.
    pub fn room(&self) -> usize {
        self.bytes.capacity() - self.bytes.len()
    }

    /// Adds bytes, if there is room for all of them; says whether there was.
    #[must_use]
    pub fn push(&mut self, bytes: &[u8]) -> bool {
        let fits = bytes.len() <= self.room();
        if fits {
            self.bytes.extend_from_slice(bytes);
        }
        fits
    }

    /// Adds zeros up to the end of the last block, where the room allows.
    pub fn pad(&mut self) {
        let len = self.len().next_multiple_of(BLOCK_BYTES);
        let len = (self.start + len).min(self.bytes.capacity());
        self.bytes.resize(len, 0);
    }

    /// Of a buffer that was made by [`Self::with_capacity`], filled by an engine.
    pub(crate) fn from_padded(bytes: Vec<u8>) -> Self {
        let start = padding(&bytes).min(bytes.len());
        Self { bytes, start }
    }

    /// For an engine to fill: what is there already is only the padding.
    pub(crate) fn into_padded(self) -> Vec<u8> {
        self.bytes
    }
}

fn padding(bytes: &[u8]) -> usize {
    bytes.as_ptr().align_offset(BLOCK_BYTES)
}

impl Deref for AlignedBuf {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.bytes.get(self.start..).unwrap_or_default()
    }
}

impl DerefMut for AlignedBuf {
    fn deref_mut(&mut self) -> &mut [u8] {
        self.bytes.get_mut(self.start..).unwrap_or_default()
    }
}

impl AsRef<[u8]> for AlignedBuf {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl fmt::Debug for AlignedBuf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AlignedBuf({} bytes)", self.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_begins_on_a_border_and_takes_what_it_has_room_for() {
        for len in [0, 1, 4095, 4096, 100_000] {
            let mut buf = AlignedBuf::with_capacity(len).unwrap();
            assert!(buf.is_empty() && buf.room() >= len);
            assert!(buf.push(&vec![7; len]));
            assert_eq!(buf.as_ptr().align_offset(BLOCK_BYTES), 0);
            assert_eq!(*buf, vec![7; len]);
            assert!(!buf.push(&vec![7; buf.room() + 1]));
            let padded = AlignedBuf::from_padded(buf.into_padded());
            assert_eq!(*padded, vec![7; len]);
        }
        let mut buf = AlignedBuf::with_capacity(8192).unwrap();
        assert!(buf.push(&[1; 5000]));
        buf.pad();
        assert_eq!(buf.len(), 8192);
        assert_eq!(buf[4999..5002], [1, 0, 0]);
    }
}
