//! Sockets: connecting, and reading into memory that is not zeroed first.

use std::io;
use std::time::Duration;

use bytes::{BufMut as _, BytesMut};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, ToSocketAddrs};
use tokio::time::timeout;

/// Connects; small messages are sent at once.
pub(super) async fn connect(to: impl ToSocketAddrs) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(to).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Whether an idle connection is neither closed nor has something to say that nobody has asked for.
pub(super) fn is_open(stream: &TcpStream) -> bool {
    let read = stream.try_read(&mut [0]);
    read.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
}

/// Writes all of it; `silence`: the longest that it may take.
pub(super) async fn say(stream: &mut TcpStream, bytes: &[u8], silence: Duration) -> io::Result<()> {
    match timeout(silence, stream.write_all(bytes)).await {
        Ok(said) => said,
        Err(_) => Err(io::ErrorKind::TimedOut.into()),
    }
}

/// Reads `len` more bytes into `buffer`, which grows by at most `step` bytes before these have come. `silence`: the longest wait for any.
pub(super) async fn fill(
    stream: &mut TcpStream,
    buffer: &mut BytesMut,
    len: usize,
    step: usize,
    silence: Option<Duration>,
) -> io::Result<()> {
    let end = buffer.len() + len;
    while buffer.len() < end {
        let missing = end - buffer.len();
        buffer.reserve(missing.min(step));
        some(stream, buffer, missing, silence).await?;
    }
    Ok(())
}

/// Reads at least one byte and at most `max` into the room that `buffer` has.
pub(super) async fn some(
    stream: &mut TcpStream,
    buffer: &mut BytesMut,
    max: usize,
    silence: Option<Duration>,
) -> io::Result<()> {
    let room = buffer.capacity() - buffer.len();
    let mut into = buffer.limit(max.min(room.max(1)));
    let read = stream.read_buf(&mut into);
    let read = match silence {
        Some(silence) => timeout(silence, read).await.map_err(|_| {
            let text = format!("nothing has come for {silence:?}");
            io::Error::new(io::ErrorKind::TimedOut, text)
        })??,
        None => read.await?,
    };
    match read {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        _ => Ok(()),
    }
}
