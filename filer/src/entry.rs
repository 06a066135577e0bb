//! What a name stands for: attributes, and a folder or the references to a file's content.

use std::collections::BTreeMap;

/// The bit of [`Attributes::mode`] that says folder: as in Go's `os.FileMode`, which SeaweedFS's clients see.
pub const MODE_FOLDER: u32 = 1 << 31;
/// The bit of [`Attributes::mode`] that says symbolic link (Go's `os.ModeSymlink`).
pub const MODE_SYMLINK: u32 = 1 << 27;
/// The mode of a folder that is made on the way to a file, as SeaweedFS's: 0771.
pub const MODE_OF_PARENTS: u32 = MODE_FOLDER | 0o771;
/// The mode of a file when nobody says another, as SeaweedFS's: 0660.
pub const MODE_OF_FILES: u32 = 0o660;

/// The filer's reference to one piece of content in the haystack; it does not look behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Needle {
    /// The volume that holds it.
    pub volume: u32,
    /// Its key in the volume.
    pub key: u64,
    /// Proves that whoever asks was given it.
    pub cookie: u32,
}

/// What is kept of a file or folder beside its content.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attributes {
    /// Unix permissions in the low bits; above them Go's bits. The filer sets or clears [`MODE_FOLDER`] itself.
    pub mode: u32,
    /// The owner's number.
    pub uid: u32,
    /// The group's number.
    pub gid: u32,
    /// The owner's name, or empty.
    pub user_name: String,
    /// The names of the owner's groups.
    pub group_names: Vec<String>,
    /// When the content was last changed, in nanoseconds since 1970.
    pub mtime_ns: u64,
    /// When the entry was made, in nanoseconds since 1970. A file's life ([`Self::ttl_secs`]) is counted from here.
    pub crtime_ns: u64,
    /// The media type, or empty.
    pub mime: String,
    /// How many seconds a file lives; 0 is for ever. Folders live for ever.
    pub ttl_secs: u32,
    /// MD5 of the whole content, where it is known.
    pub md5: Option<[u8; 16]>,
    /// Headers and tags that are kept for the client, by name.
    pub extended: BTreeMap<String, Vec<u8>>,
    /// Where a symbolic link leads, as the client wrote it. The filer follows no links.
    pub symlink_target: Option<String>,
}

/// A piece of a file's content: the `bytes` bytes of the file from `offset` are the first of `needle`, which may hold more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// Where the bytes are.
    pub needle: Needle,
    /// Where in the file they begin.
    pub offset: u64,
    /// How many there are.
    pub bytes: u64,
    /// When they were written, in nanoseconds since 1970: where chunks overlap, the latest is seen; of two from the same
    /// nanosecond, the one that comes later in the list.
    pub modified_ns: u64,
    /// Their MD5, where it is known.
    pub md5: Option<[u8; 16]>,
    /// CRC-32C of its needle's bytes, while all of them belong to the file: as long as it is not cut.
    pub crc32c: Option<u32>,
}

/// Where a file's bytes are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// In the row itself: for very small files.
    Inline(Vec<u8>),
    /// In needles.
    Chunks(Vec<Chunk>),
}

/// A file's length and where its bytes are; [`Content::views`] tells which.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Content {
    /// The file's length in bytes. What the body holds beyond it is not seen; what it does not hold below it is zeros.
    pub size: u64,
    /// Its bytes.
    pub body: Body,
}

impl Content {
    /// No bytes.
    pub const fn empty() -> Self {
        Self {
            size: 0,
            body: Body::Chunks(Vec::new()),
        }
    }

    /// Bytes that are kept in the row.
    pub fn inline(bytes: Vec<u8>) -> Self {
        Self {
            size: bytes.len() as u64,
            body: Body::Inline(bytes),
        }
    }

    /// Chunks; the file ends where the last of them does.
    pub fn chunks(chunks: Vec<Chunk>) -> Self {
        let ends = chunks
            .iter()
            .map(|chunk| chunk.offset.saturating_add(chunk.bytes));
        Self {
            size: ends.max().unwrap_or(0),
            body: Body::Chunks(chunks),
        }
    }

    /// Every needle that is referred to, seen or not.
    pub fn needles(&self) -> impl Iterator<Item = Needle> + '_ {
        let chunks: &[Chunk] = match &self.body {
            Body::Inline(_) => &[],
            Body::Chunks(chunks) => chunks,
        };
        chunks.iter().map(|chunk| chunk.needle)
    }
}

/// What an entry is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Bytes.
    File(Content),
    /// Names of other entries.
    Folder,
}

/// What a path leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Mode, owner, times and so on.
    pub attributes: Attributes,
    /// A file's content, or that it is a folder.
    pub kind: Kind,
}

impl Entry {
    /// A file; its mode loses [`MODE_FOLDER`].
    pub fn file(mut attributes: Attributes, content: Content) -> Self {
        attributes.mode &= !MODE_FOLDER;
        Self {
            attributes,
            kind: Kind::File(content),
        }
    }

    /// A folder; its mode gets [`MODE_FOLDER`].
    pub fn folder(mut attributes: Attributes) -> Self {
        attributes.mode |= MODE_FOLDER;
        Self {
            attributes,
            kind: Kind::Folder,
        }
    }

    /// Whether it is a folder.
    pub const fn is_folder(&self) -> bool {
        matches!(self.kind, Kind::Folder)
    }

    /// The content, if it is a file.
    pub const fn content(&self) -> Option<&Content> {
        match &self.kind {
            Kind::File(content) => Some(content),
            Kind::Folder => None,
        }
    }

    /// The content to be changed, if it is a file.
    pub const fn content_mut(&mut self) -> Option<&mut Content> {
        match &mut self.kind {
            Kind::File(content) => Some(content),
            Kind::Folder => None,
        }
    }

    /// A file's length in bytes; 0 for a folder.
    pub fn size(&self) -> u64 {
        self.content().map_or(0, |content| content.size)
    }

    /// Every needle that the entry refers to.
    pub fn needles(&self) -> impl Iterator<Item = Needle> + '_ {
        self.content().into_iter().flat_map(Content::needles)
    }

    /// When a file with a life ends, in nanoseconds since 1970.
    pub fn expires_ns(&self) -> Option<u64> {
        let life = u64::from(self.attributes.ttl_secs).saturating_mul(1_000_000_000);
        let lives = life > 0 && !self.is_folder();
        lives.then(|| self.attributes.crtime_ns.saturating_add(life))
    }

    /// Whether a file's life is over.
    pub fn is_expired(&self, now_ns: u64) -> bool {
        self.expires_ns().is_some_and(|end| end <= now_ns)
    }
}
