//! Time to live, as SeaweedFS stores it: a count and a unit, one byte each.

use std::fmt;

/// How long a needle or a volume lives. `Ttl::NONE` lives for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct Ttl {
    count: u8,
    unit: u8,
}

/// Unit letters with their stored code and length in minutes; a month is 30 days, a year 365.
const UNITS: [(char, u8, u64); 6] = [
    ('m', 1, 1),
    ('h', 2, 60),
    ('d', 3, 1440),
    ('w', 4, 10080),
    ('M', 5, 43200),
    ('y', 6, 525_600),
];

/// The text is not a TTL.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("strconv.Atoi: parsing {0:?}: invalid syntax")]
pub struct TtlError(String);

impl Ttl {
    /// Lives for ever.
    pub const NONE: Self = Self { count: 0, unit: 0 };

    /// Parses `<n><unit>`; a bare number counts minutes. Normalised to the largest unit that divides it exactly and
    /// fits a byte, else to the smallest unit whose floored count fits.
    pub fn parse(text: &str) -> Result<Self, TtlError> {
        let Some(last) = text.chars().last() else {
            return Ok(Self::NONE);
        };
        // As in Go: the last character is the unit unless it is a digit, whatever it says.
        let (digits, unit) = if last.is_ascii_digit() {
            (text, Some(1))
        } else {
            let unit = UNITS.iter().find(|u| u.0 == last).map(|u| u.2);
            (&text[..text.len() - last.len_utf8()], unit)
        };
        let bad = |part: &str| TtlError(part.chars().take(32).collect());
        if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return Err(bad(digits));
        }
        let count: u32 = digits.parse().map_err(|_| bad(digits))?;
        let unit_minutes = unit.ok_or_else(|| bad(text))?;
        Ok(Self::from_minutes(u64::from(count) * unit_minutes))
    }

    fn from_minutes(minutes: u64) -> Self {
        let fits = |n: u64| u8::try_from(n).ok();
        let exact = UNITS
            .iter()
            .rev()
            .find(|u| minutes.is_multiple_of(u.2) && fits(minutes / u.2).is_some());
        let unit = exact.or_else(|| UNITS.iter().find(|u| fits(minutes / u.2).is_some()));
        match unit {
            _ if minutes == 0 => Self::NONE,
            Some((_, code, length)) => Self {
                count: fits(minutes / length).unwrap_or(u8::MAX),
                unit: *code,
            },
            None => Self {
                count: u8::MAX,
                unit: 6,
            },
        }
    }

    /// From the two stored bytes. An unknown unit lives for ever: losing data on an odd byte would be worse.
    pub const fn from_bytes(bytes: [u8; 2]) -> Self {
        if bytes[0] == 0 || bytes[1] == 0 || bytes[1] > 6 {
            Self::NONE
        } else {
            Self {
                count: bytes[0],
                unit: bytes[1],
            }
        }
    }

    /// The two stored bytes: count, unit.
    pub const fn to_bytes(self) -> [u8; 2] {
        [self.count, self.unit]
    }

    /// Whether it never expires.
    pub const fn is_none(self) -> bool {
        self.count == 0 || self.unit == 0
    }

    /// Length in seconds; 0 for `NONE`.
    pub fn secs(self) -> u64 {
        let unit_minutes = UNITS.iter().find(|u| u.1 == self.unit).map_or(0, |u| u.2);
        u64::from(self.count) * unit_minutes * 60
    }

    /// Whether something born at `born_secs` has expired at `now_secs` (both unix seconds).
    pub fn expired(self, born_secs: u64, now_secs: u64) -> bool {
        !self.is_none() && now_secs >= born_secs.saturating_add(self.secs())
    }
}

impl fmt::Display for Ttl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match UNITS.iter().find(|u| u.1 == self.unit) {
            Some(unit) if self.count > 0 => write!(f, "{}{}", self.count, unit.0),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn normalises_as_seaweedfs_does() {
        for (text, want) in [
            ("60m", "1h"),
            ("7d", "1w"),
            ("30d", "1M"),
            ("365d", "1y"),
            ("300m", "5h"),
            ("90", "90m"),
            ("3d", "3d"),
            ("", ""),
            ("0", ""),
            ("257m", "4h"),
            ("10y", "10y"),
        ] {
            assert_eq!(Ttl::parse(text).unwrap().to_string(), want, "{text}");
        }
        assert_eq!(Ttl::parse("3d").unwrap().secs(), 3 * 86400);
    }

    #[test]
    fn refuses_what_is_no_ttl() {
        for text in ["abc", "m", "-1m", "1x", "1 m", "99999999999m", "é"] {
            assert!(Ttl::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn expires_at_its_second() {
        let ttl = Ttl::parse("1m").unwrap();
        assert!(!ttl.expired(1000, 1059));
        assert!(ttl.expired(1000, 1060));
        assert!(!Ttl::NONE.expired(0, u64::MAX));
    }

    proptest! {
        #[test]
        fn text_round_trip(minutes in 0u64..100_000_000) {
            let ttl = Ttl::from_minutes(minutes);
            prop_assert_eq!(Ttl::parse(&ttl.to_string()).unwrap().secs(), ttl.secs());
            prop_assert!(ttl.secs() <= minutes * 60 || minutes == 0);
        }

        #[test]
        fn any_text(text in ".{0,12}") { let _ = Ttl::parse(&text); }
    }
}
