//! Object URLs: `/{vid},{fid}`, `/{vid},{fid}.ext`, `/{vid}/{fid}`, `/{vid}/{fid}.ext`, `/{vid}/{fid}/{filename.ext}`.

use std::borrow::Cow;

use moongate_haystack::id::{FileId, FileIdError};
use percent_encoding::percent_decode_str;

/// What an object URL names.
#[derive(Debug, PartialEq, Eq)]
pub struct ObjectPath<'a> {
    /// The needle.
    pub fid: FileId,
    /// Extension of the last segment, without its dot; empty if none.
    pub ext: &'a str,
    /// File name, where the URL has one of its own.
    pub file_name: Option<Cow<'a, str>>,
    /// Last segment of the URL: what a raw upload without a name is called.
    pub last_segment: &'a str,
}

/// Whether a path is an object's: volume numbers begin with a digit, no other path here does.
pub fn is_object(path: &str) -> bool {
    path.as_bytes().get(1).is_some_and(u8::is_ascii_digit) || path.contains(',')
}

impl<'a> ObjectPath<'a> {
    /// Reads a path that begins with a slash.
    pub fn parse(path: &'a str) -> Result<Self, FileIdError> {
        let path = path.strip_prefix('/').unwrap_or(path);
        let Some((volume, rest)) = path.split_once('/') else {
            return Self::parse_comma(path);
        };
        let (fid, file_name) = rest
            .split_once('/')
            .map_or((rest, None), |(fid, name)| (fid, Some(name)));
        let (key, own_ext) = split_ext(fid);
        let ext = file_name.map_or(own_ext, |name| split_ext(name).1);
        let file_name = file_name
            .filter(|name| !name.is_empty())
            .map(|name| percent_decode_str(name).decode_utf8_lossy());
        Ok(Self {
            fid: join(volume, key)?,
            ext,
            file_name,
            last_segment: path.rsplit('/').next().unwrap_or_default(),
        })
    }

    /// The form without a further slash.
    fn parse_comma(segment: &'a str) -> Result<Self, FileIdError> {
        let (fid, ext) = split_ext(segment);
        let (volume, key) = fid
            .split_once(',')
            .ok_or_else(|| FileIdError::Key(fid.chars().take(64).collect()))?;
        Ok(Self {
            fid: join(volume, key)?,
            ext,
            file_name: None,
            last_segment: segment,
        })
    }
}

fn join(volume: &str, key: &str) -> Result<FileId, FileIdError> {
    let volume = FileId::parse_volume(volume)?;
    let (key, cookie) = FileId::parse_key(key)?;
    Ok(FileId {
        volume,
        key,
        cookie,
    })
}

fn split_ext(segment: &str) -> (&str, &str) {
    segment.rsplit_once('.').unwrap_or((segment, ""))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn all_forms_name_the_same_needle() {
        for (path, ext, name) in [
            ("/3,01637037d6", "", None),
            ("/3,01637037d6.jpg", "jpg", None),
            ("/3/01637037d6", "", None),
            ("/3/01637037d6.png", "png", None),
            ("/3/01637037d6/a%20b.gif", "gif", Some("a b.gif")),
            ("/3,00637037d6_1", "", None),
        ] {
            let object = ObjectPath::parse(path).unwrap();
            assert_eq!(object.fid.to_string(), "3,01637037d6", "{path}");
            assert_eq!(
                (object.ext, object.file_name.as_deref()),
                (ext, name),
                "{path}"
            );
        }
    }

    #[test]
    fn errors_say_what_is_wrong() {
        let volume = ObjectPath::parse("/abc,01637037d6")
            .unwrap_err()
            .to_string();
        assert!(
            volume.contains("strconv.ParseUint: parsing \"abc\": invalid syntax"),
            "{volume}"
        );
        assert!(
            ObjectPath::parse("/12")
                .unwrap_err()
                .to_string()
                .contains("Invalid fid: 12")
        );
    }

    proptest! {
        #[test]
        fn any_path_is_read_or_refused(path in "/[0-9a-f,./_%~é]{0,60}") {
            let _ = ObjectPath::parse(&path);
        }
    }
}
