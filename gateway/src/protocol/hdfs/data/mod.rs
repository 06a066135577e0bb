//! The data port: the gateway as a DataNode. One operation after another on a connection that is kept.
//!
//! A write is answered packet by packet, when the store has taken it. A read pulls: a packet is made when the socket has taken the one before it, and nothing is read ahead of that but by the cache. A client
//! that leaves, or takes nothing for `limits.write_stall_timeout`, ends the read at once.

mod arriving;
pub mod checksum;
pub mod op;
pub mod packet;
mod read;
mod whose;
mod write;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use prost::Message;
use tokio::io::AsyncReadExt as _;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::time::timeout;

use super::Hdfs;
use super::frame::{self, FrameError};
use super::proto::hdfs::{BlockOpResponseProto, Status as Outcome};
use super::server::{TOO_MANY, Taken, told, write_all};
use crate::http::server::PeerInfo;

/// Longest word of a client about a read that it has had, in bytes.
const WORD_BYTES_MAX: usize = 1024;

/// The connection, from its first byte to its last.
pub async fn talk(hdfs: Arc<Hdfs>, taken: Taken) {
    let (reader, writer) = taken.stream.into_split();
    let limits = &hdfs.gateway.config.limits;
    let mut talk = Talk {
        idle: limits.header_timeout.duration(),
        stall: limits.write_stall_timeout.duration(),
        peer: taken.peer,
        reader,
        writer,
        arrived: BytesMut::new(),
        hdfs,
    };
    let mut stopped = taken.stopped;
    loop {
        let next = tokio::select! {
            next = talk.next() => next,
            () = told(&mut stopped) => return,
        };
        let Ok(Some((number, message))) = next else {
            return;
        };
        let served = match number {
            op::WRITE_BLOCK => talk.write_block(message, &mut stopped).await,
            op::READ_BLOCK => talk.read_block(message).await,
            op::BLOCK_CHECKSUM => talk.block_checksum(message).await,
            _ => talk.lacks(number).await,
        };
        match served {
            Ok(Next::Another) => {}
            Ok(Next::Close) => return,
            Err(error) => {
                tracing::debug!(peer = %talk.peer.addr, %error, "a read of hdfs:// was cut");
                return;
            }
        }
    }
}

/// What a client above the limit of connections is told.
pub fn too_many() -> Vec<u8> {
    let answer = BlockOpResponseProto {
        status: Outcome::Error.into(),
        message: Some(TOO_MANY.to_owned()),
        ..BlockOpResponseProto::default()
    };
    answer.encode_length_delimited_to_vec()
}

/// What becomes of a connection after an operation.
enum Next {
    /// It is kept.
    Another,
    /// It is of no more use.
    Close,
}

struct Talk {
    hdfs: Arc<Hdfs>,
    peer: PeerInfo,
    idle: Duration,
    stall: Duration,
    reader: OwnedReadHalf,
    writer: OwnedWriteHalf,
    arrived: BytesMut,
}

impl Talk {
    /// The next operation; `None` when the client is gone, or silent for too long.
    async fn next(&mut self) -> Result<Option<(u8, bytes::Bytes)>, FrameError> {
        let whole = async {
            loop {
                if let Some(taken) = op::take(&mut self.arrived)? {
                    return Ok(Some(taken));
                }
                if !matches!(self.reader.read_buf(&mut self.arrived).await, Ok(1..)) {
                    return Ok(None);
                }
            }
        };
        timeout(self.idle, whole).await.unwrap_or(Ok(None))
    }

    /// What the client says when it has had all.
    async fn word(&mut self) -> io::Result<()> {
        let whole = async {
            loop {
                let taken = frame::take_delimited(&mut self.arrived, WORD_BYTES_MAX);
                if taken.map_err(io::Error::other)?.is_some() {
                    return Ok(());
                }
                if self.reader.read_buf(&mut self.arrived).await? == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
            }
        };
        timeout(self.stall, whole)
            .await
            .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
    }

    /// Resolves when the client has left: it has nothing to say while it is sent to. What it says early is kept.
    async fn left(reader: &mut OwnedReadHalf, arrived: &mut BytesMut) {
        while arrived.len() < WORD_BYTES_MAX {
            if !matches!(reader.read_buf(arrived).await, Ok(1..)) {
                return;
            }
        }
        std::future::pending().await
    }

    async fn answer(&mut self, answer: &BlockOpResponseProto) -> io::Result<()> {
        let bytes = answer.encode_length_delimited_to_vec();
        let slices = &mut [io::IoSlice::new(&bytes)];
        write_all(&mut self.writer, slices, self.stall).await
    }

    async fn refuse(&mut self, outcome: Outcome, text: String) -> io::Result<Next> {
        let answer = BlockOpResponseProto {
            status: outcome.into(),
            message: Some(text),
            ..BlockOpResponseProto::default()
        };
        self.answer(&answer).await?;
        Ok(Next::Close)
    }

    async fn lacks(&mut self, number: u8) -> io::Result<Next> {
        let text = format!(
            "operation {number}: the data port of this gateway reads and writes blocks and tells their checksums"
        );
        self.refuse(Outcome::ErrorUnsupported, text).await
    }
}
