//! Globs over names, as SeaweedFS's `namePattern` has them: `*` is any text, `?` any one character, all else is itself.

/// A glob. Matching takes at most the product of the two lengths.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern(Vec<char>);

impl Pattern {
    /// Every text is a pattern.
    pub fn new(text: &str) -> Self {
        Self(text.chars().collect())
    }

    /// What every name that matches begins with.
    pub fn prefix(&self) -> String {
        let fixed = self.0.iter().take_while(|c| !matches!(c, '*' | '?'));
        fixed.collect()
    }

    /// Whether the whole name matches.
    pub fn matches(&self, name: &str) -> bool {
        let (mut rest, mut at) = (name, 0);
        // Where the last `*` was: what it must be tried again with is one character shorter each time.
        let mut star: Option<(usize, &str)> = None;
        loop {
            let mut after = rest.chars();
            match (self.0.get(at), after.next()) {
                (Some('*'), _) => {
                    star = Some((at, rest));
                    at += 1;
                }
                (None, None) => return true,
                (Some('?'), Some(_)) => (at, rest) = (at + 1, after.as_str()),
                (Some(wanted), Some(found)) if *wanted == found => {
                    (at, rest) = (at + 1, after.as_str());
                }
                _ => match star
                    .take()
                    .and_then(|(at, text)| Some((at, one_less(text)?)))
                {
                    Some((star_at, text)) => {
                        star = Some((star_at, text));
                        (at, rest) = (star_at + 1, text);
                    }
                    None => return false,
                },
            }
        }
    }
}

fn one_less(text: &str) -> Option<&str> {
    let mut characters = text.chars();
    characters.next().map(|_| characters.as_str())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What a glob means, said as plainly as possible.
    fn plainly(pattern: &[char], name: &[char]) -> bool {
        match (pattern.split_first(), name.split_first()) {
            (None, None) => true,
            (Some(('*', rest)), None) => plainly(rest, name),
            (Some(('*', rest)), Some((_, shorter))) => {
                plainly(rest, name) || plainly(pattern, shorter)
            }
            (Some((p, rest)), Some((n, shorter))) => {
                (*p == '?' || p == n) && plainly(rest, shorter)
            }
            _ => false,
        }
    }

    #[test]
    fn usual_globs() {
        assert!(Pattern::new("*.jpg").matches("a.b.jpg"));
        assert!(!Pattern::new("*.jpg").matches("a.jpgx"));
        assert!(Pattern::new("?").matches("é"));
        assert!(!Pattern::new("").matches("a"));
        assert_eq!(Pattern::new("img-?x*").prefix(), "img-");
    }

    #[test]
    fn a_hostile_glob_is_bounded() {
        assert!(!Pattern::new(&"*a".repeat(100)).matches(&"a".repeat(99)));
        assert!(Pattern::new(&"*a".repeat(100)).matches(&"a".repeat(250)));
    }

    proptest! {
        #[test]
        fn it_matches_what_is_meant(pattern in "[ab*?]{0,7}", name in "[ab]{0,7}") {
            let (p, n): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
            prop_assert_eq!(Pattern::new(&pattern).matches(&name), plainly(&p, &n));
        }
    }
}
