//! The checksum by which a checkpoint knows its `.dat` again.

use std::io;

use moongate_disk::DiskFile;

use crate::index::Checkpoint;

/// So many bytes before a checkpoint go into its checksum.
const TAIL_CRC_BYTES: u64 = 64;

/// CRC-32 of the last bytes before `end`.
pub(crate) fn tail_crc(dat: &dyn DiskFile, end: u64) -> io::Result<u32> {
    Ok(crc32fast::hash(&tail(dat, end)?))
}

fn tail(dat: &dyn DiskFile, end: u64) -> io::Result<Vec<u8>> {
    let len = end.min(TAIL_CRC_BYTES);
    moongate_disk::read_exact_at(dat, end - len, len as usize)
}

/// Whether the last bytes before a checkpoint are those that it saw, but for one bit that may have flipped since.
pub(super) fn is_tail_of(dat: &dyn DiskFile, checkpoint: &Checkpoint) -> io::Result<bool> {
    let mut bytes = tail(dat, checkpoint.dat_bytes)?;
    if crc32fast::hash(&bytes) == checkpoint.tail_crc {
        return Ok(true);
    }
    Ok((0..bytes.len() * 8).any(|bit| {
        bytes[bit / 8] ^= 1 << (bit % 8);
        let same = crc32fast::hash(&bytes) == checkpoint.tail_crc;
        bytes[bit / 8] ^= 1 << (bit % 8);
        same
    }))
}
