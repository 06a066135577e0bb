//! Which paths one value of a policy means. Source: `RangerPathResourceMatcher` of Apache Ranger.

use super::context::Context;
use super::glob;
use super::template::Text;

/// How values of a service are read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Options {
    /// Whether `*` and `?` are wildcards.
    pub wildcards: bool,
    /// Whether letters of either case are the same.
    pub fold: bool,
}

/// The paths of one value.
#[derive(Clone, Debug)]
pub(super) enum Pattern {
    /// All.
    All,
    /// This one.
    Exact(Text),
    /// All that begin so.
    Starts(Text),
    /// All that end so.
    Ends(Text),
    /// By wildcards over the whole path.
    Glob(Text),
    /// This one and what is below it.
    Under(Text),
    /// By wildcards over the path or a parent of it.
    Tree(Text),
    /// All but these.
    Excludes(Box<[Pattern]>),
    /// None.
    Nothing,
}

/// The patterns of a resource: any of them.
pub(super) fn of_resource(
    values: &[String],
    recursive: bool,
    excludes: bool,
    options: Options,
) -> Vec<Pattern> {
    let values = values.iter().filter(|value| !value.is_empty());
    let mut patterns: Vec<Pattern> = values
        .map(|value| of_value(value, recursive, options))
        .collect();
    if patterns.is_empty() || patterns.iter().any(|p| matches!(p, Pattern::All)) {
        patterns = vec![Pattern::All];
    }
    if !excludes {
        return patterns;
    }
    if matches!(patterns.first(), Some(Pattern::All)) {
        return vec![Pattern::Nothing];
    }
    vec![Pattern::Excludes(patterns.into())]
}

fn of_value(value: &str, recursive: bool, options: Options) -> Pattern {
    let text = |value: &str| Text::new(value, options.fold);
    let is_pattern = options.wildcards && glob::is_pattern(value);
    if recursive {
        if options.wildcards && value.ends_with('/') {
            return Pattern::Tree(text(&format!("{value}*")));
        }
        return match value {
            "*" if options.wildcards => Pattern::All,
            _ if is_pattern => Pattern::Tree(text(value)),
            _ => Pattern::Under(text(value)),
        };
    }
    if !is_pattern {
        return Pattern::Exact(text(value));
    }
    one_level(value, options)
}

/// A value with wildcards that is not recursive.
fn one_level(value: &str, options: Options) -> Pattern {
    let text = |value: &str| Text::new(value, options.fold);
    let inner = value.trim_start_matches('*');
    if inner.is_empty() {
        return Pattern::All;
    }
    if inner.len() < value.len() && !glob::is_pattern(inner) {
        return Pattern::Ends(text(inner));
    }
    let inner = value.trim_end_matches('*');
    if inner.len() < value.len() && !glob::is_pattern(inner) {
        return Pattern::Starts(text(inner));
    }
    Pattern::Glob(text(value))
}

impl Pattern {
    /// Whether the request's path is one of these.
    pub(super) fn matches(&self, context: &Context<'_>) -> bool {
        let path = context.path;
        match self {
            Self::All => true,
            Self::Nothing => false,
            Self::Exact(text) => text.with(context, |value| path == value),
            Self::Starts(text) => text.with(context, |value| path.starts_with(value)),
            Self::Ends(text) => text.with(context, |value| path.ends_with(value)),
            Self::Glob(text) => text.with(context, |value| glob::matches(path, value)),
            Self::Under(text) => text.with(context, |value| is_under(path, value)),
            Self::Tree(text) => text.with(context, |value| in_tree(path, value)),
            Self::Excludes(all) => {
                let found = all.iter().any(|pattern| pattern.matches(context));
                if matches!(path, "" | "*") {
                    found
                } else {
                    !found
                }
            }
        }
    }

    /// Whether the owner of a path says which it means.
    pub(super) fn names_owner(&self) -> bool {
        match self {
            Self::Exact(text)
            | Self::Starts(text)
            | Self::Ends(text)
            | Self::Glob(text)
            | Self::Under(text)
            | Self::Tree(text) => text.names_owner(),
            Self::Excludes(patterns) => patterns.iter().any(Self::names_owner),
            Self::All | Self::Nothing => false,
        }
    }

    /// The text that each path of these begins with: what is indexed.
    pub(super) fn start(&self) -> &str {
        match self {
            Self::Exact(text) | Self::Starts(text) => text.literal_start(),
            Self::Under(text) => text.literal_start(),
            Self::Glob(text) => until_wildcard(text.literal_start()),
            // By its parts: a value that is not a path as paths are could match one that does not begin like it.
            Self::Tree(text) => {
                let start = text.literal_start();
                if start.starts_with('/') && !start.contains("//") {
                    until_wildcard(start)
                } else {
                    ""
                }
            }
            Self::All | Self::Nothing | Self::Ends(_) | Self::Excludes(_) => "",
        }
    }

    /// A text that each path of these has in it, the longest that is known; empty if none is.
    pub(super) fn fragment(&self) -> &str {
        match self {
            Self::Ends(text) => text.plain().unwrap_or(""),
            Self::Glob(text) => longest_fragment(text.plain().unwrap_or("")),
            Self::Tree(text) => {
                let value = text.plain().unwrap_or("");
                // As above, and what is between `//` is compared part by part.
                if value.contains("//") || !value.starts_with(['/', '*', '?']) {
                    return "";
                }
                longest_fragment(value)
            }
            _ => "",
        }
    }
}

fn until_wildcard(value: &str) -> &str {
    value.split(['*', '?']).next().unwrap_or("")
}

fn longest_fragment(value: &str) -> &str {
    value
        .split(['*', '?'])
        .max_by_key(|part| part.len())
        .unwrap_or("")
}

/// The path itself, or what is below it.
fn is_under(path: &str, value: &str) -> bool {
    path.strip_prefix(value)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Whether a value with wildcards matches the path or a parent of it, as Ranger walks them.
fn in_tree(path: &str, value: &str) -> bool {
    if path.contains("//") {
        return in_tree_of_parts(&single_slashes(path), value);
    }
    in_tree_of_parts(path, value)
}

fn in_tree_of_parts(path: &str, value: &str) -> bool {
    if path == "/" {
        return glob::matches(path, value);
    }
    let mut wanted = value.split('/').filter(|part| !part.is_empty());
    let mut literal = true;
    let mut end = 0;
    for part in path.split('/') {
        let from = end;
        end = from + part.len() + 1;
        if part.is_empty() {
            continue;
        }
        if literal {
            match wanted.next() {
                Some(want) if glob::is_pattern(want) => literal = false,
                None => literal = false,
                Some(want) if want == part => {}
                Some(_) => return false,
            }
        }
        let prefix = path.get(..from + part.len()).unwrap_or(path);
        if !literal && glob::matches(prefix, value) {
            return true;
        }
    }
    literal && ended_equal(path, wanted)
}

/// Every part was equal: the value has no more of them, or the path is a folder and the value means what is in it.
fn ended_equal<'v>(path: &str, mut wanted: impl Iterator<Item = &'v str>) -> bool {
    match wanted.next() {
        None => true,
        Some("*") => path.ends_with('/') && wanted.next().is_none(),
        Some(_) => false,
    }
}

fn single_slashes(path: &str) -> String {
    let mut last = ' ';
    let mut text = path.to_owned();
    text.retain(|c| {
        let keep = c != '/' || last != '/';
        last = c;
        keep
    });
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(value: &str, recursive: bool, path: &str) -> bool {
        let options = Options {
            wildcards: true,
            fold: false,
        };
        let context = Context {
            path,
            ..Context::default()
        };
        let patterns = of_resource(&[value.to_owned()], recursive, false, options);
        patterns.iter().any(|pattern| pattern.matches(&context))
    }

    #[test]
    fn values() {
        for (value, recursive, path, want) in [
            ("/a/b/", true, "/a/b/c", true),
            ("/a/b/", true, "/a/b/", true),
            ("/a/b/", true, "/a/b", false),
            ("/a/b", true, "/a/b/c/d", true),
            ("/a/b", true, "/a/bc", false),
            ("/a/*", true, "/a", false),
            ("/a/*/c", true, "/a/x/c/d", true),
            ("/a*/b", true, "/axx/c/b", true),
            ("/a/*", true, "/b/a/x", false),
            ("*", false, "/", true),
            ("***", false, "/x", true),
            ("*.csv", false, "/x/y.csv", true),
            ("/x*", false, "/x/y", true),
            ("/x?", false, "/x", false),
            ("/*", true, "/", true),
            ("", true, "/x", true),
        ] {
            assert_eq!(
                matches(value, recursive, path),
                want,
                "{value} {recursive} {path}"
            );
        }
    }

    #[test]
    fn excludes() {
        let options = Options {
            wildcards: true,
            fold: true,
        };
        let pattern = of_resource(&["/A".to_owned()], true, true, options);
        let at = |path| Context {
            path,
            fold: true,
            ..Context::default()
        };
        assert!(!pattern[0].matches(&at("/a/b")));
        assert!(pattern[0].matches(&at("/b")));
        assert!(matches!(
            of_resource(&[], true, true, options)[0],
            Pattern::Nothing
        ));
    }
}
