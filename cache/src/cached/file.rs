//! An open file of a cached mount.

use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use futures::stream;

use crate::backend::{BackendError, BackendFile, ByteStream, Status};
use crate::fetch::open_file::OpenFile;
use crate::policy::read_ahead::Window;
use crate::reader::Reader;
use crate::stats::Found;

/// The most pages that are handed out at once: they stay in memory until they are sent.
const PAGES_NOW_MAX: u64 = 8;

/// An open file.
#[derive(Debug)]
pub struct CachedFile {
    open: Arc<OpenFile>,
}

impl CachedFile {
    pub(super) fn new(open: OpenFile) -> Self {
        Self {
            open: Arc::new(open),
        }
    }

    fn cut(&self, range: &Range<u64>) -> Range<u64> {
        let end = range.end.min(self.open.file.version.len);
        range.start.min(end)..end
    }

    /// A range that was read at once is part of a sequence too.
    fn note(&self, range: &Range<u64>) {
        let mount = &self.open.mount;
        let page_bytes = mount.cache.config.page_bytes;
        let fresh = Window::new(page_bytes, mount.terms.read_ahead_bytes);
        let mut recent = self.open.file.recent.lock();
        let mut window = recent.begin(range.start, fresh);
        window.grow(range.end - range.start);
        recent.end(range.end, window);
    }

    /// The pages that hold a range, cut to it.
    fn pieces_in_ram(&self, range: &Range<u64>) -> Option<Vec<Bytes>> {
        let cache = &self.open.mount.cache;
        let page_bytes = cache.config.page_bytes;
        let pages = range.start / page_bytes..range.end.div_ceil(page_bytes);
        if pages.end - pages.start > PAGES_NOW_MAX {
            return None;
        }
        let mut pieces = Vec::with_capacity((pages.end - pages.start) as usize);
        for page in pages {
            let start = page * page_bytes;
            let from = range.start.saturating_sub(start);
            let to = (range.end - start).min(page_bytes);
            let key = self.open.file.key(page);
            let piece = match self.open.ram().get(key) {
                Some(held) if to <= held.bytes.len() as u64 => {
                    held.bytes.slice(from as usize..to as usize)
                }
                Some(_) => return None,
                None => self.open.ram().part(key, &(from..to))?,
            };
            pieces.push(piece);
        }
        Some(pieces)
    }
}

#[async_trait]
impl BackendFile for CachedFile {
    fn status(&self) -> &Status {
        &self.open.status
    }

    /// The first bytes, or the error in their place, are waited for.
    async fn read(&self, range: Range<u64>) -> Result<ByteStream, BackendError> {
        let range = self.cut(&range);
        let mut reader = Reader::new(Arc::clone(&self.open), range.start, range.end);
        let Some(first) = reader.next().await.transpose()? else {
            return Ok(stream::empty().boxed());
        };
        let begun = (Some(first), reader);
        let rest = stream::unfold(begun, |(first, mut reader)| async move {
            let next = match first {
                Some(first) => Ok(first),
                None => reader.next().await?,
            };
            Some((next, (None, reader)))
        });
        Ok(rest.boxed())
    }

    async fn prove(&self) -> Result<(), BackendError> {
        self.open.prove().await
    }

    fn asked_store(&self) -> Option<bool> {
        Some(self.open.has_missed())
    }

    fn read_now(&self, range: Range<u64>) -> Option<Vec<Bytes>> {
        let range = self.cut(&range);
        if range.is_empty() {
            return Some(Vec::new());
        }
        let pieces = self.pieces_in_ram(&range)?;
        self.note(&range);
        let counters = &self.open.mount.cache.counters;
        pieces.iter().for_each(|_| counters.looked(Found::Ram));
        counters.served(Found::Ram, range.end - range.start);
        Some(pieces)
    }
}
