//! File ids as SeaweedFS writes them: volume, key, cookie, and the `_N` suffix of an assignment of many.

use std::fmt;

/// The id of one needle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fid {
    /// The volume it is in.
    pub volume: u32,
    /// Unique in its volume.
    pub key: u64,
    /// Makes the id hard to guess.
    pub cookie: u32,
}

impl fmt::Display for Fid {
    /// The key in hexadecimal without leading zero bytes, then the cookie in eight digits.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key_bytes = (8 - self.key.leading_zeros() as usize / 8).max(1);
        write!(
            out,
            "{},{:0digits$x}{:08x}",
            self.volume,
            self.key,
            self.cookie,
            digits = key_bytes * 2
        )
    }
}

/// What one `/dir/assign?count=N` gave: the fid, of which `fid_1` to `fid_{N-1}` are ours too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assigned {
    /// The fid of the answer.
    pub fid: String,
    /// How many ids it stands for.
    pub count: u32,
}

impl Assigned {
    /// Reads `/dir/assign`'s answer.
    pub fn parse(json: &[u8]) -> Option<Self> {
        let value: serde_json::Value = serde_json::from_slice(json).ok()?;
        let fid = value["fid"].as_str()?.to_owned();
        let count = u32::try_from(value["count"].as_u64()?).ok()?;
        (count > 0).then_some(Self { fid, count })
    }

    /// Appends the `nth` id, below `count`.
    pub fn write_nth(&self, nth: u32, out: &mut Vec<u8>) {
        use std::io::Write;
        out.extend_from_slice(self.fid.as_bytes());
        if nth > 0 {
            // A Vec takes every write.
            let _ = write!(out, "_{nth}");
        }
    }

    /// The volume's number, as text.
    pub fn volume(&self) -> &str {
        self.fid.split(',').next().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn keys_lose_leading_zero_bytes_and_cookies_keep_theirs() {
        let text = |key, cookie| {
            Fid {
                volume: 3,
                key,
                cookie,
            }
            .to_string()
        };
        assert_eq!(text(1, 0x637037d6), "3,01637037d6");
        assert_eq!(text(0x163, 7), "3,016300000007");
        assert_eq!(text(u64::MAX, u32::MAX), "3,ffffffffffffffffffffffff");
        assert_eq!(text(0, 0), "3,0000000000");
    }

    #[test]
    fn an_assignment_of_many_counts_up() {
        let assigned = Assigned::parse(br#"{"fid":"5,01cd6ed4e7","url":"x","count":3}"#).unwrap();
        let nth = |nth| {
            let mut out = Vec::new();
            assigned.write_nth(nth, &mut out);
            String::from_utf8(out).unwrap()
        };
        assert_eq!(
            (nth(0).as_str(), nth(2).as_str()),
            ("5,01cd6ed4e7", "5,01cd6ed4e7_2")
        );
        assert_eq!(assigned.volume(), "5");
    }

    #[test]
    fn an_error_is_no_assignment() {
        assert_eq!(Assigned::parse(br#"{"error":"no writable volumes"}"#), None);
        assert_eq!(
            Assigned::parse(br#"{"fid":"5,01cd6ed4e7","count":0}"#),
            None
        );
    }

    proptest! {
        #[test]
        fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            let _ = Assigned::parse(&bytes);
        }
    }
}
