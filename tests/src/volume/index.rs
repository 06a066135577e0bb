//! The index of a volume: 16 or 17 bytes an entry, of which the last one of a key wins.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use super::Fields;

/// Size of a tombstone in the index.
pub const TOMBSTONE: i32 = -1;

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
