//! Extended headers of POSIX.1-2001 (pax): records `LENGTH KEY=VALUE\n`, where the length counts itself.

/// Appends a record.
pub fn push(key: &str, value: &str, out: &mut Vec<u8>) {
    let rest = key.len() + value.len() + " =\n".len();
    let mut len = rest + digits(rest);
    if rest + digits(len) != len {
        len = rest + digits(len);
    }
    out.extend_from_slice(len.to_string().as_bytes());
    out.push(b' ');
    out.extend_from_slice(key.as_bytes());
    out.push(b'=');
    out.extend_from_slice(value.as_bytes());
    out.push(b'\n');
}

fn digits(number: usize) -> usize {
    number.checked_ilog10().map_or(1, |log| log as usize + 1)
}

/// The records of an extended header; the last item is `None` where it cannot be read on.
pub fn records(mut text: &[u8]) -> impl Iterator<Item = Option<(&[u8], &[u8])>> {
    std::iter::from_fn(move || {
        if text.is_empty() {
            return None;
        }
        let Some((record, rest)) = first(text) else {
            text = &[];
            return Some(None);
        };
        text = rest;
        Some(Some(record))
    })
}

type Record<'a> = (&'a [u8], &'a [u8]);

fn first(text: &[u8]) -> Option<(Record<'_>, &[u8])> {
    let space = text.iter().take(20).position(|byte| *byte == b' ')?;
    let len: usize = std::str::from_utf8(text.get(..space)?).ok()?.parse().ok()?;
    let pair = text.get(space + 1..len)?.strip_suffix(b"\n")?;
    let equals = pair.iter().position(|byte| *byte == b'=')?;
    Some(((&pair[..equals], &pair[equals + 1..]), text.get(len..)?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Values of any length, newlines and all: the length's own digits are the delicate part.
        #[test]
        fn what_is_pushed_is_read(values in prop::collection::vec("(?s).{0,120}", 0..5)) {
            let mut text = Vec::new();
            for value in &values {
                push("path", value, &mut text);
            }
            let read: Vec<_> = records(&text).map(|r| r.map(|(k, v)| (k.to_vec(), v.to_vec()))).collect();
            let want: Vec<_> = values.iter().map(|v| Some((b"path".to_vec(), v.as_bytes().to_vec()))).collect();
            prop_assert_eq!(read, want);
        }

        #[test]
        fn any_bytes_end(text in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(records(&text).count() <= text.len());
        }
    }

    #[test]
    fn every_length_up_to_four_digits() {
        for len in 0..1100 {
            let (value, mut text) = ("v".repeat(len), Vec::new());
            push("k", &value, &mut text);
            let prefix: usize = std::str::from_utf8(&text)
                .unwrap()
                .split(' ')
                .next()
                .unwrap()
                .parse()
                .unwrap();
            assert_eq!(prefix, text.len());
        }
    }
}
