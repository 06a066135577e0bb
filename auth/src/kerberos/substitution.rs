//! `s/from/to/g` of a rule, with Java's way of writing what is put in (`java.util.regex.Matcher.appendReplacement`).

use regex::{Captures, Regex};

/// What is replaced, and by what.
#[derive(Clone, Debug)]
pub(super) struct Substitution {
    from: Regex,
    to: Vec<Part>,
    everywhere: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Group(usize),
}

impl Substitution {
    pub(super) fn new(from: Regex, to: &str, everywhere: bool) -> Self {
        let to = parts(to, from.captures_len().saturating_sub(1));
        Self {
            from,
            to,
            everywhere,
        }
    }

    pub(super) fn apply(&self, text: &str) -> String {
        let limit = usize::from(!self.everywhere);
        let replaced = self
            .from
            .replacen(text, limit, |found: &Captures<'_>| self.made(found));
        replaced.into_owned()
    }

    fn made(&self, found: &Captures<'_>) -> String {
        let part = |part: &Part| match part {
            Part::Text(text) => text.clone(),
            Part::Group(at) => found.get(*at).map_or("", |group| group.as_str()).to_owned(),
        };
        self.to.iter().map(part).collect()
    }
}

/// `$1` is a group, of as many digits as make one that there is; `\\x` is `x`.
fn parts(text: &str, groups: usize) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut plain = String::new();
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '\\' => plain.extend(rest.next()),
            '$' if rest.peek().is_some_and(char::is_ascii_digit) => {
                let mut group = 0;
                while let Some(digit) = rest.peek().and_then(|c| c.to_digit(10)) {
                    let longer = group * 10 + digit as usize;
                    if group > 0 && longer > groups {
                        break;
                    }
                    group = longer;
                    rest.next();
                }
                parts.push(Part::Text(std::mem::take(&mut plain)));
                parts.push(Part::Group(group));
            }
            c => plain.push(c),
        }
    }
    parts.push(Part::Text(plain));
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn javas_replacements() {
        for (from, to, everywhere, text, want) in [
            ("a", "x", false, "banana", "bxnana"),
            ("a", "x", true, "banana", "bxnxnx"),
            ("(b)(a)", "$2$1", false, "banana", "abnana"),
            ("(b)", "$12", false, "banana", "b2anana"),
            ("b", "\\$1", false, "banana", "$1anana"),
            ("z", "x", true, "banana", "banana"),
            ("", "-", true, "ab", "-a-b-"),
        ] {
            let made = Substitution::new(Regex::new(from).unwrap(), to, everywhere).apply(text);
            assert_eq!(made, want, "{from} {to}");
        }
    }
}
