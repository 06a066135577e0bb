//! Checksums of the chunks of a packet, of whatever kind the block has.

use crate::proto::hdfs::{ChecksumProto, ChecksumTypeProto};

/// Bytes of one checksum.
pub const SUM_BYTES: usize = 4;
/// Bytes under one checksum: HDFS's default (`dfs.bytes-per-checksum`).
pub const CHUNK_BYTES: usize = 512;
/// Most bytes under one checksum.
const CHUNK_BYTES_MAX: usize = 1 << 20;

/// How chunks are summed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sums {
    kind: ChecksumTypeProto,
    chunk_bytes: usize,
}

impl Sums {
    /// As the other side says; `None` if that makes no sense.
    pub fn of(said: &ChecksumProto) -> Option<Self> {
        // A kind that is not known would read as the first one, which is none at all.
        let kind = ChecksumTypeProto::try_from(said.r#type).ok()?;
        let chunk_bytes = usize::try_from(said.bytes_per_checksum).unwrap_or(usize::MAX);
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

    /// Whether there are no checksums at all.
    pub fn is_null(self) -> bool {
        self.kind == ChecksumTypeProto::ChecksumNull
    }

    /// Bytes under one checksum.
    pub const fn chunk_bytes(self) -> usize {
        self.chunk_bytes
    }

    fn sum(self, chunk: &[u8]) -> u32 {
        match self.kind {
            ChecksumTypeProto::ChecksumCrc32 => crc32fast::hash(chunk),
            _ => crc32c::crc32c(chunk),
        }
    }

    /// Whether the bytes of a packet are those that were summed. Chunks begin where the packet does.
    pub fn hold(self, sums: &[u8], data: &[u8]) -> bool {
        if self.is_null() {
            return true;
        }
        let chunks = data.chunks(self.chunk_bytes);
        let mut sums = sums.chunks_exact(SUM_BYTES);
        sums.len() == chunks.len()
            && sums.remainder().is_empty()
            && chunks.into_iter().all(|chunk| {
                let sum = self.sum(chunk).to_be_bytes();
                sums.next() == Some(&sum[..])
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_makes_no_sense_is_refused() {
        let of = |kind: i32, bytes_per_checksum| {
            Sums::of(&ChecksumProto {
                r#type: kind,
                bytes_per_checksum,
            })
        };
        let crc32 = ChecksumTypeProto::ChecksumCrc32.into();
        assert_eq!(of(crc32, 0), None);
        assert_eq!(of(crc32, (1 << 20) + 1), None);
        assert_eq!(of(77, 512), None);
        assert!(of(0, 0).is_some_and(Sums::is_null));
    }
}
