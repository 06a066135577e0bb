//! The bytes of a range, block after block, each of the first of its DataNodes that gives it.
//!
//! They come in the buffers in which they will be kept: one for each page of the reader's, which is handed out whole where pages come
//! quickly, and packet by packet where somebody would wait for one.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::{StreamExt as _, stream};
use tokio::time::Instant;

use super::Own;
use super::block::{Asked, BlockRead, Fault};
use super::located::{Block, LocatedFile};
use crate::backend::{BackendError, ErrorKind};
use crate::under::hdfs::reading::Blocks;

/// A page that takes longer than this is worth being shown in parts.
const WHOLE_PAGE_MAX: Duration = Duration::from_millis(20);
/// How often one DataNode is tried for one block, if it fails after it has given something.
const TRIES_MAX: u8 = 2;

/// The bytes of a range. Pieces do not cross multiples of `page_bytes`, and the buffers that they share are those pages.
pub(super) fn stream(
    own: Arc<Own>,
    file: Arc<LocatedFile>,
    range: Range<u64>,
    page_bytes: u64,
) -> Blocks {
    let reading = Reading {
        own,
        file,
        at: range.start,
        end: range.end,
        page_bytes: page_bytes.max(1),
        page: BytesMut::new(),
        page_begun: Instant::now(),
        shows_parts: true,
        block: None,
        tries: Vec::new(),
    };
    stream::try_unfold(reading, |mut reading| async move {
        Ok(reading.next().await?.map(|piece| (piece, reading)))
    })
    .boxed()
}

struct Reading {
    own: Arc<Own>,
    file: Arc<LocatedFile>,
    /// The byte that comes next, and the first that is not wanted.
    at: u64,
    end: u64,
    page_bytes: u64,
    /// Good bytes that were not shown yet, with room for the rest of the page.
    page: BytesMut,
    page_begun: Instant,
    shows_parts: bool,
    /// Which block is on its way, and of which of its DataNodes.
    block: Option<(usize, usize, BlockRead)>,
    /// How often each DataNode of the block was tried.
    tries: Vec<u8>,
}

impl Reading {
    async fn next(&mut self) -> Result<Option<Bytes>, BackendError> {
        if self.at >= self.end {
            return Ok(None);
        }
        let page_end = (self.at / self.page_bytes + 1).saturating_mul(self.page_bytes);
        let page_end = page_end.min(self.end);
        while self.at < page_end {
            self.more(page_end).await?;
            if self.shows_parts {
                break;
            }
        }
        if self.at >= page_end {
            self.shows_parts = self.page_begun.elapsed() > WHOLE_PAGE_MAX;
            return Ok(Some(std::mem::take(&mut self.page).freeze()));
        }
        Ok(Some(self.page.split().freeze()))
    }

    /// Some more bytes of the page.
    async fn more(&mut self, page_end: u64) -> Result<(), BackendError> {
        let mut fault = None;
        loop {
            if self.block.is_none() {
                self.begin(fault.take()).await?;
            }
            // Only now: who does not answer holds no memory.
            let room = usize::try_from(page_end - self.at).unwrap_or(usize::MAX);
            if self.page.capacity() - self.page.len() < room {
                debug_assert!(self.page.is_empty());
                self.page = BytesMut::with_capacity(room);
                self.page_begun = Instant::now();
            }
            let Some((_, replica, block)) = &mut self.block else {
                continue;
            };
            let before = self.page.len();
            match block.more(&mut self.page, room).await {
                Ok(()) => {
                    self.at += (self.page.len() - before) as u64;
                    self.own.has_read.store(true, Ordering::Relaxed);
                    return self.end_block().await;
                }
                Err(failed) => {
                    let replica = *replica;
                    self.block = None;
                    self.failed(replica, &failed, true);
                    fault = Some(failed);
                }
            }
        }
    }

    /// Lets go of a block of which all has come.
    async fn end_block(&mut self) -> Result<(), BackendError> {
        let Some((index, replica, block)) = self.block.take_if(|(_, _, block)| block.is_done())
        else {
            return Ok(());
        };
        self.tries.clear();
        let address = self.file.blocks.get(index);
        let address = address.and_then(|block| block.replicas.get(replica));
        // All bytes are here: a connection that fails now is only not kept.
        if let (Some(address), Ok(stream)) = (address, block.finish().await) {
            self.own.nodes.revive(address);
            self.own.nodes.keep(address.clone(), stream);
        }
        Ok(())
    }

    /// Asks for the block that comes next, from where it comes, one DataNode after the other.
    async fn begin(&mut self, mut fault: Option<Fault>) -> Result<(), BackendError> {
        let file = Arc::clone(&self.file);
        let (index, block) = file.at(self.at).ok_or_else(|| {
            let text = format!("{}: no block holds its byte {}", file.path, self.at);
            BackendError::new(ErrorKind::Unavailable, text)
        })?;
        self.tries.resize(block.replicas.len(), 0);
        loop {
            if let Some(Fault::Token) = fault {
                return Err(self.all_failed(block, fault));
            }
            let Some(replica) = self.choose(block) else {
                return Err(self.all_failed(block, fault));
            };
            match self.of(block, replica).await {
                Ok(read) => {
                    self.block = Some((index, replica, read));
                    return Ok(());
                }
                Err(failed) => {
                    self.failed(replica, &failed, false);
                    fault = Some(failed);
                }
            }
        }
    }

    /// The NameNode's order, those after the others that have failed.
    fn choose(&self, block: &Block) -> Option<usize> {
        let nodes = &self.own.nodes;
        let replicas = block.replicas.iter().zip(&self.tries).enumerate();
        let left = replicas.filter(|(_, (_, tries))| **tries < TRIES_MAX);
        left.min_by_key(|(_, (node, tries))| (**tries, nodes.is_dead(node)))
            .map(|(index, _)| index)
    }

    async fn of(&self, block: &Block, replica: usize) -> Result<BlockRead, Fault> {
        let (nodes, file) = (&self.own.nodes, &self.file);
        let node = block.replicas.get(replica);
        let node = node.ok_or(Fault::Senseless("no such replica"))?;
        let asked = Asked {
            block: &block.id,
            token: &block.token,
            from: self.at - block.start,
            to: (self.end.min(block.end())) - block.start,
        };
        if let Some(stream) = nodes.kept(node) {
            match BlockRead::begin(stream, &asked, nodes.silence()).await {
                Err(Fault::Io(error)) if error.kind() != std::io::ErrorKind::TimedOut => {
                    tracing::debug!(%error, path = file.path, "a kept connection was of no use");
                }
                begun => return begun,
            }
        }
        let stream = nodes.connect(node).await?;
        BlockRead::begin(stream, &asked, nodes.silence()).await
    }

    /// What is remembered of a failure. A connection that broke after it gave something may have been closed for no fault of the DataNode.
    fn failed(&mut self, replica: usize, fault: &Fault, has_begun: bool) {
        let block = self.file.at(self.at).map(|(_, block)| block);
        let node = block.and_then(|block| block.replicas.get(replica));
        let (path, at) = (&self.file.path, self.at);
        if matches!(fault, Fault::Damaged) {
            tracing::warn!(path, at, ?node, "a replica is damaged; another one is read");
        } else {
            tracing::debug!(path, at, ?node, %fault, "a DataNode has failed");
        }
        let broke =
            matches!(fault, Fault::Io(error) if error.kind() != std::io::ErrorKind::TimedOut);
        if let Some(tries) = self.tries.get_mut(replica) {
            *tries = if broke && has_begun {
                *tries + 1
            } else {
                TRIES_MAX
            };
        }
        // Of one that is there and has not got a block others can be had.
        if let (Fault::Io(_), Some(node)) = (fault, node) {
            self.own.nodes.bury(node);
        }
    }

    fn all_failed(&self, block: &Block, fault: Option<Fault>) -> BackendError {
        let fault = fault.map_or_else(|| "none is known".to_owned(), |fault| fault.to_string());
        let nodes = block.replicas.iter();
        let nodes: Vec<_> = nodes.map(|(host, port)| format!("{host}:{port}")).collect();
        let text = format!(
            "{}: no DataNode gives block {} ({}); the last said: {fault}",
            self.file.path,
            block.id.block_id,
            nodes.join(", ")
        );
        BackendError::new(ErrorKind::Unavailable, text)
    }
}

#[cfg(test)]
#[path = "stream_tests.rs"]
mod tests;
