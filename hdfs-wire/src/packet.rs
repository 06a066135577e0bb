//! The head of a packet of a block: two lengths and a message (`org.apache.hadoop.hdfs.protocol.datatransfer.PacketHeader`). After it come
//! checksums, then bytes of the block.

use prost::Message as _;

use crate::frame::FrameError;
use crate::proto::hdfs::PacketHeaderProto;

/// Longest packet that is taken, in bytes: HDFS's own bound.
pub const PACKET_BYTES_MAX: usize = 16 << 20;
/// The two lengths before the message.
pub const LENGTHS_BYTES: usize = 6;
/// Longest message, in bytes: it has a few numbers.
const HEADER_BYTES_MAX: usize = 1024;
/// The first length counts itself.
const FIRST_LENGTH_BYTES: usize = 4;

/// A head that is whole.
#[derive(Clone, Debug, PartialEq)]
pub struct Head {
    /// Number, place and what is asked.
    pub header: PacketHeaderProto,
    /// Of the lengths and the message.
    pub head_bytes: usize,
    /// Of the checksums after it.
    pub sums_bytes: usize,
    /// Of the block, after these.
    pub data_bytes: usize,
}

/// What has arrived of a head.
#[derive(Clone, Debug, PartialEq)]
pub enum Arrived {
    /// Not all of it: so many bytes are needed as far as is known.
    Half(usize),
    /// All.
    Whole(Head),
}

/// Reads a head.
///
/// # Errors
/// It is none, or that of a packet that is too long.
pub fn head(arrived: &[u8]) -> Result<Arrived, FrameError> {
    let Some(&[p0, p1, p2, p3, h0, h1]) = arrived.first_chunk::<LENGTHS_BYTES>() else {
        return Ok(Arrived::Half(LENGTHS_BYTES));
    };
    let payload = usize::try_from(u32::from_be_bytes([p0, p1, p2, p3])).unwrap_or(usize::MAX);
    let header_bytes = usize::from(u16::from_be_bytes([h0, h1]));
    if payload > PACKET_BYTES_MAX {
        return Err(FrameError::TooLong(payload));
    }
    if header_bytes > HEADER_BYTES_MAX {
        return Err(FrameError::Malformed);
    }
    let rest = payload
        .checked_sub(FIRST_LENGTH_BYTES)
        .ok_or(FrameError::Malformed)?;
    let head_bytes = LENGTHS_BYTES + header_bytes;
    let Some(message) = arrived.get(LENGTHS_BYTES..head_bytes) else {
        return Ok(Arrived::Half(head_bytes));
    };
    let header = PacketHeaderProto::decode(message).map_err(|_| FrameError::Malformed)?;
    let data_bytes = usize::try_from(header.data_len).map_err(|_| FrameError::Malformed)?;
    let sums_bytes = rest.checked_sub(data_bytes).ok_or(FrameError::Malformed)?;
    Ok(Arrived::Whole(Head {
        header,
        head_bytes,
        sums_bytes,
        data_bytes,
    }))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bytes_of(data_len: i32, payload: u32) -> Vec<u8> {
        let header = PacketHeaderProto {
            offset_in_block: 5,
            seqno: 7,
            data_len,
            ..PacketHeaderProto::default()
        };
        let header = header.encode_to_vec();
        let len = u16::try_from(header.len()).unwrap();
        [&payload.to_be_bytes()[..], &len.to_be_bytes(), &header].concat()
    }

    #[test]
    fn a_head_is_read_when_it_is_whole() {
        let bytes = bytes_of(100, 4 + 8 + 100);
        for cut in 0..bytes.len() {
            let Ok(Arrived::Half(needed)) = head(&bytes[..cut]) else {
                panic!("at {cut}");
            };
            assert!((cut + 1..=bytes.len()).contains(&needed));
        }
        let Ok(Arrived::Whole(head)) = head(&bytes) else {
            panic!("whole");
        };
        assert_eq!((head.sums_bytes, head.data_bytes), (8, 100));
        assert_eq!(head.head_bytes, bytes.len());
    }

    #[test]
    fn lengths_that_cannot_be_are_refused() {
        assert_eq!(head(&bytes_of(100, 103)), Err(FrameError::Malformed));
        assert_eq!(head(&bytes_of(-1, 103)), Err(FrameError::Malformed));
        assert_eq!(head(&[0, 0, 0, 3, 0, 0]), Err(FrameError::Malformed));
        assert_eq!(head(&[0, 0, 0, 9, 5, 0]), Err(FrameError::Malformed));
        let too_long = head(&[1, 0, 0, 1, 0, 0]);
        assert_eq!(too_long, Err(FrameError::TooLong((16 << 20) + 1)));
    }

    proptest! {
        #[test]
        fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), begins: bool) {
            let begin = if begins { &[0, 0, 0, 9, 0][..] } else { &[][..] };
            let bytes = [begin, &bytes].concat();
            if let Ok(Arrived::Whole(head)) = head(&bytes) {
                prop_assert!(head.sums_bytes + head.data_bytes <= PACKET_BYTES_MAX);
            }
        }
    }
}
