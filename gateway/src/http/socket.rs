//! A client's socket under two deadlines that hyper does not keep: one on writes that make no progress,
//! one on the closing handshake.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep};

use super::watchdog::Writing;

/// How long a connection that we close may still take to fall silent.
const LINGER_TIMEOUT: Duration = Duration::from_secs(1);
/// What is read and thrown away of such a connection in one go.
const DISCARD_BYTES: usize = 4096;

/// A socket whose writes fail with [`io::ErrorKind::TimedOut`] once the client has taken nothing for a
/// while. While writes succeed at once this costs one comparison.
///
/// Shutting down first tells the client that no more will come, then discards what it still sends, for
/// at most a second: to close with unread data in the socket would reset the connection, and the client
/// could lose an answer (413, 431) that came before it had sent all.
#[derive(Debug)]
pub(super) struct GuardedSocket {
    stream: TcpStream,
    write_stall_timeout: Duration,
    write_blocked: bool,
    writing: Option<Writing>,
    deadline: Option<Pin<Box<Sleep>>>,
    lingering: bool,
}

impl GuardedSocket {
    pub(super) fn new(
        stream: TcpStream,
        write_stall_timeout: Duration,
        writing: Option<Writing>,
    ) -> Self {
        Self {
            stream,
            write_stall_timeout,
            write_blocked: false,
            writing,
            deadline: None,
            lingering: false,
        }
    }

    /// Passes on what a write came to, and starts or checks the deadline if it has to wait.
    fn watch_write<T>(
        &mut self,
        cx: &mut Context<'_>,
        write: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if write.is_ready() {
            self.set_write_blocked(false);
            return write;
        }
        if !self.write_blocked {
            self.set_write_blocked(true);
            self.set_deadline(self.write_stall_timeout);
        }
        ready!(self.poll_deadline(cx));
        Poll::Ready(Err(io::Error::new(
            io::ErrorKind::TimedOut,
            "the client stopped reading",
        )))
    }

    fn set_write_blocked(&mut self, blocked: bool) {
        if self.write_blocked != blocked {
            self.write_blocked = blocked;
            if let Some(writing) = &self.writing {
                writing.set(blocked);
            }
        }
    }

    fn set_deadline(&mut self, after: Duration) {
        match &mut self.deadline {
            Some(deadline) => deadline.as_mut().reset(Instant::now() + after),
            None => self.deadline = Some(Box::pin(tokio::time::sleep(after))),
        }
    }

    fn poll_deadline(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.deadline
            .as_mut()
            .map_or(Poll::Ready(()), |deadline| deadline.as_mut().poll(cx))
    }

    /// Reads until the client closes its side, the deadline passes, or the connection breaks.
    fn poll_silence(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut bytes = [0; DISCARD_BYTES];
        while self.poll_deadline(cx).is_pending() {
            let mut discarded = ReadBuf::new(&mut bytes);
            let read = ready!(Pin::new(&mut self.stream).poll_read(cx, &mut discarded));
            if read.is_err() || discarded.filled().is_empty() {
                break;
            }
        }
        Poll::Ready(())
    }
}

impl AsyncRead for GuardedSocket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for GuardedSocket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let write = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.watch_write(cx, write)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let write = Pin::new(&mut self.stream).poll_write_vectored(cx, bytes);
        self.watch_write(cx, write)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.lingering {
            ready!(Pin::new(&mut self.stream).poll_shutdown(cx))?;
            self.lingering = true;
            self.set_deadline(LINGER_TIMEOUT);
        }
        self.poll_silence(cx).map(Ok)
    }
}
