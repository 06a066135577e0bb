//! Parts of pages, for small reads.

use std::ops::Range;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures::StreamExt;

use super::open_file::{OpenFile, changed};
use crate::backend::{BackendError, ErrorKind};
use crate::files::PageKey;
use crate::single_flight::SingleFlight;

/// Parts on their way: of which page, from where to where in it.
pub type BlockFlights = SingleFlight<(PageKey, u64, u64), Result<Bytes, BackendError>>;

impl OpenFile {
    /// Brings a part of a page, once for all who want exactly it now.
    pub(crate) async fn bring_blocks(
        self: &Arc<Self>,
        page: u64,
        part: Range<u64>,
    ) -> Result<Bytes, BackendError> {
        let key = (self.file.key(page), part.start, part.end);
        let now = || self.mount.names.moment();
        let question = |_| Arc::clone(self).fetch_blocks(page, part.clone());
        let blocks = &self.mount.cache.blocks;
        let ram = self.ram();
        let known = || ram.part(self.file.key(page), &part).map(Ok);
        blocks.ask(key, known, |_| true, now, question).await
    }

    async fn fetch_blocks(
        self: Arc<Self>,
        page: u64,
        part: Range<u64>,
    ) -> Result<Bytes, BackendError> {
        let result = self.read_blocks(page, &part).await;
        match &result {
            Ok(bytes) if !self.file.is_dropped() => {
                let ram = self.ram();
                ram.put_part(self.file.key(page), part.start, bytes.clone());
            }
            Ok(_) => {}
            Err(error) => {
                self.forget_under();
                if error.kind == ErrorKind::Changed {
                    self.mount.has_changed(&self.file).await;
                }
            }
        }
        result
    }

    async fn read_blocks(&self, page: u64, part: &Range<u64>) -> Result<Bytes, BackendError> {
        let len = (part.end - part.start) as usize;
        let _pass = self.mount.gate.enter().await?;
        let under = self.under().await?;
        let start = page * self.mount.cache.config.page_bytes;
        let range = start + part.start..start + part.end;
        let mut stream = self.mount.gate.within(under.read(range)).await?;
        let _charge = self.mount.cache.buffers.take(2 * len as u64).await;
        let mut bytes = BytesMut::with_capacity(len);
        while bytes.len() < len {
            let next = async { stream.next().await.transpose() };
            let next = self.mount.gate.within(next).await?;
            let next = next.ok_or_else(|| changed(&self.file.path))?;
            self.mount.cache.counters.under_bytes.add(next.len() as u64);
            bytes.extend_from_slice(next.get(..len - bytes.len()).unwrap_or(&next));
        }
        if self.file.may_be_another() {
            return Err(changed(&self.file.path));
        }
        Ok(bytes.freeze())
    }
}
