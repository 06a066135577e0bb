//! OP_READ_BLOCK and OP_BLOCK_CHECKSUM.

use std::io::{self, IoSlice};
use std::ops::Range;
use std::time::Instant;

use bytes::Bytes;
use futures::StreamExt as _;
use futures::stream::BoxStream;
use moongate_cache::{BackendError, ErrorKind};
use prost::Message as _;

use super::checksum::{CHUNK_BYTES, OfBlock};
use super::packet::{Packet, Packets};
use super::whose::{Block, No, refused, replaced};
use super::{Next, Talk};
use crate::metrics::Operation;
use crate::protocol::hdfs::proto::hdfs::{
    BlockChecksumOptionsProto, BlockChecksumTypeProto, BlockOpResponseProto, ChecksumProto,
    ChecksumTypeProto, OpBlockChecksumProto, OpBlockChecksumResponseProto, OpReadBlockProto,
    ReadOpChecksumInfoProto, Status as Outcome,
};
use crate::protocol::hdfs::server::write_all;

type Pieces = BoxStream<'static, Result<Bytes, BackendError>>;

/// A stretch of a block, and what is sent for it: whole chunks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stretch {
    start: u64,
    end: u64,
}

/// What is sent for `len` bytes from `offset` of a block; `None` if the block has not got them.
fn stretch(offset: u64, len: u64, block_len: u64, has_checksums: bool) -> Option<Stretch> {
    let end = offset.checked_add(len).filter(|end| *end <= block_len)?;
    if !has_checksums {
        return Some(Stretch { start: offset, end });
    }
    let chunk = CHUNK_BYTES as u64;
    Some(Stretch {
        start: offset - offset % chunk,
        end: end.next_multiple_of(chunk).min(block_len),
    })
}

impl Talk {
    pub(super) async fn read_block(&mut self, message: Bytes) -> io::Result<Next> {
        let begun = Instant::now();
        let asked = OpReadBlockProto::decode(message).map_err(io::Error::other)?;
        let block = match self.whose(&asked.header.base_header).await {
            Ok(block) => block,
            Err((outcome, text)) => return self.refused(begun, outcome, text).await,
        };
        let has_checksums = asked.send_checksums();
        let len = block.token.block_len;
        let Some(stretch) = stretch(asked.offset, asked.len, len, has_checksums) else {
            let text = format!(
                "Offset {} and length {} don't match a block of {len} bytes",
                asked.offset, asked.len
            );
            return self.refused(begun, Outcome::Error, text).await;
        };
        let start = block.token.block_start;
        let range = start + stretch.start..start + stretch.end;
        let sent_bytes = range.end - range.start;
        match self.send(&block, stretch, range, has_checksums).await {
            Ok(None) => {}
            Ok(Some((outcome, text))) => return self.refused(begun, outcome, text).await,
            Err(error) => {
                self.answered(begun, 500, 0);
                return Err(error);
            }
        }
        let tenants = &self.hdfs.gateway.tenants;
        tenants.charge(block.tenant.as_deref(), sent_bytes, Instant::now());
        self.answered(begun, 200, sent_bytes);
        self.word().await?;
        Ok(Next::Another)
    }

    /// Sends a stretch. What goes wrong before its first byte has an answer; what goes wrong later cuts the connection.
    async fn send(
        &mut self,
        block: &Block,
        stretch: Stretch,
        range: Range<u64>,
        has_checksums: bool,
    ) -> io::Result<Option<No>> {
        let opened = tokio::select! {
            opened = pieces(block, range) => opened,
            () = Self::left(&mut self.reader, &mut self.arrived) => return Err(io::ErrorKind::UnexpectedEof.into()),
        };
        let mut pieces = match opened {
            Ok(pieces) => pieces,
            Err(error) => return Ok(Some(self.lost(block, error))),
        };
        // The answer goes out with the first packets, and the last ones together: a short read is one write.
        let mut answer = begins(stretch.start, has_checksums).encode_length_delimited_to_vec();
        let mut packets = Packets::new(stretch.start, has_checksums);
        loop {
            let next = tokio::select! {
                next = pieces.next() => next,
                () = Self::left(&mut self.reader, &mut self.arrived) => return Err(io::ErrorKind::UnexpectedEof.into()),
            };
            match next {
                Some(Ok(piece)) => packets.push(piece),
                Some(Err(error)) => {
                    let (outcome, text) = self.lost(block, error);
                    if answer.is_empty() {
                        return Err(io::Error::other(text));
                    }
                    return Ok(Some((outcome, text)));
                }
                None => break,
            }
            let full: Vec<Packet> = std::iter::from_fn(|| packets.full()).collect();
            if !full.is_empty() {
                self.write(&answer, &full).await?;
                answer.clear();
            }
        }
        self.write(&answer, &packets.last()).await?;
        Ok(None)
    }

    async fn write(&mut self, answer: &[u8], packets: &[Packet]) -> io::Result<()> {
        let packets = packets.iter().flat_map(Packet::slices);
        let mut slices: Vec<IoSlice<'_>> = std::iter::once(IoSlice::new(answer))
            .chain(packets)
            .collect();
        write_all(&mut self.writer, &mut slices, self.stall).await
    }

    /// Nothing more can be read of this content.
    fn lost(&self, block: &Block, error: BackendError) -> No {
        self.hdfs.opened.forget(&block.key);
        match error.kind {
            ErrorKind::Changed => replaced(&block.key.path),
            _ => refused(error),
        }
    }

    fn answered(&self, begun: Instant, status: u16, sent_bytes: u64) {
        let metrics = &self.hdfs.gateway.metrics;
        metrics.answered(Operation::HdfsRead, status, begun.elapsed(), 0, sent_bytes);
    }

    async fn refused(
        &mut self,
        begun: Instant,
        outcome: Outcome,
        text: String,
    ) -> io::Result<Next> {
        let status = match outcome {
            Outcome::ErrorAccessToken => 403,
            _ => 400,
        };
        self.answered(begun, status, 0);
        self.refuse(outcome, text).await
    }

    pub(super) async fn block_checksum(&mut self, message: Bytes) -> io::Result<Next> {
        let begun = Instant::now();
        let asked = OpBlockChecksumProto::decode(message).map_err(io::Error::other)?;
        let summed = match self.whose(&asked.header).await {
            Ok(block) => self.sum(&block, asked.header.block.num_bytes()).await?,
            Err(no) => Err(no),
        };
        let (len, sum) = match summed {
            Ok(summed) => summed,
            Err((outcome, text)) => return self.refused(begun, outcome, text).await,
        };
        let wanted = asked.block_checksum_options.unwrap_or_default();
        let kind = wanted.block_checksum_type();
        let answer = OpBlockChecksumResponseProto {
            bytes_per_crc: CHUNK_BYTES as u32,
            crc_per_block: len.div_ceil(CHUNK_BYTES as u64),
            block_checksum: match kind {
                BlockChecksumTypeProto::Md5crc => sum.md5(),
                BlockChecksumTypeProto::CompositeCrc => sum.composite(),
            }
            .into(),
            crc_type: Some(ChecksumTypeProto::ChecksumCrc32c.into()),
            block_checksum_options: Some(BlockChecksumOptionsProto {
                block_checksum_type: Some(kind.into()),
                ..wanted
            }),
        };
        self.answered(begun, 200, 0);
        self.answer(&BlockOpResponseProto {
            status: Outcome::Success.into(),
            checksum_response: Some(answer),
            ..BlockOpResponseProto::default()
        })
        .await?;
        Ok(Next::Another)
    }

    /// The checksum of the first `wanted` bytes of a block, and how many these are.
    async fn sum(&mut self, block: &Block, wanted: u64) -> io::Result<Result<(u64, OfBlock), No>> {
        let start = block.token.block_start;
        let len = block.token.block_len.min(wanted);
        let mut sum = OfBlock::default();
        let summing = async {
            let mut pieces = pieces(block, start..start + len).await?;
            while let Some(piece) = pieces.next().await {
                sum.add(&piece?);
                tokio::task::yield_now().await;
            }
            Ok(())
        };
        let summed: Result<(), BackendError> = tokio::select! {
            summed = summing => summed,
            () = Self::left(&mut self.reader, &mut self.arrived) => return Err(io::ErrorKind::UnexpectedEof.into()),
        };
        Ok(match summed {
            Ok(()) => Ok((len, sum)),
            Err(error) => Err(self.lost(block, error)),
        })
    }
}

/// The bytes of a range: at once what is in memory, else as they are taken.
async fn pieces(block: &Block, range: Range<u64>) -> Result<Pieces, BackendError> {
    let len = range.end - range.start;
    if let Some(pieces) = block.file.read_now(range.clone())
        && pieces.iter().map(|piece| piece.len() as u64).sum::<u64>() == len
    {
        return Ok(futures::stream::iter(pieces.into_iter().map(Ok)).boxed());
    }
    let stream = block.file.read(range).await?;
    Ok(whole(stream, len))
}

/// A store that gives less than it said has not given the file.
fn whole(stream: Pieces, len: u64) -> Pieces {
    let counted = futures::stream::unfold((stream, len), |(mut stream, left)| async move {
        let item = match stream.next().await {
            Some(Ok(piece)) => match left.checked_sub(piece.len() as u64) {
                Some(left) => return Some((Ok(piece), (stream, left))),
                None => Err(BackendError::new(ErrorKind::Changed, "the file grew")),
            },
            Some(Err(error)) => Err(error),
            None if left == 0 => return None,
            None => Err(BackendError::new(
                ErrorKind::Changed,
                "the file ended early",
            )),
        };
        Some((item, (futures::stream::empty().boxed(), 0)))
    });
    counted.boxed()
}

fn begins(chunk_offset: u64, has_checksums: bool) -> BlockOpResponseProto {
    let kind = if has_checksums {
        ChecksumTypeProto::ChecksumCrc32c
    } else {
        ChecksumTypeProto::ChecksumNull
    };
    BlockOpResponseProto {
        status: Outcome::Success.into(),
        read_op_checksum_info: Some(ReadOpChecksumInfoProto {
            checksum: ChecksumProto {
                r#type: kind.into(),
                bytes_per_checksum: CHUNK_BYTES as u32,
            },
            chunk_offset,
        }),
        ..BlockOpResponseProto::default()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_stretch_holds_what_is_asked(offset: u64, len: u64, block_len in 0u64..1 << 40, small: bool, has_checksums: bool) {
            let (offset, len) = if small { (offset % (1 << 40), len % (1 << 40)) } else { (offset, len) };
            let inside = offset.checked_add(len).is_some_and(|end| end <= block_len);
            let told = stretch(offset, len, block_len, has_checksums);
            prop_assert_eq!(told.is_some(), inside);
            if let Some(told) = told {
                prop_assert!(told.start <= offset && told.end >= offset + len && told.end <= block_len);
                let chunk = CHUNK_BYTES as u64;
                prop_assert!(offset - told.start < chunk && told.end - (offset + len) < chunk);
                prop_assert!(!has_checksums || told.start % chunk == 0);
            }
        }
    }
}
