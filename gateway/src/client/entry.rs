//! What a server says of a file or folder.

use std::time::UNIX_EPOCH;

use serde::Deserialize;

/// Go's bit for a folder in a mode.
const FOLDER_BIT: u32 = 1 << 31;

/// One entry of a listing.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Entry {
    /// Its path; begins with a slash.
    pub full_path: String,
    /// RFC 3339.
    pub mtime: String,
    /// Permissions, and whether it is a folder.
    pub mode: u32,
    /// Media type.
    pub mime: String,
    /// Length of the content.
    pub file_size: u64,
    /// CRC-32C of the content, eight hex digits.
    pub crc32c: Option<String>,
    /// Where it points, if it is a link.
    pub symlink_target: String,
    /// It is no entry but the last line of a listing, which says that it is whole.
    #[serde(rename = "end")]
    pub ends: bool,
    /// It is no entry but says why the listing is broken off.
    #[serde(rename = "error")]
    pub failure: Option<String>,
}

impl Entry {
    /// Whether it is a folder.
    pub const fn is_folder(&self) -> bool {
        self.mode & FOLDER_BIT != 0
    }

    /// The last name of its path.
    pub fn name(&self) -> &str {
        super::address::name_of(&self.full_path)
    }

    /// When it was changed, Unix seconds; 0 where that is not said.
    pub fn mtime_secs(&self) -> u64 {
        let time = humantime::parse_rfc3339_weak(&self.mtime).ok();
        let since = time.and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        since.map_or(0, |since| since.as_secs())
    }

    /// CRC-32C of the content, where it is known.
    pub fn crc32c(&self) -> Option<u32> {
        parse_crc32c(self.crc32c.as_deref()?)
    }
}

/// Eight hex digits.
pub fn parse_crc32c(text: &str) -> Option<u32> {
    u32::from_str_radix(text, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_read_and_what_is_not_said_is_nothing() {
        let entry: Entry = serde_json::from_str(
            r#"{"FullPath":"/a/b.jpg","Mtime":"2026-11-22T10:00:00.123456789Z","Mode":432,"FileSize":5,
                "Md5":null,"Crc32c":"d4a26623","chunks":[{"fid":"3,01"}],"GroupNames":null}"#,
        )
        .unwrap();
        assert_eq!(entry.name(), "b.jpg");
        assert_eq!(entry.mtime_secs(), 1_795_341_600);
        assert_eq!(entry.crc32c(), Some(0xd4a2_6623));
        assert!(!entry.is_folder());
        let folder: Entry = serde_json::from_str(r#"{"FullPath":"/a","Mode":2147484152}"#).unwrap();
        assert!(folder.is_folder());
        assert_eq!((folder.crc32c(), folder.mtime_secs()), (None, 0));
    }
}
