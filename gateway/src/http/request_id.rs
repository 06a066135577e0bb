//! The id that ties a request, its answer and its log lines together.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

use http::{HeaderMap, HeaderName, HeaderValue};

/// The header that carries the id, both ways: the one SeaweedFS took over from S3.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-amz-request-id");

/// The longest id that is taken over from a client, in bytes.
const LEN_BYTES_MAX: usize = 128;
/// The hex digits of an id that we make.
const DIGITS: usize = 24;

/// Sets this process apart from all others that ever wrote to the same log.
static PROCESS: LazyLock<u64> = LazyLock::new(|| rand::random::<u64>() & 0xffff_ffff_ffff);
static NEXT: AtomicU64 = AtomicU64::new(0);

/// The id of one request, as it is sent back in [`REQUEST_ID`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestId(HeaderValue);

impl RequestId {
    /// The id that the client sent, if it is at most 128 visible ASCII characters; else a new one.
    pub fn of(headers: &HeaderMap) -> Self {
        let given = headers
            .get(REQUEST_ID)
            .filter(|value| is_sane(value.as_bytes()));
        given.cloned().map_or_else(Self::fresh, Self)
    }

    /// A new id: 12 hex digits of the process, 12 of a counter. No clock, no randomness per request.
    pub fn fresh() -> Self {
        let digits = Self::fresh_digits();
        Self(HeaderValue::from_bytes(&digits).unwrap_or_else(|_| HeaderValue::from_static("0")))
    }

    /// A new id as the bytes of its header.
    pub fn fresh_digits() -> [u8; DIGITS] {
        hex_digits(*PROCESS, NEXT.fetch_add(1, Ordering::Relaxed))
    }

    /// The id as text, for logs.
    pub fn as_str(&self) -> &str {
        self.0.to_str().unwrap_or_default()
    }

    /// The id as the value of [`REQUEST_ID`] in the answer, while the id itself is still needed.
    pub fn to_header_value(&self) -> HeaderValue {
        self.0.clone()
    }

    /// The same where it is not: the first copy of a value costs an allocation.
    pub fn into_header_value(self) -> HeaderValue {
        self.0
    }
}

fn is_sane(value: &[u8]) -> bool {
    (1..=LEN_BYTES_MAX).contains(&value.len()) && value.iter().all(u8::is_ascii_graphic)
}

fn hex_digits(process: u64, count: u64) -> [u8; DIGITS] {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let word = (u128::from(process) << 48) | u128::from(count & 0xffff_ffff_ffff);
    std::array::from_fn(|place| HEX[(word >> (4 * (DIGITS - 1 - place))) as usize & 15])
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    fn sent(value: &[u8]) -> HeaderMap {
        HeaderMap::from_iter([(REQUEST_ID, HeaderValue::from_bytes(value).unwrap())])
    }

    #[test]
    fn fresh_ids_are_24_hex_digits_and_differ() {
        let ids: HashSet<String> = (0..1000)
            .map(|_| RequestId::fresh().as_str().to_owned())
            .collect();
        assert_eq!(ids.len(), 1000);
        for id in ids {
            assert_eq!(id.len(), DIGITS);
            assert!(
                id.bytes().all(|digit| b"0123456789abcdef".contains(&digit)),
                "{id}"
            );
        }
    }

    #[test]
    fn digits_are_the_process_then_the_count() {
        assert_eq!(&hex_digits(0xabc, 0x10f), b"000000000abc00000000010f");
    }

    #[test]
    fn a_sane_id_is_echoed() {
        assert_eq!(RequestId::of(&sent(b"job-17/a")).as_str(), "job-17/a");
        assert_eq!(RequestId::of(&sent(&[b'x'; 128])).as_str().len(), 128);
    }

    #[test]
    fn an_insane_id_is_replaced() {
        for bad in [&b""[..], b"two words", b"caf\xe9", &[b'x'; 129]] {
            assert_eq!(RequestId::of(&sent(bad)).as_str().len(), DIGITS);
        }
    }

    proptest! {
        #[test]
        fn any_header_gives_an_id_fit_for_a_log_line(value in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(value) = HeaderValue::from_bytes(&value) {
                let id = RequestId::of(&HeaderMap::from_iter([(REQUEST_ID, value)]));
                prop_assert!(is_sane(id.as_str().as_bytes()));
            }
        }
    }
}
