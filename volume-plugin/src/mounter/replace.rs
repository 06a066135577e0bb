//! `moongate-csi replace-mount FROM AT [PID]`: a copy of one mount over another, also inside a running container. A process of its own,
//! for two reasons: only a process with a single thread may step into another mount namespace, and one that hangs can be killed.
//!
//! What lies under it stays mounted, so that nothing can be written to the bare folder in between.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use rustix::fs::{CWD, Mode, OFlags, open};
use rustix::mount::{MoveMountFlags, OpenTreeFlags, move_mount, open_tree};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::command::must;
use crate::error::{Error, Result};

/// The word by which the program is this.
pub const WORD: &str = "replace-mount";
const LIMIT: Duration = Duration::from_secs(20);

/// What one such process does.
#[derive(Debug, PartialEq, Eq)]
pub struct Order {
    from: PathBuf,
    at: PathBuf,
    process: Option<u32>,
}

/// Reads the command line; none where it is about something else.
pub fn order(mut words: impl Iterator<Item = String>) -> Option<Order> {
    if words.nth(1)? != WORD {
        return None;
    }
    Some(Order {
        from: words.next()?.into(),
        at: words.next()?.into(),
        process: words.next().and_then(|pid| pid.parse().ok()),
    })
}

/// Does it, in this process. It must have one thread.
///
/// # Errors
/// What the kernel says.
pub fn carry_out(order: &Order) -> anyhow::Result<()> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    let tree =
        open_tree(CWD, &order.from, flags).with_context(|| format!("{}", order.from.display()))?;
    if let Some(pid) = order.process {
        let path = format!("/proc/{pid}/ns/mnt");
        let space = open(&path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
        let space = space.with_context(|| path.clone())?;
        move_into_link_name_space(
            std::os::fd::AsFd::as_fd(&space),
            Some(LinkNameSpaceType::Mount),
        )
        .with_context(|| path)?;
    }
    let empty = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
    if let Err(error) = move_mount(&tree, "", CWD, &order.at, empty) {
        bail!("{}: {error}", order.at.display());
    }
    Ok(())
}

/// Has a process do it, with a deadline.
///
/// # Errors
/// `Unavailable` where it hangs, `Internal` with what the kernel says.
pub async fn replace(from: &Path, at: &Path, process: Option<u32>) -> Result<()> {
    let pid = process.map(|pid| pid.to_string());
    let mut words = vec![WORD, text(from)?, text(at)?];
    words.extend(pid.as_deref());
    must("/proc/self/exe", &words, LIMIT).await.map(|_| ())
}

fn text(path: &Path) -> Result<&str> {
    path.to_str()
        .ok_or_else(|| Error::Invalid(format!("{} is not UTF-8", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Option<Order> {
        order(line.split(' ').map(str::to_owned))
    }

    #[test]
    fn the_program_knows_when_it_is_meant() {
        assert_eq!(read("moongate-csi node --endpoint unix:///a"), None);
        assert_eq!(read("moongate-csi replace-mount /a"), None);
        let whole = Order {
            from: "/a".into(),
            at: "/b".into(),
            process: Some(7),
        };
        assert_eq!(read("moongate-csi replace-mount /a /b 7"), Some(whole));
    }
}
