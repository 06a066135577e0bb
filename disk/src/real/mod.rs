//! The operating system's disk.

mod file;
mod read_now;

use crate::replace::directory_of;
use crate::{Disk, DiskFile, OpenMode, Space};
use file::RealFile;
use rustix::fs::OFlags;
use rustix::io::Errno;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;

/// Files of the operating system (Linux).
#[derive(Clone, Copy, Debug, Default)]
pub struct RealDisk;

impl RealDisk {
    /// The disk; it has no state of its own.
    pub fn new() -> Self {
        Self
    }
}

impl Disk for RealDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        let file = options(mode).open(path)?;
        Ok(Arc::new(RealFile::new(file)?))
    }

    fn open_direct(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        let flags = OFlags::DIRECT.bits().cast_signed();
        match options(mode).custom_flags(flags).open(path) {
            Ok(file) => Ok(Arc::new(RealFile::direct(file)?)),
            // The file system cannot. A file that was to be new may be there by now.
            Err(error) if Errno::from_io_error(&error) == Some(Errno::INVAL) => {
                let mode = match mode {
                    OpenMode::CreateNew => OpenMode::CreateOrTruncate,
                    other => other,
                };
                self.open(path, mode)
            }
            Err(error) => Err(error),
        }
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(dir)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                continue;
            }
            names.extend(entry.file_name().into_string());
        }
        names.sort_unstable();
        Ok(names)
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        path.try_exists()
    }

    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        if dir.is_dir() {
            return Ok(());
        }
        let parent = directory_of(dir);
        if parent != dir {
            self.create_dir_all(parent)?;
        }
        match fs::create_dir(dir) {
            // Another process was faster; its own sync may still be to come, so ours is needed as well.
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists && dir.is_dir() => {}
            other => other?,
        }
        self.sync_dir(parent)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        File::open(dir)?.sync_all()
    }

    fn space(&self, dir: &Path) -> io::Result<Space> {
        let stat = rustix::fs::statvfs(dir)?;
        Ok(Space {
            total_bytes: stat.f_blocks.saturating_mul(stat.f_frsize),
            // `bavail`, not `bfree`: what is kept back for root is not ours to fill.
            free_bytes: stat.f_bavail.saturating_mul(stat.f_frsize),
        })
    }
}

fn options(mode: OpenMode) -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true);
    match mode {
        OpenMode::Read => &mut options,
        OpenMode::ReadWrite => options.write(true),
        OpenMode::CreateNew => options.write(true).create_new(true),
        OpenMode::CreateOrTruncate => options.write(true).create(true).truncate(true),
    };
    options
}

#[cfg(test)]
mod tests;
