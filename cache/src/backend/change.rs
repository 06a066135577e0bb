//! What can be asked to be changed.

/// How a file is begun.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreateOptions {
    /// Replaces a file that is there; else that is [`ErrorKind::AlreadyExists`](super::ErrorKind::AlreadyExists).
    pub overwrite: bool,
    /// Makes missing parents; else they are [`ErrorKind::NotFound`](super::ErrorKind::NotFound).
    pub create_parents: bool,
    /// POSIX permission bits.
    pub permission: u16,
    /// Copies, if not the store's own number.
    pub replication: Option<u16>,
    /// Block size in bytes, if not the store's own.
    pub block_bytes: Option<u64>,
}

impl Default for CreateOptions {
    fn default() -> Self {
        Self {
            overwrite: false,
            create_parents: true,
            permission: 0o644,
            replication: None,
            block_bytes: None,
        }
    }
}

/// What a rename does about its target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RenameMode {
    /// A target that is a folder takes the source into it, one that is a file refuses (HDFS's first `rename`, and `mv`).
    Into,
    /// A target that is there refuses.
    NoReplace,
    /// A target that is a file or an empty folder is replaced.
    Replace,
}

/// A change of what is known of a file beside its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// POSIX permission bits.
    Permission(u16),
    /// Owner and group; `None` stays.
    Owner {
        /// New owner.
        owner: Option<String>,
        /// New group.
        group: Option<String>,
    },
    /// Milliseconds since 1970; `None` stays.
    Times {
        /// Of the last change.
        modified_ms: Option<u64>,
        /// Of the last read.
        accessed_ms: Option<u64>,
    },
    /// Copies.
    Replication(u16),
    /// Sets entries, or adds them to those that stay.
    ModifyAcl(Vec<AclEntry>),
    /// Takes these entries away.
    RemoveAclEntries(Vec<AclEntry>),
    /// Takes away what a folder hands down.
    RemoveDefaultAcl,
    /// Leaves only the permission bits.
    RemoveAcl,
    /// Replaces all entries.
    SetAcl(Vec<AclEntry>),
}

impl Change {
    /// In words, for errors.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Permission(_) => "permissions",
            Self::Owner { .. } => "owners",
            Self::Times { .. } => "times",
            Self::Replication(_) => "replication",
            Self::ModifyAcl(_)
            | Self::RemoveAclEntries(_)
            | Self::RemoveDefaultAcl
            | Self::RemoveAcl
            | Self::SetAcl(_) => "access control lists",
        }
    }
}

/// One entry of an access control list, in HDFS's words: `default:user:bob:r-x`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AclEntry {
    /// Handed down to what is made in the folder.
    pub is_default: bool,
    /// `user`, `group`, `mask` or `other`.
    pub kind: String,
    /// Whom; empty for the owner, the owning group, mask and other.
    pub name: String,
    /// `rwx` bits; `None` in a list of entries to remove.
    pub permission: Option<u8>,
}

/// The access control list of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AclStatus {
    /// Owner.
    pub owner: String,
    /// Group.
    pub group: String,
    /// POSIX permission bits.
    pub permission: u16,
    /// Whether only the owner may delete.
    pub sticky: bool,
    /// Entries beyond the permission bits.
    pub entries: Vec<AclEntry>,
}
