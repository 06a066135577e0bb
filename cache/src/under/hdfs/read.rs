//! Open files. Blocks are located once for all reads of one; where their holders fail, they are located again, once.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use async_trait::async_trait;
use futures::{StreamExt, stream};
use hdfs_native::file::FileReader;
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout};

use super::calls::Calls;
use super::error::of_hdfs;
use super::reading::{Blocks, Reading, Remote};
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
    /// Whether these are known to be the blocks of the version that was opened.
    is_checked: Arc<AtomicBool>,
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

    /// HDFS lets everybody know of a file who may enter its folder: who may read it is decided when its blocks are located.
    async fn prove(&self) -> Result<(), BackendError> {
        self.shared.locate().await.map(drop)
    }

    /// What is kept of a read is kept when its stream has ended well.
    async fn read(&self, range: Range<u64>) -> Result<ByteStream, BackendError> {
        let end = range.end.min(self.shared.status.len);
        if range.start >= end {
            return Ok(stream::empty().boxed());
        }
        let permit = self.permit().await?;
        let file = Arc::clone(&self.shared);
        let reading = Reading::begin(file, range.start..end, permit).await?;
        let pieces = stream::try_unfold(reading, |mut reading| async move {
            Ok(reading.next().await?.map(|piece| (piece, reading)))
        });
        Ok(pieces.boxed())
    }
}

impl Remote for Shared {
    fn path(&self) -> &str {
        &self.path
    }

    fn patience(&self) -> Duration {
        self.calls.timeout()
    }

    fn may_be_cut(&self) -> bool {
        self.calls.may_be_cut()
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

    async fn blocks(&self, range: Range<u64>) -> Result<(Blocks, Arc<AtomicBool>), BackendError> {
        let known = self.located.lock().clone();
        let located = match known {
            Some(located) if located.at.elapsed() < LOCATED_FOR => located,
            _ => self.locate().await?,
        };
        let offset = usize::try_from(range.start).unwrap_or(usize::MAX);
        let len = usize::try_from(range.end - range.start).unwrap_or(usize::MAX);
        let path = self.path.clone();
        // hdfs-native panics past the end; that the length is that of the status has been seen by `locate`.
        let blocks = located.reader.read_range_stream(offset, len);
        let blocks = blocks.map(move |piece| piece.map_err(|error| of_hdfs(error, &path)));
        Ok((blocks.boxed(), located.is_checked))
    }

    fn forget(&self) {
        *self.located.lock() = None;
    }
}

impl Shared {
    /// Where the blocks are of the file that is there now, which is as long as the one that was opened.
    async fn locate(&self) -> Result<Located, BackendError> {
        let path = self.path.as_str();
        let located = self.calls.ask(&self.caller, path, |client| async move {
            client.read(path).await
        });
        let reader = located.await.map_err(|error| self.if_gone(error))?;
        if reader.file_length() as u64 != self.status.len {
            return Err(self.changed());
        }
        let located = Located {
            reader: Arc::new(reader),
            at: Instant::now(),
            is_checked: Arc::default(),
        };
        *self.located.lock() = Some(located.clone());
        Ok(located)
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
