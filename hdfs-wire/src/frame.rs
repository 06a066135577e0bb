//! Frames of Hadoop's RPC: a length in four bytes, then messages, each after its own length as a varint.
//! (`org.apache.hadoop.ipc.Client`, `RpcWritable`.) Nothing here waits, and nothing is set aside for what a length only promises.

use bytes::{Buf as _, Bytes, BytesMut};
use prost::Message;

/// Longest frame that is taken, in bytes: a list of 10,000 paths fits.
pub const FRAME_BYTES_MAX: usize = 4 << 20;
/// Longest varint of a length, in bytes.
const VARINT_BYTES_MAX: usize = 5;

/// Why a connection is given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// More than is taken.
    #[error("a frame of {0} bytes: at most {FRAME_BYTES_MAX} are taken")]
    TooLong(usize),
    /// Not what it should be.
    #[error("a frame that is no message of Hadoop's")]
    Malformed,
    /// It does not fit what was agreed to protect the connection.
    #[error("a frame that is not sealed as was agreed, or was changed on its way")]
    Unsealed,
}

/// Takes the first frame out of what has arrived, if it is whole.
///
/// # Errors
/// It is too long.
pub fn take(arrived: &mut BytesMut) -> Result<Option<Bytes>, FrameError> {
    let Some(len) = arrived.first_chunk::<4>() else {
        return Ok(None);
    };
    let len = usize::try_from(u32::from_be_bytes(*len)).unwrap_or(usize::MAX);
    if len > FRAME_BYTES_MAX {
        return Err(FrameError::TooLong(len));
    }
    if arrived.len() - 4 < len {
        return Ok(None);
    }
    arrived.advance(4);
    Ok(Some(arrived.split_to(len).freeze()))
}

/// The next message of a frame.
///
/// # Errors
/// It is none of this kind.
pub fn message<M: Message + Default>(frame: &mut Bytes) -> Result<M, FrameError> {
    M::decode_length_delimited(frame).map_err(|_| FrameError::Malformed)
}

/// Takes the first message with its length out of what has arrived, if it is whole.
///
/// # Errors
/// It is longer than `bytes_max`.
pub fn take_delimited(
    arrived: &mut BytesMut,
    bytes_max: usize,
) -> Result<Option<Bytes>, FrameError> {
    let Some((len, head)) = varint(arrived)? else {
        return Ok(None);
    };
    if len > bytes_max {
        return Err(FrameError::TooLong(len));
    }
    if arrived.len() - head < len {
        return Ok(None);
    }
    arrived.advance(head);
    Ok(Some(arrived.split_to(len).freeze()))
}

/// A varint and the bytes that it takes, if it is whole.
fn varint(bytes: &[u8]) -> Result<Option<(usize, usize)>, FrameError> {
    let mut value = 0u64;
    for (index, byte) in bytes.iter().enumerate().take(VARINT_BYTES_MAX) {
        value |= u64::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            let value = usize::try_from(value).map_err(|_| FrameError::Malformed)?;
            return Ok(Some((value, index + 1)));
        }
    }
    if bytes.len() >= VARINT_BYTES_MAX {
        return Err(FrameError::Malformed);
    }
    Ok(None)
}

/// A frame of a header and what follows it, which has its own length already.
pub fn frame(header: &impl Message, body: &[u8]) -> Vec<u8> {
    let header = header.encode_length_delimited_to_vec();
    let len = u32::try_from(header.len() + body.len()).unwrap_or(u32::MAX);
    let mut frame = Vec::with_capacity(4 + header.len() + body.len());
    frame.extend_from_slice(&len.to_be_bytes());
    frame.extend_from_slice(&header);
    frame.extend_from_slice(body);
    frame
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::proto::common::{RequestHeaderProto, RpcRequestHeaderProto};

    fn header() -> RpcRequestHeaderProto {
        RpcRequestHeaderProto {
            call_id: 7,
            client_id: Bytes::from_static(b"0123456789abcdef"),
            ..RpcRequestHeaderProto::default()
        }
    }

    #[test]
    fn a_frame_is_taken_when_it_is_whole() {
        let request = RequestHeaderProto {
            method_name: "getFileInfo".into(),
            ..RequestHeaderProto::default()
        };
        let bytes = frame(&header(), &request.encode_length_delimited_to_vec());
        for cut in 0..bytes.len() {
            let mut half = BytesMut::from(&bytes[..cut]);
            assert_eq!(take(&mut half), Ok(None));
            assert_eq!(half.len(), cut);
        }
        let mut two = BytesMut::from(&[&bytes[..], &bytes[..]].concat()[..]);
        for _ in 0..2 {
            let mut whole = take(&mut two).unwrap().unwrap();
            assert_eq!(message::<RpcRequestHeaderProto>(&mut whole), Ok(header()));
            assert_eq!(
                message::<RequestHeaderProto>(&mut whole),
                Ok(request.clone())
            );
            assert!(whole.is_empty());
        }
        assert!(two.is_empty());
    }

    #[test]
    fn what_is_too_long_is_not_waited_for() {
        let mut huge = BytesMut::from(&[0xff; 4][..]);
        assert_eq!(take(&mut huge), Err(FrameError::TooLong(u32::MAX as usize)));
        let mut huge = BytesMut::from(&[0x80, 0x80, 0x04][..]);
        assert_eq!(
            take_delimited(&mut huge, 65_535),
            Err(FrameError::TooLong(65_536))
        );
        let mut endless = BytesMut::from(&[0x80; 5][..]);
        assert_eq!(take_delimited(&mut endless, 9), Err(FrameError::Malformed));
    }

    proptest! {
        #[test]
        fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let mut arrived = BytesMut::from(&bytes[..]);
            while let Ok(Some(mut frame)) = take(&mut arrived) {
                let _ = message::<RpcRequestHeaderProto>(&mut frame);
                let _ = message::<RequestHeaderProto>(&mut frame);
            }
            let mut arrived = BytesMut::from(&bytes[..]);
            while let Ok(Some(_)) = take_delimited(&mut arrived, 200) {}
            prop_assert!(arrived.len() <= bytes.len());
        }

        #[test]
        fn delimited_messages_are_read_back(texts in proptest::collection::vec("[a-z]{0,200}", 1..8)) {
            let mut bytes = BytesMut::new();
            for text in &texts {
                let request = RequestHeaderProto { method_name: text.clone(), ..RequestHeaderProto::default() };
                bytes.extend_from_slice(&request.encode_length_delimited_to_vec());
            }
            for text in &texts {
                let taken = take_delimited(&mut bytes, 1000).unwrap().unwrap();
                prop_assert_eq!(&RequestHeaderProto::decode(taken).unwrap().method_name, text);
            }
        }
    }
}
