//! Changing a small file as a whole, so that a crash leaves the old one or the new one.

use crate::{Disk, OpenMode};
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

/// Replaces the content of the file at `path` (or creates it) with `bytes`, durably: when this returns, the new
/// content survives a loss of power; when it is interrupted, the old content does, or the new, never a mixture.
///
/// The new content is first written beside it, under the same name with `.tmp` added; such a file left behind by a
/// crash is overwritten by the next call. Two calls for one path must not run at once.
///
/// # Errors
/// What the disk says. The file then has its old content or the new one.
pub fn replace_file(disk: &dyn Disk, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let temporary = temporary_beside(path);
    let file = disk.open(&temporary, OpenMode::CreateOrTruncate)?;
    file.write_all_at(bytes, 0)?;
    file.sync_data()?;
    drop(file);
    disk.rename(&temporary, path)?;
    disk.sync_dir(directory_of(path))
}

fn temporary_beside(path: &Path) -> PathBuf {
    let mut name = OsString::from(path.as_os_str());
    name.push(".tmp");
    PathBuf::from(name)
}

/// The directory that holds `path`; a bare name is in the current directory.
pub(crate) fn directory_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        Some(_) => Path::new("."),
        None => path,
    }
}
