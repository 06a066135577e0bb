//! Parameters of a header value: `form-data; name="a"; filename*=utf-8''%E5%9B%BE.png`.
//!
//! The syntax is RFC 9110, section 5.6.6, and RFC 8187 for the extended form; read leniently, since
//! browsers and tools disagree on names that are not plain ASCII.

use percent_encoding::percent_decode;

/// Finds the parameter `name` (whatever its case) of a header value, decoded. The extended form
/// (`name*=`) wins over the plain one, wherever it stands.
///
/// Bytes that are not UTF-8 are taken as ISO-8859-1, which older clients send.
pub fn find(value: &[u8], name: &str) -> Option<String> {
    let plain = |given: &[u8]| given.eq_ignore_ascii_case(name.as_bytes());
    let extended = |given: &[u8]| given.strip_suffix(b"*").is_some_and(plain);
    parameters(value)
        .filter(|(given, _)| extended(given))
        .find_map(|(_, text)| decode_extended(&text))
        .or_else(|| {
            parameters(value)
                .find(|(given, _)| plain(given))
                .map(|(_, text)| decode(&text))
        })
}

/// The value before the first parameter: `form-data`, `image/png`.
pub fn essence(value: &str) -> &str {
    value.split(';').next().unwrap_or_default().trim()
}

/// The raw names and unquoted values after the first semicolon.
fn parameters(value: &[u8]) -> impl Iterator<Item = (&[u8], Vec<u8>)> {
    let mut rest = past(value, b';');
    std::iter::from_fn(move || {
        while !rest.is_empty() {
            let end = rest
                .iter()
                .position(|byte| matches!(byte, b'=' | b';'))
                .unwrap_or(rest.len());
            let name = rest[..end].trim_ascii();
            if rest.get(end) != Some(&b'=') {
                rest = past(rest, b';');
                continue;
            }
            let (text, after) = read_value(rest[end + 1..].trim_ascii_start());
            rest = after;
            return Some((name, text));
        }
        None
    })
}

/// What follows the first `stop`.
fn past(text: &[u8], stop: u8) -> &[u8] {
    text.iter()
        .position(|byte| *byte == stop)
        .map_or(&[], |at| &text[at + 1..])
}

/// Reads a token or a quoted string; returns it and what follows the next semicolon.
fn read_value(text: &[u8]) -> (Vec<u8>, &[u8]) {
    if let Some(quoted) = text.strip_prefix(b"\"") {
        let (unquoted, after) = read_quoted(quoted);
        return (unquoted, past(after, b';'));
    }
    let end = text
        .iter()
        .position(|byte| *byte == b';')
        .unwrap_or(text.len());
    (text[..end].trim_ascii().to_vec(), past(text, b';'))
}

/// Reads up to the closing quote. Only `\"` and `\\` are escapes: a browser of old sends `C:\a.png` as it is.
fn read_quoted(text: &[u8]) -> (Vec<u8>, &[u8]) {
    let mut unquoted = Vec::with_capacity(text.len());
    let mut at = 0;
    while let Some(byte) = text.get(at) {
        match (byte, text.get(at + 1)) {
            (b'"', _) => return (unquoted, &text[at + 1..]),
            (b'\\', Some(escaped @ (b'"' | b'\\'))) => {
                unquoted.push(*escaped);
                at += 1;
            }
            _ => unquoted.push(*byte),
        }
        at += 1;
    }
    (unquoted, &[])
}

/// `charset'language'percent-encoded`; `None` for a charset that is not UTF-8, ASCII or ISO-8859-1.
fn decode_extended(text: &[u8]) -> Option<String> {
    let mut fields = text.splitn(3, |byte| *byte == b'\'');
    let (charset, _language, encoded) = (fields.next()?, fields.next()?, fields.next()?);
    let bytes: Vec<u8> = percent_decode(encoded).collect();
    let is = |name: &str| charset.eq_ignore_ascii_case(name.as_bytes());
    if is("utf-8") || is("us-ascii") {
        return String::from_utf8(bytes).ok();
    }
    is("iso-8859-1").then(|| latin1(&bytes))
}

fn decode(text: &[u8]) -> String {
    std::str::from_utf8(text).map_or_else(|_| latin1(text), str::to_owned)
}

fn latin1(bytes: &[u8]) -> String {
    bytes.iter().copied().map(char::from).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn name(value: &[u8]) -> Option<String> {
        find(value, "name")
    }

    #[test]
    fn tokens_and_quoted_strings() {
        assert_eq!(name(b"a; name=b").as_deref(), Some("b"));
        assert_eq!(name(b"a;NAME = \"b;c\" ; x=y").as_deref(), Some("b;c"));
        assert_eq!(
            name(br#"a; x="; name=no"; name="q\"\\u""#).as_deref(),
            Some(r#"q"\u"#)
        );
        assert_eq!(
            name(br#"a; name="C:\dir\x.png""#).as_deref(),
            Some(r"C:\dir\x.png")
        );
        assert_eq!(name(b"a; flag; filename=x; name=").as_deref(), Some(""));
        assert_eq!(
            name("a; name=\"图.png\"".as_bytes()).as_deref(),
            Some("图.png")
        );
        assert_eq!(name(b"a; name=\"caf\xe9\"").as_deref(), Some("café"));
        assert_eq!(name(b"a; name=\"unclosed").as_deref(), Some("unclosed"));
    }

    #[test]
    fn absent() {
        for value in [
            &b""[..],
            b"name=x",
            b"a; filename=x",
            b"a; name",
            b";;;",
            b"a; name*=b",
        ] {
            assert_eq!(name(value), None, "{value:?}");
        }
    }

    #[test]
    fn the_extended_form_wins() {
        assert_eq!(
            name(b"a; name=x; name*=utf-8''%E5%9B%BE").as_deref(),
            Some("图")
        );
        assert_eq!(
            name(b"a; name*=UTF-8'en'b%20c; name=x").as_deref(),
            Some("b c")
        );
        assert_eq!(
            name(b"a; name*=iso-8859-1''caf%E9").as_deref(),
            Some("café")
        );
        assert_eq!(name(b"a; name*=utf-8''%FF; name=x").as_deref(), Some("x"));
        assert_eq!(name(b"a; name*=koi8-r''%FF; name=x").as_deref(), Some("x"));
    }

    #[test]
    fn the_essence_is_what_stands_before() {
        assert_eq!(
            essence("multipart/form-data ; boundary=x"),
            "multipart/form-data"
        );
        assert_eq!(essence(""), "");
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(value in prop::collection::vec(any::<u8>(), 0..100)) {
            name(&value);
            name(&[b"a; name=", &value[..]].concat());
            name(&[b"a; name*=", &value[..]].concat());
        }

        #[test]
        fn what_is_quoted_is_read_back(text in ".*") {
            let quoted = text.replace('\\', "\\\\").replace('"', "\\\"");
            prop_assert_eq!(name(format!("a; name=\"{quoted}\"; b=c").as_bytes()), Some(text));
        }
    }
}
