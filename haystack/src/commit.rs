//! The commit record: what ends each group commit in a `.dat` file.
//!
//! It looks like a delete marker of key 0, which is never handed out, so SeaweedFS's tools read it as a tombstone of a needle that
//! does not exist. Its cookie is the CRC-32 (IEEE) of the commit's bytes and of their offset, its checksum field their length
//! in units of 8 bytes, and its seal covers its own offset. Recovery needs nothing else to tell a whole commit from a torn one,
//! and after damage it is where reading can go on: a payload that holds needles, or a whole volume, cannot pass for it.

use crate::id::{Cookie, NeedleKey};
use crate::needle::{self, ALIGNMENT_BYTES, HEADER_BYTES, Header, Stamp, Version};
use crate::seal;

/// Key of every commit record.
pub const COMMIT_KEY: NeedleKey = NeedleKey(0);

/// Running checksum of a commit.
pub struct CommitHasher(crc32fast::Hasher);

impl CommitHasher {
    /// For a commit that starts at this offset of its `.dat`.
    pub fn new(start: u64) -> Self {
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(&start.to_be_bytes());
        Self(hasher)
    }

    /// Takes the commit's next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The checksum of what was taken.
    pub fn finish(&self) -> u32 {
        self.0.clone().finalize()
    }
}

/// A commit record as read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CommitRecord {
    /// Where the commit's first record stands.
    pub start: u64,
    /// What [`CommitHasher`] must give for the bytes from there to the commit record.
    pub checksum: u32,
}

/// Length of a commit record in bytes.
pub const fn commit_record_bytes(version: Version) -> u64 {
    needle::record_bytes(0, version)
}

/// Appends the commit record of everything in `commit`, which starts at `start`.
pub fn seal_commit(commit: &mut Vec<u8>, start: u64, appended_at_ns: u64, version: Version) {
    let mut hasher = CommitHasher::new(start);
    hasher.update(commit);
    let offset = start + commit.len() as u64;
    let units = u32::try_from(commit.len() as u64 / ALIGNMENT_BYTES).unwrap_or(u32::MAX);
    let stamp = Stamp {
        key: COMMIT_KEY,
        cookie: Cookie(hasher.finish()),
        appended_at_ns,
        offset,
    };
    needle::encode_marker(&stamp, units, version, commit);
}

/// Reads the record at `offset` as a commit record; `None` if it is anything else or its seal is broken.
pub fn decode(record: &[u8], version: Version, offset: u64) -> Option<CommitRecord> {
    let header = Header::decode(record).filter(|h| h.key == COMMIT_KEY && h.size == 0)?;
    let whole = usize::try_from(commit_record_bytes(version)).ok()?;
    let unpadded = HEADER_BYTES + if version == Version::V3 { 12 } else { 4 };
    let record = record.get(..whole)?;
    let mut before = [0; HEADER_BYTES + 4];
    before[..HEADER_BYTES].copy_from_slice(&record[..HEADER_BYTES]);
    if !seal::holds(
        &before,
        &record[HEADER_BYTES..unpadded],
        offset,
        &record[unpadded..],
    ) {
        return None;
    }
    let length_bytes = u64::from(needle::u32_at(record, HEADER_BYTES)?) * ALIGNMENT_BYTES;
    Some(CommitRecord {
        start: offset.checked_sub(length_bytes)?,
        checksum: header.cookie.0,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn found_again_only_where_it_was_written() {
        let mut commit = vec![7u8; 640];
        seal_commit(&mut commit, 1024, 99, Version::V3);
        let at = 1024 + 640;
        let record = decode(&commit[640..], Version::V3, at).unwrap();
        assert_eq!(record.start, 1024);
        let mut hasher = CommitHasher::new(1024);
        hasher.update(&commit[..640]);
        assert_eq!(hasher.finish(), record.checksum);
        assert_eq!(decode(&commit[640..], Version::V3, at + 8), None);
        for at_bit in 0..32 * 8 {
            let mut flipped = commit[640..].to_vec();
            flipped[at_bit / 8] ^= 1 << (at_bit % 8);
            assert_eq!(decode(&flipped, Version::V3, at), None, "bit {at_bit}");
        }
    }
}
