//! Checksums of chunks, as HDFS keeps them: CRC-32C of each 512 bytes, and the MD5 of these of a block.

use bytes::Bytes;
use md5::{Digest as _, Md5};

pub use moongate_hdfs_wire::sums::CHUNK_BYTES;

/// The checksums of the chunks of some bytes, in the order of the network; the last chunk may be shorter.
pub fn of_chunks<'a>(parts: impl Iterator<Item = &'a Bytes>, sums: &mut Vec<u8>) {
    let mut open = Chunks::default();
    for part in parts {
        open.add(part, |sum| sums.extend_from_slice(&sum.to_be_bytes()));
    }
    if let Some(sum) = open.last() {
        sums.extend_from_slice(&sum.to_be_bytes());
    }
}

/// A chunk that is not full yet.
#[derive(Debug, Default)]
struct Chunks {
    sum: u32,
    len: usize,
}

impl Chunks {
    fn add(&mut self, mut bytes: &[u8], mut full: impl FnMut(u32)) {
        while !bytes.is_empty() {
            let (chunk, rest) = bytes.split_at(bytes.len().min(CHUNK_BYTES - self.len));
            self.sum = crc32c::crc32c_append(self.sum, chunk);
            self.len += chunk.len();
            if self.len == CHUNK_BYTES {
                full(self.sum);
                *self = Self::default();
            }
            bytes = rest;
        }
    }

    fn last(&self) -> Option<u32> {
        (self.len > 0).then_some(self.sum)
    }
}

/// Of a whole block, piece by piece.
#[derive(Debug, Default)]
pub struct OfBlock {
    open: Chunks,
    whole: u32,
    sums: Md5,
}

impl OfBlock {
    /// The next bytes.
    pub fn add(&mut self, bytes: &[u8]) {
        let Self { open, whole, sums } = self;
        *whole = crc32c::crc32c_append(*whole, bytes);
        open.add(bytes, |sum| sums.update(sum.to_be_bytes()));
    }

    /// MD5 of the checksums of all chunks.
    pub fn md5(mut self) -> Vec<u8> {
        if let Some(sum) = self.open.last() {
            self.sums.update(sum.to_be_bytes());
        }
        self.sums.finalize().to_vec()
    }

    /// CRC-32C of all bytes.
    pub fn composite(&self) -> Vec<u8> {
        self.whole.to_be_bytes().to_vec()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn plainly(bytes: &[u8]) -> Vec<u8> {
        let sums = bytes
            .chunks(CHUNK_BYTES)
            .map(|chunk| crc32c::crc32c(chunk).to_be_bytes());
        sums.flatten().collect()
    }

    proptest! {
        #[test]
        fn pieces_make_no_difference(bytes in proptest::collection::vec(any::<u8>(), 0..3000), cuts in proptest::collection::vec(0usize..3000, 0..6)) {
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
            cuts.extend([0, bytes.len()]);
            cuts.sort_unstable();
            let parts: Vec<Bytes> = cuts.windows(2).map(|pair| Bytes::copy_from_slice(&bytes[pair[0]..pair[1]])).collect();
            let mut sums = Vec::new();
            of_chunks(parts.iter(), &mut sums);
            prop_assert_eq!(&sums, &plainly(&bytes));
            let mut block = OfBlock::default();
            parts.iter().for_each(|part| block.add(part));
            prop_assert_eq!(block.composite(), crc32c::crc32c(&bytes).to_be_bytes());
            prop_assert_eq!(block.md5(), Md5::digest(&sums).to_vec());
        }
    }
}
