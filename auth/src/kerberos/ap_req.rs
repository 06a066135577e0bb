//! What a client's token says of itself in the clear, and inside once it is decrypted: only to tell who runs into trouble what it is.
//! Nothing here lets anybody in. Formats: RFC 4120 (AP-REQ, Ticket, EncTicketPart, Authenticator), RFC 4121 section 4.1.

/// Encrypted data of Kerberos.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sealed<'a> {
    pub kind: i32,
    pub bytes: &'a [u8],
}

/// A client's request for a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ApReq<'a> {
    /// `HTTP/host@REALM`
    pub service: String,
    pub ticket: Sealed<'a>,
    pub authenticator: Sealed<'a>,
}

const AP_REQ: u8 = 0x6e;
const TICKET: u8 = 0x61;
const ENC_TICKET_PART: u8 = 0x63;
const AUTHENTICATOR: u8 = 0x62;
const SEQUENCE: u8 = 0x30;

impl<'a> ApReq<'a> {
    /// Finds the request in a token of SPNEGO or Kerberos: after the token id 01 00.
    pub fn find(token: &'a [u8]) -> Option<Self> {
        let mut starts = token.windows(3).enumerate();
        let (at, _) = starts.find(|(_, bytes)| *bytes == [1, 0, AP_REQ])?;
        Self::read(token.get(at + 2..)?)
    }

    fn read(bytes: &'a [u8]) -> Option<Self> {
        let fields = within(within(bytes, AP_REQ)?, SEQUENCE)?;
        let ticket = within(within(field(fields, 3)?, TICKET)?, SEQUENCE)?;
        let realm = text(field(ticket, 1)?)?;
        let mut names = within(field(within(field(ticket, 2)?, SEQUENCE)?, 1)?, SEQUENCE)?;
        let mut service = Vec::new();
        while let Some((_, name, rest)) = element(names) {
            service.push(std::str::from_utf8(name).ok()?);
            names = rest;
        }
        Some(Self {
            service: format!("{}@{realm}", service.join("/")),
            ticket: sealed(field(ticket, 3)?)?,
            authenticator: sealed(field(fields, 4)?)?,
        })
    }
}

/// Kind and bytes of the session key in a ticket's decrypted part.
pub(super) fn session_key(part: &[u8]) -> Option<(i32, &[u8])> {
    let fields = within(within(part, ENC_TICKET_PART)?, SEQUENCE)?;
    let key = within(field(fields, 1)?, SEQUENCE)?;
    let (_, bytes, _) = element(field(key, 1)?)?;
    Some((number(field(key, 0)?)?, bytes))
}

/// The client's time in a decrypted authenticator: seconds since 1970.
pub(super) fn client_time(authenticator: &[u8]) -> Option<i64> {
    let fields = within(within(authenticator, AUTHENTICATOR)?, SEQUENCE)?;
    seconds(text(field(fields, 5)?)?)
}

/// `20260102030405Z`
fn seconds(text: &str) -> Option<i64> {
    let part = |from: usize, to: usize| text.get(from..to)?.parse::<i64>().ok();
    let (year, month, day) = (part(0, 4)?, part(4, 6)?, part(6, 8)?);
    let (hour, minute, second) = (part(8, 10)?, part(10, 12)?, part(12, 14)?);
    if !(1..=12).contains(&month) || text.get(14..)? != "Z" {
        return None;
    }
    // Days since 1970 of a civil date: Howard Hinnant, chrono-compatible Low-Level Date Algorithms.
    let year = if month <= 2 { year - 1 } else { year };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let days = era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468;
    Some(days * 86_400 + hour * 3600 + minute * 60 + second)
}

fn sealed(bytes: &[u8]) -> Option<Sealed<'_>> {
    let fields = within(bytes, SEQUENCE)?;
    let (_, cipher, _) = element(field(fields, 2)?)?;
    Some(Sealed {
        kind: number(field(fields, 0)?)?,
        bytes: cipher,
    })
}

/// The next element: its tag, its content, and what follows.
fn element(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&[tag, first], rest) = bytes.split_first_chunk()?;
    let (len, rest) = if first < 0x80 {
        (usize::from(first), rest)
    } else {
        let (digits, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
        if digits.len() > 4 {
            return None;
        }
        let len = digits
            .iter()
            .fold(0, |len, &digit| len << 8 | usize::from(digit));
        (len, rest)
    };
    let (content, after) = rest.split_at_checked(len)?;
    Some((tag, content, after))
}

/// The content of an element that must have this tag.
fn within(bytes: &[u8], wanted: u8) -> Option<&[u8]> {
    let (tag, content, _) = element(bytes)?;
    (tag == wanted).then_some(content)
}

/// The content of the field `[n]`.
fn field(mut fields: &[u8], n: u8) -> Option<&[u8]> {
    loop {
        let (tag, content, rest) = element(fields)?;
        if tag == 0xa0 | n {
            return Some(content);
        }
        fields = rest;
    }
}

fn text(bytes: &[u8]) -> Option<&str> {
    let (_, content, _) = element(bytes)?;
    std::str::from_utf8(content).ok()
}

fn number(bytes: &[u8]) -> Option<i32> {
    let (_, content, _) = element(bytes)?;
    let first = i32::from(i8::from_be_bytes([*content.first()?]));
    let rest = content.get(1..).filter(|rest| rest.len() < 4)?;
    Some(
        rest.iter()
            .fold(first, |number, &byte| number << 8 | i32::from(byte)),
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn der(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
        let content = parts.concat();
        let mut out = vec![tag, 0x82];
        out.extend(u16::try_from(content.len()).unwrap().to_be_bytes());
        out.extend(content);
        out
    }

    fn encrypted(kind: u8, cipher: &[u8]) -> Vec<u8> {
        der(
            SEQUENCE,
            &[
                &der(0xa0, &[&[2, 1, kind]]),
                &der(0xa2, &[&der(4, &[cipher])]),
            ],
        )
    }

    #[test]
    fn a_request_is_found_and_taken_apart() {
        let name = der(SEQUENCE, &[&der(0x1b, &[b"HTTP"]), &der(0x1b, &[b"host"])]);
        let name = der(SEQUENCE, &[&der(0xa0, &[&[2, 1, 3]]), &der(0xa1, &[&name])]);
        let ticket = der(
            SEQUENCE,
            &[
                &der(0xa1, &[&der(0x1b, &[b"R"])]),
                &der(0xa2, &[&name]),
                &der(0xa3, &[&encrypted(18, b"ticket")]),
            ],
        );
        let fields = der(
            SEQUENCE,
            &[
                &der(0xa3, &[&der(TICKET, &[&ticket])]),
                &der(0xa4, &[&encrypted(17, b"proof")]),
            ],
        );
        let token = [&[0x60, 9, 1, 0][..], &der(AP_REQ, &[&fields])].concat();
        let found = ApReq::find(&token).unwrap();
        assert_eq!(found.service, "HTTP/host@R");
        assert_eq!(
            (found.ticket.kind, found.ticket.bytes),
            (18, &b"ticket"[..])
        );
        assert_eq!(
            (found.authenticator.kind, found.authenticator.bytes),
            (17, &b"proof"[..])
        );
    }

    #[test]
    fn times_and_keys() {
        for (text, want) in [
            ("19700101000000Z", Some(0)),
            ("20000301000001Z", Some(951_868_801)),
            ("20261122171048Z", Some(1_795_367_448)),
            ("20261322171048Z", None),
            ("2026", None),
        ] {
            assert_eq!(seconds(text), want, "{text}");
        }
        let key = der(
            SEQUENCE,
            &[
                &der(0xa0, &[&[2, 1, 18]]),
                &der(0xa1, &[&der(4, &[b"key"])]),
            ],
        );
        let part = der(ENC_TICKET_PART, &[&der(SEQUENCE, &[&der(0xa1, &[&key])])]);
        assert_eq!(session_key(&part), Some((18, &b"key"[..])));
        let time = der(0xa5, &[&der(0x18, &[b"19700101000007Z"])]);
        let authenticator = der(AUTHENTICATOR, &[&der(SEQUENCE, &[&time])]);
        assert_eq!(client_time(&authenticator), Some(7));
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..120)) {
            ApReq::find(&[&[1, 0, AP_REQ], &bytes[..]].concat());
            session_key(&[&[ENC_TICKET_PART], &bytes[..]].concat());
            client_time(&[&[AUTHENTICATOR], &bytes[..]].concat());
            let _ = number(&bytes);
        }
    }
}
