//! Bodies of requests: made before, or while they are sent.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::sync::mpsc;

/// Bytes that have been handed to the connection.
#[derive(Debug, Default)]
pub struct Moved(AtomicU64);

impl Moved {
    /// So far.
    pub fn bytes(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

#[derive(Debug)]
enum Source {
    Pieces(VecDeque<Bytes>),
    Channel(mpsc::Receiver<io::Result<Bytes>>),
}

/// See the module.
#[derive(Debug)]
pub struct Outgoing {
    source: Source,
    left_bytes: Option<u64>,
    moved: Arc<Moved>,
}

impl Outgoing {
    /// No body.
    pub fn empty() -> Self {
        Self::pieces(VecDeque::new())
    }

    /// All of it is at hand.
    pub fn pieces(pieces: VecDeque<Bytes>) -> Self {
        let left_bytes = pieces.iter().map(|piece| piece.len() as u64).sum();
        Self {
            source: Source::Pieces(pieces),
            left_bytes: Some(left_bytes),
            moved: Arc::default(),
        }
    }

    /// Comes through a channel; an error breaks the request off. `len_bytes` where it is known: it must be kept.
    pub fn channel(pieces: mpsc::Receiver<io::Result<Bytes>>, len_bytes: Option<u64>) -> Self {
        Self {
            source: Source::Channel(pieces),
            left_bytes: len_bytes,
            moved: Arc::default(),
        }
    }

    /// Tells how much of it has gone.
    pub fn moved(&self) -> Arc<Moved> {
        Arc::clone(&self.moved)
    }
}

impl From<Vec<u8>> for Outgoing {
    fn from(bytes: Vec<u8>) -> Self {
        Self::pieces(VecDeque::from([Bytes::from(bytes)]))
    }
}

impl Body for Outgoing {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let this = self.get_mut();
        let piece = match &mut this.source {
            Source::Pieces(pieces) => pieces.pop_front().map(Ok),
            Source::Channel(pieces) => match pieces.poll_recv(context) {
                Poll::Ready(piece) => piece,
                Poll::Pending => return Poll::Pending,
            },
        };
        Poll::Ready(piece.map(|piece| {
            let piece = piece?;
            let len_bytes = piece.len() as u64;
            this.moved.0.fetch_add(len_bytes, Ordering::Relaxed);
            this.left_bytes = this.left_bytes.map(|left| left.saturating_sub(len_bytes));
            Ok(Frame::data(piece))
        }))
    }

    fn is_end_stream(&self) -> bool {
        matches!(&self.source, Source::Pieces(pieces) if pieces.is_empty())
    }

    fn size_hint(&self) -> SizeHint {
        self.left_bytes
            .map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}
