//! Open files of the store in memory.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures::{StreamExt, stream};

use super::MemBackend;
use crate::backend::{BackendError, BackendFile, BackendWriter, ByteStream, ErrorKind, Status};

#[derive(Debug)]
pub struct MemFile {
    store: Arc<MemBackend>,
    path: String,
    status: Status,
}

impl MemFile {
    pub fn new(store: Arc<MemBackend>, path: &str, status: Status) -> Self {
        let path = path.to_owned();
        Self {
            store,
            path,
            status,
        }
    }

    /// The next piece of the version that was opened.
    async fn piece(&self, rest: &Range<u64>, is_first: bool) -> Result<Bytes, BackendError> {
        if !is_first && self.store.hangs_in_streams.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        // As over a network: others come to their turn between two pieces.
        tokio::task::yield_now().await;
        let changed = || BackendError::new(ErrorKind::Changed, "changed under the reader");
        let content = self.store.content(&self.path).ok_or_else(changed)?;
        if content.modified_ms != self.status.modified_ms {
            return Err(changed());
        }
        let piece = match self.store.piece_bytes.load(Ordering::SeqCst) {
            0 => 64 << 10,
            bytes => bytes,
        };
        let end = rest.end.min(rest.start + piece);
        self.store
            .asked
            .bytes
            .fetch_add(end - rest.start, Ordering::SeqCst);
        Ok(content.bytes.slice(rest.start as usize..end as usize))
    }
}

#[async_trait]
impl BackendFile for MemFile {
    fn status(&self) -> &Status {
        &self.status
    }

    async fn read(&self, range: Range<u64>) -> Result<ByteStream, BackendError> {
        self.store.answer(&self.store.asked.reads).await?;
        let this = Self {
            store: Arc::clone(&self.store),
            path: self.path.clone(),
            status: self.status.clone(),
        };
        let end = range.end.min(self.status.len);
        let begun = (this, range.start.min(end)..end, true);
        let pieces = stream::unfold(begun, |(file, rest, is_first)| async move {
            if rest.is_empty() {
                return None;
            }
            let piece = file.piece(&rest, is_first).await;
            let next = match &piece {
                Ok(bytes) => rest.start + bytes.len() as u64..rest.end,
                Err(_) => rest.end..rest.end,
            };
            Some((piece, (file, next, false)))
        });
        Ok(pieces.boxed())
    }
}

#[derive(Debug)]
pub struct MemWriter {
    store: Arc<MemBackend>,
    path: String,
    bytes: BytesMut,
}

impl MemWriter {
    pub fn new(store: Arc<MemBackend>, path: &str, bytes: Vec<u8>) -> Self {
        Self {
            store,
            path: path.to_owned(),
            bytes: BytesMut::from(bytes.as_slice()),
        }
    }
}

#[async_trait]
impl BackendWriter for MemWriter {
    async fn write(&mut self, bytes: Bytes) -> Result<(), BackendError> {
        self.bytes.extend_from_slice(&bytes);
        Ok(())
    }

    async fn sync(&mut self) -> Result<(), BackendError> {
        self.store.put(&self.path, self.bytes.clone().freeze());
        Ok(())
    }

    async fn finish(self: Box<Self>) -> Result<(), BackendError> {
        self.store.answer(&self.store.asked.opens).await?;
        self.store.put(&self.path, self.bytes.freeze());
        Ok(())
    }

    async fn abort(self: Box<Self>) {}
}
