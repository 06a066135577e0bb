//! The super block: the first 8 bytes of a `.dat` file (and extra bytes that we keep but do not read).

use crate::needle::Version;
use crate::placement::ReplicaPlacement;
use crate::ttl::Ttl;

/// Length of the fixed part in bytes.
pub const SUPER_BLOCK_BYTES: usize = 8;

/// What a `.dat` file says of its volume.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SuperBlock {
    /// Layout of the records that follow.
    pub version: Version,
    /// Where copies are wanted.
    pub placement: ReplicaPlacement,
    /// Time to live of the whole volume.
    pub ttl: Ttl,
    /// How many times the volume was vacuumed, modulo 65,536.
    pub revision: u16,
    /// Bytes between the fixed part and the first record.
    pub extra_bytes: u16,
}

/// The first bytes of a file are no super block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SuperBlockError {
    /// Fewer than 8 bytes: a volume whose making was interrupted, with nothing in it.
    #[error("the file is shorter than a super block")]
    Truncated,
    /// A version that we do not know.
    #[error("version {0} is none of 1, 2, 3")]
    Version(u8),
}

impl SuperBlock {
    /// A new volume as we write it.
    pub const fn new(placement: ReplicaPlacement, ttl: Ttl) -> Self {
        Self {
            version: Version::V3,
            placement,
            ttl,
            revision: 0,
            extra_bytes: 0,
        }
    }

    /// Reads the fixed part.
    pub fn decode(bytes: &[u8]) -> Result<Self, SuperBlockError> {
        let fixed: [u8; SUPER_BLOCK_BYTES] = bytes
            .get(..SUPER_BLOCK_BYTES)
            .and_then(|b| b.try_into().ok())
            .ok_or(SuperBlockError::Truncated)?;
        let version = Version::from_byte(fixed[0]).ok_or(SuperBlockError::Version(fixed[0]))?;
        let extra_bytes = u16::from_be_bytes([fixed[6], fixed[7]]);
        Ok(Self {
            version,
            placement: ReplicaPlacement::from_byte(fixed[1]),
            ttl: Ttl::from_bytes([fixed[2], fixed[3]]),
            revision: u16::from_be_bytes([fixed[4], fixed[5]]),
            extra_bytes: if version == Version::V1 {
                0
            } else {
                extra_bytes
            },
        })
    }

    /// The fixed part.
    pub fn encode(&self) -> [u8; SUPER_BLOCK_BYTES] {
        let [ttl_count, ttl_unit] = self.ttl.to_bytes();
        let [revision_high, revision_low] = self.revision.to_be_bytes();
        let [extra_high, extra_low] = self.extra_bytes.to_be_bytes();
        [
            self.version as u8,
            self.placement.to_byte(),
            ttl_count,
            ttl_unit,
            revision_high,
            revision_low,
            extra_high,
            extra_low,
        ]
    }

    /// Offset of the first record: after the extra bytes, at a multiple of 8.
    pub const fn first_record(&self) -> u64 {
        (SUPER_BLOCK_BYTES as u64 + self.extra_bytes as u64)
            .next_multiple_of(crate::needle::ALIGNMENT_BYTES)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_decodes_encodes_again(bytes: [u8; 8]) {
            if let Ok(block) = SuperBlock::decode(&bytes) {
                prop_assert_eq!(SuperBlock::decode(&block.encode()), Ok(block));
            }
        }
    }

    #[test]
    fn short_and_unknown() {
        assert_eq!(SuperBlock::decode(&[3, 0]), Err(SuperBlockError::Truncated));
        assert_eq!(
            SuperBlock::decode(&[9; 8]),
            Err(SuperBlockError::Version(9))
        );
    }
}
