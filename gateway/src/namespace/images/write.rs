//! One of the gateway's own files being written: chunks go into needles as they fill, and the name comes last.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use moongate_cache::{BackendError, BackendWriter, ErrorKind};
use moongate_filer::{
    Attributes, Body, Chunk, Content, Entry, FilePath, Filer, FilerError, PutOptions,
};
use moongate_haystack::store::now_ns;

use super::of_file_error;
use crate::files::FileError;
use crate::files::store::{self, Stored, Terms};
use crate::http::intake::BudgetPermit;
use crate::http::query::Query;
use crate::protocol::batch::BUDGET_WAIT;
use crate::protocol::image::master;
use crate::state::Gateway;

/// What the bytes become.
pub enum Begun {
    /// A file of their own.
    New {
        /// Of the file.
        attributes: Attributes,
        /// One that is there may go.
        may_replace: bool,
        /// Folders on the way are made.
        make_parents: bool,
    },
    /// The end of a file that is there.
    More,
}

/// See the module.
pub struct ImageWriter {
    gateway: Arc<Gateway>,
    path: FilePath,
    begun: Begun,
    filling: BytesMut,
    permit: Option<BudgetPermit>,
    stored: Vec<Stored>,
    /// How long the file is that was named before its end.
    named_bytes: Option<u64>,
}

impl fmt::Debug for ImageWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ImageWriter({})", self.path)
    }
}

impl ImageWriter {
    /// Nothing is written yet.
    pub fn new(gateway: Arc<Gateway>, path: FilePath, begun: Begun) -> Self {
        Self {
            gateway,
            path,
            begun,
            filling: BytesMut::new(),
            permit: None,
            stored: Vec::new(),
            named_bytes: None,
        }
    }

    fn chunk_bytes(&self) -> usize {
        usize::try_from(self.gateway.config.file.chunk_bytes.bytes()).unwrap_or(usize::MAX)
    }

    fn terms(&self) -> Result<Terms, FileError> {
        let mut wish = master::wish(&Query::default())?;
        wish.layout
            .collection
            .clone_from(&self.gateway.config.file.collection);
        Ok(Terms {
            wish,
            chunk_bytes: self.chunk_bytes().max(1),
            mime: Bytes::new(),
        })
    }

    async fn store_chunk(&mut self) -> Result<(), BackendError> {
        let chunk = self.filling.split().freeze();
        if chunk.is_empty() {
            return Ok(());
        }
        let terms = self.terms().map_err(|error| of_file_error(&error))?;
        let stored = store::bytes(&self.gateway, &terms, chunk).await;
        self.stored
            .push(stored.map_err(|error| of_file_error(&error))?);
        Ok(())
    }

    /// All chunks, one behind the other.
    fn chunks(&self) -> Vec<Chunk> {
        let mut at = 0;
        let mut chunks = Vec::new();
        for mut chunk in self.stored.iter().flat_map(Stored::chunks) {
            chunk.offset = at;
            at += chunk.bytes;
            chunks.push(chunk);
        }
        chunks
    }

    async fn name_it(&mut self) -> Result<(), BackendError> {
        let (gateway, path) = (Arc::clone(&self.gateway), self.path.clone());
        let content = Content::chunks(self.chunks());
        let (bytes, named_bytes) = (content.size, self.named_bytes);
        let is_new = matches!(self.begun, Begun::New { .. });
        let stored = std::mem::take(&mut self.stored);
        let begun = std::mem::replace(&mut self.begun, Begun::More);
        let named = gateway.files.change(move |filer| {
            let named = name(filer, &path, begun, content, named_bytes).map_err(FileError::from);
            stored.into_iter().for_each(|stored| stored.after(&named));
            named
        });
        named.await.map_err(|error| of_file_error(&error))?;
        if is_new || named_bytes.is_some() {
            self.named_bytes = Some(named_bytes.unwrap_or(0) + bytes);
        }
        Ok(())
    }
}

/// Lets a path refer to a content, or to what it refers to already and this content behind it. A file that was named by the same writer is
/// `named_bytes` long.
fn name(
    filer: &Filer,
    path: &FilePath,
    begun: Begun,
    content: Content,
    named_bytes: Option<u64>,
) -> Result<(), FilerError> {
    match begun {
        Begun::New {
            attributes,
            may_replace,
            make_parents,
        } => {
            let options = PutOptions {
                may_replace,
                make_parents,
                ..PutOptions::default()
            };
            let entry = Entry::file(attributes, content);
            filer.put(path, entry, options, now_ns()).map(drop)
        }
        Begun::More => {
            let added = filer.update(path, now_ns(), |entry| {
                entry.attributes.md5 = None;
                entry.attributes.mtime_ns = now_ns();
                let there = entry.content_mut();
                let there = there.ok_or_else(|| FilerError::IsAFolder(path.clone()))?;
                // Another file by now: it is not ours to grow.
                if named_bytes.is_some_and(|named| named != there.size) {
                    return Err(FilerError::NotFound(path.clone()));
                }
                append(there, content)
            });
            added.map(drop)
        }
    }
}

/// Puts chunks behind what is there. What a row holds itself stays there only while nothing follows.
fn append(content: &mut Content, more: Content) -> Result<(), FilerError> {
    let at = content.size;
    let (Body::Chunks(there), Body::Chunks(more)) = (&mut content.body, more.body) else {
        return Err(FilerError::BadName(
            "this file is kept in its row: append to it with POST ?op=append",
        ));
    };
    for mut chunk in more {
        chunk.offset += at;
        content.size = content.size.max(chunk.offset + chunk.bytes);
        there.push(chunk);
    }
    Ok(())
}

#[async_trait]
impl BackendWriter for ImageWriter {
    async fn write(&mut self, mut bytes: Bytes) -> Result<(), BackendError> {
        let chunk_bytes = self.chunk_bytes().max(1);
        if self.permit.is_none() {
            let permit = self
                .gateway
                .budget
                .take(chunk_bytes as u64, BUDGET_WAIT)
                .await;
            let busy = || {
                BackendError::new(
                    ErrorKind::Unavailable,
                    "too many bytes are in flight: try again",
                )
            };
            self.permit = Some(permit.ok_or_else(busy)?);
        }
        while !bytes.is_empty() {
            let room = chunk_bytes - self.filling.len();
            self.filling
                .extend_from_slice(&bytes.split_to(bytes.len().min(room)));
            if self.filling.len() == chunk_bytes {
                self.store_chunk().await?;
            }
        }
        Ok(())
    }

    async fn sync(&mut self) -> Result<(), BackendError> {
        self.store_chunk().await?;
        if self.stored.is_empty() && matches!(self.begun, Begun::More) {
            return Ok(());
        }
        self.name_it().await
    }

    async fn finish(mut self: Box<Self>) -> Result<(), BackendError> {
        if self.named_bytes.is_some() {
            return self.sync().await;
        }
        self.store_chunk().await?;
        self.name_it().await
    }

    async fn abort(self: Box<Self>) {
        // What was stored goes with its owner.
        drop(self);
    }
}
