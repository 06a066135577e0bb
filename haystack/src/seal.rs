//! The seal: a checksum of a record's header and metadata, kept in its padding.
//!
//! SeaweedFS's CRC-32C covers a needle's data only, so a flipped bit in a name, a media type, a cookie or a time would be served.
//! Readers of the format ignore the 1 to 8 padding bytes, which is room for a check: CRC-32C where four bytes or more are
//! there, CRC-8 (polynomial 0x2F, AUTOSAR) in the first byte otherwise: both notice every single flipped bit. The record's
//! offset goes in as well, so that a copy of a record in another place (a payload that contains needles) is not taken for one.

use crate::one_bit::{self, Bit};

const FILL: u8 = b'M';
const CRC32C_BYTES: usize = 4;

/// What a record's padding begins with.
pub enum Seal {
    /// Where four bytes or more are there.
    Crc32c(u32),
    /// In one to three bytes.
    Crc8(u8),
}

const CRC8_TABLE: [u8; 256] = {
    let mut table = [0u8; 256];
    let mut i = 0;
    while i < 256 {
        let mut crc = i as u8;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 0x80 != 0 {
                (crc << 1) ^ 0x2f
            } else {
                crc << 1
            };
            bit += 1;
        }
        table[i] = crc;
        i += 1;
    }
    table
};

fn crc8(crc: u8, bytes: &[u8]) -> u8 {
    bytes
        .iter()
        .fold(crc, |crc, b| CRC8_TABLE[usize::from(crc ^ b)])
}

/// The seal of a record with these bytes before and after its data, at this offset, for a padding of so many bytes.
pub fn seal(before: &[u8], after: &[u8], offset: u64, padding_bytes: usize) -> Seal {
    let place = offset.to_be_bytes();
    let parts = [&place[..], before, after].into_iter();
    if padding_bytes >= CRC32C_BYTES {
        Seal::Crc32c(parts.fold(0, crc32c::crc32c_append))
    } else {
        Seal::Crc8(parts.fold(0xff, crc8))
    }
}

/// Appends the padding.
pub fn write(seal: &Seal, padding_bytes: usize, out: &mut Vec<u8>) {
    let end = out.len() + padding_bytes;
    match seal {
        Seal::Crc32c(crc) => out.extend_from_slice(&crc.to_be_bytes()),
        Seal::Crc8(crc) => out.push(*crc),
    }
    out.resize(end, FILL);
}

/// Whether stored padding is the seal of these bytes.
pub fn holds(before: &[u8], after: &[u8], offset: u64, stored: &[u8]) -> bool {
    match seal(before, after, offset, stored.len()) {
        Seal::Crc32c(crc) => stored.starts_with(&crc.to_be_bytes()),
        Seal::Crc8(crc) => stored.first() == Some(&crc),
    }
}

/// Whether a seal that holds is more than a byte that may do so by chance.
pub fn is_telling(stored: &[u8]) -> bool {
    match stored {
        [_, fill @ ..] if stored.len() < CRC32C_BYTES => {
            !fill.is_empty() && fill.iter().all(|byte| *byte == FILL)
        }
        _ => true,
    }
}

/// Whether stored padding is longer than a seal, and filled as [`write`] fills it. SeaweedFS leaves zeros there.
pub fn is_filled(stored: &[u8]) -> bool {
    let rest = stored.get(CRC32C_BYTES..).unwrap_or_default();
    !rest.is_empty() && rest.iter().all(|byte| *byte == FILL)
}

/// What one flipped bit makes of a broken seal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OneBit {
    /// The seal itself was hit: what it covers is right.
    OfTheSeal,
    /// This bit of the bytes before the data was hit.
    Before(Bit),
    /// A bit of the bytes after the data was hit: those before it are right.
    After,
}

/// The one flipped bit that explains a seal that does not hold. `None` if there is none, or none can be told: with one byte of seal
/// some bit would explain anything.
pub fn one_flipped_bit(before: &[u8], after: &[u8], offset: u64, stored: &[u8]) -> Option<OneBit> {
    let Seal::Crc32c(wanted) = seal(before, after, offset, stored.len()) else {
        return None;
    };
    let found = u32::from_be_bytes(stored.get(..CRC32C_BYTES)?.try_into().ok()?);
    let difference = wanted ^ found;
    if difference.is_power_of_two() {
        return Some(OneBit::OfTheSeal);
    }
    let place = size_of::<u64>();
    let len = place + before.len() + after.len();
    let bit = one_bit::flipped(one_bit::CASTAGNOLI, len, difference)?;
    let byte = bit.byte.checked_sub(place)?;
    Some(if byte < before.len() {
        OneBit::Before(Bit { byte, ..bit })
    } else {
        OneBit::After
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crc8_is_autosars() {
        assert_eq!(crc8(0xff, b"123456789") ^ 0xff, 0xdf);
    }

    #[test]
    fn another_offset_breaks_the_seal() {
        for padding_bytes in 1..=8 {
            let mut out = Vec::new();
            write(
                &seal(b"head", b"tail", 8, padding_bytes),
                padding_bytes,
                &mut out,
            );
            assert_eq!(out.len(), padding_bytes);
            assert!(holds(b"head", b"tail", 8, &out));
            assert!(!holds(b"head", b"tail", 16, &out));
            assert!(!holds(b"hEad", b"tail", 8, &out));
        }
    }

    #[test]
    fn one_flipped_bit_is_told() {
        let mut stored = Vec::new();
        write(&seal(b"head", b"tail", 64, 6), 6, &mut stored);
        let told =
            |head: &[u8], tail: &[u8], stored: &[u8]| one_flipped_bit(head, tail, 64, stored);
        let bit = Bit {
            byte: 1,
            mask: b'e' ^ b'm',
        };
        assert_eq!(told(b"hmad", b"tail", &stored), Some(OneBit::Before(bit)));
        assert_eq!(told(b"head", b"tahl", &stored), Some(OneBit::After));
        assert_eq!(told(b"hmad", b"tahl", &stored), None);
        assert_eq!(told(b"hmad", b"tail", &stored[..3]), None);
        stored[2] ^= 0x10;
        assert_eq!(told(b"head", b"tail", &stored), Some(OneBit::OfTheSeal));
    }
}
