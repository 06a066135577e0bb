//! Reading: each range by a request that names the ETag, so that S3 answers with bytes of that object or with none.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use aws_sdk_s3::primitives::{ByteStream as SdkStream, DateTime};
use bytes::Bytes;
use futures::{StreamExt, stream};
use tokio::time::timeout;

use super::Shared;
use super::error::{changed, of_sdk};
use crate::backend::{BackendError, BackendFile, ByteStream, ErrorKind, Status};

/// An open object.
pub(super) struct S3File {
    object: Arc<Object>,
}

struct Object {
    shared: Arc<Shared>,
    path: String,
    key: String,
    status: Status,
}

impl S3File {
    pub(super) fn new(
        shared: Arc<Shared>,
        path: &str,
        status: Status,
    ) -> Result<Self, BackendError> {
        let key = shared.keys.of_file(path)?;
        let key = key.ok_or_else(|| BackendError::not_found(path))?;
        let path = path.to_owned();
        let object = Object {
            shared,
            path,
            key,
            status,
        };
        Ok(Self {
            object: Arc::new(object),
        })
    }
}

impl fmt::Debug for S3File {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "S3File({})", self.object.path)
    }
}

#[async_trait]
impl BackendFile for S3File {
    fn status(&self) -> &Status {
        &self.object.status
    }

    async fn read(&self, range: Range<u64>) -> Result<ByteStream, BackendError> {
        let end = range.end.min(self.object.status.len);
        if range.start >= end {
            return Ok(stream::empty().boxed());
        }
        let body = self.object.get(range.start, end).await?;
        let reading = Reading {
            object: self.object.clone(),
            at: range.start,
            end,
            body,
            may_ask_again: true,
        };
        let pieces = stream::try_unfold(reading, |mut reading| async move {
            Ok(reading.next().await?.map(|piece| (piece, reading)))
        });
        Ok(pieces.boxed())
    }
}

impl Object {
    async fn get(&self, start: u64, end: u64) -> Result<SdkStream, BackendError> {
        let request = self.shared.client.get_object();
        let request = request.bucket(&self.shared.bucket).key(&self.key);
        let request = request.range(format!("bytes={start}-{}", end.saturating_sub(1)));
        let request = match &self.status.etag {
            Some(etag) => request.if_match(&**etag),
            None => request.if_unmodified_since(self.modified()),
        };
        let answer = request.send().await.map_err(|error| {
            let error = of_sdk(error, &self.path);
            match error.kind {
                ErrorKind::NotFound | ErrorKind::Changed => changed(&self.path),
                _ => error,
            }
        })?;
        // A server that passes over `If-Match` still tells what it has sent.
        if answer.e_tag.as_deref() != self.status.etag.as_deref() {
            return Err(changed(&self.path));
        }
        Ok(answer.body)
    }

    fn modified(&self) -> DateTime {
        let ms = i64::try_from(self.status.modified_ms).unwrap_or(i64::MAX);
        DateTime::from_millis(ms)
    }
}

/// A read on its way.
struct Reading {
    object: Arc<Object>,
    at: u64,
    end: u64,
    body: SdkStream,
    may_ask_again: bool,
}

impl Reading {
    async fn next(&mut self) -> Result<Option<Bytes>, BackendError> {
        if self.at >= self.end {
            return Ok(None);
        }
        let piece = match self.piece().await {
            Err(error) if self.may_ask_again => self.again(error).await?,
            piece => piece?,
        };
        let len = piece.len() as u64;
        if len > self.end - self.at {
            let text = format!(
                "{}: the server sent more than was asked for",
                self.object.path
            );
            return Err(BackendError::new(ErrorKind::Failed, text));
        }
        self.at += len;
        Ok(Some(piece))
    }

    async fn piece(&mut self) -> Result<Bytes, BackendError> {
        let (path, limit) = (&self.object.path, self.object.shared.request_timeout);
        match timeout(limit, self.body.next()).await {
            Ok(Some(Ok(piece))) => Ok(piece),
            Ok(Some(Err(error))) => {
                let text = format!("{path}: the answer broke off at {}: {error}", self.at);
                Err(BackendError::new(ErrorKind::Unavailable, text))
            }
            Ok(None) => {
                let text = format!(
                    "{path}: the answer ended at {} before {}",
                    self.at, self.end
                );
                Err(BackendError::new(ErrorKind::Unavailable, text))
            }
            Err(_) => {
                let text =
                    format!("{path}: the server has sent nothing for {limit:?}; try again later");
                Err(BackendError::new(ErrorKind::TimedOut, text))
            }
        }
    }

    /// The rest, once more: of the same object, or not at all.
    async fn again(&mut self, error: BackendError) -> Result<Bytes, BackendError> {
        self.may_ask_again = false;
        tracing::debug!(%error, "the rest of the object is asked for again");
        self.body = self.object.get(self.at, self.end).await?;
        self.piece().await
    }
}
