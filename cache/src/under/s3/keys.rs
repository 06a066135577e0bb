//! Paths and keys.

use crate::backend::{BackendError, ErrorKind};

/// S3's own bound (Amazon S3 User Guide, "Naming Amazon S3 objects").
const KEY_BYTES_MAX: usize = 1024;

/// How paths become keys.
#[derive(Debug)]
pub(super) struct Keys {
    /// Empty, or ending with `/`.
    prefix: String,
}

impl Keys {
    pub(super) fn new(prefix: &str) -> Result<Self, BackendError> {
        let prefix = prefix.trim_matches('/');
        if prefix.is_empty() {
            return Ok(Self {
                prefix: String::new(),
            });
        }
        let keys = Self {
            prefix: format!("{prefix}/"),
        };
        check(&format!("/{prefix}"), &keys.prefix)?;
        Ok(keys)
    }

    pub(super) fn prefix(&self) -> &str {
        &self.prefix
    }

    /// The key of a file; `None` of the root, which is none.
    pub(super) fn of_file(&self, path: &str) -> Result<Option<String>, BackendError> {
        if path == "/" {
            return Ok(None);
        }
        let key = format!("{}{}", self.prefix, path.trim_start_matches('/'));
        check(path, &key)?;
        Ok(Some(key))
    }

    /// What the keys in a folder begin with: empty, or ending with `/`.
    pub(super) fn of_folder(&self, path: &str) -> Result<String, BackendError> {
        match self.of_file(path)? {
            None => Ok(self.prefix.clone()),
            Some(key) => Ok(key + "/"),
        }
    }
}

fn check(path: &str, key: &str) -> Result<(), BackendError> {
    let refuse = |why: String| {
        Err(BackendError::new(
            ErrorKind::Invalid,
            format!("{path}: {why}"),
        ))
    };
    if !path.starts_with('/') {
        return refuse("a path begins with /".to_owned());
    }
    let mut names = path.split('/').skip(1);
    if names.any(|name| matches!(name, "" | "." | "..")) {
        return refuse("a path has no empty segment, no . and no ..".to_owned());
    }
    if key.len() > KEY_BYTES_MAX {
        return refuse(format!(
            "its key would have {} bytes, and S3 takes {KEY_BYTES_MAX}",
            key.len()
        ));
    }
    Ok(())
}

/// The folder above.
pub(super) fn parent(path: &str) -> &str {
    match path.rsplit_once('/') {
        Some(("", _)) | None => "/",
        Some((parent, _)) => parent,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_become_keys_below_the_prefix() {
        let whole = Keys::new("").unwrap();
        assert_eq!(whole.of_file("/").unwrap(), None);
        assert_eq!(whole.of_file("/a/b").unwrap().unwrap(), "a/b");
        assert_eq!(whole.of_folder("/").unwrap(), "");
        let below = Keys::new("/data/x/").unwrap();
        assert_eq!(below.of_file("/a").unwrap().unwrap(), "data/x/a");
        assert_eq!(below.of_folder("/").unwrap(), "data/x/");
        assert_eq!(below.of_folder("/a/b").unwrap(), "data/x/a/b/");
    }

    #[test]
    fn what_is_no_path_is_refused() {
        let keys = Keys::new("p").unwrap();
        for path in ["", "a", "/a//b", "/a/", "/..", "/a/../b", "/."] {
            assert_eq!(
                keys.of_file(path).unwrap_err().kind,
                ErrorKind::Invalid,
                "{path}"
            );
        }
        assert!(keys.of_file(&format!("/{}", "x".repeat(1022))).is_ok());
        assert!(keys.of_file(&format!("/{}", "x".repeat(1023))).is_err());
        assert!(Keys::new("a/../b").is_err());
    }

    #[test]
    fn the_parent_of_a_name_in_the_root_is_the_root() {
        assert_eq!(
            (parent("/a"), parent("/a/b"), parent("/")),
            ("/", "/a", "/")
        );
    }
}
