//! Reading. Blocks are located once for all reads of an open file; where their holders fail, they are located again, once.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{StreamExt, stream};
use hdfs_native::HdfsError;
use hdfs_native::file::FileReader;
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout};

use super::calls::Calls;
use super::error::of_hdfs;
use super::status;
use crate::backend::{BackendError, BackendFile, ByteStream, Caller, ErrorKind, Status};

/// Block tokens are good for 10 hours (`dfs.block.access.token.lifetime`).
const LOCATED_FOR: Duration = Duration::from_secs(4 * 3600);

/// An open file: a version, and where its blocks are.
pub(super) struct HdfsFile {
    shared: Arc<Shared>,
    streams: Arc<Semaphore>,
}

struct Shared {
    calls: Arc<Calls>,
    caller: Caller,
    path: String,
    status: Status,
    located: Mutex<Option<Located>>,
}

#[derive(Clone)]
struct Located {
    reader: Arc<FileReader>,
    at: Instant,
}

impl HdfsFile {
    pub(super) fn new(
        calls: Arc<Calls>,
        streams: Arc<Semaphore>,
        caller: Caller,
        path: &str,
        status: Status,
    ) -> Self {
        let shared = Shared {
            calls,
            caller,
            path: path.to_owned(),
            status,
            located: Mutex::new(None),
        };
        Self {
            shared: Arc::new(shared),
            streams,
        }
    }

    async fn permit(&self) -> Result<OwnedSemaphorePermit, BackendError> {
        let waited = timeout(
            self.shared.calls.timeout(),
            self.streams.clone().acquire_owned(),
        );
        match waited.await {
            Ok(Ok(permit)) => Ok(permit),
            Ok(Err(_)) | Err(_) => {
                let text = format!(
                    "{}: too many reads of this mount at once; try again later",
                    self.shared.path
                );
                Err(BackendError::new(ErrorKind::Unavailable, text))
            }
        }
    }
}

impl fmt::Debug for HdfsFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HdfsFile({})", self.shared.path)
    }
}

#[async_trait]
impl BackendFile for HdfsFile {
    fn status(&self) -> &Status {
        &self.shared.status
    }

    /// The last bytes of a stream vouch for the ones before them: HDFS can cut a block and let it grow again under a reader. What is kept
    /// of a read is kept when its stream has ended well.
    async fn read(&self, range: Range<u64>) -> Result<ByteStream, BackendError> {
        let end = range.end.min(self.shared.status.len);
        if range.start >= end {
            return Ok(stream::empty().boxed());
        }
        let permit = self.permit().await?;
        let blocks = self.shared.blocks(range.start..end).await?;
        let reading = Reading {
            file: self.shared.clone(),
            at: range.start,
            end,
            blocks,
            may_relocate: true,
            _permit: permit,
        };
        let pieces = stream::try_unfold(reading, |mut reading| async move {
            Ok(reading.next().await?.map(|piece| (piece, reading)))
        });
        Ok(pieces.boxed())
    }
}

/// Bytes of blocks.
type Blocks = BoxStream<'static, Result<Bytes, HdfsError>>;

impl Shared {
    async fn blocks(&self, range: Range<u64>) -> Result<Blocks, BackendError> {
        let known = self.located.lock().clone();
        let located = match known {
            Some(located) if located.at.elapsed() < LOCATED_FOR => located,
            _ => self.locate().await?,
        };
        let offset = usize::try_from(range.start).unwrap_or(usize::MAX);
        let len = usize::try_from(range.end - range.start).unwrap_or(usize::MAX);
        // hdfs-native panics past the end; that the length is that of the status has been seen by `locate`.
        Ok(located.reader.read_range_stream(offset, len).boxed())
    }

    /// Locates the blocks of the version that was opened, and of no other: it is still that one after they have been located.
    async fn locate(&self) -> Result<Located, BackendError> {
        let path = self.path.as_str();
        let located = self.calls.ask(&self.caller, path, |client| async move {
            client.read(path).await
        });
        let reader = located.await.map_err(|error| self.if_gone(error))?;
        self.check().await?;
        if reader.file_length() as u64 != self.status.len {
            return Err(self.changed());
        }
        let located = Located {
            reader: Arc::new(reader),
            at: Instant::now(),
        };
        *self.located.lock() = Some(located.clone());
        Ok(located)
    }

    /// The file is still what was opened.
    async fn check(&self) -> Result<(), BackendError> {
        let path = self.path.as_str();
        let now = self.calls.ask(&self.caller, path, |client| async move {
            client.get_file_info(path).await
        });
        let now = now.await.map_err(|error| self.if_gone(error))?;
        if status::of(&now, String::new()).version() != self.status.version() {
            return Err(self.changed());
        }
        Ok(())
    }

    fn changed(&self) -> BackendError {
        *self.located.lock() = None;
        let text = format!(
            "{}: the file has changed since it was opened; open it again",
            self.path
        );
        BackendError::new(ErrorKind::Changed, text)
    }

    /// A file that was open and is not there has changed.
    fn if_gone(&self, error: BackendError) -> BackendError {
        match error.kind {
            ErrorKind::NotFound | ErrorKind::IsADirectory => self.changed(),
            _ => error,
        }
    }
}

/// A read on its way.
struct Reading {
    file: Arc<Shared>,
    at: u64,
    end: u64,
    blocks: Blocks,
    may_relocate: bool,
    _permit: OwnedSemaphorePermit,
}

impl Reading {
    async fn next(&mut self) -> Result<Option<Bytes>, BackendError> {
        if self.at >= self.end {
            return Ok(None);
        }
        let piece = match self.piece().await {
            Err(error) if self.may_relocate => self.again(error).await?,
            piece => piece?,
        };
        self.at += piece.len() as u64;
        if self.at >= self.end {
            self.file.check().await?;
        }
        Ok(Some(piece))
    }

    async fn piece(&mut self) -> Result<Bytes, BackendError> {
        let path = &self.file.path;
        let limit = self.file.calls.timeout();
        match timeout(limit, self.blocks.next()).await {
            Ok(Some(Ok(piece))) => Ok(piece),
            Ok(Some(Err(error))) => Err(of_hdfs(error, path)),
            Ok(None) => {
                let text = format!(
                    "{path}: its blocks ended at {} before {}",
                    self.at, self.end
                );
                Err(BackendError::new(ErrorKind::Unavailable, text))
            }
            Err(_) => {
                let text =
                    format!("{path}: no DataNode has sent anything for {limit:?}; try again later");
                Err(BackendError::new(ErrorKind::TimedOut, text))
            }
        }
    }

    /// All holders of a block have failed, or its token is too old: there may be others now, and the token will be new.
    async fn again(&mut self, error: BackendError) -> Result<Bytes, BackendError> {
        self.may_relocate = false;
        tracing::debug!(%error, path = self.file.path, at = self.at, "blocks are located again");
        self.file.locate().await?;
        self.blocks = self.file.blocks(self.at..self.end).await?;
        let piece = self.piece().await;
        if piece.is_err() {
            // Its reader takes these holders for dead, and they may come back.
            *self.file.located.lock() = None;
        }
        piece
    }
}
