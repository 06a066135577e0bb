//! One of the gateway's own files, open at one version: its needles never change.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use futures::StreamExt as _;
use futures::stream;
use moongate_cache::backend::ByteStream;
use moongate_cache::{BackendError, BackendFile, ErrorKind, Status};
use moongate_filer::Content;

use crate::files::content;
use crate::state::Gateway;

/// Most bytes that are read at once: a needle is read and checked as a whole anyway.
const PIECE_BYTES: u64 = 1 << 20;

/// An open file.
pub struct ImageFile {
    gateway: Arc<Gateway>,
    status: Status,
    content: Content,
}

impl fmt::Debug for ImageFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ImageFile({} bytes)", self.status.len)
    }
}

impl ImageFile {
    /// This content.
    pub const fn new(gateway: Arc<Gateway>, status: Status, content: Content) -> Self {
        Self {
            gateway,
            status,
            content,
        }
    }
}

#[async_trait]
impl BackendFile for ImageFile {
    fn status(&self) -> &Status {
        &self.status
    }

    async fn read(&self, range: Range<u64>) -> Result<ByteStream, BackendError> {
        let end = range.end.min(self.status.len);
        let (gateway, content) = (Arc::clone(&self.gateway), self.content.clone());
        let pieces = stream::try_unfold(range.start, move |at| {
            let (gateway, content) = (Arc::clone(&gateway), content.clone());
            async move {
                if at >= end {
                    return Ok(None);
                }
                let next = piece_end(&content, at, end);
                let bytes = content::part(&gateway, &content, at..next).await;
                let bytes = bytes
                    .map_err(|error| BackendError::new(ErrorKind::Failed, error.to_string()))?;
                Ok(Some((bytes, next)))
            }
        });
        Ok(pieces.boxed())
    }
}

/// Up to where to read at once: not beyond the needle that has this byte, so that none is read twice.
fn piece_end(content: &Content, at: u64, end: u64) -> u64 {
    let first = content.views(at..end).into_iter().next();
    let view = first.map_or(PIECE_BYTES, |view| view.bytes.max(1));
    // Short neighbours go together.
    let len = if view < PIECE_BYTES {
        PIECE_BYTES
    } else {
        view
    };
    at.saturating_add(len).min(end)
}
