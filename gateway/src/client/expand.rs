//! Globs: those that a shell left to us, here and on a server.
//!
//! `*`, `?` and `[abc]` match within a name, `**` any number of folders. What exists under the very name that is written is meant
//! before what a pattern matches.

use std::path::PathBuf;

use glob::{MatchOptions, Pattern};

use super::address::{Address, join};
use super::entry::Entry;
use super::error::ClientError;
use super::remote::Remote;

const BY_NAME: MatchOptions = MatchOptions {
    case_sensitive: true,
    require_literal_separator: true,
    require_literal_leading_dot: false,
};

/// Whether a text is a pattern.
pub fn is_pattern(text: &str) -> bool {
    text.contains(['*', '?', '['])
}

/// What an argument names here.
///
/// # Errors
/// [`ClientError::Usage`] for a pattern that is none.
pub fn here(text: &str) -> Result<Vec<PathBuf>, ClientError> {
    let path = PathBuf::from(text);
    if !is_pattern(text) || path.symlink_metadata().is_ok() {
        return Ok(vec![path]);
    }
    let found = glob::glob_with(text, BY_NAME).map_err(|error| bad(text, &error))?;
    let found: Vec<PathBuf> = found.filter_map(Result::ok).collect();
    match found.is_empty() {
        true => Err(nothing(text)),
        false => Ok(found),
    }
}

fn bad(text: &str, error: &glob::PatternError) -> ClientError {
    ClientError::Usage(format!("{text}: {error}"))
}

fn nothing(text: &str) -> ClientError {
    ClientError::Impossible(format!("{text}: nothing matches"))
}

/// What an address names on its server: one entry, or all that match, in order.
///
/// # Errors
/// [`ClientError::is_missing`] or [`ClientError::Impossible`] if nothing is there; others as [`Remote::stat`].
pub async fn there(remote: &Remote, address: &Address) -> Result<Vec<Entry>, ClientError> {
    match remote.stat(&address.path).await {
        Ok(entry) if address.folder_form && !entry.is_folder() => Err(ClientError::Impossible(
            "is a file, not a folder".to_owned(),
        )),
        Ok(entry) => Ok(vec![entry]),
        Err(error) if error.is_missing() && is_pattern(&address.path) => {
            let found = matches(remote, &address.path, address.folder_form).await?;
            match found.is_empty() {
                true => Err(ClientError::Impossible("nothing matches".to_owned())),
                false => Ok(found),
            }
        }
        Err(error) => Err(error),
    }
}

async fn matches(
    remote: &Remote,
    path: &str,
    folders_only: bool,
) -> Result<Vec<Entry>, ClientError> {
    let (base, rest) = split(path);
    let wanted = |entry: &Entry| !folders_only || entry.is_folder();
    if rest.contains(&"**") {
        let mut found = below(remote, &base, &rest.join("/")).await?;
        found.retain(wanted);
        return Ok(found);
    }
    let mut found = vec![folder_entry(base)];
    for (n, part) in rest.iter().enumerate() {
        let last = n + 1 == rest.len();
        let mut next = Vec::new();
        for folder in found {
            step(remote, &folder.full_path, part, last, &mut next).await?;
        }
        found = next;
    }
    found.retain(wanted);
    Ok(found)
}

fn folder_entry(full_path: String) -> Entry {
    Entry {
        full_path,
        ..Entry::default()
    }
}

/// The folder before the first pattern, and the parts from there on.
fn split(path: &str) -> (String, Vec<&str>) {
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    let at = parts
        .iter()
        .position(|part| is_pattern(part))
        .unwrap_or(parts.len());
    let (base, rest) = parts.split_at(at);
    (format!("/{}", base.join("/")), rest.to_vec())
}

/// What in `folder` matches one part of a path; only folders where more parts follow.
async fn step(
    remote: &Remote,
    folder: &str,
    part: &str,
    last: bool,
    found: &mut Vec<Entry>,
) -> Result<(), ClientError> {
    if !is_pattern(part) {
        let path = join(folder, part);
        match if last {
            remote.stat(&path).await
        } else {
            Ok(folder_entry(path))
        } {
            Ok(entry) => found.push(entry),
            Err(error) if error.is_missing() => {}
            Err(error) => return Err(error),
        }
        return Ok(());
    }
    let pattern = Pattern::new(part).map_err(|error| bad(part, &error))?;
    let mut listing = remote.list(folder, false);
    while let Some(entry) = unless_missing(listing.next().await)? {
        if pattern.matches_with(entry.name(), BY_NAME) && (last || entry.is_folder()) {
            found.push(entry);
        }
    }
    Ok(())
}

/// All below `base` whose path from there matches.
async fn below(remote: &Remote, base: &str, rest: &str) -> Result<Vec<Entry>, ClientError> {
    let pattern = Pattern::new(rest).map_err(|error| bad(rest, &error))?;
    let mut listing = remote.list(base, true);
    let mut found = Vec::new();
    while let Some(entry) = unless_missing(listing.next().await)? {
        let relative = entry.full_path.strip_prefix(base).unwrap_or_default();
        if pattern.matches_with(relative.trim_start_matches('/'), BY_NAME) {
            found.push(entry);
        }
    }
    Ok(found)
}

/// A folder that is not there has nothing in it.
fn unless_missing(entry: Result<Option<Entry>, ClientError>) -> Result<Option<Entry>, ClientError> {
    match entry {
        Err(error) if error.is_missing() => Ok(None),
        entry => entry,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_split_before_its_first_pattern() {
        for (path, base, rest) in [
            ("/a/b/*.jpg", "/a/b", &["*.jpg"][..]),
            ("/*/b", "/", &["*", "b"]),
            ("/a/**/c[12].d", "/a", &["**", "c[12].d"]),
        ] {
            assert_eq!(split(path), (base.to_owned(), rest.to_vec()), "{path}");
        }
    }

    #[test]
    fn a_star_stays_within_a_name_and_two_do_not() {
        let matches = |pattern, name| Pattern::new(pattern).unwrap().matches_with(name, BY_NAME);
        assert!(matches("*.jpg", ".a.jpg") && !matches("*.jpg", "a/b.jpg"));
        assert!(matches("**/*.jpg", "a/b/c.jpg") && matches("**/*.jpg", "c.jpg"));
        assert!(matches("[ab]?", "b1") && !matches("[ab]?", "c1"));
    }

    #[test]
    fn here_the_very_name_comes_first() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
        for name in ["a1", "a2", "a[12]"] {
            std::fs::write(path(name), name).unwrap();
        }
        assert_eq!(
            here(&path("a[12]")).unwrap(),
            [PathBuf::from(path("a[12]"))]
        );
        let two = ["a1", "a2"].map(|name| PathBuf::from(path(name)));
        assert_eq!(here(&path("a?")).unwrap(), two);
        assert!(
            here(&path("b*"))
                .unwrap_err()
                .to_string()
                .contains("nothing matches")
        );
        assert_eq!(
            here("no-such-file").unwrap(),
            [PathBuf::from("no-such-file")]
        );
    }
}
