//! Keys of rows, as the table in [`crate::rows`] has them.

use crate::rows::RowsError;

/// What a folder's entries are filed under. A folder keeps its id when it is renamed; an id is never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FolderId(pub u64);

/// The root's id.
pub const ROOT: FolderId = FolderId(1);
/// Where the root itself is filed, under the empty name.
pub const ABOVE_ROOT: FolderId = FolderId(0);

/// How many bytes of a key are a number.
pub const NUMBER_BYTES: usize = 8;

/// The key of a name in a folder.
pub fn entry_key(folder: FolderId, name: &str) -> Vec<u8> {
    let mut key = Vec::with_capacity(NUMBER_BYTES + name.len());
    key.extend_from_slice(&folder.0.to_be_bytes());
    key.extend_from_slice(name.as_bytes());
    key
}

/// The key that begins with a number, and what follows it.
pub fn split_number(key: &[u8]) -> Result<(u64, &[u8]), RowsError> {
    let (number, rest) = key
        .split_first_chunk::<NUMBER_BYTES>()
        .ok_or_else(|| RowsError("a key is too short".into()))?;
    Ok((u64::from_be_bytes(*number), rest))
}

/// The key under which the end of a file's life is noted.
pub fn expiry_key(expires_ns: u64, entry_key: &[u8]) -> Vec<u8> {
    let second = expires_ns.div_ceil(1_000_000_000);
    [&second.to_be_bytes()[..], entry_key].concat()
}
