//! A file being written through the cache.

use async_trait::async_trait;
use bytes::Bytes;

use super::writing::Writing;
use crate::backend::{BackendError, BackendWriter};

/// Hands on to the under store's writer; the cache is set right when it ends, however it ends.
#[derive(Debug)]
pub struct CachedWriter {
    under: Box<dyn BackendWriter>,
    writing: Writing,
}

impl CachedWriter {
    pub(super) fn new(under: Box<dyn BackendWriter>, writing: Writing) -> Self {
        Self { under, writing }
    }
}

#[async_trait]
impl BackendWriter for CachedWriter {
    async fn write(&mut self, bytes: Bytes) -> Result<(), BackendError> {
        let mount = self.writing.mount();
        mount.gate.within(self.under.write(bytes)).await
    }

    async fn sync(&mut self) -> Result<(), BackendError> {
        let Self { under, writing } = self;
        let mount = writing.mount();
        writing
            .during(async move { mount.gate.within(under.sync()).await })
            .await
    }

    async fn finish(self: Box<Self>) -> Result<(), BackendError> {
        let Self { under, writing } = *self;
        let mount = writing.mount();
        writing
            .after(async move { mount.gate.within(under.finish()).await })
            .await
    }

    async fn abort(self: Box<Self>) {
        let Self { under, writing } = *self;
        writing.after(under.abort()).await;
    }
}
