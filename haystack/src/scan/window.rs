//! The part of a file that a walk has in memory.

use std::io;
use std::ops::Range;

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
    /// Where a search found nothing: see [`Window::passed_over`].
    empty: Range<u64>,
}

impl<'a> Window<'a> {
    pub(super) const fn new(file: &'a dyn DiskFile, end: u64) -> Self {
        Self {
            file,
            end,
            start: 0,
            bytes: Bytes::new(),
            empty: 0..0,
        }
    }

    /// The bytes at `offset`; `None` where they reach over the end.
    pub(super) fn get(&mut self, offset: u64, len: u64) -> io::Result<Option<Bytes>> {
        let range = self.hold(offset, len)?;
        Ok(range.map(|range| self.bytes.slice(range)))
    }

    /// As [`Window::get`], for as long as nothing else is asked.
    pub(super) fn peek(&mut self, offset: u64, len: u64) -> io::Result<Option<&[u8]>> {
        let range = self.hold(offset, len)?;
        Ok(range.and_then(|range| self.bytes.get(range)))
    }

    fn hold(&mut self, offset: u64, len: u64) -> io::Result<Option<Range<usize>>> {
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
        Ok(Some(from..from + len as usize))
    }

    /// Where the one search that is made over and over goes on: `from`, or behind what it is known to find nothing in.
    pub(super) fn search_from(&self, from: u64) -> u64 {
        if self.empty.contains(&from) {
            self.empty.end
        } else {
            from
        }
    }

    /// The search found nothing in this range. Each record of SeaweedFS's may ask for a search that reaches far ahead: what was passed over
    /// once is not looked through again.
    pub(super) fn passed_over(&mut self, range: Range<u64>) {
        if self.empty.contains(&range.start) || self.empty.end == range.start {
            self.empty.end = self.empty.end.max(range.end);
        } else if !range.is_empty() {
            self.empty = range;
        }
    }
}
