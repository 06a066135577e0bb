//! Content-Disposition, out and in: RFC 6266.

use http::HeaderValue;
use percent_encoding::{AsciiSet, CONTROLS, percent_encode};

use super::parameters;

/// What a browser is to do with the content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disposition {
    /// Show it.
    Inline,
    /// Save it.
    Attachment,
}

/// What is not a token besides controls (RFC 2045, section 5.1: `tspecials` and the space).
const SPECIAL: &[u8] = b" ()<>@,;:\\\"/[]?=";

/// Whether a byte may stand in a token: looked up, since it is asked for each character of each name.
static IS_TOKEN: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte: u8 = b'!';
    while byte <= b'~' {
        table[byte as usize] = true;
        byte += 1;
    }
    let mut n = 0;
    while n < SPECIAL.len() {
        table[SPECIAL[n] as usize] = false;
        n += 1;
    }
    table
};

/// What is percent-encoded in the extended form: all that RFC 8187 does not let stand.
const EXTENDED: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'(')
    .add(b')')
    .add(b'<')
    .add(b'>')
    .add(b'@')
    .add(b',')
    .add(b';')
    .add(b':')
    .add(b'\\')
    .add(b'"')
    .add(b'/')
    .add(b'[')
    .add(b']')
    .add(b'?')
    .add(b'=')
    .add(b'*')
    .add(b'\'')
    .add(b'%');

/// The value of Content-Disposition for a file of this name; no filename if it is empty.
///
/// Spelled as SeaweedFS does, which uses Go's `mime.FormatMediaType`: a token as it is, other ASCII
/// quoted, and anything else as `filename*=utf-8''%E5…`.
pub fn format(disposition: Disposition, file_name: &str) -> HeaderValue {
    let kind = match disposition {
        Disposition::Inline => "inline",
        Disposition::Attachment => "attachment",
    };
    let plain = HeaderValue::from_static(kind);
    if file_name.is_empty() {
        return plain;
    }
    let mut value = Vec::with_capacity(kind.len() + file_name.len() + "; filename=\"\"".len());
    value.extend_from_slice(kind.as_bytes());
    push_file_name(&mut value, file_name);
    HeaderValue::try_from(value).unwrap_or(plain)
}

/// Writes the parameter that names a file behind the kind of disposition: `; filename=a.jpg`.
pub fn push_file_name(value: &mut Vec<u8>, file_name: &str) {
    value.extend_from_slice(b"; filename");
    if file_name.bytes().all(is_token) {
        value.push(b'=');
        value.extend_from_slice(file_name.as_bytes());
    } else if file_name
        .bytes()
        .all(|byte| matches!(byte, b' '..=b'~' | b'\t'))
    {
        value.extend_from_slice(b"=\"");
        push_quoted(value, file_name.as_bytes());
        value.push(b'"');
    } else {
        value.extend_from_slice(b"*=utf-8''");
        percent_encode(file_name.as_bytes(), EXTENDED)
            .for_each(|part| value.extend_from_slice(part.as_bytes()));
    }
}

/// Text with a backslash before each quote and backslash.
fn push_quoted(value: &mut Vec<u8>, text: &[u8]) {
    for part in text.split_inclusive(|byte| matches!(byte, b'"' | b'\\')) {
        match part {
            [rest @ .., special @ (b'"' | b'\\')] => {
                value.extend_from_slice(rest);
                value.extend_from_slice(&[b'\\', *special]);
            }
            rest => value.extend_from_slice(rest),
        }
    }
}

fn is_token(byte: u8) -> bool {
    IS_TOKEN[usize::from(byte)]
}

/// The file name that a Content-Disposition of a request gives: its `filename`, else its `name`,
/// without any path. `None` if it gives neither.
pub fn file_name(value: &[u8]) -> Option<String> {
    let of = |parameter| parameters::find(value, parameter).and_then(|name| strip_path(&name));
    of("filename").or_else(|| of("name"))
}

/// The last segment of a path of either kind (`/`, or `\` from Windows); `None` if that names no file.
pub fn strip_path(path: &str) -> Option<String> {
    let name = path
        .trim_end_matches(['/', '\\'])
        .rsplit(['/', '\\'])
        .next()?;
    (!matches!(name, "" | "." | "..")).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn inline(name: &str) -> String {
        let value = format(Disposition::Inline, name);
        String::from_utf8(value.as_bytes().to_vec()).unwrap()
    }

    #[test]
    fn names_are_spelled_as_go_does() {
        assert_eq!(inline("t.png"), "inline; filename=t.png");
        assert_eq!(inline("a b.png"), "inline; filename=\"a b.png\"");
        assert_eq!(inline("a\"b\\c.png"), r#"inline; filename="a\"b\\c.png""#);
        assert_eq!(inline("1,15e727506e"), "inline; filename=\"1,15e727506e\"");
        assert_eq!(
            inline("图 1.png"),
            "inline; filename*=utf-8''%E5%9B%BE%201.png"
        );
        assert_eq!(
            inline("a\r\nSet-Cookie: x"),
            "inline; filename*=utf-8''a%0D%0ASet-Cookie%3A%20x"
        );
        assert_eq!(inline("{a}~!.png"), "inline; filename={a}~!.png");
        assert_eq!(inline(""), "inline");
        assert_eq!(
            format(Disposition::Attachment, "t.png"),
            "attachment; filename=t.png"
        );
    }

    #[test]
    fn names_are_read() {
        let read = |value: &str| file_name(value.as_bytes());
        assert_eq!(read("attachment; filename=t.png").as_deref(), Some("t.png"));
        assert_eq!(
            read("form-data; name=\"dir/n.png\"").as_deref(),
            Some("n.png")
        );
        assert_eq!(
            read("form-data; name=n; filename=\"C:\\x\\f.png\"").as_deref(),
            Some("f.png")
        );
        assert_eq!(
            read("form-data; name=n; filename=\"\"").as_deref(),
            Some("n")
        );
        assert_eq!(
            read("inline; filename*=utf-8''%E5%9B%BE.png").as_deref(),
            Some("图.png")
        );
        assert_eq!(read("inline"), None);
    }

    #[test]
    fn paths_are_stripped() {
        for path in [
            "f.png",
            "a/f.png",
            "/a/b/f.png",
            "C:\\a\\f.png",
            "a\\b/f.png",
            "f.png/",
        ] {
            assert_eq!(strip_path(path).as_deref(), Some("f.png"), "{path}");
        }
        for path in ["", "/", "..", "a/..", ".", "\\\\"] {
            assert_eq!(strip_path(path), None, "{path}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(value in prop::collection::vec(any::<u8>(), 0..100)) {
            file_name(&value);
        }

        #[test]
        fn any_name_comes_back(name in "[^/\\\\]{1,40}") {
            prop_assume!(!matches!(&*name, "." | ".."));
            let value = format(Disposition::Inline, &name);
            prop_assert_eq!(file_name(value.as_bytes()), Some(name));
        }
    }
}
