//! Contents read: which needles make up a range of a file, one after the other.

use std::ops::Range;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use moongate_filer::{Content, Needle, Source};
use moongate_haystack::HaystackError;
use tokio::sync::mpsc;

use super::fid_of;
use crate::http::Body;
use crate::protocol::image::load::{load_fid, unpacked};
use crate::state::Gateway;

/// Ranges up to this length are put together in memory; what is longer is streamed.
const WHOLE_BYTES_MAX: u64 = 1 << 20;
/// Pieces that are read ahead of the client.
const PIECES_AHEAD: usize = 2;
/// Zeros are sent in pieces of this size.
const ZEROS_BYTES: usize = 64 << 10;
static ZEROS: [u8; ZEROS_BYTES] = [0; ZEROS_BYTES];

/// A stretch of a file that stands by itself.
#[derive(Debug)]
enum Piece {
    Needle {
        needle: Needle,
        from: u64,
        bytes: u64,
    },
    Inline(Bytes),
    Zeros(u64),
}

fn pieces(content: &Content, range: Range<u64>) -> Vec<Piece> {
    let views = content.views(range);
    let piece = |view: &moongate_filer::View<'_>| match view.source {
        Source::Chunk { chunk, from } => Piece::Needle {
            needle: chunk.needle,
            from,
            bytes: view.bytes,
        },
        Source::Inline(bytes) => Piece::Inline(Bytes::copy_from_slice(bytes)),
        Source::Hole => Piece::Zeros(view.bytes),
    };
    views.iter().map(piece).collect()
}

/// The bytes of a range as a body. A short range is read before this returns, so that damage answers 500; of a long one damage cuts
/// the connection.
///
/// # Errors
/// A needle is missing or damaged.
pub async fn body(
    gateway: &Arc<Gateway>,
    content: &Content,
    range: Range<u64>,
) -> Result<Body, HaystackError> {
    let len = range.end - range.start;
    let pieces = pieces(content, range);
    if len <= WHOLE_BYTES_MAX {
        return Ok(Body::full(gather(gateway, pieces, len).await?));
    }
    let (sender, receiver) = mpsc::channel(PIECES_AHEAD);
    let gateway = Arc::clone(gateway);
    tokio::spawn(async move {
        for piece in pieces {
            if let Err(error) = send(&gateway, piece, &sender).await {
                tracing::warn!(%error, "a chunk of a file cannot be read");
                let _ = sender
                    .send(Err(std::io::Error::other(error.to_string())))
                    .await;
                return;
            }
        }
    });
    Ok(Body::stream(receiver, Some(len)))
}

/// All of a content, in memory. For short ones.
///
/// # Errors
/// A needle is missing or damaged.
pub async fn whole(gateway: &Arc<Gateway>, content: &Content) -> Result<Bytes, HaystackError> {
    part(gateway, content, 0..content.size).await
}

/// A range of a content, in memory.
///
/// # Errors
/// A needle is missing or damaged.
pub async fn part(
    gateway: &Arc<Gateway>,
    content: &Content,
    range: Range<u64>,
) -> Result<Bytes, HaystackError> {
    let len = range.end - range.start;
    gather(gateway, pieces(content, range), len).await
}

async fn gather(
    gateway: &Arc<Gateway>,
    pieces: Vec<Piece>,
    len: u64,
) -> Result<Bytes, HaystackError> {
    if let [
        Piece::Needle {
            needle,
            from,
            bytes,
        },
    ] = pieces[..]
    {
        return read_needle(gateway, &needle, from, bytes).await;
    }
    let mut bytes = BytesMut::with_capacity(usize::try_from(len).unwrap_or(0));
    for piece in pieces {
        match piece {
            Piece::Needle {
                needle,
                from,
                bytes: len,
            } => {
                bytes.extend_from_slice(&read_needle(gateway, &needle, from, len).await?);
            }
            Piece::Inline(inline) => bytes.extend_from_slice(&inline),
            Piece::Zeros(len) => bytes.resize(bytes.len() + usize::try_from(len).unwrap_or(0), 0),
        }
    }
    Ok(bytes.freeze())
}

type Sender = mpsc::Sender<std::io::Result<Bytes>>;

/// Sends a piece; a client that has left ends it in silence.
async fn send(gateway: &Arc<Gateway>, piece: Piece, sender: &Sender) -> Result<(), HaystackError> {
    match piece {
        Piece::Needle {
            needle,
            from,
            bytes,
        } => {
            if !sender.is_closed() {
                let data = read_needle(gateway, &needle, from, bytes).await?;
                let _ = sender.send(Ok(data)).await;
            }
        }
        Piece::Inline(bytes) => drop(sender.send(Ok(bytes)).await),
        Piece::Zeros(mut left) => {
            while left > 0 {
                let now = left.min(ZEROS_BYTES as u64);
                left -= now;
                let zeros = Bytes::from_static(&ZEROS).slice(..usize::try_from(now).unwrap_or(0));
                if sender.send(Ok(zeros)).await.is_err() {
                    break;
                }
            }
        }
    }
    Ok(())
}

/// Part of a needle's data, verified.
///
/// # Errors
/// It is missing, damaged, or shorter than the name says.
pub async fn read_needle(
    gateway: &Arc<Gateway>,
    needle: &Needle,
    from: u64,
    bytes: u64,
) -> Result<Bytes, HaystackError> {
    let stored = load_fid(gateway, &fid_of(needle), false).await?;
    let data = unpacked(&stored).await?;
    let short = || {
        let fid = fid_of(needle);
        HaystackError::Storage(
            format!(
                "needle {fid} has {} bytes, fewer than its file says",
                data.len()
            )
            .into(),
        )
    };
    let (start, len) = (usize::try_from(from), usize::try_from(bytes));
    let (Ok(start), Ok(len)) = (start, len) else {
        return Err(short());
    };
    let end = start
        .checked_add(len)
        .filter(|end| *end <= data.len())
        .ok_or_else(short)?;
    Ok(data.slice(start..end))
}
