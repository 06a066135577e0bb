//! Writing. HDFS shows a file from the moment that it is begun; one that is overwritten is gone from that moment.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use hdfs_native::HdfsError;
use hdfs_native::file::FileWriter;
use tokio::time::timeout;

use super::calls::Calls;
use super::error::of_hdfs;
use crate::backend::{BackendError, BackendWriter, Caller, ErrorKind};

/// What is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Of {
    NewFile,
    OldFile,
}

/// A file being written. HDFS closes it itself, an hour after a writer has gone without a word.
pub(super) struct HdfsWriter {
    calls: Arc<Calls>,
    caller: Caller,
    path: String,
    writer: FileWriter,
    of: Of,
}

impl HdfsWriter {
    pub(super) fn new(
        calls: Arc<Calls>,
        caller: Caller,
        path: &str,
        writer: FileWriter,
        of: Of,
    ) -> Self {
        let path = path.to_owned();
        Self {
            calls,
            caller,
            path,
            writer,
            of,
        }
    }

    fn timed_out(&self) -> BackendError {
        let text = format!(
            "{}: the DataNodes did not take it in time; try again later",
            self.path
        );
        BackendError::new(ErrorKind::TimedOut, text)
    }

    fn answer<T>(
        &self,
        done: Result<Result<T, HdfsError>, tokio::time::error::Elapsed>,
    ) -> Result<T, BackendError> {
        let done = done.map_err(|_| self.timed_out())?;
        done.map_err(|error| of_hdfs(error, &self.path))
    }
}

impl fmt::Debug for HdfsWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HdfsWriter({})", self.path)
    }
}

#[async_trait]
impl BackendWriter for HdfsWriter {
    async fn write(&mut self, bytes: Bytes) -> Result<(), BackendError> {
        let limit = self.calls.timeout();
        let written = timeout(limit, self.writer.write_bytes(bytes)).await;
        self.answer(written)?;
        Ok(())
    }

    async fn sync(&mut self) -> Result<(), BackendError> {
        let limit = self.calls.timeout();
        let synced = timeout(limit, self.writer.hsync()).await;
        self.answer(synced)?;
        // What was promised is not taken back.
        self.of = Of::OldFile;
        Ok(())
    }

    async fn finish(mut self: Box<Self>) -> Result<(), BackendError> {
        let limit = self.calls.timeout();
        let closed = timeout(limit, self.writer.close()).await;
        self.answer(closed)
    }

    /// Of a new file nothing stays; what was added to an old one may, and the file is closed so that others can write it.
    async fn abort(self: Box<Self>) {
        let Self {
            calls,
            caller,
            path,
            writer,
            of,
        } = *self;
        drop(writer);
        let path = path.as_str();
        let undone = match of {
            Of::NewFile => {
                let delete = calls.tell(&caller, path, |client| async move {
                    client.delete(path, false).await
                });
                delete.await.map(drop)
            }
            Of::OldFile => {
                let close = calls.tell(&caller, path, |client| async move {
                    client.recover_lease(path).await
                });
                close.await.map(drop)
            }
        };
        if let Err(error) = undone {
            tracing::debug!(%error, path, "what was being written could not be taken back");
        }
    }
}
