//! The common name in a certificate's subject (X.501 `Name` in DER). The certificate itself is read and checked by webpki.

/// OID 2.5.4.3 in DER.
const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];
const OID: u8 = 0x06;
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
/// UTF8String, PrintableString, IA5String: of other kinds (BMPString, TeletexString) no name is taken.
const TEXTS: [u8; 3] = [0x0c, 0x13, 0x16];

/// The one common name of a subject, with or without the outer header. Two of them are none: which is meant is not known.
pub(super) fn common_name(subject: &[u8]) -> Option<String> {
    let names = match element(subject) {
        Some((SEQUENCE, inner, [])) => inner,
        _ => subject,
    };
    let mut found = None;
    for (tag, relative) in elements(names)? {
        if tag != SET {
            return None;
        }
        for (_, attribute) in elements(relative)? {
            let (tag, kind, value) = element(attribute)?;
            if tag != OID || kind != COMMON_NAME {
                continue;
            }
            let (tag, text, _) = element(value)?;
            let text = TEXTS
                .contains(&tag)
                .then(|| std::str::from_utf8(text).ok())??;
            if found.replace(text.to_owned()).is_some() {
                return None;
            }
        }
    }
    found
}

fn elements(mut bytes: &[u8]) -> Option<Vec<(u8, &[u8])>> {
    let mut elements = Vec::new();
    while !bytes.is_empty() {
        let (tag, inner, rest) = element(bytes)?;
        elements.push((tag, inner));
        bytes = rest;
    }
    Some(elements)
}

/// The first element: its tag, what is in it, and what follows.
fn element(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (tag, rest) = bytes.split_first()?;
    let (first, rest) = rest.split_first()?;
    let (len, rest) = match first {
        0..=0x7f => (usize::from(*first), rest),
        0x81 => {
            let (len, rest) = rest.split_first()?;
            (usize::from(*len), rest)
        }
        0x82 => {
            let (len, rest) = rest.split_first_chunk::<2>()?;
            (usize::from(u16::from_be_bytes(*len)), rest)
        }
        _ => return None,
    };
    let (inner, rest) = rest.split_at_checked(len)?;
    Some((*tag, inner, rest))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn der(tag: u8, inner: &[u8]) -> Vec<u8> {
        [&[tag, u8::try_from(inner.len()).unwrap()], inner].concat()
    }

    fn name(kind: &[u8], text: &str) -> Vec<u8> {
        let pair = [der(OID, kind), der(0x0c, text.as_bytes())].concat();
        der(SET, &der(SEQUENCE, &pair))
    }

    #[test]
    fn the_common_name_is_found_among_others() {
        let both = [name(&[0x55, 0x04, 0x0a], "Org"), name(COMMON_NAME, "ann")].concat();
        assert_eq!(common_name(&both).as_deref(), Some("ann"));
        assert_eq!(common_name(&der(SEQUENCE, &both)).as_deref(), Some("ann"));
        let twice = [name(COMMON_NAME, "ann"), name(COMMON_NAME, "root")].concat();
        assert_eq!(common_name(&twice), None);
        assert_eq!(common_name(&name(&[0x55, 0x04, 0x0a], "Org")), None);
        assert_eq!(common_name(b""), None);
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            let _ = common_name(&bytes);
        }
    }
}
