//! Showing a mounted volume at a pod's path. The copy is made of the daemon's own mount, which is private, or of its read-only twin: so that it
//! is nobody's peer, and was never to be written to where it may not be.

use std::path::PathBuf;

use super::{Mounts, replace};
use crate::error::{Error, Result};
use crate::mountinfo::Mount;
use crate::node::guard;
use crate::node::mounts::{is_bound, staged, unbind};

/// What is to be seen where.
#[derive(Debug, Clone)]
pub struct Bind {
    /// The target of a mount.
    pub mounted: PathBuf,
    /// A folder in it; empty for all of it.
    pub folder: PathBuf,
    /// A pod's path.
    pub target: PathBuf,
    /// Nothing can be written there.
    pub read_only: bool,
}

impl Mounts {
    /// Shows what is mounted at one path, or a folder of it, at another; success where it is there already.
    ///
    /// # Errors
    /// `NotNow` where it is not mounted by this mounter, `Differs` where something else is at the path.
    pub async fn bind(&self, wanted: &Bind) -> Result<()> {
        let mounted = wanted.mounted.as_path();
        let _held = self.busy.hold(&mounted.display().to_string())?;
        let staged = staged(mounted)?;
        if is_bound(&staged, &wanted.target, wanted.read_only)? {
            return Ok(());
        }
        let record = self.records.read(mounted)?.ok_or_else(|| {
            Error::NotNow(format!(
                "{} was not mounted by this mounter: unstage and stage it",
                mounted.display()
            ))
        })?;
        let source = self.source(&record).await?;
        let from = if wanted.read_only {
            source.read_only
        } else {
            source.writable
        };
        guard::make(&wanted.target)?;
        let bound = match replace::replace(&from.join(&wanted.folder), &wanted.target, None).await {
            Ok(()) => is_shown(&staged, wanted),
            Err(error) => Err(error),
        };
        if bound.is_err() {
            unbind(&wanted.target).await?;
        }
        bound
    }
}

fn is_shown(staged: &Mount, wanted: &Bind) -> Result<()> {
    if is_bound(staged, &wanted.target, wanted.read_only)? {
        return Ok(());
    }
    Err(Error::Internal(format!(
        "{} was bound, and is not in mountinfo",
        wanted.target.display()
    )))
}
