//! A needle to be written, and records without a body.

use bytes::Bytes;

use super::sealed::SealedParts;
use super::{
    ALIGNMENT_BYTES, HEADER_BYTES, Header, NAME_BYTES_MAX, PAIRS_BYTES_MAX, Stamp, Version, flag,
    record_bytes,
};
use crate::mutant::{self, Mutant};
use crate::seal;
use crate::ttl::Ttl;

/// A seal of the longer kind, in bytes.
const SEAL_BYTES: u64 = 4;
const NO_PAIRS: &[u8] = b"{}";
const SPACES: &[u8] = b"   ";

/// Pairs as they were asked for, where they were made longer for the seal.
pub(super) fn without_filler(pairs: &[u8]) -> &[u8] {
    match pairs {
        NO_PAIRS => &[],
        _ => pairs.strip_suffix(SPACES).unwrap_or(pairs),
    }
}

/// Bytes of padding, which is where the seal goes.
const fn seal_bytes(size: u32, version: Version) -> u64 {
    record_bytes(size, version) - HEADER_BYTES as u64 - size as u64 - version.tail_bytes() as u64
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

impl Draft {
    /// Fills in the checksum of the data.
    #[must_use]
    pub fn with_checksum(mut self) -> Self {
        self.checksum = crc_fast::crc32_iscsi(&self.data);
        self
    }

    /// The pairs that are stored.
    fn kept_pairs(&self) -> &[u8] {
        match self.pairs.len() {
            0..=PAIRS_BYTES_MAX => &self.pairs,
            _ => &[],
        }
    }

    /// What stands behind the pairs, or in their place, where one to three bytes of padding would be left: it makes them four or more,
    /// room for a whole seal. To a reader of JSON it says nothing.
    fn filler(&self, version: Version) -> &'static [u8] {
        let size = self.size_of(self.kept_pairs().len());
        let is_short = seal_bytes(size, version) < SEAL_BYTES;
        if !is_short || version == Version::V1 || mutant::is(Mutant::ShortSeals) {
            return &[];
        }
        match self.kept_pairs().len() {
            0 => NO_PAIRS,
            len if len + SPACES.len() <= PAIRS_BYTES_MAX => SPACES,
            _ => &[],
        }
    }

    fn flags(&self, with_pairs: bool) -> u8 {
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
            (with_pairs, flag::PAIRS),
            (self.chunk_manifest, flag::CHUNK_MANIFEST),
        ] {
            flags |= if set { bit } else { 0 };
        }
        flags
    }

    /// The Size field of the record to be.
    pub fn size(&self, version: Version) -> u32 {
        match version {
            Version::V1 => u32::try_from(self.data.len()).unwrap_or(u32::MAX),
            _ => self.size_of(self.kept_pairs().len() + self.filler(version).len()),
        }
    }

    /// The same, with so many bytes of pairs.
    fn size_of(&self, pairs_bytes: usize) -> u32 {
        let flags = self.flags(pairs_bytes > 0);
        let when = |bit: u8, len: usize| if flags & bit != 0 { len } else { 0 };
        let size = self.data.len()
            + 4
            + 1
            + when(flag::NAME, 1 + self.name.len().min(NAME_BYTES_MAX))
            + when(flag::MIME, 1 + self.mime.len())
            + when(flag::LAST_MODIFIED, 5)
            + when(flag::TTL, 2)
            + when(flag::PAIRS, 2 + pairs_bytes);
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
        let (pairs, filler) = (self.kept_pairs(), self.filler(version));
        let flags = self.flags(pairs.len() + filler.len() > 0);
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
            out.extend_from_slice(&((pairs.len() + filler.len()) as u16).to_be_bytes());
            out.extend_from_slice(pairs);
            out.extend_from_slice(filler);
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
