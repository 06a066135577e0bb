//! Bytes to store: repeatable from a seed, and not compressible, like an image.

use rand::rngs::StdRng;
use rand::{Rng, RngCore, SeedableRng};
use sha2::{Digest, Sha256};

/// `len_bytes` pseudo-random bytes, the same for the same seed.
pub fn bytes(seed: u64, len_bytes: usize) -> Vec<u8> {
    let mut buffer = vec![0; len_bytes];
    StdRng::seed_from_u64(seed).fill_bytes(&mut buffer);
    buffer
}

/// Text that gzip shortens to a fraction.
pub fn text(len_bytes: usize) -> Vec<u8> {
    b"the quick brown fox jumps over the lazy dog. "
        .iter()
        .copied()
        .cycle()
        .take(len_bytes)
        .collect()
}

/// A generator whose seed is printed, so that a failing run can be repeated: set `MOONGATE_TEST_SEED`.
pub fn seeded(what: &str) -> StdRng {
    let seed = std::env::var("MOONGATE_TEST_SEED")
        .ok()
        .and_then(|text| text.parse().ok());
    let seed = seed.unwrap_or_else(|| rand::rng().random());
    eprintln!("{what}: MOONGATE_TEST_SEED={seed}");
    StdRng::seed_from_u64(seed)
}

/// SHA-256 as 64 hex digits.
pub fn sha256(data: &[u8]) -> String {
    hex(&Sha256::digest(data))
}

/// Lower-case hex.
pub fn hex(data: &[u8]) -> String {
    data.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The ETag that SeaweedFS gives bytes as they are stored: their CRC-32C as 8 hex digits in quotes.
pub fn etag(stored: &[u8]) -> String {
    format!("\"{:08x}\"", crc32c::crc32c(stored))
}
