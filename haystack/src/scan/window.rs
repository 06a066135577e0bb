//! The part of a file that a walk has in memory.

use std::io;

use bytes::Bytes;
use moongate_disk::DiskFile;

/// Few in tests, so that the window moves.
const WINDOW_BYTES: u64 = if cfg!(test) { 4 << 10 } else { 1 << 20 };

/// A part of a file in memory, moved along as it is asked for.
pub(super) struct Window<'a> {
    file: &'a dyn DiskFile,
    pub(super) end: u64,
    start: u64,
    bytes: Bytes,
}

impl<'a> Window<'a> {
    pub(super) const fn new(file: &'a dyn DiskFile, end: u64) -> Self {
        Self {
            file,
            end,
            start: 0,
            bytes: Bytes::new(),
        }
    }

    /// The bytes at `offset`; `None` where they reach over the end.
    pub(super) fn get(&mut self, offset: u64, len: u64) -> io::Result<Option<Bytes>> {
        let Some(to) = offset.checked_add(len).filter(|to| *to <= self.end) else {
            return Ok(None);
        };
        if offset < self.start || to > self.start + self.bytes.len() as u64 {
            let fetch = len.max(WINDOW_BYTES).min(self.end - offset);
            let len = usize::try_from(fetch).map_err(io::Error::other)?;
            self.bytes = moongate_disk::read_exact_at(self.file, offset, len)?.into();
            self.start = offset;
        }
        let from = (offset - self.start) as usize;
        Ok(Some(self.bytes.slice(from..from + len as usize)))
    }
}
