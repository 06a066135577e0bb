//! The needle: one stored object as a record in a `.dat` file (format: docs/on-disk-format.md).
//!
//! A record is a 16-byte header, a body, a tail with the CRC-32C of the data, and 1 to 8 bytes of padding to the next
//! multiple of 8. SeaweedFS leaves whatever is in its buffer in the padding; we put a *seal* there (see [`crate::seal`]), so that
//! header and metadata are checked on every read too.

use bytes::Bytes;

use crate::id::{Cookie, NeedleKey};
use crate::mutant::{self, Mutant};
use crate::seal::{self, OneBit};
use crate::ttl::Ttl;

/// Bytes of cookie, key and Size before a record's body.
pub const HEADER_BYTES: usize = 16;
/// Where the key stands in a header.
pub const KEY_AT: usize = 4;
/// Records start at multiples of this.
pub const ALIGNMENT_BYTES: u64 = 8;
const CHECKSUM_BYTES: usize = 4;
const APPENDED_AT_BYTES: usize = 8;
/// Longest name, mime and pairs that a record can hold.
pub const NAME_BYTES_MAX: usize = 255;
/// Longest JSON of pairs that a record can hold.
pub const PAIRS_BYTES_MAX: usize = u16::MAX as usize;
/// Longest data that the engine takes in one needle; SeaweedFS's own default limit is 256 MiB.
pub const DATA_BYTES_MAX: usize = 1 << 30;

mod flag {
    pub const GZIP: u8 = 0x01;
    pub const NAME: u8 = 0x02;
    pub const MIME: u8 = 0x04;
    pub const LAST_MODIFIED: u8 = 0x08;
    pub const TTL: u8 = 0x10;
    pub const PAIRS: u8 = 0x20;
    pub const CHUNK_MANIFEST: u8 = 0x80;
}

/// Layout of a volume's records. Version 3 is what we write; 1 and 2 are read (and 2 appended to) as they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    /// Data only.
    V1 = 1,
    /// With metadata.
    V2 = 2,
    /// With metadata and the time of the append.
    V3 = 3,
}

impl Version {
    /// From the super block's byte.
    pub const fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            1 => Some(Self::V1),
            2 => Some(Self::V2),
            3 => Some(Self::V3),
            _ => None,
        }
    }

    const fn tail_bytes(self) -> usize {
        match self {
            Self::V3 => CHECKSUM_BYTES + APPENDED_AT_BYTES,
            Self::V1 | Self::V2 => CHECKSUM_BYTES,
        }
    }
}

/// Length in bytes of a whole record whose header says `size`, padding included.
pub const fn record_bytes(size: u32, version: Version) -> u64 {
    let unpadded = HEADER_BYTES as u64 + size as u64 + version.tail_bytes() as u64;
    unpadded + (ALIGNMENT_BYTES - unpadded % ALIGNMENT_BYTES)
}

/// The first 16 bytes of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Must be named by whoever reads it.
    pub cookie: Cookie,
    /// Key in the volume.
    pub key: NeedleKey,
    /// Length of the body in bytes; 0 for a delete marker or an empty object of SeaweedFS.
    pub size: u32,
}

impl Header {
    /// Reads a header; `None` if the bytes are too few or Size is negative.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let size = u32_at(bytes, 12)?;
        (i32::try_from(size).is_ok()).then_some(())?;
        Some(Self {
            cookie: Cookie(u32_at(bytes, 0)?),
            key: NeedleKey(u64_at(bytes, 4)?),
            size,
        })
    }

    fn encode(self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.cookie.0.to_be_bytes());
        out.extend_from_slice(&self.key.0.to_be_bytes());
        out.extend_from_slice(&self.size.to_be_bytes());
    }
}

/// Why bytes are not the needle that was asked for. None of these may be served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NeedleError {
    /// The record is shorter than its header says.
    #[error("record is cut short")]
    Truncated,
    /// Lengths inside the record contradict each other.
    #[error("record's fields do not add up to its size")]
    Malformed,
    /// The data's CRC-32C is not the stored one.
    #[error("data does not match its CRC-32C")]
    Checksum,
    /// Header or metadata were changed after they were written.
    #[error("header or metadata do not match the record's seal")]
    Seal,
}

/// A needle as it was read: one buffer, and where its parts are.
#[derive(Clone, Debug)]
pub struct Needle {
    record: Bytes,
    /// Header as stored.
    pub header: Header,
    data: (usize, usize),
    flags: u8,
    name: (usize, usize),
    mime: (usize, usize),
    pairs: (usize, usize),
    /// When the client last changed it, unix seconds; `None` where it was not stored.
    pub last_modified_secs: Option<u64>,
    /// Its own time to live.
    pub ttl: Ttl,
    /// CRC-32C of the data as stored (the raw form, also where the file holds the old masked one).
    pub checksum: u32,
    /// When it was appended, unix nanoseconds; 0 before version 3.
    pub appended_at_ns: u64,
}

/// A cursor over a record's body that never reads past its end.
struct Fields<'a> {
    bytes: &'a [u8],
    at: usize,
    end: usize,
}

impl Fields<'_> {
    /// Takes `len` bytes; returns where they are.
    fn take(&mut self, len: usize) -> Result<(usize, usize), NeedleError> {
        let end = self
            .at
            .checked_add(len)
            .filter(|end| *end <= self.end)
            .ok_or(NeedleError::Malformed)?;
        let range = (self.at, end);
        self.at = end;
        Ok(range)
    }

    fn byte(&mut self) -> Result<u8, NeedleError> {
        let (at, _) = self.take(1)?;
        Ok(self.bytes[at])
    }

    fn number(&mut self, len: usize) -> Result<u64, NeedleError> {
        let (from, to) = self.take(len)?;
        Ok(self.bytes[from..to]
            .iter()
            .fold(0, |n, b| n << 8 | u64::from(*b)))
    }

    /// Present by its flag; SeaweedFS's readers tolerate a body that ends before it.
    fn has(&self, flags: u8, wanted: u8) -> bool {
        flags & wanted != 0 && self.at < self.end
    }
}

/// Undoes the mask that older SeaweedFS put on stored checksums.
const fn unmask(stored: u32) -> u32 {
    let rotated = stored.wrapping_sub(0xa282_ead8);
    rotated.rotate_left(15)
}

impl Needle {
    /// Parses and verifies a whole record. `sealed_at` is the record's offset where the volume knows that the record is ours,
    /// so that its seal must hold; `None` for records written by others.
    pub fn decode(
        record: Bytes,
        version: Version,
        sealed_at: Option<u64>,
    ) -> Result<Self, NeedleError> {
        let mut needle = Self::parse(record, version)?;
        needle.check_data()?;
        match sealed_at {
            Some(offset) if !needle.seal_holds(version, offset) => Err(NeedleError::Seal),
            _ => Ok(needle),
        }
    }

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

    /// CRC-32C of what a record, damaged or not, holds as data; 0 if its fields do not add up.
    pub fn data_checksum(record: &[u8], version: Version) -> u32 {
        Self::parse(Bytes::copy_from_slice(record), version)
            .map_or(0, |needle| crc_fast::crc32_iscsi(&needle.data()))
    }

    fn parse(record: Bytes, version: Version) -> Result<Self, NeedleError> {
        let header = Header::decode(&record).ok_or(NeedleError::Truncated)?;
        if (record.len() as u64) < record_bytes(header.size, version) {
            return Err(NeedleError::Truncated);
        }
        let body_end = HEADER_BYTES + header.size as usize;
        let stored = u32_at(&record, body_end).ok_or(NeedleError::Truncated)?;
        let mut needle = Self {
            header,
            data: (HEADER_BYTES, HEADER_BYTES),
            flags: 0,
            name: (0, 0),
            mime: (0, 0),
            pairs: (0, 0),
            last_modified_secs: None,
            ttl: Ttl::NONE,
            checksum: stored,
            appended_at_ns: if version == Version::V3 {
                u64_at(&record, body_end + CHECKSUM_BYTES).unwrap_or(0)
            } else {
                0
            },
            record,
        };
        needle.parse_body(version, body_end)?;
        Ok(needle)
    }

    fn parse_body(&mut self, version: Version, end: usize) -> Result<(), NeedleError> {
        let mut fields = Fields {
            bytes: &self.record,
            at: HEADER_BYTES,
            end,
        };
        if version == Version::V1 {
            self.data = fields.take(end - HEADER_BYTES)?;
            return Ok(());
        }
        if end == HEADER_BYTES {
            return Ok(());
        }
        let data_bytes = fields.number(4)?;
        self.data =
            fields.take(usize::try_from(data_bytes).map_err(|_| NeedleError::Malformed)?)?;
        let flags = if fields.at < fields.end {
            fields.byte()?
        } else {
            0
        };
        if fields.has(flags, flag::NAME) {
            let len = fields.byte()?;
            self.name = fields.take(len.into())?;
        }
        if fields.has(flags, flag::MIME) {
            let len = fields.byte()?;
            self.mime = fields.take(len.into())?;
        }
        if fields.has(flags, flag::LAST_MODIFIED) {
            self.last_modified_secs = Some(fields.number(5)?);
        }
        if fields.has(flags, flag::TTL) {
            self.ttl = Ttl::from_bytes([fields.byte()?, fields.byte()?]);
        }
        if fields.has(flags, flag::PAIRS) {
            let len = fields.number(2)?;
            self.pairs = fields.take(usize::try_from(len).map_err(|_| NeedleError::Malformed)?)?;
        }
        self.flags = flags;
        Ok(())
    }

    fn check_data(&mut self) -> Result<(), NeedleError> {
        let (stored, (from, to)) = (self.checksum, self.data);
        if from == to {
            return Ok(());
        }
        let actual = crc_fast::crc32_iscsi(&self.record[from..to]);
        self.checksum = actual;
        let holds = actual == stored || actual == unmask(stored);
        if holds || mutant::is(Mutant::SkipChecksum) {
            Ok(())
        } else {
            Err(NeedleError::Checksum)
        }
    }

    fn seal_holds(&self, version: Version, offset: u64) -> bool {
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

    /// The stored data (gzip bytes where [`Self::is_gzip`]).
    pub fn data(&self) -> Bytes {
        self.record.slice(self.data.0..self.data.1)
    }

    /// File name, if one was stored.
    pub fn name(&self) -> &[u8] {
        &self.record[self.name.0..self.name.1]
    }

    /// Media type, if one was stored.
    pub fn mime(&self) -> &[u8] {
        &self.record[self.mime.0..self.mime.1]
    }

    /// JSON object of the `Seaweed-*` headers, if any were stored.
    pub fn pairs(&self) -> &[u8] {
        &self.record[self.pairs.0..self.pairs.1]
    }

    /// Whether the data is stored compressed.
    pub const fn is_gzip(&self) -> bool {
        self.flags & flag::GZIP != 0
    }

    /// Whether the data is a list of chunks (JSON), standing for a larger object.
    pub const fn is_chunk_manifest(&self) -> bool {
        self.flags & flag::CHUNK_MANIFEST != 0
    }

    /// Whether it has outlived its own TTL at `now_secs`. It was born when it was appended, or before version 3 when it was
    /// last modified.
    pub fn expired(&self, now_secs: u64) -> bool {
        let appended_secs = self.appended_at_ns / 1_000_000_000;
        let born_secs = if appended_secs > 0 {
            Some(appended_secs)
        } else {
            self.last_modified_secs
        };
        self.last_modified_secs.is_some()
            && born_secs.is_some_and(|born| self.ttl.expired(born, now_secs))
    }

    /// What was stored, as it would be written again (by vacuum).
    pub fn to_draft(&self) -> Draft {
        Draft {
            data: self.data(),
            name: self.record.slice(self.name.0..self.name.1),
            mime: self.record.slice(self.mime.0..self.mime.1),
            pairs: self.record.slice(self.pairs.0..self.pairs.1),
            last_modified_secs: self.last_modified_secs,
            ttl: self.ttl,
            gzip: self.is_gzip(),
            chunk_manifest: self.is_chunk_manifest(),
            checksum: self.checksum,
        }
    }
}

/// What a seal covers: everything of a record but its data and padding.
struct SealedParts<'a> {
    before: [u8; HEADER_BYTES + 4],
    after: &'a [u8],
}

impl<'a> SealedParts<'a> {
    fn new(unpadded: &'a [u8], data: (usize, usize)) -> Self {
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

/// A needle to be written. Its place, key, cookie and time are given when it is appended.
#[derive(Clone, Debug, Default)]
pub struct Draft {
    /// Data as it will be stored.
    pub data: Bytes,
    /// File name, at most [`NAME_BYTES_MAX`] bytes (longer ones are cut, as SeaweedFS drops them at 256).
    pub name: Bytes,
    /// Media type, at most 255 bytes.
    pub mime: Bytes,
    /// JSON object of pairs, at most [`PAIRS_BYTES_MAX`].
    pub pairs: Bytes,
    /// Unix seconds, low 40 bits are kept.
    pub last_modified_secs: Option<u64>,
    /// Own time to live.
    pub ttl: Ttl,
    /// The data is gzip.
    pub gzip: bool,
    /// The data is a chunk manifest.
    pub chunk_manifest: bool,
    /// CRC-32C of `data`; [`Draft::with_checksum`] computes it off the writer's thread.
    pub checksum: u32,
}

/// Where and as whom a draft is written.
#[derive(Clone, Copy, Debug)]
pub struct Stamp {
    /// Key of the record.
    pub key: NeedleKey,
    /// Cookie of the record.
    pub cookie: Cookie,
    /// Unix nanoseconds, strictly increasing in a volume.
    pub appended_at_ns: u64,
    /// Offset in the `.dat` where the record will stand.
    pub offset: u64,
}

impl Draft {
    /// Fills in the checksum of the data.
    #[must_use]
    pub fn with_checksum(mut self) -> Self {
        self.checksum = crc_fast::crc32_iscsi(&self.data);
        self
    }

    fn flags(&self) -> u8 {
        let mut flags = 0;
        for (set, bit) in [
            (self.gzip, flag::GZIP),
            (!self.name.is_empty(), flag::NAME),
            (
                !self.mime.is_empty() && self.mime.len() <= NAME_BYTES_MAX,
                flag::MIME,
            ),
            (self.last_modified_secs.is_some(), flag::LAST_MODIFIED),
            (!self.ttl.is_none(), flag::TTL),
            (
                !self.pairs.is_empty() && self.pairs.len() <= PAIRS_BYTES_MAX,
                flag::PAIRS,
            ),
            (self.chunk_manifest, flag::CHUNK_MANIFEST),
        ] {
            flags |= if set { bit } else { 0 };
        }
        flags
    }

    /// The Size field of the record to be.
    pub fn size(&self, version: Version) -> u32 {
        let mut size = self.data.len();
        if version != Version::V1 {
            let flags = self.flags();
            let when = |bit: u8, len: usize| if flags & bit != 0 { len } else { 0 };
            size += 4 + 1 + when(flag::NAME, 1 + self.name.len().min(NAME_BYTES_MAX));
            size += when(flag::MIME, 1 + self.mime.len())
                + when(flag::LAST_MODIFIED, 5)
                + when(flag::TTL, 2);
            size += when(flag::PAIRS, 2 + self.pairs.len());
        }
        u32::try_from(size).unwrap_or(u32::MAX)
    }

    /// Appends the whole record to `out`.
    pub fn encode(&self, stamp: &Stamp, version: Version, out: &mut Vec<u8>) {
        let start = out.len();
        let size = self.size(version);
        out.reserve(usize::try_from(record_bytes(size, version)).unwrap_or(0));
        Header {
            cookie: stamp.cookie,
            key: stamp.key,
            size,
        }
        .encode(out);
        let data_at = HEADER_BYTES + if version == Version::V1 { 0 } else { 4 };
        self.encode_body(version, out);
        encode_tail(
            out,
            start,
            (data_at, data_at + self.data.len()),
            self.checksum,
            stamp,
            version,
        );
    }

    fn encode_body(&self, version: Version, out: &mut Vec<u8>) {
        if version == Version::V1 {
            out.extend_from_slice(&self.data);
            return;
        }
        let flags = self.flags();
        out.extend_from_slice(&(self.data.len() as u32).to_be_bytes());
        out.extend_from_slice(&self.data);
        out.push(flags);
        if flags & flag::NAME != 0 {
            let name = &self.name[..self.name.len().min(NAME_BYTES_MAX)];
            out.push(name.len() as u8);
            out.extend_from_slice(name);
        }
        if flags & flag::MIME != 0 {
            out.push(self.mime.len() as u8);
            out.extend_from_slice(&self.mime);
        }
        if let Some(secs) = self.last_modified_secs {
            out.extend_from_slice(&secs.to_be_bytes()[3..]);
        }
        if !self.ttl.is_none() {
            out.extend_from_slice(&self.ttl.to_bytes());
        }
        if flags & flag::PAIRS != 0 {
            out.extend_from_slice(&(self.pairs.len() as u16).to_be_bytes());
            out.extend_from_slice(&self.pairs);
        }
    }
}

/// Appends a record without a body: a delete marker (with the deleted data's checksum) or a commit record.
pub fn encode_marker(stamp: &Stamp, checksum: u32, version: Version, out: &mut Vec<u8>) {
    let start = out.len();
    Header {
        cookie: stamp.cookie,
        key: stamp.key,
        size: 0,
    }
    .encode(out);
    encode_tail(
        out,
        start,
        (HEADER_BYTES, HEADER_BYTES),
        checksum,
        stamp,
        version,
    );
}

fn encode_tail(
    out: &mut Vec<u8>,
    start: usize,
    data: (usize, usize),
    checksum: u32,
    stamp: &Stamp,
    version: Version,
) {
    out.extend_from_slice(&checksum.to_be_bytes());
    if version == Version::V3 {
        out.extend_from_slice(&stamp.appended_at_ns.to_be_bytes());
    }
    let padding_bytes = ALIGNMENT_BYTES as usize - (out.len() - start) % ALIGNMENT_BYTES as usize;
    let sealed = SealedParts::new(&out[start..], data);
    let seal = seal::seal(&sealed.before, sealed.after, stamp.offset, padding_bytes);
    seal::write(&seal, padding_bytes, out);
}

pub(crate) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes
        .get(at..at + 4)?
        .try_into()
        .ok()
        .map(u32::from_be_bytes)
}

pub(crate) fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    bytes
        .get(at..at + 8)?
        .try_into()
        .ok()
        .map(u64::from_be_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn any_draft() -> impl Strategy<Value = Draft> {
        let bytes =
            |max: usize| proptest::collection::vec(any::<u8>(), 0..max).prop_map(Bytes::from);
        let metadata = (
            bytes(300),
            bytes(255),
            bytes(700),
            proptest::option::of(0u64..1 << 40),
        );
        (
            bytes(700),
            metadata,
            any::<[u8; 2]>(),
            any::<bool>(),
            any::<bool>(),
        )
            .prop_map(
                |(data, (name, mime, pairs, last_modified_secs), ttl, gzip, chunk_manifest)| {
                    let draft = Draft {
                        data,
                        name,
                        mime,
                        pairs,
                        last_modified_secs,
                        ttl: Ttl::from_bytes(ttl),
                        gzip,
                        chunk_manifest,
                        checksum: 0,
                    };
                    draft.with_checksum()
                },
            )
    }

    fn any_version() -> impl Strategy<Value = Version> {
        prop_oneof![Just(Version::V1), Just(Version::V2), Just(Version::V3)]
    }

    const STAMP: Stamp = Stamp {
        key: NeedleKey(7),
        cookie: Cookie(0xdead_beef),
        appended_at_ns: 1_700_000_000_000_000_001,
        offset: 4096,
    };

    fn encode(draft: &Draft, version: Version) -> Vec<u8> {
        let mut out = Vec::new();
        draft.encode(&STAMP, version, &mut out);
        out
    }

    #[test]
    fn padding_is_one_to_eight_never_none() {
        for len in 0..32u32 {
            let whole = record_bytes(len, Version::V3);
            assert!(whole.is_multiple_of(8) && (1..=8).contains(&(whole - 28 - u64::from(len))));
        }
        assert_eq!(record_bytes(0, Version::V3), 32);
        assert_eq!(record_bytes(0, Version::V2), 24);
    }

    #[test]
    fn masked_checksums_of_old_files_are_accepted() {
        let crc: u32 = 0x1234_5678;
        let masked = crc.rotate_right(15).wrapping_add(0xa282_ead8);
        assert_eq!(unmask(masked), crc);
    }

    proptest! {
        #[test]
        fn round_trip(draft in any_draft(), version in any_version()) {
            let out = encode(&draft, version);
            prop_assert_eq!(out.len() as u64, record_bytes(draft.size(version), version));
            let needle = Needle::decode(out.into(), version, Some(STAMP.offset)).unwrap();
            prop_assert_eq!(needle.data(), &draft.data);
            prop_assert_eq!(needle.checksum, draft.checksum);
            if version != Version::V1 {
                prop_assert_eq!(needle.name(), &draft.name[..draft.name.len().min(NAME_BYTES_MAX)]);
                prop_assert_eq!(needle.mime(), &draft.mime[..]);
                prop_assert_eq!(needle.pairs(), &draft.pairs[..]);
                prop_assert_eq!(needle.last_modified_secs, draft.last_modified_secs);
                prop_assert_eq!(needle.ttl, draft.ttl);
                prop_assert_eq!((needle.is_gzip(), needle.is_chunk_manifest()), (draft.gzip, draft.chunk_manifest));
            }
        }

        #[test]
        fn one_flipped_bit_is_always_noticed(draft in any_draft(), version in any_version(), at: usize, bit in 0u8..8) {
            let mut out = encode(&draft, version);
            let whole = out.len();
            let padding = whole - HEADER_BYTES - draft.size(version) as usize - version.tail_bytes();
            let at = at % (whole - padding);
            out[at] ^= 1 << bit;
            prop_assert!(Needle::decode(out.into(), version, Some(STAMP.offset)).is_err());
        }

        #[test]
        fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), version in any_version()) {
            let _ = Needle::decode(bytes.into(), version, Some(0));
        }

        #[test]
        fn damaged_records_never_panic(draft in any_draft(), version in any_version(), flips in proptest::collection::vec(any::<(usize, u8)>(), 1..8), cut: usize) {
            let mut out = encode(&draft, version);
            for (at, value) in flips {
                let at = at % out.len();
                out[at] = value;
            }
            out.truncate(cut % (out.len() + 1));
            let _ = Needle::decode(out.into(), version, None);
        }
    }
}
