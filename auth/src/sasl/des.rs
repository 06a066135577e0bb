//! DIGEST-MD5's `3des`: two keys of 56 bits, blocks chained over all messages of a direction (RFC 2831, section 2.4).

use cbc::cipher::{Array, BlockModeDecrypt as _, BlockModeEncrypt as _, KeyIvInit as _};
use des::TdesEde2;

/// Bytes of a block.
pub(super) const BLOCK_BYTES: usize = 8;

/// One direction.
pub(super) enum Chain {
    Seals(cbc::Encryptor<TdesEde2>),
    Opens(cbc::Decryptor<TdesEde2>),
}

impl Chain {
    pub(super) fn seals(key: &[u8; 16]) -> Option<Self> {
        let (key, iv) = parts(key);
        cbc::Encryptor::new_from_slices(&key, &iv)
            .ok()
            .map(Self::Seals)
    }

    pub(super) fn opens(key: &[u8; 16]) -> Option<Self> {
        let (key, iv) = parts(key);
        cbc::Decryptor::new_from_slices(&key, &iv)
            .ok()
            .map(Self::Opens)
    }

    /// Turns whole blocks; `false` if there is a piece of one at the end.
    pub(super) fn turn(&mut self, bytes: &mut [u8]) -> bool {
        let (blocks, rest) = Array::slice_as_chunks_mut(bytes);
        for block in blocks {
            match self {
                Self::Seals(chain) => chain.encrypt_block(block),
                Self::Opens(chain) => chain.decrypt_block(block),
            }
        }
        rest.is_empty()
    }
}

/// The two keys of DES, each of 56 bits spread over eight bytes, and where the chain begins.
fn parts(key: &[u8; 16]) -> ([u8; 16], [u8; 8]) {
    let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = *key;
    let first = spread([a, b, c, d, e, f, g]);
    let second = spread([h, i, j, k, l, m, n]);
    let mut keys = [0; 16];
    for (to, from) in keys.iter_mut().zip(first.into_iter().chain(second)) {
        *to = from;
    }
    (keys, [i, j, k, l, m, n, o, p])
}

/// Seven bits a byte; the eighth, a parity, is not looked at by anybody.
fn spread(key: [u8; 7]) -> [u8; 8] {
    let [a, b, c, d, e, f, g] = key;
    let bits = u64::from_be_bytes([0, a, b, c, d, e, f, g]);
    let mut place = 56_u32;
    [0; 8].map(|_: u8| {
        place -= 7;
        ((bits >> place) as u8) << 1
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_spread() {
        assert_eq!(spread([0xff; 7]), [0xfe; 8]);
        assert_eq!(
            spread([0x80, 0, 0, 0, 0, 0, 1]),
            [0x80, 0, 0, 0, 0, 0, 0, 2]
        );
    }

    #[test]
    fn what_is_sealed_is_opened() {
        let key = *b"0123456789abcdef";
        let mut bytes = *b"sixteen bytes at";
        let mut seals = Chain::seals(&key).unwrap();
        assert!(seals.turn(&mut bytes));
        assert_ne!(&bytes, b"sixteen bytes at");
        assert!(Chain::opens(&key).unwrap().turn(&mut bytes));
        assert_eq!(&bytes, b"sixteen bytes at");
        assert!(!seals.turn(&mut bytes[..5]));
    }
}
