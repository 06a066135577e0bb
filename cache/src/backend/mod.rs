//! One trait for every tree of files: HDFS, S3, a local folder, the images of the haystack, and the cache over any of these.
//!
//! Paths are absolute within the backend, normalised at the border (`/`, or `/a/b`: no empty, `.` or `..` segment, no trailing slash), UTF-8.

mod caller;
mod change;
pub mod contract;
mod error;
mod status;

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;

pub use caller::{Caller, Who};
pub use change::{AclEntry, AclStatus, Change, CreateOptions, RenameMode};
pub use error::{BackendError, ErrorKind};
pub use status::{Checksum, FileKind, Listing, Location, Status, Summary, Version};

/// How old an answer about names may be. Bytes are never older than the status that they were opened with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Freshness {
    /// As old as the mount's TTL allows.
    #[default]
    Cached,
    /// Asked of the under store now (`Cache-Control: no-cache`).
    Now,
}

/// Bytes in the order of the file.
pub type ByteStream = BoxStream<'static, Result<Bytes, BackendError>>;

/// Bytes for one who keeps pages.
pub struct Pieces {
    /// They do not end with pages unless `own_memory`.
    pub stream: ByteStream,
    /// A piece that is a whole page is in memory of just its size, which can be kept as it is.
    pub own_memory: bool,
}

/// A tree of files.
///
/// # Errors
/// Every operation fails as [`ErrorKind`] lists it. What a backend has not is [`ErrorKind::Unsupported`], which is also what the provided
/// methods answer.
#[async_trait]
pub trait Backend: fmt::Debug + Send + Sync + 'static {
    /// `hdfs`, `s3`, `file`, `images`: for metrics, logs and errors.
    fn kind(&self) -> &'static str;

    /// What is at a path.
    async fn status(
        &self,
        caller: &Caller,
        path: &str,
        freshness: Freshness,
    ) -> Result<Status, BackendError>;

    /// At most `limit` entries of a folder, ascending by the bytes of their names, which come after the name `after`. A file is listed as
    /// itself, alone, with an empty name.
    async fn list(
        &self,
        caller: &Caller,
        path: &str,
        after: Option<&str>,
        limit: usize,
        freshness: Freshness,
    ) -> Result<Listing, BackendError>;

    /// Opens a file for reading, at the version that it has now.
    async fn open(
        &self,
        caller: &Caller,
        path: &str,
        freshness: Freshness,
    ) -> Result<Arc<dyn BackendFile>, BackendError>;

    /// Opens a file for reading whose status was asked of this store a while ago. If it is another one by now, that is told at once or by
    /// its reads ([`ErrorKind::Changed`]): a store that looks when it reads need not look now.
    async fn open_known(
        &self,
        caller: &Caller,
        path: &str,
        _known: &Status,
    ) -> Result<Arc<dyn BackendFile>, BackendError> {
        self.open(caller, path, Freshness::Now).await
    }

    /// Begins a file. Nothing is promised of it before [`BackendWriter::finish`].
    async fn create(
        &self,
        caller: &Caller,
        path: &str,
        options: &CreateOptions,
    ) -> Result<Box<dyn BackendWriter>, BackendError>;

    /// Opens a file to add to its end.
    async fn append(
        &self,
        _caller: &Caller,
        path: &str,
    ) -> Result<Box<dyn BackendWriter>, BackendError> {
        Err(self.lacks("append", path))
    }

    /// Makes a folder with its parents. What is a folder already is left alone.
    async fn make_dirs(
        &self,
        caller: &Caller,
        path: &str,
        permission: u16,
    ) -> Result<(), BackendError>;

    /// Moves a file or a folder with all that is in it.
    async fn rename(
        &self,
        caller: &Caller,
        from: &str,
        to: &str,
        mode: RenameMode,
    ) -> Result<(), BackendError>;

    /// Deletes; `false` if nothing was there. A folder that is not empty only with `recursive`.
    async fn delete(
        &self,
        caller: &Caller,
        path: &str,
        recursive: bool,
    ) -> Result<bool, BackendError>;

    /// Changes what is known of a file beside its bytes.
    async fn change(
        &self,
        _caller: &Caller,
        path: &str,
        change: &Change,
    ) -> Result<(), BackendError> {
        Err(self.lacks(change.name(), path))
    }

    /// Cuts a file to a length; `false` if the end is still being recovered.
    async fn truncate(
        &self,
        _caller: &Caller,
        path: &str,
        _len: u64,
    ) -> Result<bool, BackendError> {
        Err(self.lacks("truncate", path))
    }

    /// Moves the bytes of `sources` to the end of a file, and deletes the sources.
    async fn concat(
        &self,
        _caller: &Caller,
        path: &str,
        _sources: &[String],
    ) -> Result<(), BackendError> {
        Err(self.lacks("concat", path))
    }

    /// How much a tree holds.
    async fn summary(&self, caller: &Caller, path: &str) -> Result<Summary, BackendError>;

    /// The store's own checksum of a whole file.
    async fn checksum(&self, _caller: &Caller, path: &str) -> Result<Checksum, BackendError> {
        Err(self.lacks("file checksums", path))
    }

    /// The access control list of a path.
    async fn acl(&self, _caller: &Caller, path: &str) -> Result<AclStatus, BackendError> {
        Err(self.lacks("access control lists", path))
    }

    /// [`ErrorKind::Unsupported`], in words.
    fn lacks(&self, what: &str, path: &str) -> BackendError {
        let text = format!(
            "{path}: {what} cannot be had of a mount of kind {}",
            self.kind()
        );
        BackendError::new(ErrorKind::Unsupported, text)
    }
}

/// An open file: one version of it.
#[async_trait]
pub trait BackendFile: fmt::Debug + Send + Sync + 'static {
    /// What the file was when it was opened.
    fn status(&self) -> &Status;

    /// The bytes of a range, which is cut to the file's length. A file that has changed since is [`ErrorKind::Changed`], at once or in the
    /// middle: never a mixture.
    ///
    /// # Errors
    /// As of [`Backend`]; the stream's items fail likewise.
    async fn read(&self, range: Range<u64>) -> Result<ByteStream, BackendError>;

    /// As [`BackendFile::read`], for one who keeps pages of so many bytes, counted from the file's begin.
    ///
    /// # Errors
    /// As of [`BackendFile::read`].
    async fn read_pages(
        &self,
        range: Range<u64>,
        _page_bytes: u64,
    ) -> Result<Pieces, BackendError> {
        Ok(Pieces {
            stream: self.read(range).await?,
            own_memory: false,
        })
    }

    /// Asks the store, in the name of whoever opened it, whether they may read the file; what it says beside that serves the reads that follow.
    ///
    /// # Errors
    /// As of [`BackendFile::read`].
    async fn prove(&self) -> Result<(), BackendError> {
        self.read(0..1).await.map(drop)
    }

    /// Whether its reads so far had to ask the store behind a cache; `None` where there is no cache.
    fn asked_store(&self) -> Option<bool> {
        None
    }

    /// The whole range if it can be had without waiting, in pieces.
    fn read_now(&self, _range: Range<u64>) -> Option<Vec<Bytes>> {
        None
    }
}

/// A file being written.
#[async_trait]
pub trait BackendWriter: fmt::Debug + Send + 'static {
    /// Adds bytes.
    ///
    /// # Errors
    /// As of [`Backend`]; the writer is of no more use then but to be aborted.
    async fn write(&mut self, bytes: Bytes) -> Result<(), BackendError>;

    /// Makes what was written so far durable and visible under its name, and goes on: HDFS's `hsync`. From then on [`BackendWriter::abort`]
    /// leaves it. A store that shows nothing before [`BackendWriter::finish`] does nothing.
    ///
    /// # Errors
    /// As of [`BackendWriter::write`].
    async fn sync(&mut self) -> Result<(), BackendError> {
        Ok(())
    }

    /// Makes what was written durable as the store understands it, and visible under its name.
    ///
    /// # Errors
    /// As of [`Backend`]; whether the file is there is then not known.
    async fn finish(self: Box<Self>) -> Result<(), BackendError>;

    /// Gives up: what was written is not wanted. A store that shows files while they are written removes it as well as it can.
    async fn abort(self: Box<Self>);
}
