//! Operations of the data port as they come: version, number, message (`org.apache.hadoop.hdfs.protocol.datatransfer.Receiver`).

use bytes::{Buf as _, Bytes, BytesMut};

use crate::protocol::hdfs::frame::{self, FrameError};

/// Version of the data transfer protocol.
const VERSION: u16 = 28;
/// Longest message of an operation, in bytes: a token names a path.
const OP_BYTES_MAX: usize = 64 << 10;
/// Version and number.
const HEAD_BYTES: usize = 3;

/// OP_WRITE_BLOCK
pub const WRITE_BLOCK: u8 = 80;
/// OP_READ_BLOCK
pub const READ_BLOCK: u8 = 81;
/// OP_BLOCK_CHECKSUM
pub const BLOCK_CHECKSUM: u8 = 85;

/// Takes the number and the message of an operation out of what has arrived, if it is whole.
///
/// # Errors
/// It is of another version, or too long.
pub fn take(arrived: &mut BytesMut) -> Result<Option<(u8, Bytes)>, FrameError> {
    let Some(&[v0, v1, number]) = arrived.first_chunk::<HEAD_BYTES>() else {
        return Ok(None);
    };
    if u16::from_be_bytes([v0, v1]) != VERSION {
        return Err(FrameError::Malformed);
    }
    // Its message is looked at without taking the head, which must be there when the rest has come.
    let mut message = arrived.split_off(HEAD_BYTES);
    let taken = frame::take_delimited(&mut message, OP_BYTES_MAX)?;
    arrived.unsplit(message);
    let Some(taken) = taken else {
        return Ok(None);
    };
    arrived.advance(HEAD_BYTES);
    Ok(Some((number, taken)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_operation_is_taken_when_it_is_whole() {
        let bytes = [0, 28, READ_BLOCK, 3, b'a', b'b', b'c', 0, 28];
        for cut in 0..7 {
            let mut half = BytesMut::from(&bytes[..cut]);
            assert_eq!(take(&mut half), Ok(None));
            assert_eq!(half[..], bytes[..cut]);
        }
        let mut whole = BytesMut::from(&bytes[..]);
        let got = take(&mut whole).unwrap().unwrap();
        assert_eq!(got, (READ_BLOCK, Bytes::from_static(b"abc")));
        assert_eq!(whole[..], [0, 28]);
        let mut other = BytesMut::from(&[0, 29, 81][..]);
        assert_eq!(take(&mut other), Err(FrameError::Malformed));
    }

    proptest! {
        #[test]
        fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), begins: bool) {
            let mut arrived = BytesMut::from(if begins { &[0, 28][..] } else { &[][..] });
            arrived.extend_from_slice(&bytes);
            while let Ok(Some(_)) = take(&mut arrived) {}
        }
    }
}
