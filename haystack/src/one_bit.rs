//! Which bit flipped, told from a CRC-32 that no longer matches.
//!
//! A CRC is linear: where two texts of one length differ in one bit, their checksums differ by a value that depends only on how far
//! that bit is from the end, and no two distances (below 2^31 bits) give the same. So the difference names the bit.
//! It is a proof only together with another check: among n bits, damage of any other kind looks like one flipped bit n times in 2^32.

/// Polynomial of CRC-32 (IEEE 802.3), lowest bit first.
pub const IEEE: u32 = 0xedb8_8320;
/// Polynomial of CRC-32C (Castagnoli), lowest bit first.
pub const CASTAGNOLI: u32 = 0x82f6_3b78;

/// A bit of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bit {
    /// Which byte it is in.
    pub byte: usize,
    /// The byte with only this bit set.
    pub mask: u8,
}

/// The bit of a text of `len` bytes whose flipping changes its CRC by `difference` (XOR); `None` if no single one does.
pub fn flipped(polynomial: u32, len: usize, difference: u32) -> Option<Bit> {
    // Castagnoli's polynomial has x + 1 as a factor: an odd number of flipped bits changes an odd number of the checksum's. Half of what is
    // not one flipped bit is known by that at once.
    if polynomial == CASTAGNOLI && difference.count_ones().is_multiple_of(2) {
        return None;
    }
    // What the last bit changes; each bit before it was shifted once more.
    let mut change = polynomial;
    for byte in (0..len).rev() {
        for bit in (0..8).rev() {
            if change == difference {
                let mask = 1 << bit;
                return Some(Bit { byte, mask });
            }
            change = (change >> 1) ^ (polynomial & (change & 1).wrapping_neg());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_flipped_bit_is_found(text in proptest::collection::vec(any::<u8>(), 1..300), at: usize, bit in 0..8) {
            let (byte, mask) = (at % text.len(), 1u8 << bit);
            let mut flipped_text = text.clone();
            flipped_text[byte] ^= mask;
            let ieee = crc32fast::hash(&text) ^ crc32fast::hash(&flipped_text);
            prop_assert_eq!(flipped(IEEE, text.len(), ieee), Some(Bit { byte, mask }));
            let castagnoli = crc32c::crc32c(&text) ^ crc32c::crc32c(&flipped_text);
            prop_assert_eq!(flipped(CASTAGNOLI, text.len(), castagnoli), Some(Bit { byte, mask }));
        }

        #[test]
        fn two_flipped_bits_are_not_one(first in 0..2000usize, second in 0..2000usize) {
            prop_assume!(first != second);
            let mut text = vec![0u8; 250];
            let before = crc32c::crc32c(&text);
            text[first / 8] ^= 1 << (first % 8);
            text[second / 8] ^= 1 << (second % 8);
            prop_assert_eq!(flipped(CASTAGNOLI, text.len(), before ^ crc32c::crc32c(&text)), None);
        }
    }
}
