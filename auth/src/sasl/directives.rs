//! `name=value` and `name="value"` between commas, as DIGEST-MD5 writes them (RFC 2831, section 7).

use std::collections::BTreeMap;

/// The directives of a message; `None` if it is no such message, or says one twice.
pub(super) fn parse(text: &str) -> Option<BTreeMap<&str, String>> {
    let mut found = BTreeMap::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        let (name, after) = rest.split_once('=')?;
        let (value, after) = match after.strip_prefix('"') {
            Some(quoted) => unquoted(quoted)?,
            None => {
                let end = after.find(',').unwrap_or(after.len());
                let (value, after) = after.split_at(end);
                (value.trim().to_owned(), after)
            }
        };
        if found.insert(name.trim(), value).is_some() {
            return None;
        }
        rest = match after.trim_start() {
            "" => "",
            more => more.strip_prefix(',')?.trim_start(),
        };
    }
    Some(found)
}

/// A value up to its quotation mark, and what is behind that.
fn unquoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut letters = text.char_indices();
    loop {
        match letters.next()? {
            (_, '\\') => value.push(letters.next()?.1),
            (at, '"') => return Some((value, text.get(at + 1..)?)),
            (_, letter) => value.push(letter),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn with_and_without_quotation_marks() {
        let found = parse("a=1,b=\"x,\\\"y\", c = \"\",d=2").unwrap();
        let found: Vec<_> = found
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        // The space before a quotation mark makes it a letter like others.
        assert_eq!(
            found,
            [("a", "1"), ("b", "x,\"y"), ("c", "\"\""), ("d", "2")]
        );
        for bad in ["a", "a=\"x", "a=1,a=2", "a=\"x\"y", "a=\"\\"] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_survived(text in "[a-c=,\"\\\\é ]{0,40}") {
            let _ = parse(&text);
        }
    }
}
