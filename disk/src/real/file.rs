//! An open file of the operating system.

use super::read_now::ReadNow;
use crate::DiskFile;
use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::Errno;
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::fs::FileExt;

#[derive(Debug)]
pub(super) struct RealFile {
    file: File,
    read_now: ReadNow,
    is_direct: bool,
}

impl RealFile {
    pub(super) fn new(file: File) -> io::Result<Self> {
        let read_now = ReadNow::for_file(&file)?;
        Ok(Self {
            file,
            read_now,
            is_direct: false,
        })
    }

    /// A file that was opened with `O_DIRECT`.
    pub(super) fn direct(file: File) -> io::Result<Self> {
        Ok(Self {
            is_direct: true,
            ..Self::new(file)?
        })
    }
}

impl DiskFile for RealFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut done = 0;
        while done < buf.len() {
            match self.file.read_at(&mut buf[done..], advance(offset, done)?) {
                Ok(0) => break,
                Ok(n) => done += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(done)
    }

    fn write_all_at(&self, buf: &[u8], offset: u64) -> io::Result<()> {
        self.file.write_all_at(buf, offset)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    fn reserve(&self, offset: u64, len: u64) -> io::Result<()> {
        if len == 0 {
            return Ok(());
        }
        match fallocate(&self.file, FallocateFlags::KEEP_SIZE, offset, len) {
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => Ok(()),
            other => Ok(other?),
        }
    }

    fn punch(&self, offset: u64, len: u64) -> io::Result<()> {
        if len == 0 {
            return Ok(());
        }
        let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        match fallocate(&self.file, flags, offset, len) {
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => Ok(()),
            other => Ok(other?),
        }
    }

    fn is_direct(&self) -> bool {
        self.is_direct
    }

    fn try_read_now(&self, offset: u64, len: usize) -> io::Result<Option<Vec<u8>>> {
        self.read_now.read(&self.file, offset, len)
    }

    fn raw_fd(&self) -> Option<RawFd> {
        Some(self.file.as_raw_fd())
    }
}

/// `offset + done`; an offset beyond 2^64 is the caller's damaged number, not a reason to panic.
fn advance(offset: u64, done: usize) -> io::Result<u64> {
    offset
        .checked_add(done as u64)
        .ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))
}
