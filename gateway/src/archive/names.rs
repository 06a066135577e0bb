//! Names of entries: safe to unpack, and each only once.

use std::collections::HashMap;
use std::hash::BuildHasher;

use foldhash::quality::RandomState;

use super::NAME_BYTES_MAX;

/// A name that stays in the folder where it is unpacked: no root, no `..`, no empty parts, no control characters, `/` between its
/// parts, and at most [`NAME_BYTES_MAX`] bytes. Empty if nothing is left.
pub fn safe(name: &str) -> String {
    if is_safe(name) {
        return name.to_owned();
    }
    let mut safe = String::with_capacity(name.len());
    for part in name.split(['/', '\\']) {
        if matches!(part, "" | "." | "..") {
            continue;
        }
        if !safe.is_empty() {
            safe.push('/');
        }
        safe.extend(part.chars().map(|c| if c.is_control() { '_' } else { c }));
    }
    clip(&safe, NAME_BYTES_MAX).to_owned()
}

/// Whether [`safe`] would leave a name as it is.
pub fn is_safe(name: &str) -> bool {
    let part_is_safe = |part: &[u8]| !matches!(part, b"" | b"." | b"..");
    name.len() <= NAME_BYTES_MAX
        && name
            .as_bytes()
            .split(|byte| *byte == b'/')
            .all(part_is_safe)
        && !name
            .bytes()
            .any(|byte| byte.is_ascii_control() || byte == b'\\')
        && (name.is_ascii() || !name.chars().any(char::is_control))
}

/// The longest beginning of at most `bytes_max` bytes that ends with a whole character.
pub fn clip(text: &str, bytes_max: usize) -> &str {
    text.get(..text.floor_char_boundary(bytes_max))
        .unwrap_or(text)
}

/// Tells names that an archive has already. It keeps 16 bytes a name; that two different names are taken for the same is as likely
/// as two equal random numbers of 64 bits, and only makes one of them longer.
#[derive(Debug, Default)]
pub struct UniqueNames {
    hasher: RandomState,
    /// By hash: the number to try next for a name that comes again.
    seen: HashMap<u64, u32, RandomState>,
}

/// Bytes that [`UniqueNames`] holds for a name, about.
const BYTES_PER_NAME: usize = 32;

impl UniqueNames {
    /// The name itself the first time, later `stem-2.ext`, `stem-3.ext` and so on.
    pub fn unique(&mut self, name: String) -> String {
        let hash = self.hasher.hash_one(&name);
        let Some(&next) = self.seen.get(&hash) else {
            self.seen.insert(hash, 2);
            return name;
        };
        let mut number = next;
        loop {
            let numbered = with_number(&name, number);
            number = number.saturating_add(1);
            let of_numbered = self.hasher.hash_one(&numbered);
            if !self.seen.contains_key(&of_numbered) {
                self.seen.insert(of_numbered, 2);
                self.seen.insert(hash, number);
                return numbered;
            }
        }
    }

    /// What is held for the names so far.
    pub fn held_bytes(&self) -> usize {
        self.seen.capacity() * BYTES_PER_NAME
    }
}

fn with_number(name: &str, number: u32) -> String {
    let file_at = name.rfind('/').map_or(0, |at| at + 1);
    let dot = name[file_at..].find('.').filter(|at| *at > 0);
    let (stem, ext) = name.split_at(dot.map_or(name.len(), |at| file_at + at));
    format!("{stem}-{number}{ext}")
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn nothing_leaves_the_folder() {
        for (name, want) in [
            ("a/b.jpg", "a/b.jpg"),
            ("./a//b", "a/b"),
            ("/etc/passwd", "etc/passwd"),
            ("../../x", "x"),
            ("a\\..\\b", "a/b"),
            ("..", ""),
            ("a\nb\0", "a_b_"),
            ("猫.png", "猫.png"),
        ] {
            assert_eq!(safe(name), want, "{name:?}");
            assert_eq!(is_safe(name), name == want, "{name:?}");
        }
    }

    #[test]
    fn names_that_come_again_are_numbered_before_the_extension() {
        let mut names = UniqueNames::default();
        let given = [
            "a/b.tar.gz",
            "a/b.tar.gz",
            "a/b-2.tar.gz",
            "a/b.tar.gz",
            "x",
            "x",
            ".y",
            ".y",
        ];
        let got = given.map(|name| names.unique(name.to_owned()));
        let want = [
            "a/b.tar.gz",
            "a/b-2.tar.gz",
            "a/b-2-2.tar.gz",
            "a/b-3.tar.gz",
            "x",
            "x-2",
            ".y",
            ".y-2",
        ];
        assert_eq!(got, want);
    }

    proptest! {
        #[test]
        fn all_are_different(given in prop::collection::vec("[ab.2-]{1,5}", 0..200)) {
            let mut names = UniqueNames::default();
            let mut got = HashSet::new();
            for name in given {
                prop_assert!(got.insert(names.unique(name)));
            }
        }

        #[test]
        fn safe_is_safe(name in "(?s).{0,40}") {
            let name = safe(&name);
            prop_assert!(name.is_empty() || is_safe(&name), "{:?}", name);
        }
    }
}
