//! The commit record: what ends each group commit in a `.dat` file.
//!
//! It looks like a delete marker of key 0, which is never handed out, so SeaweedFS's tools read it as a tombstone of a needle that
//! does not exist. Its cookie is the CRC-32 (IEEE) of the commit's bytes and of their offset, its checksum field their length
//! in units of 8 bytes, and its seal covers its own offset. Recovery needs nothing else to tell a whole commit from a torn one,
//! and after damage it is where reading can go on: a payload that holds needles, or a whole volume, cannot pass for it.

use crate::id::{Cookie, NeedleKey};
use crate::needle::{self, ALIGNMENT_BYTES, HEADER_BYTES, Header, Stamp, Version};
use crate::one_bit::{self, Bit};
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

/// What was known of the bytes before a commit when it was written. It is kept in the commit's checksum, so that recovery knows
/// what a whole commit proves of a torn one before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Before {
    /// All durable: what is broken there was not torn by a crash, it decayed.
    Durable,
    /// Some written, but not synced (durability "os"): a power cut may have torn them and spared this commit.
    Unsynced,
}

/// What the checksum of a commit that follows unsynced bytes is XORed with.
const UNSYNCED_MARK: u32 = 0x4d6f_6f6e;

/// A commit record as read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CommitRecord {
    /// Where the commit's first record stands.
    pub start: u64,
    /// What [`CommitHasher`] must give for the bytes from there to the commit record.
    pub checksum: u32,
}

impl CommitRecord {
    /// Whether the commit's bytes have this checksum, and then what was before it.
    pub const fn verify(&self, checksum: u32) -> Option<Before> {
        if checksum == self.checksum {
            Some(Before::Durable)
        } else if checksum ^ UNSYNCED_MARK == self.checksum {
            Some(Before::Unsynced)
        } else {
            None
        }
    }
}

impl CommitRecord {
    /// The one bit of a commit of `len` bytes whose flipping explains why they have this checksum, and what was before the commit.
    /// To be trusted only if the bytes are whole records once it is flipped back.
    pub fn one_flipped_bit(&self, checksum: u32, len: usize) -> Option<(Bit, Before)> {
        let difference = checksum ^ self.checksum;
        [
            (difference, Before::Durable),
            (difference ^ UNSYNCED_MARK, Before::Unsynced),
        ]
        .into_iter()
        .find_map(|(difference, before)| {
            one_bit::flipped(one_bit::IEEE, len, difference).map(|bit| (bit, before))
        })
    }
}

/// Length of a commit record in bytes.
pub const fn commit_record_bytes(version: Version) -> u64 {
    needle::record_bytes(0, version)
}

/// Whether a record at `offset` holds, in its payload, what would be a commit record where it stands. A client who guesses the
/// offset can make one; the writer then puts the record elsewhere, so that no commit record is ever forged.
pub fn hides_in(record: &[u8], version: Version, offset: u64) -> bool {
    const STEP: usize = ALIGNMENT_BYTES as usize;
    // Of a commit record's second 8 bytes, four are of its key and four its size: all 0. Cheap to look for, rarely found.
    let (words, _) = record.as_chunks::<STEP>();
    let mut from = 2;
    while let Some(zero) = words.get(from..).and_then(first_zero) {
        let at = (from + zero - 1) * STEP;
        if decode(&record[at..], version, offset + at as u64).is_some() {
            return true;
        }
        from += zero + 1;
    }
    false
}

/// Where the first word is that is all zeros.
fn first_zero(words: &[[u8; 8]]) -> Option<usize> {
    /// Words that are looked at together, without a branch between them, which compiles to vector instructions.
    const TOGETHER: usize = 16;
    let is_zero = |word: &[u8; 8]| u64::from_ne_bytes(*word) == 0;
    let (blocks, _) = words.as_chunks::<TOGETHER>();
    let holds_zero = |block: &[[u8; 8]; TOGETHER]| {
        block
            .iter()
            .fold(false, |found, word| found | is_zero(word))
    };
    let blocks = blocks.iter().position(holds_zero).unwrap_or(blocks.len());
    let from = blocks * TOGETHER;
    let at = words.get(from..)?.iter().position(is_zero)?;
    Some(from + at)
}

/// Appends the commit record of everything in `commit`, which starts at `start`.
pub fn seal_commit(
    commit: &mut Vec<u8>,
    start: u64,
    before: Before,
    appended_at_ns: u64,
    version: Version,
) {
    seal_commit_from(commit, 0, start, before, appended_at_ns, version);
}

/// Appends the commit record of everything in `bytes` from `from` on, which will stand at offset `start` of the volume.
pub fn seal_commit_from(
    bytes: &mut Vec<u8>,
    from: usize,
    start: u64,
    before: Before,
    appended_at_ns: u64,
    version: Version,
) {
    let commit = bytes.get(from..).unwrap_or_default();
    let mut hasher = CommitHasher::new(start);
    hasher.update(commit);
    let mark = match before {
        Before::Durable => 0,
        Before::Unsynced => UNSYNCED_MARK,
    };
    let offset = start + commit.len() as u64;
    let units = u32::try_from(commit.len() as u64 / ALIGNMENT_BYTES).unwrap_or(u32::MAX);
    let stamp = Stamp {
        key: COMMIT_KEY,
        cookie: Cookie(hasher.finish() ^ mark),
        appended_at_ns,
        offset,
    };
    needle::encode_marker(&stamp, units, version, bytes);
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

/// Flipped bits with which a commit record is still known. At its length CRC-32C tells any six flipped bits from none, so that
/// two lead back to one commit record only.
const FLIPS_MAX: u32 = 2;
/// Key and Size, which are 0.
const ZEROES: std::ops::Range<usize> = 4..HEADER_BYTES;

/// Reads the record at `offset` as a commit record of which up to two bits may have flipped. To be asked only where records of ours
/// lead to: elsewhere in a payload a client could have put one that is two bits short of being right.
pub fn decode_nearly(record: &[u8], version: Version, offset: u64) -> Option<CommitRecord> {
    let whole = usize::try_from(commit_record_bytes(version)).ok()?;
    let mut record = record.get(..whole)?.to_vec();
    let zeroes = record.get_mut(ZEROES)?;
    let flipped: u32 = zeroes.iter().map(|byte| byte.count_ones()).sum();
    let more = FLIPS_MAX.checked_sub(flipped)?;
    zeroes.fill(0);
    decode_flipped(&mut record, 0, more, version, offset)
}

/// Tries the record as it is, then with up to `flips` bits flipped, from the bit `from` on.
fn decode_flipped(
    record: &mut [u8],
    from: usize,
    flips: u32,
    version: Version,
    offset: u64,
) -> Option<CommitRecord> {
    let found = decode(record, version, offset);
    if found.is_some() || flips == 0 {
        return found;
    }
    let bits = from..record.len() * 8;
    bits.filter(|bit| !ZEROES.contains(&(bit / 8)))
        .find_map(|bit| {
            record[bit / 8] ^= 1 << (bit % 8);
            let found = decode_flipped(record, bit + 1, flips - 1, version, offset);
            record[bit / 8] ^= 1 << (bit % 8);
            found
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_forged_commit_record_is_noticed_only_at_its_place() {
        let mut record = vec![9u8; 48];
        let mut forged = Vec::new();
        seal_commit(&mut forged, 4096 + 48, Before::Durable, 1, Version::V3);
        record.extend_from_slice(&forged);
        assert!(hides_in(&record, Version::V3, 4096));
        assert!(!hides_in(&record, Version::V3, 4096 + 32));
        assert!(!hides_in(&forged, Version::V3, 4096 + 48));
        assert!(!hides_in(&[0; 200], Version::V3, 4096));
    }

    #[test]
    fn the_first_zero_is_found_wherever_it_is() {
        for len in 0..50 {
            let mut words = vec![[1, 0, 0, 0, 0, 0, 0, 0]; len];
            assert_eq!(first_zero(&words), None, "{len}");
            for at in (0..len).rev() {
                words[at] = [0; 8];
                assert_eq!(first_zero(&words), Some(at), "{len}");
            }
        }
    }

    #[test]
    fn found_again_only_where_it_was_written() {
        let mut commit = vec![7u8; 640];
        seal_commit(&mut commit, 1024, Before::Unsynced, 99, Version::V3);
        let at = 1024 + 640;
        let record = decode(&commit[640..], Version::V3, at).unwrap();
        assert_eq!(record.start, 1024);
        let mut hasher = CommitHasher::new(1024);
        hasher.update(&commit[..640]);
        assert_eq!(record.verify(hasher.finish()), Some(Before::Unsynced));
        assert_eq!(record.verify(hasher.finish() ^ 1), None);
        assert_eq!(decode(&commit[640..], Version::V3, at + 8), None);
        for at_bit in 0..32 * 8 {
            let mut flipped = commit[640..].to_vec();
            flipped[at_bit / 8] ^= 1 << (at_bit % 8);
            assert_eq!(decode(&flipped, Version::V3, at), None, "bit {at_bit}");
        }
    }

    #[test]
    fn two_flipped_bits_do_not_hide_a_commit_record() {
        let mut commit = vec![7u8; 640];
        seal_commit(&mut commit, 1024, Before::Durable, 99, Version::V3);
        let (at, bits) = (1024 + 640, 32 * 8);
        let whole = decode(&commit[640..], Version::V3, at);
        for (n, first) in (0..bits).enumerate() {
            let second = (n * 37 + 11) % bits;
            let mut flipped = commit[640..].to_vec();
            flipped[first / 8] ^= 1 << (first % 8);
            assert_eq!(
                decode_nearly(&flipped, Version::V3, at),
                whole,
                "bit {first}"
            );
            flipped[second / 8] ^= 1 << (second % 8);
            assert_eq!(
                decode_nearly(&flipped, Version::V3, at),
                whole,
                "bits {first}, {second}"
            );
        }
        let mut marker = Vec::new();
        let stamp = Stamp {
            key: NeedleKey(2),
            cookie: Cookie(5),
            appended_at_ns: 7,
            offset: at,
        };
        needle::encode_marker(&stamp, 0, Version::V3, &mut marker);
        assert_eq!(decode_nearly(&marker, Version::V3, at), None);
    }

    #[test]
    fn the_bit_that_flipped_in_a_commit_is_told() {
        for before in [Before::Durable, Before::Unsynced] {
            let mut commit = vec![7u8; 640];
            seal_commit(&mut commit, 1024, before, 99, Version::V3);
            let record = decode(&commit[640..], Version::V3, 1024 + 640).unwrap();
            commit[77] ^= 0x20;
            let mut hasher = CommitHasher::new(1024);
            hasher.update(&commit[..640]);
            let bit = Bit {
                byte: 77,
                mask: 0x20,
            };
            assert_eq!(
                record.one_flipped_bit(hasher.finish(), 640),
                Some((bit, before))
            );
        }
    }
}
