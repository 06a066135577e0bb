//! A dead daemon's mounts are covered by living ones, wherever they can be seen: at the staging path and the pods' paths, and inside running
//! containers, whose own copies are private and hear nothing of the host's. Files that were open stay lost.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::replace::replace;
use crate::error::Result;
use crate::mountinfo::{self, Mount};

/// A living mount of the same volume, and the same read only.
#[derive(Debug)]
pub struct Source {
    /// For what may be written to.
    pub writable: PathBuf,
    /// For what may not.
    pub read_only: PathBuf,
}

/// Covers all mounts of devices that are dead. Returns how many could not be covered.
///
/// # Errors
/// `Internal` where `/proc` cannot be read.
pub async fn cover(dead: &[String], source: &Source) -> Result<usize> {
    // This namespace first: what is shared or a slave of it follows, and need not be stepped into.
    let mut left = cover_in("self", None, dead, source).await?;
    for pid in spaces() {
        // A container that has ended meanwhile has nothing left.
        let covered = cover_in(&pid.to_string(), Some(pid), dead, source).await;
        left += covered.unwrap_or_default();
    }
    Ok(left)
}

/// Whether a mount of one of these devices can be seen read only anywhere.
///
/// # Errors
/// `Internal` where `/proc` cannot be read.
pub fn any_read_only(dead: &[String]) -> Result<bool> {
    let has = |mounts: Vec<Mount>| {
        mounts
            .iter()
            .any(|mount| mount.read_only && dead.contains(&mount.device))
    };
    if has(mountinfo::visible("self")?) {
        return Ok(true);
    }
    let others = spaces();
    Ok(others
        .iter()
        .any(|pid| mountinfo::visible(&pid.to_string()).is_ok_and(has)))
}

async fn cover_in(
    process: &str,
    pid: Option<u32>,
    dead: &[String],
    source: &Source,
) -> Result<usize> {
    let mut left = 0;
    for mount in mountinfo::visible(process)? {
        if !dead.contains(&mount.device) {
            continue;
        }
        let from = part(source, &mount);
        if let Err(error) = replace(&from, &mount.point, pid).await {
            tracing::warn!(point = %mount.point.display(), ?pid, %error, "a dead mount cannot be covered");
            left += 1;
        }
    }
    Ok(left)
}

/// A bind may hold a folder of the volume only, `subPath` for example.
fn part(source: &Source, mount: &Mount) -> PathBuf {
    let whole = if mount.read_only {
        &source.read_only
    } else {
        &source.writable
    };
    let part = Path::new(&mount.root);
    whole.join(part.strip_prefix("/").unwrap_or(part))
}

/// A process of each mount namespace but this one.
fn spaces() -> Vec<u32> {
    let own = fs::read_link("/proc/self/ns/mnt").ok();
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let mut spaces = BTreeMap::new();
    for pid in pids {
        match fs::read_link(format!("/proc/{pid}/ns/mnt")) {
            Ok(space) if Some(&space) != own.as_ref() => {
                spaces.entry(space).or_insert(pid);
            }
            _ => {}
        }
    }
    spaces.into_values().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_of_the_volume_is_covered_by_the_same_folder() {
        let source = Source {
            writable: "/w".into(),
            read_only: "/r".into(),
        };
        let mount = |root: &str, read_only| Mount {
            point: "/p".into(),
            root: root.to_owned(),
            device: "0:1".to_owned(),
            kind: "fuse.glusterfs".to_owned(),
            source: "a:/v".to_owned(),
            read_only,
        };
        assert_eq!(part(&source, &mount("/", false)), Path::new("/w"));
        assert_eq!(part(&source, &mount("/a/b", true)), Path::new("/r/a/b"));
    }
}
