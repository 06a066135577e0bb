//! What the seal of a record covers, and what it tells of a record whose seal does not hold.

use bytes::Bytes;

use super::{HEADER_BYTES, Header, Needle, Version, record_bytes};
use crate::seal::{self, OneBit};

impl Needle {
    /// Whether a record's seal holds, so that its header and metadata are right even if its data is not.
    pub fn header_holds(record: Bytes, version: Version, offset: u64) -> bool {
        Self::parse(record, version).is_ok_and(|needle| needle.seal_holds(version, offset))
    }

    /// Whether a record's seal holds and is no mere chance: a seal of one byte holds for one in 256 records of others.
    pub fn is_surely_sealed(record: Bytes, version: Version, offset: u64) -> bool {
        Self::parse(record, version).is_ok_and(|needle| {
            needle.seal_holds(version, offset) && seal::is_telling(needle.sealed_parts(version).1)
        })
    }

    /// Whether a record's padding has room behind the place of its seal, and what we fill it with is there.
    pub fn is_filled(record: &Bytes, version: Version) -> bool {
        Self::parse(record.clone(), version)
            .is_ok_and(|needle| seal::is_filled(needle.sealed_parts(version).1))
    }

    /// The header of a record of ours as it was written, where its seal does not hold but one flipped bit explains why. `None` where
    /// that cannot be told: more is broken, the seal has one byte only, or we never wrote it.
    pub fn mended_header(record: Bytes, version: Version, offset: u64) -> Option<Header> {
        let needle = Self::parse(record, version).ok()?;
        let (sealed, padding) = needle.sealed_parts(version);
        match seal::one_flipped_bit(&sealed.before, sealed.after, offset, padding)? {
            OneBit::OfTheSeal | OneBit::After => Some(needle.header),
            OneBit::Before(bit) => {
                let mut header = sealed.before;
                header[bit.byte] ^= bit.mask;
                // Another length would have led to another seal.
                Header::decode(&header).filter(|h| h.size == needle.header.size)
            }
        }
    }

    /// Sees to it that the seal of a record does not hold where the record will stand. A damaged record that is moved keeps its padding, and
    /// one byte of seal would hold by chance at one place in 256.
    pub fn break_seal(record: &mut [u8], version: Version, offset: u64) {
        let Some(header) = Header::decode(record) else {
            return;
        };
        let seal_at = HEADER_BYTES + header.size as usize + version.tail_bytes();
        if Self::header_holds(Bytes::copy_from_slice(record), version, offset)
            && let Some(seal) = record.get_mut(seal_at)
        {
            *seal = !*seal;
        }
    }

    pub(super) fn seal_holds(&self, version: Version, offset: u64) -> bool {
        let (sealed, padding) = self.sealed_parts(version);
        seal::holds(&sealed.before, sealed.after, offset, padding)
    }

    /// What the seal covers, and the padding where it stands.
    fn sealed_parts(&self, version: Version) -> (SealedParts<'_>, &[u8]) {
        let unpadded = HEADER_BYTES + self.header.size as usize + version.tail_bytes();
        let end =
            usize::try_from(record_bytes(self.header.size, version)).unwrap_or(self.record.len());
        let sealed = SealedParts::new(&self.record[..unpadded], self.data);
        (sealed, &self.record[unpadded..end])
    }
}

/// What a seal covers: everything of a record but its data and padding.
pub(super) struct SealedParts<'a> {
    pub(super) before: [u8; HEADER_BYTES + 4],
    pub(super) after: &'a [u8],
}

impl<'a> SealedParts<'a> {
    pub(super) fn new(unpadded: &'a [u8], data: (usize, usize)) -> Self {
        let mut before = [0; HEADER_BYTES + 4];
        before[..HEADER_BYTES].copy_from_slice(&unpadded[..HEADER_BYTES]);
        let data_bytes = u32::try_from(data.1 - data.0).unwrap_or(u32::MAX);
        before[HEADER_BYTES..].copy_from_slice(&data_bytes.to_be_bytes());
        Self {
            before,
            after: &unpadded[data.1..],
        }
    }
}
