//! A stream of the under store over consecutive pages, for all who want them.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use tokio::sync::Notify;

use super::fill::Fill;
use super::flights::{RunId, Step};
use super::open_file::{OpenFile, changed};
use crate::backend::{BackendError, ErrorKind, Pieces};
use crate::budget::Charge;
use crate::page_buffer::PageBuffer;

/// How long a stream is kept open for readers that don't read on. It holds one of the mount's connections.
const PAUSE_MAX: Duration = Duration::from_millis(500);

/// A run at work. Dropped early (by a panic), it still gives up the pages that it owes.
#[derive(Debug)]
pub struct Run {
    pub(crate) open: Arc<OpenFile>,
    pub(crate) id: RunId,
    pub(crate) wake: Arc<Notify>,
    pub(crate) first: u64,
    pub(crate) limit: u64,
    pub(crate) purpose: Purpose,
}

/// What a run is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// For a reader.
    Read,
    /// To have a page whole, even if its reader was content with a part: it will be read again.
    WholePage,
    /// To have pages on disk: each waits until it is written.
    Load,
}

/// What comes of the under store's stream.
struct Source {
    pieces: Pieces,
    /// Of the last piece, what belongs to the next page.
    rest: Bytes,
}

/// Room in the mount's budget, and in that of all.
type Charges = (Option<Charge>, Option<Charge>);

/// Why a run ends without an error.
struct Left;

impl Run {
    /// Starts it.
    pub(crate) fn spawn(self) {
        tokio::spawn(async move {
            if let Err(error) = self.bring().await {
                self.fail(&error).await;
            }
        });
    }

    async fn fail(&self, error: &BackendError) {
        self.open.forget_under();
        if error.kind == ErrorKind::Changed {
            self.open.mount.has_changed(&self.open.file).await;
        }
        for fill in self.open.file.flights.lock().end(self.id) {
            fill.fail(error.clone());
        }
    }

    async fn bring(&self) -> Result<(), BackendError> {
        let gate = &self.open.mount.gate;
        let Ok(pass) = self.unless_left(gate.enter()).await else {
            return Ok(());
        };
        let _pass = pass?;
        let Ok(stream) = self.unless_left(self.begin()).await else {
            return Ok(());
        };
        let mut source = Source {
            pieces: stream?,
            rest: Bytes::new(),
        };
        while self.advance(&mut source).await? {}
        Ok(())
    }

    async fn begin(&self) -> Result<Pieces, BackendError> {
        let under = self.open.under().await?;
        let page_bytes = self.open.mount.cache.config.page_bytes;
        let end = self.limit.saturating_mul(page_bytes);
        let range = self.first * page_bytes..end.min(self.open.file.version.len);
        let reading = under.read_pages(range, page_bytes);
        self.open.mount.gate.within(reading).await
    }

    /// One step; `false` at the end.
    async fn advance(&self, source: &mut Source) -> Result<bool, BackendError> {
        let step = self.open.file.flights.lock().step(self.id);
        match step {
            Step::End => Ok(false),
            Step::Wait => Ok(tokio::time::timeout(PAUSE_MAX, self.wake.notified())
                .await
                .is_ok()),
            Step::Bring(page, fill) => self.bring_page(page, &fill, source).await,
        }
    }

    async fn bring_page(
        &self,
        page: u64,
        fill: &Fill,
        source: &mut Source,
    ) -> Result<bool, BackendError> {
        let (cache, file) = (&self.open.mount.cache, &self.open.file);
        let Some((bytes, _charge)) = self.gather(page, fill, source).await? else {
            return Ok(false);
        };
        // Kept, then told, then taken off the list: who does not find it on the list finds it in memory.
        if self.purpose == Purpose::Load {
            cache.write(&self.open.mount, file, page, &bytes).await;
        } else {
            cache.offer(&self.open.mount, file, page, &bytes);
        }
        cache.keep(file, page, bytes.clone());
        fill.finish(bytes);
        file.flights.lock().arrived(self.id, page);
        Ok(true)
    }

    /// A page, of which each piece is shown as it comes; `None` if nobody wants it any more.
    async fn gather(
        &self,
        page: u64,
        fill: &Fill,
        source: &mut Source,
    ) -> Result<Option<(Bytes, Charges)>, BackendError> {
        let version = &self.open.file.version;
        let len = self.open.mount.cache.page_len(version, page) as usize;
        let is_wanted = self.purpose != Purpose::Read && page == self.first;
        let mut buffer: Option<(PageBuffer, Charges)> = None;
        loop {
            let have = buffer.as_ref().map_or(0, |(b, _)| len - b.missing());
            let Some(mut piece) = self.piece(source, 2 * have < len && !is_wanted).await? else {
                return Ok(None);
            };
            // Only now: a store that does not answer holds no memory.
            let (mut bytes, charge) = match buffer.take() {
                Some(begun) => begun,
                None => {
                    let charge = self.charge(len as u64).await;
                    if piece.len() == len && source.pieces.own_memory {
                        return Ok(Some((piece, charge)));
                    }
                    (PageBuffer::new(len), charge)
                }
            };
            let part = piece.split_to(piece.len().min(len - have));
            source.rest = piece;
            bytes.push(&part);
            fill.push(part);
            if bytes.missing() == 0 {
                return Ok(Some((bytes.into_bytes(), charge)));
            }
            buffer = Some((bytes, charge));
        }
    }

    /// The next bytes; `None` if nobody wants them and they `may_stop` here.
    async fn piece(
        &self,
        source: &mut Source,
        may_stop: bool,
    ) -> Result<Option<Bytes>, BackendError> {
        if !source.rest.is_empty() {
            return Ok(Some(std::mem::take(&mut source.rest)));
        }
        loop {
            let next = async { source.pieces.stream.next().await.transpose() };
            let next = self.open.mount.gate.within(next);
            let next = if may_stop {
                match self.unless_left(next).await {
                    Ok(next) => next?,
                    Err(Left) => return Ok(None),
                }
            } else {
                next.await?
            };
            // It ended before what its status promised.
            let bytes = next.ok_or_else(|| changed(&self.open.file.path))?;
            if self.open.file.may_be_another() {
                return Err(changed(&self.open.file.path));
            }
            self.open
                .mount
                .cache
                .counters
                .under_bytes
                .add(bytes.len() as u64);
            if !bytes.is_empty() {
                return Ok(Some(bytes));
            }
        }
    }

    /// Room for a page, and for the pieces that it comes in.
    async fn charge(&self, len: u64) -> Charges {
        let mount = &self.open.mount;
        (
            mount.buffers.take(2 * len).await,
            mount.cache.buffers.take(2 * len).await,
        )
    }

    /// Does `work` unless the last reader goes away meanwhile.
    async fn unless_left<T>(&self, work: impl Future<Output = T>) -> Result<T, Left> {
        tokio::pin!(work);
        loop {
            tokio::select! {
                biased;
                done = &mut work => return Ok(done),
                () = self.wake.notified() => {}
            }
            if self.open.file.flights.lock().is_left(self.id) {
                return Err(Left);
            }
        }
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        for fill in self.open.file.flights.lock().end(self.id) {
            fill.give_up();
        }
    }
}
