//! Paths of the namespace: one normal form, made where a request comes in.

use moongate_cache::{BackendError, ErrorKind};

/// The longest path, in bytes.
pub const PATH_BYTES_MAX: usize = 8000;

/// The normal form of a decoded path: `/`, or `/a/b`. Repeated slashes count as one, one at the end as none.
///
/// # Errors
/// [`ErrorKind::Invalid`]: it is relative, too long, or holds `.`, `..` or a NUL.
pub fn normal(text: &str) -> Result<String, BackendError> {
    let invalid = |why: &str| {
        let text = format!("Invalid path name {text}: {why}");
        Err(BackendError::new(ErrorKind::Invalid, text))
    };
    if !text.starts_with('/') {
        return invalid("a path begins with a slash");
    }
    if text.len() > PATH_BYTES_MAX {
        return invalid("it is too long");
    }
    let mut clean = String::with_capacity(text.len());
    for name in names(text) {
        if matches!(name, "." | "..") {
            return invalid("the names . and .. are not resolved: send the path that is meant");
        }
        if name.contains('\0') {
            return invalid("a name holds a zero byte");
        }
        clean.push('/');
        clean.push_str(name);
    }
    if clean.is_empty() {
        clean.push('/');
    }
    Ok(clean)
}

/// The names of a path, from the root down; none of the root.
pub fn names(path: &str) -> impl DoubleEndedIterator<Item = &str> {
    path.split('/').filter(|name| !name.is_empty())
}

/// The path of a name in a folder.
pub fn join(folder: &str, name: &str) -> String {
    format!("{}/{name}", folder.trim_end_matches('/'))
}

/// The last name; empty of the root.
pub fn name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or_default()
}

/// The folder that holds a path; the root's is the root.
pub fn parent(path: &str) -> &str {
    match path.rfind('/') {
        Some(0) | None => "/",
        Some(at) => path.get(..at).unwrap_or("/"),
    }
}

/// The path as seen from `folder`, if it is that or below it: `/` of `folder` itself.
pub fn within<'p>(path: &'p str, folder: &str) -> Option<&'p str> {
    if folder == "/" {
        return Some(path);
    }
    match path.strip_prefix(folder)? {
        "" => Some("/"),
        rest if rest.starts_with('/') => Some(rest),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn one_form() {
        for (given, want) in [
            ("/", "/"),
            ("//", "/"),
            ("/a//b/", "/a/b"),
            ("/é b", "/é b"),
            ("/a/...", "/a/..."),
        ] {
            assert_eq!(normal(given).unwrap(), want);
        }
        for bad in ["", "a", "/a/../b", "/.", "/a\0b"] {
            assert_eq!(normal(bad).unwrap_err().kind, ErrorKind::Invalid, "{bad}");
        }
    }

    #[test]
    fn folders_and_names() {
        assert_eq!((name("/a/b"), parent("/a/b")), ("b", "/a"));
        assert_eq!((name("/a"), parent("/a")), ("a", "/"));
        assert_eq!((name("/"), parent("/")), ("", "/"));
        assert_eq!(within("/a/b", "/a"), Some("/b"));
        assert_eq!(within("/a", "/a"), Some("/"));
        assert_eq!(within("/ab", "/a"), None);
        assert_eq!(within("/ab", "/"), Some("/ab"));
        assert_eq!(
            (join("/", "a"), join("/a", "b")),
            ("/a".into(), "/a/b".into())
        );
    }

    proptest! {
        #[test]
        fn normal_stays_normal(text in "/[a-c/.é]{0,20}") {
            if let Ok(path) = normal(&text) {
                prop_assert_eq!(normal(&path).unwrap(), path.clone());
                prop_assert_eq!(path == "/", name(&path).is_empty());
                if path != "/" {
                    prop_assert_eq!(join(parent(&path), name(&path)), path);
                }
            }
        }
    }
}
