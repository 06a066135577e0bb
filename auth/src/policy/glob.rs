//! `*` is any run of characters, `/` among them; `?` is exactly one character.

/// Whether a whole text is as the pattern says.
pub(super) fn matches(text: &str, pattern: &str) -> bool {
    let (text, pattern) = (text.as_bytes(), pattern.as_bytes());
    let (mut t, mut p) = (0, 0);
    // Where the last star was, and how far the text has been given to it.
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p + 1, t));
                p += 1;
            }
            Some(b'?') => {
                t += char_len(text, t);
                p += 1;
            }
            Some(byte) if text.get(t) == Some(byte) => {
                t += 1;
                p += 1;
            }
            _ => {
                let Some((after, given)) = star else {
                    return false;
                };
                let given = given + char_len(text, given);
                star = Some((after, given));
                (t, p) = (given, after);
            }
        }
    }
    pattern
        .get(p..)
        .is_some_and(|rest| rest.iter().all(|byte| *byte == b'*'))
}

/// Bytes of the character that begins at a place.
fn char_len(text: &[u8], at: usize) -> usize {
    match text.get(at) {
        Some(0xC0..=0xDF) => 2,
        Some(0xE0..=0xEF) => 3,
        Some(0xF0..) => 4,
        _ => 1,
    }
}

/// Whether a value has a wildcard.
pub(super) fn is_pattern(value: &str) -> bool {
    value.bytes().any(|byte| matches!(byte, b'*' | b'?'))
}

/// A text in which letters that differ only by case are the same, as Java's `equalsIgnoreCase` sees them.
pub(super) fn folded(text: &str) -> String {
    text.chars().map(folded_char).collect()
}

fn folded_char(c: char) -> char {
    if c.is_ascii() {
        return c.to_ascii_lowercase();
    }
    let single = |mut chars: &mut dyn Iterator<Item = char>, c: char| {
        let first = (&mut chars).next();
        match (first, (&mut chars).next()) {
            (Some(only), None) => only,
            _ => c,
        }
    };
    let upper = single(&mut c.to_uppercase(), c);
    single(&mut upper.to_lowercase(), upper)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// By its definition, without any cleverness.
    fn plainly(text: &[char], pattern: &[char]) -> bool {
        match pattern.split_first() {
            None => text.is_empty(),
            Some(('*', rest)) => (0..=text.len()).any(|n| plainly(&text[n..], rest)),
            Some(('?', rest)) => !text.is_empty() && plainly(&text[1..], rest),
            Some((c, rest)) => text.first() == Some(c) && plainly(&text[1..], rest),
        }
    }

    proptest! {
        #[test]
        fn as_defined(text in "[ab/é]{0,8}", pattern in "[ab/é*?]{0,6}") {
            let (t, p): (Vec<char>, Vec<char>) = (text.chars().collect(), pattern.chars().collect());
            prop_assert_eq!(matches(&text, &pattern), plainly(&t, &p));
        }
    }

    #[test]
    fn letters() {
        assert_eq!(folded("AbÉİß"), folded("aBéİß"));
        assert!(!matches("/a", "/A"));
    }
}
