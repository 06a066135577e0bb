//! The text that a configuration was read from: where a key stands in it, and what a parser's complaint means.

use std::ops::Range;
use std::sync::Arc;

use toml::Spanned;
use toml::de::DeTable;

use super::error::{Place, Problem};

/// Most characters of a line that an error shows.
const EXCERPT_CHARS_MAX: usize = 160;

/// Where a configuration's values come from, so that a wrong one can be pointed at.
#[derive(Debug, Clone, Default)]
pub(super) struct Source {
    name: Arc<str>,
    text: Arc<str>,
    /// Keys that the command line set, with the flag that did.
    flags: Vec<(&'static str, &'static str)>,
}

impl Source {
    pub fn new(text: &str, name: &str) -> Self {
        Self {
            name: name.into(),
            text: text.into(),
            flags: Vec::new(),
        }
    }

    /// Notes that `flag` set `key` (dotted), whatever the file says.
    pub fn overridden(&mut self, key: &'static str, flag: &'static str) {
        self.flags.push((key, flag));
    }

    /// Where the value of `key` (its names from the top down) was given; none for a default.
    pub fn place_of(&self, key: &[&str]) -> Option<Place> {
        let dotted = key.join(".");
        if let Some((_, flag)) = self.flags.iter().find(|(set, _)| *set == dotted) {
            return Some(Place::Flag(flag));
        }
        let table = DeTable::parse(&self.text).ok()?;
        find(table.get_ref(), key).map(|span| self.place_at(span))
    }

    /// The place of a byte range of the text.
    pub fn place_at(&self, span: Range<usize>) -> Place {
        let start = floor_char(&self.text, span.start);
        let before = &self.text[..start];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let line = self.text[line_start..].lines().next().unwrap_or_default();
        let end = floor_char(
            &self.text,
            span.end
                .clamp(start, line_start + line.len().max(start - line_start)),
        );
        Place::File {
            name: Arc::clone(&self.name),
            line: before.matches('\n').count() + 1,
            column: self.text[line_start..start].chars().count() + 1,
            excerpt: line
                .chars()
                .take(EXCERPT_CHARS_MAX)
                .map(printable)
                .collect(),
            marked_chars: self.text[start..end].chars().count().max(1),
        }
    }

    /// What the TOML parser or serde says, with its place and with advice.
    pub fn explain(&self, error: &toml::de::Error) -> Problem {
        let (message, help) = reworded(error.message());
        Problem {
            place: error.span().map(|span| self.place_at(span)),
            message,
            help,
        }
    }
}

fn printable(c: char) -> char {
    if c.is_control() { ' ' } else { c }
}

fn floor_char(text: &str, at: usize) -> usize {
    text.floor_char_boundary(at.min(text.len()))
}

fn find(table: &DeTable<'_>, key: &[&str]) -> Option<Range<usize>> {
    let (name, rest) = key.split_first()?;
    let (_, value) = table
        .iter()
        .find(|(seen, _)| seen.get_ref().as_ref() == *name)?;
    if rest.is_empty() {
        Some(Spanned::span(value))
    } else {
        find(value.get_ref().as_table()?, rest)
    }
}

/// Serde's wording is for programmers; this is for who wrote the file.
fn reworded(message: &str) -> (String, String) {
    let names: Vec<&str> = message.split('`').skip(1).step_by(2).collect();
    match (message, names.split_first()) {
        (text, Some((found, known))) if text.starts_with("unknown field") => (
            format!("unknown key `{found}`"),
            advice(found, known, "keys here"),
        ),
        (text, Some((found, known))) if text.starts_with("unknown variant") => (
            format!("unknown value \"{found}\""),
            advice(found, known, "accepted values"),
        ),
        (text, _) if text.starts_with("invalid ") => expected(text),
        (text, _) => (text.trim().replace('\n', ", "), String::new()),
    }
}

fn expected(text: &str) -> (String, String) {
    match text.split_once(", expected ") {
        Some((found, wanted)) => (found.to_owned(), format!("write {}", plain_type(wanted))),
        None => (text.replace('\n', ", "), String::new()),
    }
}

fn plain_type(wanted: &str) -> &str {
    match wanted {
        "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number, 0 or more",
        "f64" => "a number such as 0.3",
        "a boolean" => "true or false, without quotes",
        "a string" => "text in quotes",
        other => other,
    }
}

fn advice(found: &str, known: &[&str], what: &str) -> String {
    let nearest = known.iter().map(|name| (distance(found, name), name)).min();
    let list = format!("{what}: {}", known.join(", "));
    match nearest {
        Some((distance, name)) if distance <= 1 + found.chars().count() / 3 => {
            format!("did you mean `{name}`? {list}")
        }
        _ => list,
    }
}

/// Edits (insert, remove, replace) between two words: Wagner and Fischer, 1974. The file's word is cut to a length
/// that no key has.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, a) in a.chars().take(64).enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(a != *b);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_as_far_apart_as_their_edits() {
        for (a, b, edits) in [
            ("", "abc", 3),
            ("kitten", "sitting", 3),
            ("listen", "listen", 0),
            ("lisen", "listen", 1),
        ] {
            assert_eq!(distance(a, b), edits);
        }
    }

    #[test]
    fn columns_count_characters() {
        let source = Source::new("# ü\nkü = 'é' \n", "f.toml");
        let at = source.text.find('é').unwrap();
        let Place::File {
            line,
            column,
            excerpt,
            marked_chars,
            ..
        } = source.place_at(at..at + 2)
        else {
            panic!()
        };
        assert_eq!(
            (line, column, excerpt.as_str(), marked_chars),
            (2, 7, "kü = 'é' ", 1)
        );
    }

    #[test]
    fn any_range_has_a_place() {
        let source = Source::new("aé\r\nb", "f.toml");
        for start in 0..9 {
            for end in 0..9 {
                source.place_at(start..end);
            }
        }
    }
}
