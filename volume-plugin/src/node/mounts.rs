//! Mounting, binding, unmounting and measuring, each with a deadline. A mount is believed only after mountinfo and statfs say so: the
//! mount command has been seen to return 0 with nothing mounted.

use std::path::{Path, PathBuf};
use std::time::Duration;

use moongate_proto::csi::VolumeUsage;
use moongate_proto::csi::volume_usage::Unit;

use crate::command::{must, run};
use crate::error::{Error, Result};
use crate::mountinfo::{self, Mount};

const MOUNT_LIMIT: Duration = Duration::from_secs(60);
const UNMOUNT_LIMIT: Duration = Duration::from_secs(20);
const LOOK_LIMIT: Duration = Duration::from_secs(10);
const GLUSTER: &str = "fuse.glusterfs";
const FUSE_MAGIC: i64 = 0x6573_5546;
/// Mounts over one another at one path.
const LAYERS_MAX: usize = 16;

/// gluster's FUSE client.
#[derive(Debug, Clone)]
pub struct Client {
    log_folder: PathBuf,
}

impl Client {
    /// Its logs go to this folder, a file a volume.
    #[must_use]
    pub fn new(log_folder: PathBuf) -> Self {
        Self { log_folder }
    }

    /// Mounts a volume; one that is mounted there already and answers is success.
    ///
    /// # Errors
    /// `Differs` where something else is mounted there, `Unavailable` where gluster does not answer.
    pub async fn mount(
        &self,
        id: &str,
        servers: &str,
        flags: &[String],
        target: &Path,
    ) -> Result<()> {
        if let Some(there) = mountinfo::find(target)? {
            is_volume(&there, id, target)?;
            if answers(target).await.is_ok() {
                return Ok(());
            }
            // Its daemon is dead, or it has lost its bricks: mounted anew it works, or says why not.
            unmount(target).await?;
        }
        tokio::fs::create_dir_all(target)
            .await
            .map_err(|error| at(target, &error))?;
        let (source, options) = self.arguments(id, servers, flags)?;
        let answer = must(
            "mount",
            &["-t", "glusterfs", "-o", &options, &source, text(target)?],
            MOUNT_LIMIT,
        )
        .await;
        let checked = match answer {
            Ok(_) => check(id, target).await,
            Err(error) => Err(error),
        };
        if let Err(error) = checked {
            unmount(target).await?;
            return Err(Error::Unavailable(format!(
                "{source} cannot be mounted: {error}; its log is in {}",
                self.log_folder.display()
            )));
        }
        Ok(())
    }

    fn arguments(&self, id: &str, servers: &str, flags: &[String]) -> Result<(String, String)> {
        let mut servers = servers
            .split(',')
            .map(str::trim)
            .filter(|server| !server.is_empty());
        let first = servers
            .next()
            .ok_or_else(|| Error::Invalid("volume_context: no servers".to_owned()))?;
        let others: Vec<&str> = servers.collect();
        let mut options = vec![format!(
            "log-file={}",
            self.log_folder.join(format!("{id}.log")).display()
        )];
        if !others.is_empty() {
            options.push(format!("backup-volfile-servers={}", others.join(":")));
        }
        options.extend(flags.iter().cloned());
        Ok((format!("{first}:/{id}"), options.join(",")))
    }
}

/// Binds a staged volume to a pod's path; one that is bound there already is success.
///
/// # Errors
/// `NotNow` where it is not staged, `Differs` where something else is at the path.
pub async fn bind(id: &str, staging: &Path, target: &Path, read_only: bool) -> Result<()> {
    let staged = mountinfo::find(staging)?;
    let staged = staged.ok_or_else(|| {
        Error::NotNow(format!(
            "{} is not mounted: stage volume {id} first",
            staging.display()
        ))
    })?;
    is_volume(&staged, id, staging)?;
    if let Some(there) = mountinfo::find(target)? {
        return same(&there, &staged, read_only, target);
    }
    tokio::fs::create_dir_all(target)
        .await
        .map_err(|error| at(target, &error))?;
    let bound = bind_anew(staging, target, read_only).await;
    if bound.is_err() {
        unmount(target).await?;
        let _ = tokio::fs::remove_dir(target).await;
    }
    bound
}

async fn bind_anew(staging: &Path, target: &Path, read_only: bool) -> Result<()> {
    must(
        "mount",
        &["--bind", text(staging)?, text(target)?],
        MOUNT_LIMIT,
    )
    .await?;
    if read_only {
        must(
            "mount",
            &["-o", "remount,bind,ro", text(target)?],
            MOUNT_LIMIT,
        )
        .await?;
    }
    match mountinfo::find(target)? {
        Some(there) if there.read_only == read_only => Ok(()),
        _ => Err(Error::Internal(format!(
            "{} was bound, and is not in mountinfo as it should be",
            target.display()
        ))),
    }
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

/// Bytes and inodes of a mounted volume.
///
/// # Errors
/// `NotFound` where it is not mounted, `Unavailable` where it does not answer.
pub async fn usage(id: &str, path: &Path) -> Result<Vec<VolumeUsage>> {
    let there = mountinfo::find(path)?.filter(|there| is_volume(there, id, path).is_ok());
    if there.is_none() {
        return Err(Error::NotFound(format!(
            "volume {id} is not mounted at {}",
            path.display()
        )));
    }
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

async fn check(id: &str, target: &Path) -> Result<()> {
    let there = mountinfo::find(target)?;
    let there = there.ok_or_else(|| {
        Error::Unavailable(
            "mount returned, and nothing is mounted: the servers may refuse this client".to_owned(),
        )
    })?;
    is_volume(&there, id, target)?;
    answers(target).await.map(|_| ())
}

fn is_volume(there: &Mount, id: &str, target: &Path) -> Result<()> {
    let volume = there
        .source
        .rsplit_once(":/")
        .map_or(there.source.as_str(), |(_, volume)| volume);
    if there.kind == GLUSTER && volume == id {
        return Ok(());
    }
    Err(Error::Differs(format!(
        "{} holds {} ({}), not volume {id}: unmount it first",
        target.display(),
        there.source,
        there.kind
    )))
}

/// On a thread of its own: a file system whose servers are gone may hang.
async fn answers(target: &Path) -> Result<rustix::fs::StatFs> {
    let path = target.to_owned();
    let look = tokio::task::spawn_blocking(move || rustix::fs::statfs(&path));
    let hangs = || {
        Error::Unavailable(format!(
            "{} does not answer within {LOOK_LIMIT:?}",
            target.display()
        ))
    };
    let answer = tokio::time::timeout(LOOK_LIMIT, look)
        .await
        .map_err(|_| hangs())?;
    let seen = answer.map_err(|error| Error::Internal(error.to_string()))?;
    let seen =
        seen.map_err(|error| Error::Unavailable(format!("{}: {error}", target.display())))?;
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

fn at(path: &Path, error: &std::io::Error) -> Error {
    Error::Internal(format!("{}: {error}", path.display()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_other_servers_stand_by() {
        let client = Client::new(PathBuf::from("/log"));
        let (source, options) = client
            .arguments("v", "a, b,c", &["acl".to_owned()])
            .unwrap();
        assert_eq!(source, "a:/v");
        assert_eq!(
            options,
            "log-file=/log/v.log,backup-volfile-servers=b:c,acl"
        );
        assert!(client.arguments("v", " ,", &[]).is_err());
    }

    #[tokio::test]
    async fn what_is_not_mounted_is_neither_bound_nor_measured() {
        let folder = tempfile::tempdir().unwrap();
        let (staging, target) = (folder.path().join("s"), folder.path().join("t"));
        assert!(matches!(
            bind("v", &staging, &target, false).await,
            Err(Error::NotNow(_))
        ));
        assert!(!target.exists());
        assert!(matches!(usage("v", &target).await, Err(Error::NotFound(_))));
        unmount(&target).await.unwrap();
    }
}
