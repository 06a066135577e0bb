//! Paths, resolved beneath one folder by the kernel.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat, openat2};
use rustix::io::Errno;

use super::WRITING_PREFIX;
use super::error::{invalid, of_errno};
use crate::backend::BackendError;

/// A name that has not been opened for anything yet.
const HANDLE: OFlags = OFlags::PATH.union(OFlags::CLOEXEC);

/// The folder that nothing leaves.
#[derive(Debug)]
pub(super) struct Root {
    folder: OwnedFd,
    has_openat2: bool,
}

/// Where a name stands, for operations on names.
#[derive(Debug)]
pub(super) struct Place {
    /// The folder.
    pub(super) parent: OwnedFd,
    /// The name in it.
    pub(super) name: String,
}

impl Root {
    pub(super) fn open(path: &Path) -> Result<Self, Errno> {
        let flags = HANDLE | OFlags::DIRECTORY;
        let folder = openat(CWD, path, flags, Mode::empty())?;
        let probe = openat2(&folder, ".", HANDLE, Mode::empty(), ResolveFlags::BENEATH);
        // Old kernels have no openat2, and some sandboxes forbid it.
        let has_openat2 = !matches!(probe, Err(Errno::NOSYS | Errno::PERM));
        Ok(Self {
            folder,
            has_openat2,
        })
    }

    /// A handle of what a path names, at the end of any symbolic links.
    pub(super) fn resolve(&self, path: &str) -> Result<OwnedFd, BackendError> {
        let relative = relative(path)?;
        self.beneath(relative, HANDLE)
            .map_err(|errno| of_errno(errno, path))
    }

    /// The folder that holds a path's last name.
    pub(super) fn place(&self, path: &str) -> Result<Place, BackendError> {
        let relative = relative(path)?;
        let (parent, name) = relative.rsplit_once('/').unwrap_or((".", relative));
        if name == "." {
            return Err(invalid(path, "the root of a mount stays as it is"));
        }
        let parent = self
            .beneath(parent, HANDLE | OFlags::DIRECTORY)
            .map_err(|errno| of_errno(errno, path))?;
        Ok(Place {
            parent,
            name: name.to_owned(),
        })
    }

    fn beneath(&self, relative: &str, flags: OFlags) -> Result<OwnedFd, Errno> {
        if self.has_openat2 {
            let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
            openat2(&self.folder, relative, flags, Mode::empty(), resolve)
        } else {
            self.step_by_step(relative, flags)
        }
    }

    /// Without `openat2` no symbolic link is followed at all.
    fn step_by_step(&self, relative: &str, flags: OFlags) -> Result<OwnedFd, Errno> {
        let mut at = openat(&self.folder, ".", HANDLE, Mode::empty())?;
        for name in relative.split('/') {
            at = openat(&at, name, HANDLE | OFlags::NOFOLLOW, Mode::empty())?;
            let found = rustix::fs::fstat(&at)?;
            if rustix::fs::FileType::from_raw_mode(found.st_mode).is_symlink() {
                return Err(Errno::LOOP);
            }
        }
        // The last one, as it was asked for.
        openat(&at, ".", flags, Mode::empty()).or_else(|errno| {
            let wants_folder = flags.contains(OFlags::DIRECTORY);
            if errno == Errno::NOTDIR && !wants_folder {
                Ok(at)
            } else {
                Err(errno)
            }
        })
    }

    #[cfg(test)]
    pub(super) fn without_openat2(mut self) -> Self {
        self.has_openat2 = false;
        self
    }
}

/// Opens what a handle names: the very thing, whatever has become of its name.
pub(super) fn reopen(handle: impl AsFd, flags: OFlags) -> Result<OwnedFd, Errno> {
    openat(
        CWD,
        by_number(handle),
        flags | OFlags::CLOEXEC,
        Mode::empty(),
    )
}

/// A path of what a handle names, for system calls that take no handle.
pub(super) fn by_number(handle: impl AsFd) -> String {
    format!("/proc/self/fd/{}", handle.as_fd().as_raw_fd())
}

/// `a/b` of `/a/b`, and `.` of `/`.
fn relative(path: &str) -> Result<&str, BackendError> {
    let Some(relative) = path.strip_prefix('/') else {
        return Err(invalid(path, "a path begins with /"));
    };
    if relative.is_empty() {
        return Ok(".");
    }
    for name in relative.split('/') {
        if matches!(name, "" | "." | "..") {
            return Err(invalid(path, "a path has no empty segment, no . and no .."));
        }
        if name.contains('\0') {
            return Err(invalid(path, "a name cannot hold a zero byte"));
        }
        if name.starts_with(WRITING_PREFIX) {
            let text = format!("names that begin with {WRITING_PREFIX} are the gateway's own");
            return Err(invalid(path, &text));
        }
    }
    Ok(relative)
}
