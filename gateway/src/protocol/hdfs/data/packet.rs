//! Packets of a block: a head, checksums, and pieces of the file as they come (`org.apache.hadoop.hdfs.protocol.datatransfer.PacketHeader`).

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::Bytes;
use prost::Message as _;

use super::checksum;
use crate::protocol::hdfs::proto::hdfs::PacketHeaderProto;

/// Bytes of the file in a packet; a whole number of chunks.
pub const PACKET_BYTES: usize = 128 << 10;

/// A packet, ready to be written.
#[derive(Debug)]
pub struct Packet {
    head: Vec<u8>,
    parts: Vec<Bytes>,
}

impl Packet {
    /// All of it, in order.
    pub fn slices(&self) -> impl Iterator<Item = IoSlice<'_>> {
        let parts = self.parts.iter().map(|part| IoSlice::new(part));
        std::iter::once(IoSlice::new(&self.head)).chain(parts)
    }
}

/// Cuts what is read into packets.
#[derive(Debug)]
pub struct Packets {
    waiting: VecDeque<Bytes>,
    waiting_bytes: usize,
    /// Where the next packet begins in its block.
    offset: u64,
    seqno: i64,
    has_checksums: bool,
}

impl Packets {
    /// From this place of a block.
    pub fn new(offset: u64, has_checksums: bool) -> Self {
        Self {
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            offset,
            seqno: 0,
            has_checksums,
        }
    }

    /// More of the file.
    pub fn push(&mut self, bytes: Bytes) {
        self.waiting_bytes += bytes.len();
        self.waiting.push_back(bytes);
    }

    /// The next packet that is full.
    pub fn full(&mut self) -> Option<Packet> {
        (self.waiting_bytes >= PACKET_BYTES).then(|| self.packet(false))
    }

    /// What is left, and the empty packet that ends it.
    pub fn last(&mut self) -> Vec<Packet> {
        let mut packets = Vec::with_capacity(2);
        if self.waiting_bytes > 0 {
            packets.push(self.packet(false));
        }
        packets.push(self.packet(true));
        packets
    }

    fn packet(&mut self, is_last: bool) -> Packet {
        let parts = self.parts();
        let data_len: usize = parts.iter().map(Bytes::len).sum();
        let header = PacketHeaderProto {
            offset_in_block: self.offset.cast_signed(),
            seqno: self.seqno,
            last_packet_in_block: is_last,
            data_len: i32::try_from(data_len).unwrap_or(i32::MAX),
            sync_block: None,
        };
        let mut sums = Vec::new();
        if self.has_checksums {
            checksum::of_chunks(parts.iter(), &mut sums);
        }
        let payload = u32::try_from(4 + sums.len() + data_len).unwrap_or(u32::MAX);
        let header = header.encode_to_vec();
        let mut head = Vec::with_capacity(6 + header.len() + sums.len());
        head.extend_from_slice(&payload.to_be_bytes());
        head.extend_from_slice(&u16::try_from(header.len()).unwrap_or(0).to_be_bytes());
        head.extend_from_slice(&header);
        head.extend_from_slice(&sums);
        self.offset += data_len as u64;
        self.seqno += 1;
        Packet { head, parts }
    }

    fn parts(&mut self) -> Vec<Bytes> {
        let (mut parts, mut room) = (Vec::new(), PACKET_BYTES);
        while room > 0
            && let Some(mut part) = self.waiting.pop_front()
        {
            if part.len() > room {
                self.waiting.push_front(part.split_off(room));
            }
            room -= part.len();
            parts.push(part);
        }
        self.waiting_bytes -= PACKET_BYTES - room;
        parts
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Header, checksums and bytes of a packet.
    fn read(bytes: &mut &[u8]) -> (PacketHeaderProto, Vec<u8>, Vec<u8>) {
        let payload = u32::from_be_bytes(bytes[..4].try_into().unwrap()) as usize;
        let head = usize::from(u16::from_be_bytes(bytes[4..6].try_into().unwrap()));
        let header = PacketHeaderProto::decode(&bytes[6..6 + head]).unwrap();
        let (sums, data) = (
            payload - 4 - header.data_len as usize,
            header.data_len as usize,
        );
        let rest = &bytes[6 + head..];
        let read = (
            header,
            rest[..sums].to_vec(),
            rest[sums..sums + data].to_vec(),
        );
        *bytes = &rest[sums + data..];
        read
    }

    fn written(pieces: &[Vec<u8>], offset: u64, has_checksums: bool) -> Vec<u8> {
        let mut packets = Packets::new(offset, has_checksums);
        let mut out = Vec::new();
        let mut write = |packet: &Packet| {
            packet
                .slices()
                .for_each(|slice| out.extend_from_slice(&slice));
        };
        for piece in pieces {
            packets.push(Bytes::from(piece.clone()));
            while let Some(packet) = packets.full() {
                write(&packet);
            }
        }
        packets.last().iter().for_each(&mut write);
        out
    }

    proptest! {
        #[test]
        fn they_are_read_back(
            pieces in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..90_000), 0..6),
            offset in 0u64..1 << 40,
            has_checksums: bool,
        ) {
            let bytes = written(&pieces, offset, has_checksums);
            let (mut rest, mut got, mut seqno, mut ended) = (&bytes[..], Vec::new(), 0, false);
            while !rest.is_empty() {
                let (header, sums, data) = read(&mut rest);
                prop_assert!(!ended);
                prop_assert_eq!(header.offset_in_block as u64, offset + got.len() as u64);
                prop_assert_eq!(header.seqno, seqno);
                let want: Vec<u8> = data.chunks(checksum::CHUNK_BYTES).flat_map(|chunk| crc32c::crc32c(chunk).to_be_bytes()).collect();
                prop_assert_eq!(sums, if has_checksums { want } else { Vec::new() });
                prop_assert_eq!(header.last_packet_in_block, data.is_empty());
                ended = data.is_empty();
                got.extend(data);
                seqno += 1;
            }
            prop_assert!(ended);
            prop_assert_eq!(got, pieces.concat());
        }
    }
}
