//! The kernel's own list of mounts: a mount is believed only when it stands there.

use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// One mount of this mount namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// Where it is mounted, as the reader of the list sees it.
    pub point: PathBuf,
    /// The folder of the file system that is to be seen there: `/`, or what a bind took of it.
    pub root: String,
    /// `major:minor` of what is mounted: the same for every bind of it.
    pub device: String,
    /// The type, `fuse.glusterfs` or `xfs` for example.
    pub kind: String,
    /// What is mounted, as its owner names it.
    pub source: String,
    /// Nothing can be written through this mount.
    pub read_only: bool,
}

/// The topmost mount at exactly this path. Asks nothing of the file system that is mounted there, so that a dead one does not hang it.
///
/// # Errors
/// `Internal` where `/proc` cannot be read.
pub fn find(point: &Path) -> Result<Option<Mount>> {
    Ok(topmost(&read("self")?, &absolute(point)))
}

/// What can be seen of all mounts of a process, `self` for this one: the topmost at each path, in the order in which they were made.
///
/// # Errors
/// `Internal` where `/proc` cannot be read, for example because the process has ended.
pub fn visible(process: &str) -> Result<Vec<Mount>> {
    let mut seen = std::collections::HashSet::new();
    let text = read(process)?;
    let mut mounts: Vec<Mount> = text
        .lines()
        .filter_map(parse)
        .rev()
        .filter(|mount| seen.insert(mount.point.clone()))
        .collect();
    mounts.reverse();
    Ok(mounts)
}

fn read(process: &str) -> Result<String> {
    let path = format!("/proc/{process}/mountinfo");
    std::fs::read_to_string(&path).map_err(|error| Error::Internal(format!("{path}: {error}")))
}

fn topmost(text: &str, point: &Path) -> Option<Mount> {
    let mut mounts = text.lines().filter_map(parse).rev();
    mounts.find(|mount| mount.point == point)
}

/// The folder that holds it is resolved; the mount point itself is not touched.
fn absolute(point: &Path) -> PathBuf {
    let parent = point.parent().and_then(|parent| parent.canonicalize().ok());
    match (parent, point.file_name()) {
        (Some(parent), Some(name)) => parent.join(name),
        _ => point.to_owned(),
    }
}

/// `36 35 98:0 /root /point ro,noatime master:1 - ext3 /dev/root rw`, of proc_pid_mountinfo(5).
fn parse(line: &str) -> Option<Mount> {
    let (mount, file_system) = line.split_once(" - ")?;
    let mount: Vec<&str> = mount.split(' ').collect();
    let mut file_system = file_system.split(' ');
    Some(Mount {
        point: PathBuf::from(unescape(mount.get(4)?)),
        root: unescape(mount.get(3)?),
        device: (*mount.get(2)?).to_owned(),
        kind: file_system.next()?.to_owned(),
        source: unescape(file_system.next()?),
        read_only: mount.get(5)?.split(',').any(|option| option == "ro"),
    })
}

/// Space, tab, newline and backslash stand as three octal digits.
fn unescape(text: &str) -> String {
    let pairs = [
        ("\\040", " "),
        ("\\011", "\t"),
        ("\\012", "\n"),
        ("\\134", "\\"),
    ];
    pairs
        .iter()
        .fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const TEXT: &str = "22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw\n\
        40 22 0:44 / /var/lib/a\\040b rw - fuse.glusterfs 192.0.2.11:/v rw,user_id=0\n\
        41 22 0:45 / /mnt ro,noatime - xfs /dev/loop0 rw\n\
        42 41 0:46 / /mnt rw - fuse.glusterfs 192.0.2.11:/w rw\n";

    #[test]
    fn the_topmost_mount_at_a_path_is_found() {
        let found = topmost(TEXT, Path::new("/mnt")).unwrap();
        assert_eq!((found.device.as_str(), found.read_only), ("0:46", false));
        let spaced = topmost(TEXT, Path::new("/var/lib/a b")).unwrap();
        assert_eq!(
            (spaced.kind.as_str(), spaced.source.as_str()),
            ("fuse.glusterfs", "192.0.2.11:/v")
        );
        assert!(topmost(TEXT, Path::new("/var/lib")).is_none());
        assert!(topmost("not a line\n", Path::new("/")).is_none());
    }

    #[test]
    fn the_root_of_this_machine_is_there() {
        assert!(find(Path::new("/proc")).unwrap().is_some());
    }
}
