//! The bare folder below a mount. While nothing is mounted there a pod's writes would land on the node's own disk, and be hidden by the next
//! mount: so it cannot be written to, by root neither.

use std::path::Path;

use rustix::fs::{IFlags, Mode, OFlags, chmod, ioctl_getflags, ioctl_setflags, open};

use crate::error::{Error, Result};

/// Makes a folder that nothing can be put into. Where the file system knows no immutable folders, only others than root are kept out.
///
/// # Errors
/// `Internal` where it cannot be made.
pub fn make(folder: &Path) -> Result<()> {
    let at = |error: std::io::Error| Error::Internal(format!("{}: {error}", folder.display()));
    std::fs::create_dir_all(folder).map_err(at)?;
    if set(folder, true).is_err() {
        chmod(folder, Mode::empty()).map_err(|error| at(error.into()))?;
    }
    Ok(())
}

/// Lets it be removed. One that is gone, or is mounted over, is left alone.
pub fn lift(folder: &Path) {
    let _ = set(folder, false);
}

fn set(folder: &Path, immutable: bool) -> rustix::io::Result<()> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let folder = open(folder, flags, Mode::empty())?;
    let mut flags = ioctl_getflags(&folder)?;
    if flags.contains(IFlags::IMMUTABLE) == immutable {
        return Ok(());
    }
    flags.set(IFlags::IMMUTABLE, immutable);
    ioctl_setflags(&folder, flags)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_put_into_it_until_it_is_lifted() {
        let above = tempfile::tempdir().unwrap();
        let folder = above.path().join("a/b");
        make(&folder).unwrap();
        make(&folder).unwrap();
        let protected = set(&folder, true).is_ok();
        if protected {
            assert!(std::fs::write(folder.join("lost"), "x").is_err());
        }
        lift(&folder);
        std::fs::remove_dir(&folder).unwrap();
        lift(&folder);
    }
}
