//! An open file of the simulated disk.

use super::names::FileId;
use super::state::State;
use crate::disk::buffer_for;
use crate::{DiskFile, OpenMode};
use parking_lot::Mutex;
use std::io;
use std::os::fd::RawFd;
use std::sync::Arc;

/// What write(2) says of a file that is open for reading only (asm-generic/errno-base.h).
const EBADF: i32 = 9;
/// What ftruncate(2) says of it.
const EINVAL: i32 = 22;

#[derive(Debug)]
pub(super) struct SimFile {
    state: Arc<Mutex<State>>,
    id: FileId,
    mode: OpenMode,
}

impl SimFile {
    pub(super) fn new(state: &Arc<Mutex<State>>, id: FileId, mode: OpenMode) -> Self {
        let state = Arc::clone(state);
        Self { state, id, mode }
    }

    fn check_writable(&self, refusal: i32) -> io::Result<()> {
        match self.mode {
            OpenMode::Read => Err(io::Error::from_raw_os_error(refusal)),
            OpenMode::ReadWrite | OpenMode::CreateNew | OpenMode::CreateOrTruncate => Ok(()),
        }
    }
}

impl DiskFile for SimFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.state.lock().file(self.id)?.read(buf, offset)
    }

    fn write_all_at(&self, buf: &[u8], offset: u64) -> io::Result<()> {
        if buf.is_empty() {
            // No system call, so no step and no refusal, as with the real disk.
            return self.state.lock().check_up();
        }
        self.check_writable(EBADF)?;
        self.state.lock().write(self.id, buf, offset)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.state.lock().sync(self.id)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.check_writable(EINVAL)?;
        self.state.lock().set_len(self.id, len)
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.state.lock().file(self.id)?.len())
    }

    /// Changes nothing: room is neither made nor kept.
    fn reserve(&self, _offset: u64, _len: u64) -> io::Result<()> {
        self.check_writable(EBADF)?;
        self.state.lock().check_up()
    }

    fn try_read_now(&self, offset: u64, len: usize) -> io::Result<Option<Vec<u8>>> {
        let state = self.state.lock();
        let content = state.file(self.id)?;
        let rest = content.len().saturating_sub(offset);
        let len = usize::try_from(rest).unwrap_or(usize::MAX).min(len);
        let mut bytes = buffer_for(len)?;
        bytes.resize(len, 0);
        content.read(&mut bytes, offset)?;
        Ok(Some(bytes))
    }

    fn raw_fd(&self) -> Option<RawFd> {
        None
    }
}
