//! Open files. Blocks are located once for all reads of one; where their holders fail, they are located again, once.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use futures::{StreamExt, stream};
use hdfs_native::file::FileReader;
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout};

use super::calls::Calls;
use super::error::of_hdfs;
use super::own::{LocatedFile, Own};
use super::reading::{Blocks, Reading, Remote};
use super::status;
use crate::backend::{BackendError, BackendFile, ByteStream, Caller, ErrorKind, Pieces, Status};

/// A buffer of a reader who says nothing of pages.
const PIECE_BYTES: u64 = 256 << 10;
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
    /// The reader of our own could not even begin: the DataNodes may ask for what only hdfs-native knows.
    by_native: AtomicBool,
}

#[derive(Clone)]
struct Located {
    reader: Reader,
    at: Instant,
    /// Whether these are known to be the blocks of the version that was opened.
    is_checked: Arc<AtomicBool>,
}

/// Who reads.
#[derive(Clone)]
enum Reader {
    Own(Arc<Own>, Arc<LocatedFile>),
    Native(Arc<FileReader>),
}

impl Reader {
    fn file_len(&self) -> u64 {
        match self {
            Self::Own(_, file) => file.len,
            Self::Native(reader) => reader.file_length() as u64,
        }
    }

    /// hdfs-native panics past the end; that the length is that of the status has been seen by `locate`.
    fn blocks(&self, path: &str, range: Range<u64>, page_bytes: u64) -> Blocks {
        let reader = match self {
            Self::Own(own, file) => return own.blocks(file, range, page_bytes),
            Self::Native(reader) => reader,
        };
        let offset = usize::try_from(range.start).unwrap_or(usize::MAX);
        let len = usize::try_from(range.end - range.start).unwrap_or(usize::MAX);
        let (blocks, path) = (reader.read_range_stream(offset, len), path.to_owned());
        blocks
            .map(move |piece| piece.map_err(|error| of_hdfs(error, &path)))
            .boxed()
    }
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
            by_native: AtomicBool::new(false),
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

    async fn read(&self, range: Range<u64>) -> Result<ByteStream, BackendError> {
        Ok(self.read_pages(range, PIECE_BYTES).await?.stream)
    }

    /// What is kept of a read is kept when its stream has ended well.
    async fn read_pages(&self, range: Range<u64>, page_bytes: u64) -> Result<Pieces, BackendError> {
        let end = range.end.min(self.shared.status.len);
        if range.start >= end {
            return Ok(Pieces {
                stream: stream::empty().boxed(),
                own_memory: false,
            });
        }
        let permit = self.permit().await?;
        let file = Arc::clone(&self.shared);
        let reading = Reading::begin(file, range.start..end, page_bytes, permit).await?;
        let pieces = stream::try_unfold(reading, |mut reading| async move {
            Ok(reading.next().await?.map(|piece| (piece, reading)))
        });
        Ok(Pieces {
            stream: pieces.boxed(),
            own_memory: self.shared.is_read_by_own(),
        })
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

    async fn blocks(
        &self,
        range: Range<u64>,
        page_bytes: u64,
    ) -> Result<(Blocks, Arc<AtomicBool>), BackendError> {
        let known = self.located.lock().clone();
        let located = match known {
            Some(located) if located.at.elapsed() < LOCATED_FOR => located,
            _ => self.locate().await?,
        };
        let blocks = located.reader.blocks(&self.path, range, page_bytes);
        Ok((blocks, located.is_checked))
    }

    fn forget(&self) {
        if let Some(Located {
            reader: Reader::Own(own, _),
            ..
        }) = self.located.lock().take()
            && !own.has_read()
        {
            self.by_native.store(true, Ordering::Relaxed);
        }
    }
}

impl Shared {
    fn is_read_by_own(&self) -> bool {
        let located = self.located.lock();
        let reader = located.as_ref().map(|located| &located.reader);
        matches!(reader, Some(Reader::Own(..)))
    }

    /// Where the blocks are of the file that is there now, which is as long as the one that was opened.
    async fn locate(&self) -> Result<Located, BackendError> {
        let reader = self.reader().await.map_err(|error| self.if_gone(error))?;
        if reader.file_len() != self.status.len {
            return Err(self.changed());
        }
        let located = Located {
            reader,
            at: Instant::now(),
            is_checked: Arc::default(),
        };
        *self.located.lock() = Some(located.clone());
        Ok(located)
    }

    async fn reader(&self) -> Result<Reader, BackendError> {
        let path = self.path.as_str();
        let own = self.calls.own(&self.caller);
        if let Some((own, user)) = own.filter(|_| !self.by_native.load(Ordering::Relaxed))
            && let Some(file) = own.locate(&user, path).await?
        {
            return Ok(Reader::Own(Arc::clone(own), Arc::new(file)));
        }
        let reader = self.calls.ask(&self.caller, path, |client| async move {
            client.read(path).await
        });
        Ok(Reader::Native(Arc::new(reader.await?)))
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
