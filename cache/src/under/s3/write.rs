//! Writing: small objects in one request, larger ones part by part while they come. No more than one part is held.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use aws_sdk_s3::primitives::ByteStream as SdkStream;
use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart};
use bytes::{Bytes, BytesMut};
use tokio::runtime::Handle;

use super::Shared;
use super::error::{already_exists, of_sdk};
use crate::backend::{BackendError, BackendWriter, ErrorKind};

/// Up to this an object is one request, and so large are the parts of others. S3 takes no part below 5 MiB but the last.
const PART_BYTES: usize = 8 << 20;
/// From this part on they are larger: S3 takes 10,000 (Amazon S3 User Guide, "multipart upload limits"), which is then 571 GB.
const LARGE_FROM: usize = 1000;
const LARGE_PART_BYTES: usize = 64 << 20;
const PARTS_MAX: usize = 10_000;

/// An object being written.
pub(super) struct S3Writer {
    target: Target,
    collected: BytesMut,
    upload: Option<Upload>,
}

#[derive(Clone)]
pub(super) struct Target {
    pub(super) shared: Arc<Shared>,
    pub(super) path: String,
    pub(super) key: String,
    pub(super) overwrite: bool,
}

/// A multipart upload. One that is dropped before it is complete is aborted, so that its parts do not stay and cost.
pub(super) struct Upload {
    target: Target,
    id: String,
    parts: Vec<CompletedPart>,
    is_over: bool,
}

impl S3Writer {
    pub(super) fn new(
        shared: Arc<Shared>,
        path: &str,
        overwrite: bool,
    ) -> Result<Self, BackendError> {
        let key = shared.keys.of_file(path)?;
        let key = key.ok_or_else(|| BackendError::not_found(path))?;
        let path = path.to_owned();
        let target = Target {
            shared,
            path,
            key,
            overwrite,
        };
        Ok(Self {
            target,
            collected: BytesMut::new(),
            upload: None,
        })
    }

    fn part_bytes(&self) -> usize {
        let parts = self.upload.as_ref().map_or(0, |upload| upload.parts.len());
        if parts < LARGE_FROM {
            PART_BYTES
        } else {
            LARGE_PART_BYTES
        }
    }

    async fn send_part(&mut self, part: Bytes) -> Result<(), BackendError> {
        if self.upload.is_none() {
            self.upload = Some(Upload::begin(self.target.clone()).await?);
        }
        match &mut self.upload {
            Some(upload) => upload.send(part).await,
            None => Ok(()),
        }
    }
}

impl fmt::Debug for S3Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "S3Writer({})", self.target.path)
    }
}

#[async_trait]
impl BackendWriter for S3Writer {
    async fn write(&mut self, mut bytes: Bytes) -> Result<(), BackendError> {
        while !bytes.is_empty() {
            let room = self.part_bytes() - self.collected.len();
            let taken = bytes.split_to(room.min(bytes.len()));
            self.collected.extend_from_slice(&taken);
            if self.collected.len() >= self.part_bytes() {
                let part = self.collected.split().freeze();
                self.send_part(part).await?;
            }
        }
        Ok(())
    }

    async fn finish(mut self: Box<Self>) -> Result<(), BackendError> {
        let last = self.collected.split().freeze();
        if self.upload.is_none() {
            return self.target.put(last).await;
        }
        if !last.is_empty() {
            self.send_part(last).await?;
        }
        match self.upload.take() {
            Some(upload) => upload.complete().await,
            None => Ok(()),
        }
    }

    async fn abort(mut self: Box<Self>) {
        if let Some(upload) = self.upload.take() {
            upload.abort().await;
        }
    }
}

impl Target {
    /// In one request.
    async fn put(&self, data: Bytes) -> Result<(), BackendError> {
        match self.put_once(data.clone(), !self.overwrite).await {
            // A server without conditional writes: that nothing was there has been seen before.
            Err(error) if error.kind == ErrorKind::Unsupported && !self.overwrite => {
                self.put_once(data, false).await
            }
            done => done,
        }
    }

    async fn put_once(&self, data: Bytes, only_new: bool) -> Result<(), BackendError> {
        let request = self.shared.client.put_object();
        let request = request.bucket(&self.shared.bucket).key(&self.key);
        let request = request.set_if_none_match(only_new.then(|| "*".to_owned()));
        let done = request.body(SdkStream::from(data)).send().await;
        done.map(drop)
            .map_err(|error| self.refused(of_sdk(error, &self.path)))
    }

    /// `If-None-Match: *` did not hold.
    fn refused(&self, error: BackendError) -> BackendError {
        if error.kind == ErrorKind::Changed {
            return already_exists(&self.path);
        }
        error
    }
}

impl Upload {
    pub(super) async fn begin(target: Target) -> Result<Self, BackendError> {
        let request = target.shared.client.create_multipart_upload();
        let request = request.bucket(&target.shared.bucket).key(&target.key);
        let begun = request.send().await;
        let begun = begun.map_err(|error| of_sdk(error, &target.path))?;
        let Some(id) = begun.upload_id else {
            let text = format!(
                "{}: the server has begun an upload without an id",
                target.path
            );
            return Err(BackendError::new(ErrorKind::Failed, text));
        };
        Ok(Self {
            target,
            id,
            parts: Vec::new(),
            is_over: false,
        })
    }

    async fn send(&mut self, data: Bytes) -> Result<(), BackendError> {
        let number = self.next_number()?;
        let Target {
            shared, path, key, ..
        } = &self.target;
        let request = shared.client.upload_part().bucket(&shared.bucket).key(key);
        let request = request.upload_id(&self.id).part_number(number);
        let sent = request.body(SdkStream::from(data)).send().await;
        let sent = sent.map_err(|error| of_sdk(error, path))?;
        self.keep(number, sent.e_tag);
        Ok(())
    }

    /// A part that the server takes from another object.
    pub(super) async fn copy(&mut self, source: &str, range: String) -> Result<(), BackendError> {
        let number = self.next_number()?;
        let Target {
            shared, path, key, ..
        } = &self.target;
        let request = shared
            .client
            .upload_part_copy()
            .bucket(&shared.bucket)
            .key(key);
        let request = request.upload_id(&self.id).part_number(number);
        let copied = request
            .copy_source(source)
            .copy_source_range(range)
            .send()
            .await;
        let copied = copied.map_err(|error| of_sdk(error, path))?;
        self.keep(
            number,
            copied.copy_part_result.and_then(|result| result.e_tag),
        );
        Ok(())
    }

    fn next_number(&self) -> Result<i32, BackendError> {
        let number = self.parts.len() + 1;
        if number > PARTS_MAX {
            let text = format!(
                "{}: S3 takes no object of more than {PARTS_MAX} parts",
                self.target.path
            );
            return Err(BackendError::new(ErrorKind::NoSpace, text));
        }
        Ok(i32::try_from(number).unwrap_or(i32::MAX))
    }

    fn keep(&mut self, number: i32, etag: Option<String>) {
        let part = CompletedPart::builder().part_number(number);
        self.parts.push(part.set_e_tag(etag).build());
    }

    pub(super) async fn complete(mut self) -> Result<(), BackendError> {
        let only_new = !self.target.overwrite;
        match self.complete_once(only_new).await {
            Err(error) if error.kind == ErrorKind::Unsupported && only_new => {
                self.complete_once(false).await?;
            }
            done => done?,
        }
        self.is_over = true;
        Ok(())
    }

    async fn complete_once(&self, only_new: bool) -> Result<(), BackendError> {
        let target = &self.target;
        let parts = CompletedMultipartUpload::builder().set_parts(Some(self.parts.clone()));
        let request = target.shared.client.complete_multipart_upload();
        let request = request.bucket(&target.shared.bucket).key(&target.key);
        let request = request.upload_id(&self.id).multipart_upload(parts.build());
        let request = request.set_if_none_match(only_new.then(|| "*".to_owned()));
        let done = request.send().await;
        done.map(drop)
            .map_err(|error| target.refused(of_sdk(error, &target.path)))
    }

    async fn abort(mut self) {
        self.is_over = true;
        abort(self.target.clone(), self.id.clone()).await;
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        if self.is_over {
            return;
        }
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(abort(self.target.clone(), self.id.clone()));
        }
    }
}

async fn abort(target: Target, id: String) {
    let request = target.shared.client.abort_multipart_upload();
    let request = request.bucket(&target.shared.bucket).key(&target.key);
    if let Err(error) = request.upload_id(id).send().await {
        let error = of_sdk(error, &target.path);
        tracing::debug!(%error, "an upload could not be aborted; a lifecycle rule of the bucket may remove its parts");
    }
}
