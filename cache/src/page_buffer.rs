//! The memory in which a page is put together.

use bytes::Bytes;

/// A page that is being put together.
#[derive(Debug)]
pub struct PageBuffer {
    bytes: Vec<u8>,
    len: usize,
}

impl PageBuffer {
    /// For a page of `len` bytes.
    pub(crate) fn new(len: usize) -> Self {
        Self {
            bytes: Vec::with_capacity(len),
            len,
        }
    }

    /// Bytes still to come.
    pub(crate) fn missing(&self) -> usize {
        self.len - self.bytes.len()
    }

    /// Adds bytes, [`Self::missing`] at most.
    pub(crate) fn push(&mut self, part: &[u8]) {
        debug_assert!(part.len() <= self.missing());
        self.bytes.extend_from_slice(part);
    }

    pub(crate) fn into_bytes(self) -> Bytes {
        self.bytes.into()
    }
}
