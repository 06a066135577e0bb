//! The path of a request, decoded and checked once.

use moongate_filer::{FilePath, FilerError};
use percent_encoding::percent_decode_str;

/// What a URL's path names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The path, normalised.
    pub path: FilePath,
}

impl Target {
    /// Decodes the path of a URL.
    ///
    /// # Errors
    /// It is no path of files: says why.
    pub fn parse(url_path: &str) -> Result<Self, FilerError> {
        let bytes: Vec<u8> = percent_decode_str(url_path).collect();
        Ok(Self {
            path: FilePath::parse_bytes(&bytes)?,
        })
    }

    /// Whether it was written as a folder, with a slash at its end.
    pub fn is_folder_form(&self) -> bool {
        self.path.is_folder_form()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn decoded_once_and_checked_after() {
        let path = |url: &str| Target::parse(url).map(|target| target.path.to_string());
        assert_eq!(path("/a%20b//c%C3%A9.jpg").unwrap(), "/a b/cé.jpg");
        assert_eq!(path("/a%2520b").unwrap(), "/a%20b");
        for bad in ["/a/../b", "/%2e%2e/x", "/a%00b", "/%ff", "/a/.%2e/b"] {
            assert!(path(bad).is_err(), "{bad}");
        }
        let long = format!("/{}", "x".repeat(256));
        assert!(matches!(
            Target::parse(&long),
            Err(FilerError::NameTooLong { .. })
        ));
    }

    proptest! {
        #[test]
        fn any_path_is_read_or_refused(path in "/[ -~%é\u{0}]{0,80}") {
            let _ = Target::parse(&path);
        }
    }
}
