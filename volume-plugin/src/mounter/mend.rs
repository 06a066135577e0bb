//! A dead daemon's mounts are covered by living ones, wherever they can be seen: at the staging path and the pods' paths, and inside running
//! containers, whose own copies are private and hear nothing of the host's. Files that were open stay lost.
//!
//! What is mounted over one mount appears over its peers as well, so that no two paths of a node may be peers: a path that may be written to
//! would cover one that may not. They are not, because all are copies of mounts below the mounter's own folder, which is private.

use std::collections::{BTreeMap, HashSet};
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

async fn cover_in(
    process: &str,
    pid: Option<u32>,
    dead: &[String],
    source: &Source,
) -> Result<usize> {
    let mut tried = HashSet::new();
    let mut left = 0;
    // Looked at anew for each: covering one may have covered its peers.
    while let Some(mount) = mountinfo::visible(process)?
        .into_iter()
        .find(|mount| dead.contains(&mount.device) && !tried.contains(&mount.point))
    {
        let from = part(source, &mount);
        if let Err(error) = replace(&from, &mount.point, pid).await {
            tracing::warn!(point = %mount.point.display(), ?pid, %error, "a dead mount cannot be covered");
            left += 1;
        }
        tried.insert(mount.point);
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
