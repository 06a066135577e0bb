//! What is written down of a read once it is known where its bytes come from.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use moongate_cache::{BackendError, BackendFile, ByteStream, Pieces, Status};

use super::Gatekeeper;

/// A record that is written when the first bytes are had, before anybody gets them; at the latest when it is dropped.
pub struct Note {
    keeper: Arc<Gatekeeper>,
    line: Arc<[u8]>,
    is_written: AtomicBool,
}

impl fmt::Debug for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Note({})", String::from_utf8_lossy(&self.line))
    }
}

impl Note {
    pub(super) fn new(keeper: &Arc<Gatekeeper>, line: Arc<[u8]>) -> Self {
        Self {
            keeper: Arc::clone(keeper),
            line,
            is_written: AtomicBool::new(false),
        }
    }

    fn write(&self, hit: Option<bool>) {
        if !self.is_written.swap(true, Ordering::Relaxed) {
            self.keeper.audit.take_line(&self.line, hit);
        }
    }

    /// The file, of which this is written down.
    pub fn on(self, file: Arc<dyn BackendFile>) -> Arc<dyn BackendFile> {
        Arc::new(NotedFile { file, note: self })
    }
}

impl Drop for Note {
    fn drop(&mut self) {
        self.write(None);
    }
}

/// An open file whose first read is written down.
#[derive(Debug)]
struct NotedFile {
    file: Arc<dyn BackendFile>,
    note: Note,
}

impl NotedFile {
    /// The first bytes are there.
    fn begun(&self) {
        self.note.write(self.file.asked_store().map(|asked| !asked));
    }
}

#[async_trait]
impl BackendFile for NotedFile {
    fn status(&self) -> &Status {
        self.file.status()
    }

    async fn read(&self, range: Range<u64>) -> Result<ByteStream, BackendError> {
        let stream = self.file.read(range).await?;
        self.begun();
        Ok(stream)
    }

    async fn read_pages(&self, range: Range<u64>, page_bytes: u64) -> Result<Pieces, BackendError> {
        let pieces = self.file.read_pages(range, page_bytes).await?;
        self.begun();
        Ok(pieces)
    }

    async fn prove(&self) -> Result<(), BackendError> {
        self.file.prove().await
    }

    fn asked_store(&self) -> Option<bool> {
        self.file.asked_store()
    }

    fn read_now(&self, range: Range<u64>) -> Option<Vec<Bytes>> {
        let pieces = self.file.read_now(range)?;
        self.begun();
        Some(pieces)
    }
}
