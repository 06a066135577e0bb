//! A read on its way: nothing of it is shown before it is known to be of the version that was opened.
//!
//! What HDFS tells of blocks does not say of which version they are. So the version is known before blocks are located, and is asked for again
//! later: if it is the same then, what was located in between is of it. Of a short read this is asked once, when its bytes are here: a file can
//! also be cut and grow again under a reader. Of a longer one it is asked beside the first bytes, and again before the last ones are shown.
//! Where nobody cuts files, as the operator says, it is asked beside the first bytes only.

use std::collections::VecDeque;
use std::future::Future;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use futures::future::try_join;
use futures::stream::BoxStream;
use tokio::time::timeout;

use crate::backend::{BackendError, ErrorKind};

/// A read of so much is shown when all of it has come: one question of the NameNode less, for a wait that is shorter than that.
pub(super) const SHORT_BYTES: u64 = 256 << 10;

/// Bytes of blocks.
pub(super) type Blocks = BoxStream<'static, Result<Bytes, BackendError>>;

/// A version of a file, as far as reading it goes.
pub(super) trait Remote: Send + Sync + 'static {
    /// For errors.
    fn path(&self) -> &str;
    /// The longest silence.
    fn patience(&self) -> Duration;
    /// Asks whether the file is still of this version.
    fn check(&self) -> impl Future<Output = Result<(), BackendError>> + Send;
    /// The bytes of a range, from where its blocks are now or were a while ago; and whether it is known that they are this version's, which
    /// is to be set when it is.
    fn blocks(
        &self,
        range: Range<u64>,
        page_bytes: u64,
    ) -> impl Future<Output = Result<(Blocks, Arc<AtomicBool>), BackendError>> + Send;
    /// Whether blocks may be cut and grow again.
    fn may_be_cut(&self) -> bool;
    /// Where the blocks were is of no use.
    fn forget(&self);
}

/// A read on its way, which holds a permit `P` for as long as it is.
pub(super) struct Reading<R, P> {
    file: Arc<R>,
    at: u64,
    end: u64,
    /// Where pieces had better end; see [`BackendFile::read_pages`](crate::backend::BackendFile::read_pages).
    page_bytes: u64,
    blocks: Blocks,
    is_checked: Arc<AtomicBool>,
    is_short: bool,
    may_relocate: bool,
    /// Known to be of the version, and not shown yet.
    good: VecDeque<Bytes>,
    _permit: P,
}

impl<R: Remote, P: Send> Reading<R, P> {
    pub(super) async fn begin(
        file: Arc<R>,
        range: Range<u64>,
        page_bytes: u64,
        permit: P,
    ) -> Result<Self, BackendError> {
        let (blocks, is_checked) = file.blocks(range.clone(), page_bytes).await?;
        Ok(Self {
            file,
            at: range.start,
            end: range.end,
            page_bytes,
            blocks,
            is_checked,
            is_short: range.end - range.start <= SHORT_BYTES,
            may_relocate: true,
            good: VecDeque::new(),
            _permit: permit,
        })
    }

    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, BackendError> {
        if let Some(piece) = self.good.pop_front() {
            return Ok(Some(piece));
        }
        if self.at >= self.end {
            return Ok(None);
        }
        if self.is_short && self.file.may_be_cut() {
            self.good = self.all().await?;
            return Ok(self.good.pop_front());
        }
        let piece = self.checked_piece().await?;
        if self.at >= self.end && self.file.may_be_cut() {
            self.file.check().await?;
        }
        Ok(Some(piece))
    }

    /// All that is left; it is asked once.
    async fn all(&mut self) -> Result<VecDeque<Bytes>, BackendError> {
        let mut pieces = VecDeque::new();
        while self.at < self.end {
            pieces.push_back(self.piece().await?);
        }
        self.check().await?;
        Ok(pieces)
    }

    /// The bytes that follow. What was located in their middle is asked about after that: an answer beside them may be older.
    async fn checked_piece(&mut self) -> Result<Bytes, BackendError> {
        let is_checked = Arc::clone(&self.is_checked);
        let piece = if is_checked.load(Ordering::SeqCst) {
            self.piece().await?
        } else {
            let file = Arc::clone(&self.file);
            let check = async {
                file.check().await?;
                is_checked.store(true, Ordering::SeqCst);
                Ok(())
            };
            try_join(check, self.piece()).await?.1
        };
        if !self.is_checked.load(Ordering::SeqCst) {
            self.check().await?;
        }
        Ok(piece)
    }

    async fn check(&mut self) -> Result<(), BackendError> {
        let is_checked = Arc::clone(&self.is_checked);
        self.file.check().await?;
        is_checked.store(true, Ordering::SeqCst);
        Ok(())
    }

    /// The bytes that follow, of whatever version.
    async fn piece(&mut self) -> Result<Bytes, BackendError> {
        let piece = match self.come().await {
            Err(error) if self.may_relocate => self.again(error).await?,
            piece => piece?,
        };
        self.at += piece.len() as u64;
        Ok(piece)
    }

    async fn come(&mut self) -> Result<Bytes, BackendError> {
        let (path, limit) = (self.file.path(), self.file.patience());
        match timeout(limit, self.blocks.next()).await {
            Ok(Some(piece)) => piece,
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
        tracing::debug!(%error, path = self.file.path(), at = self.at, "blocks are located again");
        self.file.forget();
        (self.blocks, self.is_checked) =
            self.file.blocks(self.at..self.end, self.page_bytes).await?;
        let piece = self.come().await;
        if piece.is_err() {
            // Its reader takes these holders for dead, and they may come back.
            self.file.forget();
        }
        piece
    }
}

#[cfg(test)]
mod tests;
