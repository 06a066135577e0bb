//! What is known of a file or a folder.

use std::sync::Arc;

/// File or folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FileKind {
    /// Bytes.
    File,
    /// Names.
    Directory,
}

/// What the store says of one file or folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// Last segment of the path; empty for what was asked by its path.
    pub name: String,
    /// File or folder.
    pub kind: FileKind,
    /// Length in bytes; 0 of a folder.
    pub len: u64,
    /// Milliseconds since 1970 of the last change of the content.
    pub modified_ms: u64,
    /// Milliseconds since 1970 of the last read, where the store keeps it; else 0.
    pub accessed_ms: u64,
    /// Owner.
    pub owner: Arc<str>,
    /// Group.
    pub group: Arc<str>,
    /// POSIX permission bits, `0o644`, with the sticky bit.
    pub permission: u16,
    /// Copies that the store keeps; 0 of a folder.
    pub replication: u16,
    /// Block size in bytes, by which readers split a file; 0 of a folder.
    pub block_bytes: u64,
    /// Opaque word that changes with the content (an S3 ETag), where the store has one.
    pub etag: Option<Arc<str>>,
}

/// What tells two contents of one path apart: all that the store says of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Version {
    /// Length in bytes.
    pub len: u64,
    /// Milliseconds since 1970.
    pub modified_ms: u64,
    /// See [`Status::etag`].
    pub etag: Option<Arc<str>>,
}

impl Status {
    /// Whether it is a folder.
    pub const fn is_dir(&self) -> bool {
        matches!(self.kind, FileKind::Directory)
    }

    /// Which content this is of the path.
    pub fn version(&self) -> Version {
        Version {
            len: self.len,
            modified_ms: self.modified_ms,
            etag: self.etag.clone(),
        }
    }
}

/// A part of a folder's entries.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// Ascending by the bytes of their names.
    pub entries: Arc<[Status]>,
    /// Whether more come after the last one.
    pub more: bool,
}

/// How much a tree holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Files.
    pub files: u64,
    /// Folders, the asked one among them.
    pub directories: u64,
    /// Bytes of all files.
    pub len: u64,
    /// Bytes on disks, with all copies.
    pub space_bytes: u64,
    /// Names allowed, or -1.
    pub quota: i64,
    /// Bytes on disks allowed, or -1.
    pub space_quota_bytes: i64,
}

/// A store's own checksum of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checksum {
    /// `MD5-of-0MD5-of-512CRC32C`
    pub algorithm: String,
    /// Lowercase hexadecimal.
    pub bytes: String,
    /// Length in bytes, as the store tells it.
    pub len: u64,
}

/// Where a stretch of a file can be read near by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Location {
    /// First byte.
    pub offset: u64,
    /// Bytes.
    pub len: u64,
    /// `host:port` of each holder.
    pub names: Vec<String>,
}
