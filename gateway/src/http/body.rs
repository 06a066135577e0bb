//! Response bodies: whole, in pieces, or streamed from another task.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures::StreamExt as _;
use futures::stream::BoxStream;
use http::HeaderMap;
use http_body::{Frame, SizeHint};
use tokio::sync::mpsc::{OwnedPermit, Receiver, Sender, channel};

use super::watchdog::InFlight;

/// What every service of the gateway answers with.
pub type Response = http::Response<Body>;

/// A response body.
///
/// Whatever length a body announces, it keeps: a stream that ends early, or goes on too long, yields an
/// error, upon which hyper cuts the connection. A client never takes a short body for a whole one.
#[derive(Debug)]
pub enum Body {
    /// Everything at once; `None` once it has been sent, or when there is nothing.
    Full(Option<Bytes>),
    /// Several pieces, sent one after the other without joining them.
    Chunks(Chunks),
    /// Pieces that another task sends as they become available.
    Stream(BodyStream),
    /// Pieces that are made as the connection takes them: nothing runs ahead of it, and nothing once it is gone.
    Pulled(PulledStream),
    /// Pieces of unknown length together, from another task, and trailers behind them. An error cuts the connection, so that the
    /// client knows the body to be incomplete. (hyper sends trailers to who sent `TE: trailers`, if a `Trailer` header names them.)
    Frames(FrameStream),
}

/// The pieces of a [`Body::Chunks`], and how many bytes they still hold together.
#[derive(Debug)]
pub struct Chunks {
    pieces: VecDeque<Bytes>,
    remaining_bytes: u64,
}

/// The receiving end of a [`Body::Stream`].
#[derive(Debug)]
pub struct BodyStream {
    receiver: Receiver<io::Result<Bytes>>,
    remaining_bytes: Option<u64>,
    /// Its request is in flight until the stream ends: the client waits for us, not we for the client.
    in_flight: Option<InFlight>,
}

/// What a [`Body::Pulled`] is made of.
pub struct PulledStream {
    first: Option<Bytes>,
    rest: BoxStream<'static, io::Result<Bytes>>,
    remaining_bytes: u64,
    /// As of a [`BodyStream`].
    in_flight: Option<InFlight>,
}

impl fmt::Debug for PulledStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PulledStream({} bytes)", self.remaining_bytes)
    }
}

impl PulledStream {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        if let Some(first) = self.first.take() {
            return Poll::Ready(Some(self.account(first)));
        }
        self.rest.poll_next_unpin(cx).map(|next| match next {
            Some(Ok(piece)) => Some(self.account(piece)),
            Some(Err(error)) => Some(Err(error)),
            None => short(std::mem::take(&mut self.remaining_bytes)).map(Err),
        })
    }

    fn account(&mut self, piece: Bytes) -> io::Result<Bytes> {
        let left = self.remaining_bytes.checked_sub(piece.len() as u64);
        self.remaining_bytes = left.ok_or_else(too_long)?;
        Ok(piece)
    }
}

fn too_long() -> io::Error {
    io::Error::other("the body is longer than announced")
}

/// The error of a body that ended so many bytes before its announced length.
fn short(bytes: u64) -> Option<io::Error> {
    let text = format!("the body ended {bytes} bytes short of its announced length");
    (bytes > 0).then(|| io::Error::new(io::ErrorKind::UnexpectedEof, text))
}

/// The receiving end of a [`Body::Frames`].
#[derive(Debug)]
pub struct FrameStream {
    receiver: Receiver<io::Result<Frame<Bytes>>>,
    in_flight: Option<InFlight>,
}

impl Body {
    /// A body of no bytes.
    pub const fn empty() -> Self {
        Self::Full(None)
    }

    /// A body of one piece.
    pub fn full(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        Self::Full((!bytes.is_empty()).then_some(bytes))
    }

    /// A body of several pieces; its length is their sum. Empty pieces are dropped.
    pub fn chunks(pieces: impl IntoIterator<Item = Bytes>) -> Self {
        let pieces: VecDeque<Bytes> = pieces
            .into_iter()
            .filter(|piece| !piece.is_empty())
            .collect();
        let remaining_bytes = pieces.iter().map(|piece| piece.len() as u64).sum();
        Self::Chunks(Chunks {
            pieces,
            remaining_bytes,
        })
    }

    /// A body that arrives through `receiver`.
    ///
    /// With `len_bytes` the answer carries a Content-Length; without it, it is chunked, and an error
    /// sent through the channel is the only way to tell the client that it is incomplete: a task that
    /// fails must send one, since a sender that is merely dropped ends the body.
    pub fn stream(receiver: Receiver<io::Result<Bytes>>, len_bytes: Option<u64>) -> Self {
        Self::Stream(BodyStream {
            receiver,
            remaining_bytes: len_bytes,
            in_flight: None,
        })
    }

    /// A body of this length: `first`, then what the stream yields, which is asked only when the connection has room.
    pub const fn pulled(
        first: Option<Bytes>,
        rest: BoxStream<'static, io::Result<Bytes>>,
        len_bytes: u64,
    ) -> Self {
        Self::Pulled(PulledStream {
            first,
            rest,
            remaining_bytes: len_bytes,
            in_flight: None,
        })
    }

    /// A body of unknown length, up to `waiting_max` pieces ahead of the client, and trailers; its length is chunked.
    pub fn frames(waiting_max: usize) -> (FrameSender, Self) {
        let (sender, receiver) = channel(waiting_max + 1);
        let frames = FrameSender {
            last: sender.clone().try_reserve_owned().ok(),
            sender,
            waiting_max,
        };
        let stream = FrameStream {
            receiver,
            in_flight: None,
        };
        (frames, Self::Frames(stream))
    }

    /// Keeps the request in flight for as long as the body waits for whoever makes it.
    pub(super) fn hold(&mut self, in_flight: InFlight) {
        match self {
            Self::Full(_) | Self::Chunks(_) => {}
            Self::Stream(stream) => stream.in_flight = Some(in_flight),
            Self::Pulled(stream) => stream.in_flight = Some(in_flight),
            Self::Frames(stream) => stream.in_flight = Some(in_flight),
        }
    }

    /// The bytes that are still to come, when that is known.
    pub fn len_bytes(&self) -> Option<u64> {
        match self {
            Self::Full(bytes) => Some(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64)),
            Self::Chunks(chunks) => Some(chunks.remaining_bytes),
            Self::Stream(stream) => stream.remaining_bytes,
            Self::Pulled(stream) => Some(stream.remaining_bytes),
            Self::Frames(_) => None,
        }
    }
}

/// The sending end of a [`Body::Frames`].
///
/// Dropped before it is [finished](Self::finish), whatever the reason, it cuts the connection: a body that lacks its end never looks
/// whole.
#[derive(Debug)]
pub struct FrameSender {
    sender: Sender<io::Result<Frame<Bytes>>>,
    /// Room for the end, so that it can be told without waiting.
    last: Option<OwnedPermit<io::Result<Frame<Bytes>>>>,
    waiting_max: usize,
}

/// The client has left.
#[derive(Debug)]
pub struct ClientLeft;

impl FrameSender {
    /// Sends a piece; waits while too many wait for the client.
    pub async fn send(&self, piece: Bytes) -> Result<(), ClientLeft> {
        let frame = Ok(Frame::data(piece));
        self.sender.send(frame).await.map_err(|_| ClientLeft)
    }

    /// As [`Self::send`], from a thread that may wait.
    pub fn send_blocking(&self, piece: Bytes) -> Result<(), ClientLeft> {
        let frame = Ok(Frame::data(piece));
        self.sender.blocking_send(frame).map_err(|_| ClientLeft)
    }

    /// Pieces that may be sent without waiting.
    pub fn free(&self) -> usize {
        self.sender.capacity()
    }

    /// Whether the client has left.
    pub fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }

    /// Waits until all that was sent is taken for writing.
    pub async fn taken(&self) -> Result<(), ClientLeft> {
        let all = self.sender.reserve_many(self.waiting_max).await;
        all.map(drop).map_err(|_| ClientLeft)
    }

    /// Ends the body, which is whole, with trailers.
    pub fn finish(mut self, trailers: HeaderMap) {
        if let Some(last) = self.last.take() {
            last.send(Ok(Frame::trailers(trailers)));
        }
    }
}

impl Drop for FrameSender {
    fn drop(&mut self) {
        if let Some(last) = self.last.take() {
            last.send(Err(io::Error::other("the body broke off")));
        }
    }
}

impl Chunks {
    fn next(&mut self) -> Option<Bytes> {
        let piece = self.pieces.pop_front()?;
        self.remaining_bytes = self.remaining_bytes.saturating_sub(piece.len() as u64);
        Some(piece)
    }
}

impl BodyStream {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        self.receiver.poll_recv(cx).map(|received| match received {
            Some(Ok(piece)) => Some(self.account(piece)),
            Some(Err(error)) => Some(Err(error)),
            None => self.missing().map(Err),
        })
    }

    /// Takes `piece` off what was announced; more than that is an error.
    fn account(&mut self, piece: Bytes) -> io::Result<Bytes> {
        if let Some(remaining) = &mut self.remaining_bytes {
            let left = remaining.checked_sub(piece.len() as u64);
            *remaining = left.ok_or_else(too_long)?;
        }
        Ok(piece)
    }

    /// The error of a sender that went away before it sent what was announced.
    fn missing(&mut self) -> Option<io::Error> {
        short(self.remaining_bytes.take()?)
    }
}

impl Default for Body {
    fn default() -> Self {
        Self::empty()
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        Self::full(bytes)
    }
}

impl From<String> for Body {
    fn from(text: String) -> Self {
        Self::full(text)
    }
}

impl From<&'static str> for Body {
    fn from(text: &'static str) -> Self {
        Self::full(text)
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let next = match self.get_mut() {
            Self::Frames(stream) => return stream.receiver.poll_recv(cx),
            Self::Full(bytes) => Poll::Ready(bytes.take().map(Ok)),
            Self::Chunks(chunks) => Poll::Ready(chunks.next().map(Ok)),
            Self::Stream(stream) => stream.poll_next(cx),
            Self::Pulled(stream) => stream.poll_next(cx),
        };
        next.map(|item| item.map(|bytes| bytes.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        self.len_bytes() == Some(0)
    }

    fn size_hint(&self) -> SizeHint {
        self.len_bytes()
            .map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

#[cfg(test)]
mod tests {
    use http_body::Body as _;
    use http_body_util::BodyExt;
    use tokio::sync::mpsc;

    use super::*;

    #[tokio::test]
    async fn a_full_body_is_the_very_bytes() {
        let bytes = Bytes::from(vec![7u8; 5000]);
        let mut body = Body::full(bytes.clone());
        assert_eq!(body.size_hint().exact(), Some(5000));
        let frame = body.frame().await.unwrap().unwrap().into_data().unwrap();
        assert_eq!(frame.as_ptr(), bytes.as_ptr());
        assert!(body.is_end_stream());
        assert!(body.frame().await.is_none());
    }

    #[test]
    fn an_empty_body_has_ended() {
        assert!(Body::empty().is_end_stream());
        assert!(Body::full("").is_end_stream());
        assert!(Body::chunks([Bytes::new()]).is_end_stream());
    }

    #[tokio::test]
    async fn chunks_come_in_order_with_their_sum_as_length() {
        let mut body = Body::chunks(["ab", "", "cde"].map(Bytes::from));
        assert_eq!(body.size_hint().exact(), Some(5));
        assert_eq!(
            body.frame().await.unwrap().unwrap().into_data().unwrap(),
            "ab"
        );
        assert_eq!(body.size_hint().exact(), Some(3));
        assert_eq!(body.collect().await.unwrap().to_bytes(), "cde");
    }

    async fn streamed(pieces: Vec<io::Result<Bytes>>, len_bytes: Option<u64>) -> io::Result<Bytes> {
        let (sender, receiver) = mpsc::channel(8);
        for piece in pieces {
            sender.send(piece).await.unwrap();
        }
        drop(sender);
        Ok(Body::stream(receiver, len_bytes)
            .collect()
            .await?
            .to_bytes())
    }

    #[tokio::test]
    async fn a_stream_of_the_announced_length_arrives() {
        let pieces = vec![
            Ok(Bytes::from_static(b"abc")),
            Ok(Bytes::from_static(b"de")),
        ];
        assert_eq!(streamed(pieces, Some(5)).await.unwrap(), "abcde");
    }

    #[tokio::test]
    async fn a_stream_of_unknown_length_ends_with_its_sender() {
        assert_eq!(
            streamed(vec![Ok(Bytes::from_static(b"abc"))], None)
                .await
                .unwrap(),
            "abc"
        );
    }

    #[tokio::test]
    async fn a_short_stream_is_an_error() {
        let error = streamed(vec![Ok(Bytes::from_static(b"abc"))], Some(5))
            .await
            .unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
        assert!(error.to_string().contains("2 bytes short"), "{error}");
    }

    #[tokio::test]
    async fn a_long_stream_is_an_error() {
        assert!(
            streamed(vec![Ok(Bytes::from_static(b"abcdef"))], Some(5))
                .await
                .is_err()
        );
    }

    #[tokio::test]
    async fn frames_end_with_trailers() {
        let (sender, body) = Body::frames(2);
        sender.send("ab".into()).await.unwrap();
        sender.send("c".into()).await.unwrap();
        assert_eq!(sender.free(), 0);
        sender.finish(HeaderMap::from_iter([(
            http::header::ETAG,
            http::HeaderValue::from_static("x"),
        )]));
        let all = body.collect().await.unwrap();
        assert_eq!(all.trailers().unwrap()["etag"], "x");
        assert_eq!(all.to_bytes(), "abc");
    }

    #[tokio::test]
    async fn frames_without_their_end_are_an_error_however_full() {
        let (sender, body) = Body::frames(1);
        sender.send("ab".into()).await.unwrap();
        drop(sender);
        let error = body.collect().await.unwrap_err();
        assert!(error.to_string().contains("broke off"));
        let (sender, body) = Body::frames(1);
        drop(body);
        assert!(sender.send("ab".into()).await.is_err() && sender.is_closed());
    }

    #[tokio::test]
    async fn an_error_of_the_sender_is_passed_on() {
        let pieces = vec![
            Ok(Bytes::from_static(b"abc")),
            Err(io::Error::other("disk")),
        ];
        assert_eq!(
            streamed(pieces, Some(5)).await.unwrap_err().to_string(),
            "disk"
        );
    }
}
