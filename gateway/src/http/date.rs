//! Times as HTTP writes them: RFC 9110, section 5.6.7.

use std::cell::Cell;
use std::io::Write as _;
use std::time::{Duration, UNIX_EPOCH};

use http::HeaderValue;

/// `Sun, 06 Nov 1994 08:49:37 GMT`.
pub const BYTES: usize = 29;
/// Where the time of day stands in it.
const TIME_OF_DAY: usize = 17;
const SECS_OF_A_DAY: u64 = 86_400;
/// The last second of the year 9999: later ones have no such text.
const SECS_MAX: u64 = 253_402_300_799;

/// A time, in seconds since 1970, as HTTP writes it; the end of the year 9999 for all that is later.
///
/// The day is written once for many times of it: every answer has a date or two, and most are of few days.
pub fn text(secs: u64) -> [u8; BYTES] {
    thread_local! {
        static DAY: Cell<(u64, [u8; BYTES])> = const { Cell::new((u64::MAX, [0; BYTES])) };
    }
    let secs = secs.min(SECS_MAX);
    let (day, second) = (secs / SECS_OF_A_DAY, secs % SECS_OF_A_DAY);
    let (written, mut text) = DAY.get();
    if written != day {
        text = midnight(day);
        DAY.set((day, text));
    }
    for (place, number) in [second / 3600, second / 60 % 60, second % 60]
        .into_iter()
        .enumerate()
    {
        let at = TIME_OF_DAY + 3 * place;
        text[at] = b'0' + (number / 10) as u8;
        text[at + 1] = b'0' + (number % 10) as u8;
    }
    text
}

/// The same, as a header's value.
pub fn value(secs: u64) -> HeaderValue {
    // Letters, digits and spaces are taken as they are.
    HeaderValue::from_bytes(&text(secs)).unwrap_or(HeaderValue::from_static(""))
}

fn midnight(day: u64) -> [u8; BYTES] {
    let time = UNIX_EPOCH + Duration::from_secs(day * SECS_OF_A_DAY);
    let mut text = [b' '; BYTES];
    // As long as any: it always has room.
    let _ = write!(&mut text[..], "{}", httpdate::HttpDate::from(time));
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn as_the_library_writes_it(secs in prop::collection::vec(0..=SECS_MAX, 1..20), step in 0..SECS_OF_A_DAY) {
            for secs in secs.into_iter().flat_map(|secs| [secs, (secs + step).min(SECS_MAX)]) {
                let wanted = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(secs));
                prop_assert_eq!(text(secs), wanted.as_bytes());
            }
        }
    }

    #[test]
    fn what_is_too_late_for_it() {
        assert_eq!(&text(u64::MAX), b"Fri, 31 Dec 9999 23:59:59 GMT");
        assert_eq!(value(u64::MAX), "Fri, 31 Dec 9999 23:59:59 GMT");
        assert_eq!(&text(0), b"Thu, 01 Jan 1970 00:00:00 GMT");
    }
}
