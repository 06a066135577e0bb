//! The `.idx` file: one entry for each write and delete, in order, as SeaweedFS reads it.

use crate::id::NeedleKey;
use crate::needle::ALIGNMENT_BYTES;

/// How many bytes an entry's offset has; nothing in the `.idx` tells, the `.vif` does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OffsetWidth {
    /// Volumes up to 32 GiB (SeaweedFS's default build).
    Four,
    /// Volumes up to 8 TiB ("large disk" builds).
    Five,
}

/// What an entry says of its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IdxEntry {
    /// The record at `offset` (bytes) holds the key; `size` is its header's Size.
    Put {
        /// Key of the needle.
        key: NeedleKey,
        /// Where its record starts.
        offset: u64,
        /// Size field of its header.
        size: u32,
    },
    /// The key is deleted; `offset` is where the delete marker stands, 0 for none.
    Delete {
        /// Key of the needle.
        key: NeedleKey,
        /// Where the marker starts.
        offset: u64,
    },
}

impl IdxEntry {
    /// Key of the needle.
    pub const fn key(&self) -> NeedleKey {
        match *self {
            Self::Put { key, .. } | Self::Delete { key, .. } => key,
        }
    }

    /// Where the record starts.
    pub const fn offset(&self) -> u64 {
        match *self {
            Self::Put { offset, .. } | Self::Delete { offset, .. } => offset,
        }
    }

    /// Size field of the record's header: a delete marker's is 0.
    pub const fn size(&self) -> u32 {
        match *self {
            Self::Put { size, .. } => size,
            Self::Delete { .. } => 0,
        }
    }

    /// Whether the key is live.
    pub const fn is_put(&self) -> bool {
        matches!(self, Self::Put { .. })
    }
}

const TOMBSTONE: u32 = u32::MAX;

impl OffsetWidth {
    /// Length of one entry in bytes.
    pub const fn entry_bytes(self) -> usize {
        match self {
            Self::Four => 16,
            Self::Five => 17,
        }
    }

    /// Largest `.dat` in bytes that the width can address.
    pub const fn volume_bytes_max(self) -> u64 {
        match self {
            Self::Four => (1 << 32) * ALIGNMENT_BYTES,
            Self::Five => (1 << 40) * ALIGNMENT_BYTES,
        }
    }

    /// From `.vif`'s `bytesOffset`; absent or 0 means 4.
    pub const fn from_vif(bytes_offset: u32) -> Self {
        if bytes_offset == 5 {
            Self::Five
        } else {
            Self::Four
        }
    }

    /// Reads one entry of exactly [`Self::entry_bytes`].
    pub fn decode(self, bytes: &[u8]) -> Option<IdxEntry> {
        let key = NeedleKey(crate::needle::u64_at(bytes, 0)?);
        let low = u64::from(crate::needle::u32_at(bytes, 8)?);
        let (high, size_at) = match self {
            Self::Four => (0, 12),
            Self::Five => (u64::from(*bytes.get(12)?), 13),
        };
        let offset = (high << 32 | low) * ALIGNMENT_BYTES;
        let size = crate::needle::u32_at(bytes, size_at)?;
        let live = offset != 0 && i32::try_from(size).is_ok();
        Some(if live {
            IdxEntry::Put { key, offset, size }
        } else {
            IdxEntry::Delete { key, offset }
        })
    }

    /// Appends one entry.
    pub fn encode(self, entry: &IdxEntry, out: &mut Vec<u8>) {
        let (key, offset, size) = match *entry {
            IdxEntry::Put { key, offset, size } => (key, offset, size),
            IdxEntry::Delete { key, offset } => (key, offset, TOMBSTONE),
        };
        let units = offset / ALIGNMENT_BYTES;
        out.extend_from_slice(&key.0.to_be_bytes());
        out.extend_from_slice(&(units as u32).to_be_bytes());
        if self == Self::Five {
            out.push((units >> 32) as u8);
        }
        out.extend_from_slice(&size.to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn any_width() -> impl Strategy<Value = OffsetWidth> {
        prop_oneof![Just(OffsetWidth::Four), Just(OffsetWidth::Five)]
    }

    proptest! {
        #[test]
        fn round_trip(width in any_width(), key: u64, units in 1u64..1 << 32, high in 0u64..256, size in 0u32..1 << 31) {
            let units = if width == OffsetWidth::Five { high << 32 | units } else { units };
            for entry in [IdxEntry::Put { key: NeedleKey(key), offset: units * 8, size }, IdxEntry::Delete { key: NeedleKey(key), offset: units * 8 }] {
                let mut out = Vec::new();
                width.encode(&entry, &mut out);
                prop_assert_eq!(out.len(), width.entry_bytes());
                prop_assert_eq!(width.decode(&out), Some(entry));
            }
        }

        #[test]
        fn random_bytes_never_panic(width in any_width(), bytes in proptest::collection::vec(any::<u8>(), 0..20)) {
            let _ = width.decode(&bytes);
        }
    }
}
