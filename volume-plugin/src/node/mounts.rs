//! Mounting, binding, unmounting and measuring, each with a deadline. A mount is believed only after mountinfo and statfs say so: the
//! mount command has been seen to return 0 with nothing mounted.

use std::path::{Path, PathBuf};
use std::time::Duration;

use moongate_proto::csi::VolumeUsage;
use moongate_proto::csi::volume_usage::Unit;
use rustix::fs::StatFs;

use super::guard;
use crate::command::{must, run};
use crate::error::{Error, Result};
use crate::mountinfo::{self, Mount};
use crate::patience::patiently;

const UNMOUNT_LIMIT: Duration = Duration::from_secs(20);
const GLUSTER: &str = "fuse.glusterfs";
const FUSE_MAGIC: i64 = 0x6573_5546;
/// Mounts over one another at one path.
const LAYERS_MAX: usize = 64;

/// Whether a pod's path has what is staged already.
///
/// # Errors
/// `Differs` where something else is there, or the same with more or fewer rights.
pub fn is_bound(staged: &Mount, target: &Path, read_only: bool) -> Result<bool> {
    match mountinfo::find(target)? {
        None => Ok(false),
        Some(there) => same(&there, staged, read_only, target).map(|()| true),
    }
}

/// What is staged there.
///
/// # Errors
/// `NotNow` where nothing is, `Differs` where it is not gluster's.
pub fn staged(staging: &Path) -> Result<Mount> {
    let staged = mountinfo::find(staging)?.ok_or_else(|| {
        Error::NotNow(format!(
            "{} is not mounted: stage the volume first",
            staging.display()
        ))
    })?;
    is_volume(&staged, None, staging)?;
    Ok(staged)
}

/// Takes away a pod's path with what is mounted there; one that is gone is success.
///
/// # Errors
/// `Unavailable` where it does not let go, `Internal` where something lies in the bare folder.
pub async fn unbind(target: &Path) -> Result<()> {
    unmount(target).await?;
    guard::lift(target);
    match tokio::fs::remove_dir(target).await {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::Internal(format!("{}: {error}", target.display())))
        }
        _ => Ok(()),
    }
}

/// Other paths than these at which what is staged can be seen: pods that have it.
///
/// # Errors
/// `Internal` where `/proc` cannot be read.
pub fn others(staged: &Mount, except: &[&Path]) -> Result<Vec<PathBuf>> {
    let points = mountinfo::visible("self")?
        .into_iter()
        .filter(|mount| mount.device == staged.device)
        .map(|mount| mount.point);
    let all = points.filter(|point| !except.iter().any(|path| point.starts_with(path)));
    Ok(all.collect())
}

fn same(there: &Mount, staged: &Mount, read_only: bool, target: &Path) -> Result<()> {
    if there.device == staged.device && there.read_only == read_only {
        return Ok(());
    }
    Err(Error::Differs(format!(
        "{} is in use by another mount ({}): unpublish it first",
        target.display(),
        there.source
    )))
}

/// Unmounts all that is mounted at a path; nothing there is success. What does not let go in time is detached: it ends with its last user.
///
/// # Errors
/// `Unavailable` where even that hangs.
pub async fn unmount(target: &Path) -> Result<()> {
    for _ in 0..LAYERS_MAX {
        if mountinfo::find(target)?.is_none() {
            return Ok(());
        }
        // -c: the path is not resolved, which would ask a dead file system.
        let plain = run("umount", &["-c", text(target)?], UNMOUNT_LIMIT).await;
        if !plain.is_ok_and(|ended| ended.ok) {
            must("umount", &["-c", "-l", text(target)?], UNMOUNT_LIMIT).await?;
        }
    }
    Err(Error::Unavailable(format!(
        "{} is mounted more than {LAYERS_MAX} times",
        target.display()
    )))
}

/// Whether a volume of gluster's is mounted there.
///
/// # Errors
/// `NotFound` where it is not.
pub fn mounted(path: &Path) -> Result<Mount> {
    let there = mountinfo::find(path)?.filter(|there| is_volume(there, None, path).is_ok());
    there.ok_or_else(|| Error::NotFound(format!("no volume is mounted at {}", path.display())))
}

/// Bytes and inodes of a mounted volume.
///
/// # Errors
/// `Unavailable` where it does not answer.
pub async fn usage(path: &Path) -> Result<Vec<VolumeUsage>> {
    let seen = answers(path).await?;
    let unit = u64::from(u32::try_from(seen.f_bsize).unwrap_or(0));
    let bytes = usage_of(
        seen.f_blocks,
        seen.f_bfree,
        seen.f_bavail,
        unit,
        Unit::Bytes,
    );
    let inodes = usage_of(seen.f_files, seen.f_ffree, seen.f_ffree, 1, Unit::Inodes);
    Ok(vec![bytes, inodes])
}

fn usage_of(total: u64, free: u64, available: u64, unit: u64, kind: Unit) -> VolumeUsage {
    let signed = |count: u64| i64::try_from(count.saturating_mul(unit)).unwrap_or(i64::MAX);
    VolumeUsage {
        total: signed(total),
        available: signed(available),
        used: signed(total.saturating_sub(free)),
        unit: kind.into(),
    }
}

/// Whether this is gluster's, and of this volume where it is known: `volume`, or `volume/folder/in/it`.
///
/// # Errors
/// `Differs` where it is something else.
pub fn is_volume(there: &Mount, volume: Option<&str>, target: &Path) -> Result<()> {
    let source = there.source.rsplit_once(":/");
    let source = source.map_or(there.source.as_str(), |(_, volume)| volume);
    let of = |volume: &str| volume.split('/').next() == source.split('/').next();
    if there.kind == GLUSTER && volume.is_none_or(of) {
        return Ok(());
    }
    Err(Error::Differs(format!(
        "{} holds {} ({}), not the volume that is asked for: unmount it first",
        target.display(),
        there.source,
        there.kind
    )))
}

/// What the file system says of itself. One that is there and is no FUSE file system is an error: nothing is mounted.
///
/// # Errors
/// `Unavailable` where it does not answer.
pub async fn answers(target: &Path) -> Result<StatFs> {
    let path = target.to_owned();
    let look = move || rustix::fs::statfs(&path).map_err(std::io::Error::from);
    let seen = patiently(target, look).await?;
    if seen.f_type as i64 != FUSE_MAGIC {
        return Err(Error::Unavailable(format!(
            "{} is no FUSE file system",
            target.display()
        )));
    }
    Ok(seen)
}

fn text(path: &Path) -> Result<&str> {
    path.to_str()
        .ok_or_else(|| Error::Invalid(format!("{} is not UTF-8", path.display())))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_not_mounted_is_not_taken_for_a_volume() {
        let folder = tempfile::tempdir().unwrap();
        let (staging, target) = (folder.path().join("s"), folder.path().join("t"));
        assert!(matches!(staged(&staging), Err(Error::NotNow(_))));
        assert!(matches!(mounted(&target), Err(Error::NotFound(_))));
        unmount(&target).await.unwrap();
    }
}
