//! Paths and names, parsed once where they come in; whoever holds one need not check it again.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};

use crate::error::FilerError;

/// The longest name, in bytes of UTF-8 (as in ext4, XFS and SeaweedFS).
pub const NAME_BYTES_MAX: usize = 255;
/// The longest path, in bytes of UTF-8 (Linux's `PATH_MAX`).
pub const PATH_BYTES_MAX: usize = 4096;
/// The most names in a path: it bounds what a walk keeps in memory.
pub const DEPTH_MAX: usize = 128;
/// Names that begin so at the root are the product's own.
pub const RESERVED_PREFIX: &str = ".moongate-";

/// One name in a folder: 1 to [`NAME_BYTES_MAX`] bytes of UTF-8 without `/` and control characters; not `.` or `..`.
/// Ordered by its bytes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(Box<str>);

impl Name {
    /// Takes one name.
    ///
    /// # Errors
    /// [`FilerError::BadName`], [`FilerError::NameTooLong`].
    pub fn parse(text: &str) -> Result<Self, FilerError> {
        check_name(text)?;
        Ok(Self(text.into()))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn check_name(name: &str) -> Result<(), FilerError> {
    let bad = |why| Err(FilerError::BadName(why));
    match name {
        "" => bad("a name is empty"),
        "." | ".." => bad("the names . and .. are not resolved here: send the path that is meant"),
        _ if name.len() > NAME_BYTES_MAX => Err(FilerError::NameTooLong { bytes: name.len() }),
        _ if name.contains('/') => bad("a name holds a slash"),
        _ if name.chars().any(char::is_control) => bad("a name holds a control character"),
        _ => Ok(()),
    }
}

/// A normalised absolute path: `/`, or `/` and [names](Name) with one slash between them.
///
/// Equality and order do not look at the trailing slash that the text may have had. Ordered name by name, so that a
/// folder comes right before what is in it.
#[derive(Clone, Debug)]
pub struct FilePath {
    /// Normalised: no trailing slash but the root's.
    text: Box<str>,
    folder_form: bool,
}

impl FilePath {
    /// The folder that holds everything.
    pub fn root() -> Self {
        Self {
            text: "/".into(),
            folder_form: true,
        }
    }

    /// Takes a path as it stands in a URL after percent-decoding. Repeated slashes count as one; a trailing slash is
    /// remembered ([`Self::is_folder_form`]) and taken off.
    ///
    /// # Errors
    /// [`FilerError::BadName`], [`FilerError::NameTooLong`], [`FilerError::PathTooLong`], [`FilerError::TooDeep`],
    /// [`FilerError::Reserved`].
    pub fn parse(text: &str) -> Result<Self, FilerError> {
        let path = Self::parse_reserved(text)?;
        match path.is_reserved() {
            true => Err(FilerError::Reserved),
            false => Ok(path),
        }
    }

    /// As [`Self::parse`], of bytes that may not be UTF-8.
    ///
    /// # Errors
    /// As [`Self::parse`]; [`FilerError::BadName`] for what is not UTF-8.
    pub fn parse_bytes(bytes: &[u8]) -> Result<Self, FilerError> {
        match std::str::from_utf8(bytes) {
            Ok(text) => Self::parse(text),
            Err(_) => Err(FilerError::BadName("it is not UTF-8")),
        }
    }

    /// As [`Self::parse`], but names that begin with [`RESERVED_PREFIX`] are allowed: for the product's own folders.
    ///
    /// # Errors
    /// As [`Self::parse`], but [`FilerError::Reserved`].
    pub fn parse_reserved(text: &str) -> Result<Self, FilerError> {
        if !text.starts_with('/') {
            return Err(FilerError::BadName("a path begins with a slash"));
        }
        let mut clean = String::with_capacity(text.len().min(PATH_BYTES_MAX));
        let mut depth = 0;
        for name in text.split('/').filter(|name| !name.is_empty()) {
            check_name(name)?;
            depth += 1;
            clean.push('/');
            clean.push_str(name);
        }
        check_size(clean.len(), depth)?;
        if clean.is_empty() {
            return Ok(Self::root());
        }
        Ok(Self {
            text: clean.into(),
            folder_form: text.ends_with('/'),
        })
    }

    /// The normalised text: begins with a slash, and ends with one only if it is the root.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether the text ended with a slash, which asks for a folder.
    pub fn is_folder_form(&self) -> bool {
        self.folder_form
    }

    /// Whether this is the root.
    pub fn is_root(&self) -> bool {
        self.text.len() == 1
    }

    /// Whether the first name is kept for the product's own use.
    pub fn is_reserved(&self) -> bool {
        self.names()
            .next()
            .is_some_and(|name| name.starts_with(RESERVED_PREFIX))
    }

    /// The names from the root down; none for the root.
    pub fn names(&self) -> impl DoubleEndedIterator<Item = &str> + Clone {
        self.text.split('/').filter(|name| !name.is_empty())
    }

    /// The last name; `None` for the root.
    pub fn name(&self) -> Option<Name> {
        self.split().map(|(_, name)| Name(name.into()))
    }

    /// The folder that holds this; `None` for the root.
    pub fn parent(&self) -> Option<Self> {
        let (folder, _) = self.split()?;
        Some(self.up_to(folder.len()))
    }

    /// The text of the folder (empty for the root) and the last name; `None` for the root.
    pub(crate) fn split(&self) -> Option<(&str, &str)> {
        self.text
            .rsplit_once('/')
            .filter(|(_, name)| !name.is_empty())
    }

    /// The path of the first `bytes` of the text, which must end before a slash.
    fn up_to(&self, bytes: usize) -> Self {
        match self.text.get(..bytes) {
            None | Some("") => Self::root(),
            Some(text) => Self {
                text: text.into(),
                folder_form: true,
            },
        }
    }

    /// The path of the first `count` names.
    pub(crate) fn first_names(&self, count: usize) -> Self {
        let bytes: usize = self.names().take(count).map(|name| name.len() + 1).sum();
        self.up_to(bytes)
    }

    /// The path of a name in this folder.
    ///
    /// # Errors
    /// [`FilerError::PathTooLong`], [`FilerError::TooDeep`].
    pub fn join(&self, name: &Name) -> Result<Self, FilerError> {
        let folder = if self.is_root() { "" } else { self.as_str() };
        let text = format!("{folder}/{name}");
        check_size(text.len(), self.names().count() + 1)?;
        Ok(Self {
            text: text.into(),
            folder_form: false,
        })
    }

    /// Whether this is below `folder`, and not `folder` itself.
    pub fn is_inside(&self, folder: &Self) -> bool {
        if folder.is_root() {
            return !self.is_root();
        }
        self.text
            .strip_prefix(folder.as_str())
            .is_some_and(|rest| rest.starts_with('/'))
    }
}

fn check_size(bytes: usize, depth: usize) -> Result<(), FilerError> {
    if bytes > PATH_BYTES_MAX {
        return Err(FilerError::PathTooLong { bytes });
    }
    if depth > DEPTH_MAX {
        return Err(FilerError::TooDeep { depth });
    }
    Ok(())
}

impl fmt::Display for FilePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl PartialEq for FilePath {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for FilePath {}

impl Hash for FilePath {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.text.hash(state);
    }
}

impl Ord for FilePath {
    fn cmp(&self, other: &Self) -> Ordering {
        self.names().cmp(other.names())
    }
}

impl PartialOrd for FilePath {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn slashes_collapse_and_the_last_is_reported() {
        let path = FilePath::parse("//a///b.jpg//").unwrap();
        assert_eq!((path.as_str(), path.is_folder_form()), ("/a/b.jpg", true));
        assert_eq!(path, FilePath::parse("/a/b.jpg").unwrap());
        assert!(!FilePath::parse("/a/b.jpg").unwrap().is_folder_form());
        assert_eq!(FilePath::parse("///").unwrap(), FilePath::root());
    }

    #[test]
    fn what_cannot_be_a_path_is_refused() {
        for bad in [
            "", "a", "/a/../b", "/.", "/a\0b", "/a\nb", "/\u{7f}", "/\u{85}",
        ] {
            let refusal = FilePath::parse(bad).unwrap_err();
            assert!(
                matches!(refusal, FilerError::BadName(_)),
                "{bad:?}: {refusal}"
            );
        }
        assert!(FilePath::parse_bytes(b"/a\xff").is_err());
        assert!(FilePath::parse("/a/..b/...").is_ok());
    }

    #[test]
    fn bounds_are_exact() {
        let name = "é".repeat(127) + "x";
        assert!(FilePath::parse(&format!("/{name}")).is_ok());
        assert_eq!(
            FilePath::parse(&format!("/{name}x")),
            Err(FilerError::NameTooLong { bytes: 256 })
        );
        assert!(FilePath::parse(&"/x".repeat(DEPTH_MAX)).is_ok());
        assert_eq!(
            FilePath::parse(&"/x".repeat(DEPTH_MAX + 1)),
            Err(FilerError::TooDeep {
                depth: DEPTH_MAX + 1
            })
        );
        let long = format!("/{}", "y".repeat(NAME_BYTES_MAX)).repeat(16);
        assert!(FilePath::parse(&long).is_ok());
        assert_eq!(
            FilePath::parse(&format!("{long}/")).map(|path| path.as_str().len()),
            Ok(PATH_BYTES_MAX)
        );
        assert_eq!(
            FilePath::parse(&format!("{long}/z")),
            Err(FilerError::PathTooLong { bytes: 4098 })
        );
    }

    #[test]
    fn the_products_own_names_are_reserved_at_the_root_only() {
        assert_eq!(FilePath::parse("/.moongate-x/y"), Err(FilerError::Reserved));
        assert!(FilePath::parse("/a/.moongate-x").is_ok());
        assert!(
            FilePath::parse_reserved("/.moongate-x/y")
                .unwrap()
                .is_reserved()
        );
    }

    #[test]
    fn families_are_told() {
        let path = FilePath::parse("/a/b").unwrap();
        let a = FilePath::parse("/a").unwrap();
        assert_eq!(path.parent(), Some(a.clone()));
        assert_eq!(a.parent(), Some(FilePath::root()));
        assert_eq!(FilePath::root().parent(), None);
        assert_eq!(a.join(&path.name().unwrap()).unwrap(), path);
        assert!(path.is_inside(&a) && !a.is_inside(&a) && a.is_inside(&FilePath::root()));
        assert!(!FilePath::parse("/ab").unwrap().is_inside(&a));
        assert_eq!(path.first_names(1), a);
    }

    #[test]
    fn a_folder_comes_right_before_what_is_in_it() {
        let mut paths: Vec<FilePath> = ["/a.b", "/a/b", "/a", "/", "/b"]
            .iter()
            .map(|text| FilePath::parse(text).unwrap())
            .collect();
        paths.sort();
        let texts: Vec<&str> = paths.iter().map(FilePath::as_str).collect();
        assert_eq!(texts, ["/", "/a", "/a/b", "/a.b", "/b"]);
    }

    proptest! {
        #[test]
        fn what_parses_parses_again_to_itself(text in "[/a.\u{e9}\u{1}]{0,12}") {
            if let Ok(path) = FilePath::parse(&text) {
                prop_assert_eq!(&FilePath::parse(path.as_str()).unwrap(), &path);
                let mut built = FilePath::root();
                for name in path.names() {
                    built = built.join(&Name::parse(name).unwrap()).unwrap();
                }
                prop_assert_eq!(built, path);
            }
        }

        #[test]
        fn any_bytes_are_parsed_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
            let _ = FilePath::parse_bytes(&bytes);
        }
    }
}
