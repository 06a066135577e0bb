//! A part of a block, of one DataNode (`OP_READ_BLOCK`): packets, whose bytes the kernel copies straight to where they are wanted, each
//! checked before it is shown.

use std::io;
use std::time::Duration;

use bytes::{Buf as _, Bytes, BytesMut};
use moongate_hdfs_wire::frame::{self, FrameError};
use moongate_hdfs_wire::packet::{self, Head};
use moongate_hdfs_wire::proto::common::TokenProto;
use moongate_hdfs_wire::proto::hdfs::{
    BaseHeaderProto, BlockOpResponseProto, ClientOperationHeaderProto, ClientReadStatusProto,
    ExtendedBlockProto, OpReadBlockProto, ReadOpChecksumInfoProto, Status,
};
use moongate_hdfs_wire::sums::{SUM_BYTES, Sums};
use prost::Message as _;
use tokio::net::TcpStream;

use super::socket;

/// Version 28 of the protocol, and OP_READ_BLOCK.
const READ_BLOCK: [u8; 3] = [0, 28, 81];
/// What DataNodes write in their logs.
const CLIENT: &str = "moongate";
/// Longest answer to an operation, in bytes.
const ANSWER_BYTES_MAX: usize = 64 << 10;
/// A packet without checksums has a head like this; what is read of the next head is what the last one had.
const HEAD_BYTES_GUESS: usize = 31;
/// What is set aside at a time of what a length promises.
const STEP_BYTES: usize = 64 << 10;
/// How far before the asked offset a packet without checksums may begin.
const NULL_SKIP_MAX: u64 = 1 << 20;

/// Why a DataNode does not give what it has.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    /// The connection fails: another one may do.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// It sends what is no answer.
    #[error("{0}")]
    Frame(#[from] FrameError),
    /// It sends what does not belong together.
    #[error("what it sends is not what was asked for: {0}")]
    Senseless(&'static str),
    /// Bytes are not those that were written.
    #[error("a checksum does not hold")]
    Damaged,
    /// The token is too old: all others will say so too.
    #[error("the token of the block is not taken any more")]
    Token,
    /// It has not got it.
    #[error("{0}")]
    Refused(String),
}

/// What is asked of a DataNode.
pub(super) struct Asked<'a> {
    pub(super) block: &'a ExtendedBlockProto,
    pub(super) token: &'a TokenProto,
    /// Where in the block, up to where.
    pub(super) from: u64,
    pub(super) to: u64,
}

/// A part of a block on its way.
#[derive(Debug)]
pub(super) struct BlockRead {
    stream: TcpStream,
    silence: Duration,
    /// Heads, and what came with them.
    arrived: BytesMut,
    sums: Sums,
    /// Where the next packet begins in the block, and its number.
    next: u64,
    seqno: i64,
    /// The byte that is wanted next, and the first that is not.
    at: u64,
    end: u64,
    head_bytes: usize,
    /// Good bytes for which there was no room.
    rest: Bytes,
}

impl BlockRead {
    /// Asks, and hears whether it will come.
    pub(super) async fn begin(
        mut stream: TcpStream,
        asked: &Asked<'_>,
        silence: Duration,
    ) -> Result<Self, Fault> {
        socket::say(&mut stream, &operation(asked), silence).await?;
        let mut arrived = BytesMut::new();
        let answer = loop {
            if let Some(answer) = frame::take_delimited(&mut arrived, ANSWER_BYTES_MAX)? {
                break answer;
            }
            arrived.reserve(512);
            socket::some(&mut stream, &mut arrived, 512, Some(silence)).await?;
        };
        let answer = BlockOpResponseProto::decode(answer).map_err(|_| FrameError::Malformed)?;
        let (sums, next) = begins(&answer, asked.from)?;
        Ok(Self {
            stream,
            silence,
            arrived,
            sums,
            next,
            seqno: 0,
            at: asked.from,
            end: asked.to,
            head_bytes: HEAD_BYTES_GUESS,
            rest: Bytes::new(),
        })
    }

    /// Whether all that was asked for has been given.
    pub(super) const fn is_done(&self) -> bool {
        self.at >= self.end
    }

    /// Adds the bytes that follow to `page`, some at least and at most `room`, for which it has capacity. After a fault `page` is as it was.
    pub(super) async fn more(&mut self, page: &mut BytesMut, room: usize) -> Result<(), Fault> {
        if self.rest.is_empty() {
            let head = self.head().await?;
            let sums = self.arrived.split_to(head.sums_bytes).freeze();
            let data = head.data_bytes as u64;
            if self.next == self.at && data <= self.end - self.at && head.data_bytes <= room {
                self.straight(page, &sums, head.data_bytes).await?;
                self.at += data;
            } else {
                self.aside(&sums, head.data_bytes).await?;
            }
            self.next += data;
            self.seqno += 1;
        }
        let len = self.rest.len().min(room);
        page.extend_from_slice(&self.rest.split_to(len));
        self.at += len as u64;
        Ok(())
    }

    /// A packet that is wanted whole.
    async fn straight(
        &mut self,
        page: &mut BytesMut,
        sums: &[u8],
        len: usize,
    ) -> Result<(), Fault> {
        let before = page.len();
        let came = self.data(page, len).await;
        let good = page.get(before..).unwrap_or_default();
        let result = match came {
            Ok(()) if self.sums.hold(sums, good) => return Ok(()),
            Ok(()) => Fault::Damaged,
            Err(fault) => fault,
        };
        page.truncate(before);
        Err(result)
    }

    /// A packet of which a part is wanted, or for which there is no room yet.
    async fn aside(&mut self, sums: &[u8], len: usize) -> Result<(), Fault> {
        let mut data = BytesMut::new();
        self.data(&mut data, len).await?;
        if !self.sums.hold(sums, &data) {
            return Err(Fault::Damaged);
        }
        let mut data = data.freeze();
        let before = usize::try_from(self.at - self.next).unwrap_or(usize::MAX);
        data.advance(before.min(data.len()));
        data.truncate(usize::try_from(self.end - self.at).unwrap_or(usize::MAX));
        if data.is_empty() {
            return Err(Fault::Senseless("a packet that ends before it begins"));
        }
        self.rest = data;
        Ok(())
    }

    async fn data(&mut self, into: &mut BytesMut, len: usize) -> Result<(), Fault> {
        let early = self.arrived.len().min(len);
        into.extend_from_slice(&self.arrived.split_to(early));
        let (stream, silence) = (&mut self.stream, Some(self.silence));
        Ok(socket::fill(stream, into, len - early, STEP_BYTES, silence).await?)
    }

    /// The head of the packet that must come now. Its checksums have arrived too.
    async fn head(&mut self) -> Result<Head, Fault> {
        let head = self.any_head().await?;
        let (header, data) = (&head.header, head.data_bytes);
        if header.last_packet_in_block || data == 0 {
            return Err(Fault::Senseless("the block ends too soon"));
        }
        if header.seqno != self.seqno || u64::try_from(header.offset_in_block) != Ok(self.next) {
            return Err(Fault::Senseless("a packet that is not the next one"));
        }
        let wanted = if self.sums.is_null() {
            0
        } else {
            data.div_ceil(self.sums.chunk_bytes()) * SUM_BYTES
        };
        if head.sums_bytes != wanted {
            return Err(Fault::Senseless("not a checksum for each chunk"));
        }
        self.need(wanted).await?;
        self.head_bytes = head.head_bytes + wanted;
        Ok(head)
    }

    async fn any_head(&mut self) -> Result<Head, Fault> {
        loop {
            match packet::head(&self.arrived)? {
                packet::Arrived::Whole(head) => {
                    self.arrived.advance(head.head_bytes);
                    return Ok(head);
                }
                packet::Arrived::Half(_) => {
                    let max = self.head_bytes.saturating_sub(self.arrived.len());
                    self.read(max.max(HEAD_BYTES_GUESS)).await?;
                }
            }
        }
    }

    /// Reads until so many bytes have arrived.
    async fn need(&mut self, len: usize) -> Result<(), Fault> {
        let missing = len.saturating_sub(self.arrived.len());
        let (stream, silence) = (&mut self.stream, Some(self.silence));
        let filled = socket::fill(stream, &mut self.arrived, missing, STEP_BYTES, silence);
        Ok(filled.await?)
    }

    async fn read(&mut self, max: usize) -> Result<(), Fault> {
        let max = max.min(STEP_BYTES);
        self.arrived.reserve(max);
        let (stream, silence) = (&mut self.stream, Some(self.silence));
        Ok(socket::some(stream, &mut self.arrived, max, silence).await?)
    }

    /// Reads the empty packet at the end and says that all is well; the connection is good for the next operation.
    pub(super) async fn finish(mut self) -> Result<TcpStream, Fault> {
        let head = self.any_head().await?;
        if !head.header.last_packet_in_block || head.data_bytes + head.sums_bytes != 0 {
            return Err(Fault::Senseless("more than was asked for"));
        }
        let status = if self.sums.is_null() {
            Status::Success
        } else {
            Status::ChecksumOk
        };
        let said = ClientReadStatusProto {
            status: status.into(),
        };
        let said = said.encode_length_delimited_to_vec();
        socket::say(&mut self.stream, &said, self.silence).await?;
        if !self.arrived.is_empty() {
            return Err(Fault::Senseless("more than a block"));
        }
        Ok(self.stream)
    }
}

fn operation(asked: &Asked<'_>) -> Vec<u8> {
    let message = OpReadBlockProto {
        header: ClientOperationHeaderProto {
            base_header: BaseHeaderProto {
                block: asked.block.clone(),
                token: Some(asked.token.clone()),
            },
            client_name: CLIENT.to_owned(),
        },
        offset: asked.from,
        len: asked.to - asked.from,
        send_checksums: Some(true),
    };
    [&READ_BLOCK[..], &message.encode_length_delimited_to_vec()].concat()
}

/// How it is summed, and where the first packet begins: with a chunk, so perhaps before what was asked for.
fn begins(answer: &BlockOpResponseProto, from: u64) -> Result<(Sums, u64), Fault> {
    match Status::try_from(answer.status) {
        Ok(Status::Success) => {}
        Ok(Status::ErrorAccessToken) => return Err(Fault::Token),
        _ => {
            let text = answer.message.clone().unwrap_or_default();
            return Err(Fault::Refused(format!("status {}: {text}", answer.status)));
        }
    }
    let info: &ReadOpChecksumInfoProto = answer
        .read_op_checksum_info
        .as_ref()
        .ok_or(Fault::Senseless("no word of checksums"))?;
    let sums =
        Sums::of(&info.checksum).ok_or(Fault::Senseless("checksums of a kind of its own"))?;
    let skip_max = if sums.is_null() {
        NULL_SKIP_MAX
    } else {
        sums.chunk_bytes() as u64
    };
    let skip = from.checked_sub(info.chunk_offset);
    match skip {
        Some(skip) if skip < skip_max => Ok((sums, info.chunk_offset)),
        _ => Err(Fault::Senseless("it begins elsewhere")),
    }
}

#[cfg(test)]
#[path = "block_tests.rs"]
pub(super) mod tests;
