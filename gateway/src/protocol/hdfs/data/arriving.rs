//! Packets as a writer sends them, and whether they are what was sent.

use bytes::{Buf as _, Bytes, BytesMut};
use prost::Message as _;

use super::checksum::CHUNK_BYTES;
use crate::protocol::hdfs::frame::FrameError;
use crate::protocol::hdfs::proto::hdfs::{ChecksumProto, ChecksumTypeProto, PacketHeaderProto};

/// Longest packet that is taken, in bytes: HDFS's own bound.
const PACKET_BYTES_MAX: usize = 16 << 20;
/// Longest header, in bytes: it has a few numbers.
const HEADER_BYTES_MAX: usize = 1024;
/// The two lengths before it.
const LENGTHS_BYTES: usize = 6;
/// Bytes of one checksum.
const SUM_BYTES: usize = 4;
/// Most bytes under one checksum.
const CHUNK_BYTES_MAX: usize = 1 << 20;

/// A packet.
#[derive(Clone, Debug, PartialEq)]
pub struct Arrived {
    /// Number, place and what is asked.
    pub header: PacketHeaderProto,
    sums: Bytes,
    /// Bytes of the block.
    pub data: Bytes,
}

/// How a writer sums its chunks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sums {
    kind: ChecksumTypeProto,
    chunk_bytes: usize,
}

impl Sums {
    /// As the client says; `None` if that makes no sense.
    pub fn of(asked: &ChecksumProto) -> Option<Self> {
        let kind = asked.r#type();
        let chunk_bytes = usize::try_from(asked.bytes_per_checksum).unwrap_or(usize::MAX);
        match kind {
            ChecksumTypeProto::ChecksumNull => Some(Self {
                kind,
                chunk_bytes: CHUNK_BYTES,
            }),
            _ => (1..=CHUNK_BYTES_MAX)
                .contains(&chunk_bytes)
                .then_some(Self { kind, chunk_bytes }),
        }
    }

    fn sum(self, chunk: &[u8]) -> u32 {
        match self.kind {
            ChecksumTypeProto::ChecksumCrc32 => crc32fast::hash(chunk),
            _ => crc32c::crc32c(chunk),
        }
    }

    /// Whether the bytes are those that were summed. Chunks begin where the packet does.
    pub fn hold(self, packet: &Arrived) -> bool {
        if self.kind == ChecksumTypeProto::ChecksumNull {
            return true;
        }
        let chunks = packet.data.chunks(self.chunk_bytes);
        let mut sums = packet.sums.chunks_exact(SUM_BYTES);
        sums.len() == chunks.len()
            && sums.remainder().is_empty()
            && chunks.into_iter().all(|chunk| {
                let sum = self.sum(chunk).to_be_bytes();
                sums.next() == Some(&sum[..])
            })
    }
}

/// Takes the first packet out of what has arrived, if it is whole.
///
/// # Errors
/// It is none, or too long.
pub fn take(arrived: &mut BytesMut) -> Result<Option<Arrived>, FrameError> {
    let Some(&[p0, p1, p2, p3, h0, h1]) = arrived.first_chunk::<LENGTHS_BYTES>() else {
        return Ok(None);
    };
    let payload = usize::try_from(u32::from_be_bytes([p0, p1, p2, p3])).unwrap_or(usize::MAX);
    let header_len = usize::from(u16::from_be_bytes([h0, h1]));
    if payload > PACKET_BYTES_MAX {
        return Err(FrameError::TooLong(payload));
    }
    if header_len > HEADER_BYTES_MAX || payload < SUM_BYTES {
        return Err(FrameError::Malformed);
    }
    // The first length counts itself.
    let rest = payload - 4;
    if arrived.len() < LENGTHS_BYTES + header_len + rest {
        return Ok(None);
    }
    arrived.advance(LENGTHS_BYTES);
    let header = PacketHeaderProto::decode(arrived.split_to(header_len));
    let header = header.map_err(|_| FrameError::Malformed)?;
    let mut sums = arrived.split_to(rest).freeze();
    let data_len = usize::try_from(header.data_len).map_err(|_| FrameError::Malformed)?;
    let sums_len = rest.checked_sub(data_len).ok_or(FrameError::Malformed)?;
    let data = sums.split_off(sums_len);
    Ok(Some(Arrived { header, sums, data }))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn packet(data: &[u8], chunk_bytes: usize, sum: fn(&[u8]) -> u32) -> Vec<u8> {
        let header = PacketHeaderProto {
            offset_in_block: 5,
            seqno: 7,
            last_packet_in_block: false,
            data_len: i32::try_from(data.len()).unwrap(),
            sync_block: Some(true),
        };
        let header = header.encode_to_vec();
        let sums: Vec<u8> = data
            .chunks(chunk_bytes)
            .flat_map(|chunk| sum(chunk).to_be_bytes())
            .collect();
        let payload = u32::try_from(4 + sums.len() + data.len()).unwrap();
        let header_len = u16::try_from(header.len()).unwrap();
        [
            &payload.to_be_bytes()[..],
            &header_len.to_be_bytes(),
            &header,
            &sums,
            data,
        ]
        .concat()
    }

    fn sums(kind: ChecksumTypeProto, bytes_per_checksum: u32) -> Sums {
        Sums::of(&ChecksumProto {
            r#type: kind.into(),
            bytes_per_checksum,
        })
        .unwrap()
    }

    proptest! {
        #[test]
        fn packets_are_read_back_and_changed_ones_noticed(data in proptest::collection::vec(any::<u8>(), 0..2000), at: usize, chunk in 1u32..700, old: bool) {
            let (kind, sum): (_, fn(&[u8]) -> u32) = if old {
                (ChecksumTypeProto::ChecksumCrc32, crc32fast::hash)
            } else {
                (ChecksumTypeProto::ChecksumCrc32c, crc32c::crc32c)
            };
            let bytes = packet(&data, chunk as usize, sum);
            for cut in [0, 5, bytes.len() / 2, bytes.len() - 1] {
                let mut half = BytesMut::from(&bytes[..cut]);
                prop_assert_eq!(take(&mut half), Ok(None));
                prop_assert_eq!(half.len(), cut);
            }
            let mut two = BytesMut::from(&[&bytes[..], &bytes[..]].concat()[..]);
            for _ in 0..2 {
                let got = take(&mut two).unwrap().unwrap();
                prop_assert_eq!(&got.data[..], &data[..]);
                prop_assert_eq!((got.header.seqno, got.header.sync_block()), (7, true));
                prop_assert!(sums(kind, chunk).hold(&got));
                prop_assert!(sums(ChecksumTypeProto::ChecksumNull, 0).hold(&got));
                if !data.is_empty() {
                    let mut changed = data.clone();
                    changed[at % data.len()] ^= 1;
                    let changed = Arrived { data: changed.into(), ..got };
                    prop_assert!(!sums(kind, chunk).hold(&changed));
                }
            }
        }

        #[test]
        fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), begins: bool) {
            let mut arrived = BytesMut::from(if begins { &[0, 0, 0, 9, 0][..] } else { &[][..] });
            arrived.extend_from_slice(&bytes);
            while let Ok(Some(packet)) = take(&mut arrived) {
                let _ = sums(ChecksumTypeProto::ChecksumCrc32c, 512).hold(&packet);
            }
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let mut huge = BytesMut::from(&[1, 0, 0, 1, 0, 0][..]);
        assert_eq!(take(&mut huge), Err(FrameError::TooLong((16 << 20) + 1)));
        let mut short = BytesMut::from(&[0, 0, 0, 3, 0, 0][..]);
        assert_eq!(take(&mut short), Err(FrameError::Malformed));
        let none = ChecksumProto {
            r#type: ChecksumTypeProto::ChecksumCrc32.into(),
            bytes_per_checksum: 0,
        };
        assert_eq!(Sums::of(&none), None);
    }
}
