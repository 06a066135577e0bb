//! A needle as it was read: its fields, and whether its data is what was stored.

use bytes::Bytes;

use super::draft::{Draft, without_filler};
use super::{
    CHECKSUM_BYTES, HEADER_BYTES, Header, NeedleError, Version, flag, record_bytes, u32_at, u64_at,
};
use crate::mutant::{self, Mutant};
use crate::ttl::Ttl;

/// A needle as it was read: one buffer, and where its parts are.
#[derive(Clone, Debug)]
pub struct Needle {
    pub(super) record: Bytes,
    /// Header as stored.
    pub header: Header,
    pub(super) data: (usize, usize),
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
    /// Whether the fields fill the body to its end, as every writer makes them.
    pub adds_up: bool,
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
pub(super) const fn unmask(stored: u32) -> u32 {
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

    /// CRC-32C of what a record, damaged or not, holds as data; 0 if its fields do not add up.
    pub fn data_checksum(record: &[u8], version: Version) -> u32 {
        Self::parse(Bytes::copy_from_slice(record), version)
            .map_or(0, |needle| crc_fast::crc32_iscsi(&needle.data()))
    }

    pub(super) fn parse(record: Bytes, version: Version) -> Result<Self, NeedleError> {
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
            adds_up: true,
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
            let (from, to) =
                fields.take(usize::try_from(len).map_err(|_| NeedleError::Malformed)?)?;
            self.pairs = (from, from + without_filler(&self.record[from..to]).len());
        }
        self.flags = flags;
        self.adds_up = fields.at == fields.end;
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

    /// When its own TTL ends, unix seconds. It was born when it was appended, or before version 3 when it was last modified.
    pub fn expires_secs(&self) -> Option<u64> {
        let appended_secs = self.appended_at_ns / 1_000_000_000;
        let modified_secs = self.last_modified_secs?;
        let born_secs = match appended_secs {
            0 => modified_secs,
            _ => appended_secs,
        };
        (!self.ttl.is_none()).then(|| born_secs.saturating_add(self.ttl.secs()))
    }

    /// Whether it has outlived its own TTL at `now_secs`.
    pub fn expired(&self, now_secs: u64) -> bool {
        self.expires_secs().is_some_and(|end| now_secs >= end)
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
