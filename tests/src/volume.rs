//! A reader and a writer of SeaweedFS volumes, written from the format's description alone.
//!
//! It is strict where Moongate must be exact: records start at multiples of 8, follow one another without a gap up to
//! the end of the file, and carry the CRC-32C of their data. All integers are big-endian.

mod index;
mod sound;

use std::fs;
use std::path::Path;

pub use self::index::*;
pub use self::sound::*;

/// Data is stored gzip-compressed.
pub const FLAG_GZIP: u8 = 0x01;
/// A name follows.
pub const FLAG_NAME: u8 = 0x02;
/// A MIME type follows.
pub const FLAG_MIME: u8 = 0x04;
/// The time of the last modification follows.
pub const FLAG_LAST_MODIFIED: u8 = 0x08;
/// A time to live follows.
pub const FLAG_TTL: u8 = 0x10;
/// Pairs follow.
pub const FLAG_PAIRS: u8 = 0x20;
/// Data is a chunk manifest.
pub const FLAG_MANIFEST: u8 = 0x80;

const SUPER_BLOCK_BYTES: usize = 8;
const HEADER_BYTES: usize = 16;

/// The first bytes of a `.dat`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SuperBlock {
    /// 1, 2 or 3.
    pub version: u8,
    /// Replica placement as the decimal number xyz.
    pub replication: u8,
    /// Count and unit.
    pub ttl: (u8, u8),
    /// How often the volume has been vacuumed.
    pub compaction_revision: u16,
    /// Bytes of the extra part behind it.
    pub extra_bytes: u16,
}

/// One record of a `.dat`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// Where it starts.
    pub offset: u64,
    /// Its length with header, tail and padding.
    pub len_bytes: u64,
    /// Cookie.
    pub cookie: u32,
    /// Needle id.
    pub key: u64,
    /// Length of the body, without header and tail.
    pub size: i32,
    /// The data as stored.
    pub data: Vec<u8>,
    /// `FLAG_*` bits.
    pub flags: u8,
    /// Name, where flagged.
    pub name: Vec<u8>,
    /// MIME type, where flagged.
    pub mime: Vec<u8>,
    /// Unix seconds, where flagged.
    pub last_modified_secs: u64,
    /// Count and unit, where flagged.
    pub ttl: (u8, u8),
    /// JSON, where flagged.
    pub pairs: Vec<u8>,
    /// CRC as stored.
    pub crc: u32,
    /// Unix nanoseconds (version 3).
    pub append_at_ns: u64,
}

/// A whole `.dat`.
#[derive(Clone, Debug)]
pub struct Dat {
    /// Its head.
    pub super_block: SuperBlock,
    /// Its records in order.
    pub records: Vec<Record>,
    /// Its length.
    pub len_bytes: u64,
}

/// Reads a `.dat` strictly. `version` overrides the super block's, as a `.vif` does.
pub fn read_dat(path: &Path, version: Option<u8>) -> Result<Dat, String> {
    let bytes = fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
    parse_dat(&bytes, version).map_err(|error| format!("{}: {error}", path.display()))
}

/// Parses the bytes of a `.dat` strictly.
pub fn parse_dat(bytes: &[u8], version: Option<u8>) -> Result<Dat, String> {
    let super_block = SuperBlock::parse(bytes)?;
    let version = version.unwrap_or(super_block.version);
    let mut offset = SUPER_BLOCK_BYTES;
    if version > 1 {
        offset += super_block.extra_bytes as usize;
    }
    let mut records = Vec::new();
    while offset < bytes.len() {
        let record = Record::parse(bytes, offset, version)
            .map_err(|error| format!("record at {offset}: {error}"))?;
        offset += record.len_bytes as usize;
        records.push(record);
    }
    Ok(Dat {
        super_block,
        records,
        len_bytes: bytes.len() as u64,
    })
}

impl SuperBlock {
    fn parse(bytes: &[u8]) -> Result<SuperBlock, String> {
        let mut fields = Fields(bytes);
        let head = SuperBlock {
            version: fields.u8()?,
            replication: fields.u8()?,
            ttl: (fields.u8()?, fields.u8()?),
            compaction_revision: fields.u16()?,
            extra_bytes: fields.u16()?,
        };
        if (1..=3).contains(&head.version) {
            Ok(head)
        } else {
            Err(format!("version {}", head.version))
        }
    }

    /// The 8 bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = vec![self.version, self.replication, self.ttl.0, self.ttl.1];
        bytes.extend_from_slice(&self.compaction_revision.to_be_bytes());
        bytes.extend_from_slice(&self.extra_bytes.to_be_bytes());
        bytes
    }
}

impl Record {
    fn parse(bytes: &[u8], offset: usize, version: u8) -> Result<Record, String> {
        if !offset.is_multiple_of(8) {
            return Err("not at a multiple of 8".into());
        }
        let mut fields = Fields(&bytes[offset..]);
        let mut record = Record {
            offset: offset as u64,
            cookie: fields.u32()?,
            key: fields.u64()?,
            ..Record::default()
        };
        record.size = fields.u32()? as i32;
        let size =
            usize::try_from(record.size).map_err(|_| format!("negative size {}", record.size))?;
        let body = fields.take(size)?;
        record.parse_body(body, version)?;
        record.crc = fields.u32()?;
        if version == 3 {
            record.append_at_ns = fields.u64()?;
        }
        let len_bytes = record_len_bytes(size, version);
        if offset + len_bytes > bytes.len() {
            return Err(format!(
                "its {len_bytes} bytes go beyond the end of the file"
            ));
        }
        record.len_bytes = len_bytes as u64;
        record.check_crc()?;
        Ok(record)
    }

    fn parse_body(&mut self, body: &[u8], version: u8) -> Result<(), String> {
        if version == 1 || body.is_empty() {
            self.data = body.to_vec();
            return Ok(());
        }
        let mut fields = Fields(body);
        let data_len_bytes = fields.u32()? as usize;
        self.data = fields.take(data_len_bytes)?.to_vec();
        self.flags = fields.u8()?;
        if self.flags & FLAG_NAME != 0 {
            let len_bytes = fields.u8()?;
            self.name = fields.take(len_bytes.into())?.to_vec();
        }
        if self.flags & FLAG_MIME != 0 {
            let len_bytes = fields.u8()?;
            self.mime = fields.take(len_bytes.into())?.to_vec();
        }
        if self.flags & FLAG_LAST_MODIFIED != 0 {
            self.last_modified_secs = fields
                .take(5)?
                .iter()
                .fold(0, |sum, byte| sum << 8 | u64::from(*byte));
        }
        if self.flags & FLAG_TTL != 0 {
            self.ttl = (fields.u8()?, fields.u8()?);
        }
        if self.flags & FLAG_PAIRS != 0 {
            let len_bytes = fields.u16()?;
            self.pairs = fields.take(len_bytes.into())?.to_vec();
        }
        if fields.0.is_empty() {
            Ok(())
        } else {
            Err(format!("{} bytes behind the last field", fields.0.len()))
        }
    }

    fn check_crc(&self) -> Result<(), String> {
        let raw = crc32c::crc32c(&self.data);
        if self.data.is_empty() || self.crc == raw || self.crc == masked(raw) {
            return Ok(());
        }
        Err(format!("CRC is {:08x}, its data has {raw:08x}", self.crc))
    }

    /// True for a delete marker, an empty object without metadata, and Moongate's commit record (id 0).
    pub fn is_bare(&self) -> bool {
        self.size == 0
    }

    /// The record's bytes in a version's layout, with `crc` and `append_at_ns` as they are and `size` worked out.
    pub fn to_bytes(&self, version: u8) -> Vec<u8> {
        let body = self.body_bytes(version);
        let mut bytes = Vec::new();
        bytes.extend_from_slice(&self.cookie.to_be_bytes());
        bytes.extend_from_slice(&self.key.to_be_bytes());
        bytes.extend_from_slice(&(body.len() as u32).to_be_bytes());
        bytes.extend_from_slice(&body);
        bytes.extend_from_slice(&self.crc.to_be_bytes());
        if version == 3 {
            bytes.extend_from_slice(&self.append_at_ns.to_be_bytes());
        }
        // The genuine writer leaves whatever it has in the padding: a reader that minds is wrong.
        bytes.resize(record_len_bytes(body.len(), version), 0xa5);
        bytes
    }

    fn body_bytes(&self, version: u8) -> Vec<u8> {
        if version == 1 || (self.data.is_empty() && self.flags == 0) {
            return self.data.clone();
        }
        let mut body = (self.data.len() as u32).to_be_bytes().to_vec();
        body.extend_from_slice(&self.data);
        body.push(self.flags);
        for (flag, text) in [(FLAG_NAME, &self.name), (FLAG_MIME, &self.mime)] {
            if self.flags & flag != 0 {
                body.push(text.len() as u8);
                body.extend_from_slice(text);
            }
        }
        if self.flags & FLAG_LAST_MODIFIED != 0 {
            body.extend_from_slice(&self.last_modified_secs.to_be_bytes()[3..]);
        }
        if self.flags & FLAG_TTL != 0 {
            body.extend_from_slice(&[self.ttl.0, self.ttl.1]);
        }
        if self.flags & FLAG_PAIRS != 0 {
            body.extend_from_slice(&(self.pairs.len() as u16).to_be_bytes());
            body.extend_from_slice(&self.pairs);
        }
        body
    }
}

/// The masked form of a CRC that older writers stored.
pub fn masked(crc: u32) -> u32 {
    crc.rotate_right(15).wrapping_add(0xa282_ead8)
}

/// Length of a record whose body has `size` bytes: padded by 1 to 8 bytes, never by none.
pub fn record_len_bytes(size: usize, version: u8) -> usize {
    let unpadded = HEADER_BYTES + size + 4 + if version == 3 { 8 } else { 0 };
    unpadded + 8 - unpadded % 8
}

/// Writes a volume with version's layout: `.dat`, and `.idx` with 4-byte offsets in the order of the records.
pub fn write_volume(base: &Path, super_block: &SuperBlock, records: &[Record]) {
    let mut dat = super_block.to_bytes();
    dat.resize(SUPER_BLOCK_BYTES + super_block.extra_bytes as usize, 0);
    let mut idx = Vec::new();
    for record in records {
        let bytes = record.to_bytes(super_block.version);
        let size = i32::from_be_bytes(bytes[12..16].try_into().expect("four bytes"));
        idx.extend(index_entry_bytes(IndexEntry {
            key: record.key,
            offset: dat.len() as u64,
            size,
        }));
        dat.extend(bytes);
    }
    fs::write(with_suffix(base, "dat"), dat).expect("a .dat can be written");
    fs::write(with_suffix(base, "idx"), idx).expect("a .idx can be written");
}

/// A cursor over big-endian fields that runs out instead of panicking.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn take(&mut self, len_bytes: usize) -> Result<&'a [u8], String> {
        let (head, tail) = self.0.split_at_checked(len_bytes).ok_or("it ends early")?;
        self.0 = tail;
        Ok(head)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], String> {
        Ok(self.take(N)?.try_into().expect("as many as were taken"))
    }

    fn u8(&mut self) -> Result<u8, String> {
        Ok(self.array::<1>()?[0])
    }

    fn u16(&mut self) -> Result<u16, String> {
        Ok(u16::from_be_bytes(self.array()?))
    }

    fn u32(&mut self) -> Result<u32, String> {
        Ok(u32::from_be_bytes(self.array()?))
    }

    fn u64(&mut self) -> Result<u64, String> {
        Ok(u64::from_be_bytes(self.array()?))
    }
}
