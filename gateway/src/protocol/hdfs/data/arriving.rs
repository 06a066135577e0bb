//! Packets as a writer sends them, and whether they are what was sent.

use bytes::{Buf as _, Bytes, BytesMut};
use moongate_hdfs_wire::packet;
use moongate_hdfs_wire::sums::Sums;

use crate::protocol::hdfs::frame::FrameError;
use crate::protocol::hdfs::proto::hdfs::PacketHeaderProto;

/// A packet.
#[derive(Clone, Debug, PartialEq)]
pub struct Arrived {
    /// Number, place and what is asked.
    pub header: PacketHeaderProto,
    sums: Bytes,
    /// Bytes of the block.
    pub data: Bytes,
}

impl Arrived {
    /// Whether the bytes are those that were summed.
    pub fn is_sound(&self, sums: Sums) -> bool {
        sums.hold(&self.sums, &self.data)
    }
}

/// Takes the first packet out of what has arrived, if it is whole.
///
/// # Errors
/// It is none, or too long.
pub fn take(arrived: &mut BytesMut) -> Result<Option<Arrived>, FrameError> {
    let head = match packet::head(arrived)? {
        packet::Arrived::Whole(head) => head,
        packet::Arrived::Half(_) => return Ok(None),
    };
    let rest = head.sums_bytes + head.data_bytes;
    if arrived.len() < head.head_bytes + rest {
        return Ok(None);
    }
    arrived.advance(head.head_bytes);
    let mut sums = arrived.split_to(rest).freeze();
    let data = sums.split_off(head.sums_bytes);
    let header = head.header;
    Ok(Some(Arrived { header, sums, data }))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use prost::Message as _;

    use super::*;
    use crate::protocol::hdfs::proto::hdfs::{ChecksumProto, ChecksumTypeProto};

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
                prop_assert!(got.is_sound(sums(kind, chunk)));
                prop_assert!(got.is_sound(sums(ChecksumTypeProto::ChecksumNull, 0)));
                if !data.is_empty() {
                    let mut changed = data.clone();
                    changed[at % data.len()] ^= 1;
                    let changed = Arrived { data: changed.into(), ..got };
                    prop_assert!(!changed.is_sound(sums(kind, chunk)));
                }
            }
        }

        #[test]
        fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), begins: bool) {
            let mut arrived = BytesMut::from(if begins { &[0, 0, 0, 9, 0][..] } else { &[][..] });
            arrived.extend_from_slice(&bytes);
            while let Ok(Some(packet)) = take(&mut arrived) {
                let _ = packet.is_sound(sums(ChecksumTypeProto::ChecksumCrc32c, 512));
            }
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let mut huge = BytesMut::from(&[1, 0, 0, 1, 0, 0][..]);
        assert_eq!(take(&mut huge), Err(FrameError::TooLong((16 << 20) + 1)));
        let mut short = BytesMut::from(&[0, 0, 0, 3, 0, 0][..]);
        assert_eq!(take(&mut short), Err(FrameError::Malformed));
    }
}
