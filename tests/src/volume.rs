//! A reader and a writer of SeaweedFS volumes, written from the format's description alone.
//!
//! It is strict where Moongate must be exact: records start at multiples of 8, follow one another without a gap up to
//! the end of the file, and carry the CRC-32C of their data. All integers are big-endian.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

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
/// Size of a tombstone in the index.
pub const TOMBSTONE: i32 = -1;

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

/// One entry of a `.idx`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IndexEntry {
    /// Needle id.
    pub key: u64,
    /// Where the record starts, in bytes.
    pub offset: u64,
    /// The record's size, or [`TOMBSTONE`].
    pub size: i32,
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

/// Bases (path without `.dat`) of the volumes in a folder and the folders in it, sorted.
pub fn bases(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("the folder can be listed") {
        let path = entry.expect("the folder can be listed").path();
        if path.is_dir() {
            found.extend(bases(&path));
        } else if path.extension().is_some_and(|extension| extension == "dat") {
            found.push(path.with_extension(""));
        }
    }
    found.sort();
    found
}

/// The volume id in a base: what follows the last `_` of the file's name.
pub fn id_of(base: &Path) -> Option<u32> {
    let name = base.file_name()?.to_str()?;
    name.rsplit('_').next()?.parse().ok()
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

/// Reads a `.idx` whose offsets have `offset_bytes` (4 or 5) bytes.
pub fn read_idx(path: &Path, offset_bytes: usize) -> Result<Vec<IndexEntry>, String> {
    let bytes = fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let entry_bytes = 12 + offset_bytes;
    if bytes.len() % entry_bytes != 0 {
        return Err(format!(
            "{}: {} bytes are not whole entries of {entry_bytes}",
            path.display(),
            bytes.len()
        ));
    }
    bytes
        .chunks(entry_bytes)
        .map(|chunk| parse_index_entry(chunk, offset_bytes))
        .collect()
}

fn parse_index_entry(chunk: &[u8], offset_bytes: usize) -> Result<IndexEntry, String> {
    let mut fields = Fields(chunk);
    let key = fields.u64()?;
    let low = u64::from(fields.u32()?);
    let high = if offset_bytes == 5 {
        u64::from(fields.u8()?)
    } else {
        0
    };
    Ok(IndexEntry {
        key,
        offset: (high << 32 | low) * 8,
        size: fields.u32()? as i32,
    })
}

/// The bytes of an index entry with a 4-byte offset.
pub fn index_entry_bytes(entry: IndexEntry) -> Vec<u8> {
    let mut bytes = entry.key.to_be_bytes().to_vec();
    bytes.extend_from_slice(&((entry.offset / 8) as u32).to_be_bytes());
    bytes.extend_from_slice(&entry.size.to_be_bytes());
    bytes
}

/// What lives after a replay of an index: the last entry of a key wins.
pub fn replay(entries: &[IndexEntry]) -> BTreeMap<u64, IndexEntry> {
    let mut live = BTreeMap::new();
    for entry in entries {
        if entry.offset != 0 && entry.size >= 0 {
            live.insert(entry.key, *entry);
        } else {
            live.remove(&entry.key);
        }
    }
    live
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

/// `base.suffix`, whatever dots the base has.
pub fn with_suffix(base: &Path, suffix: &str) -> PathBuf {
    let mut name = base.as_os_str().to_owned();
    name.push(".");
    name.push(suffix);
    PathBuf::from(name)
}

/// The `.vif` of a volume as JSON; `None` when it is missing or empty.
pub fn read_vif(base: &Path) -> Option<serde_json::Value> {
    let text = fs::read(with_suffix(base, "vif"))
        .ok()
        .filter(|text| !text.is_empty())?;
    Some(serde_json::from_slice(&text).expect("a .vif is JSON"))
}

/// Reads a stopped volume as SeaweedFS would and fails on whatever it would not take: a `.dat` that does not walk to
/// its end, an index that points elsewhere than at the record it names, or does not reach the last record.
#[track_caller]
pub fn assert_sound(base: &Path) -> (Dat, BTreeMap<u64, IndexEntry>) {
    let vif = read_vif(base).unwrap_or_default();
    let version = vif["version"]
        .as_u64()
        .filter(|version| *version > 0)
        .map(|version| version as u8);
    let dat =
        read_dat(&with_suffix(base, "dat"), version).unwrap_or_else(|error| panic!("{error}"));
    let offset_bytes = vif["bytesOffset"]
        .as_u64()
        .filter(|bytes| *bytes > 0)
        .unwrap_or(4) as usize;
    let entries =
        read_idx(&with_suffix(base, "idx"), offset_bytes).unwrap_or_else(|error| panic!("{error}"));
    assert_index_agrees(base, &dat, &entries);
    let live = replay(&entries);
    (dat, live)
}

#[track_caller]
fn assert_index_agrees(base: &Path, dat: &Dat, entries: &[IndexEntry]) {
    let by_offset: BTreeMap<u64, &Record> = dat
        .records
        .iter()
        .map(|record| (record.offset, record))
        .collect();
    for entry in entries.iter().filter(|entry| entry.offset != 0) {
        let record = by_offset.get(&entry.offset);
        let record =
            record.unwrap_or_else(|| panic!("{}: {entry:?} points at no record", base.display()));
        assert_eq!(
            record.key,
            entry.key,
            "{}: {entry:?} points at another key",
            base.display()
        );
        let expected = if entry.size == TOMBSTONE {
            0
        } else {
            entry.size
        };
        assert_eq!(
            record.size,
            expected,
            "{}: {entry:?} and its record differ in size",
            base.display()
        );
    }
    let indexed_end = entries
        .iter()
        .map(|entry| entry.offset)
        .max()
        .and_then(|offset| by_offset.get(&offset));
    if let (Some(last), Some(indexed)) = (dat.records.last(), indexed_end) {
        assert_eq!(
            indexed.offset,
            last.offset,
            "{}: the index does not reach the last record",
            base.display()
        );
    } else {
        assert!(
            dat.records.is_empty(),
            "{}: records, and an empty index",
            base.display()
        );
    }
    if dat.super_block.version == 3 {
        let rises = dat
            .records
            .windows(2)
            .all(|pair| pair[0].append_at_ns < pair[1].append_at_ns);
        // A vacuum writes in key order: only then may times go back.
        assert!(
            rises || dat.super_block.compaction_revision > 0,
            "{}: AppendAtNs goes back",
            base.display()
        );
    }
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
