//! What can go wrong in the haystack, told apart by what the caller should do.

use std::sync::Arc;

use crate::id::{Cookie, NeedleKey, VolumeId};
use crate::index::IndexError;
use crate::needle::NeedleError;

/// An operation on needles or volumes failed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum HaystackError {
    /// No such volume here: look the fid's volume up again.
    #[error("volume {0} not found")]
    VolumeNotFound(VolumeId),
    /// Nothing is stored under this key (or it is deleted, expired, or its cookie is another): give up.
    #[error("not found")]
    NotFound,
    /// The key exists with another cookie: the fid is wrong.
    #[error("mismatching cookie {:x}", .0.0)]
    CookieMismatch(Cookie),
    /// The key was never handed out: ask for a file id first.
    #[error("key {:x} was never assigned: get a file id from /dir/assign first", .0.0)]
    KeyNeverAssigned(NeedleKey),
    /// A condition of the request does not hold.
    #[error("precondition failed")]
    PreconditionFailed,
    /// The volume takes no writes (why is said): write elsewhere.
    #[error("volume {0} is read only: {1}")]
    ReadOnly(VolumeId, Arc<str>),
    /// The volume has reached the size that its format can address: write elsewhere.
    #[error("volume {0} is full")]
    VolumeFull(VolumeId),
    /// The disk is full: delete, vacuum, or add disks; then try again.
    #[error("no space left on the disk of volume {0}: delete images and vacuum, or add a disk")]
    NoSpace(VolumeId),
    /// What is on disk is not what was written: restore the needle from where it came from.
    #[error("needle {:x} in volume {volume} is damaged: {fault}", .key.0)]
    Damaged {
        /// The volume.
        volume: VolumeId,
        /// The needle.
        key: NeedleKey,
        /// What does not match.
        fault: NeedleError,
    },
    /// Too much is waiting: try again later.
    #[error("too many writes are waiting")]
    Busy,
    /// The disk or the index failed: see the log.
    #[error("{0}")]
    Storage(Arc<str>),
}

impl HaystackError {
    /// A failure of the operating system, on a volume.
    pub fn from_io(volume: VolumeId, error: &std::io::Error) -> Self {
        match error.kind() {
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => {
                Self::NoSpace(volume)
            }
            _ => Self::Storage(format!("volume {volume}: {error}").into()),
        }
    }
}

impl From<IndexError> for HaystackError {
    fn from(error: IndexError) -> Self {
        Self::Storage(error.to_string().into())
    }
}
