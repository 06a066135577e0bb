//! The reads that the kernel has not answered yet, and the memory they go to.

use crate::disk::unexpected_eof;
use crate::engine::queue::{Request, stopped};
use io_uring::{opcode, squeue, types};
use rustix::io::Errno;
use std::io;
use std::os::fd::RawFd;

/// The most that one operation asks for; the kernel's own limit is a page short of 2 GiB.
const READ_BYTES_MAX: usize = 1 << 30;
/// How often one read may be interrupted (EINTR, EAGAIN) in a row before that is its error.
const INTERRUPTIONS_MAX: u8 = 16;

/// What is to be done after an answer.
pub(super) enum Progress {
    /// Part of it is there: ask for the rest.
    Again,
    Done(io::Result<()>),
}

/// One read and the memory it goes to.
pub(super) struct Read {
    request: Request,
    /// Its length is what has been read; its spare capacity belongs to the kernel while an operation is out.
    buffer: Vec<u8>,
    /// What the buffer held before.
    start: usize,
    interruptions: u8,
}

impl Read {
    pub(super) fn new(request: Request, buffer: Vec<u8>) -> Self {
        Self {
            request,
            start: buffer.len(),
            buffer,
            interruptions: 0,
        }
    }

    fn missing(&self) -> usize {
        self.request.len - (self.buffer.len() - self.start)
    }

    /// The operation that asks for what is missing.
    pub(super) fn entry(&mut self) -> squeue::Entry {
        let chunk = self.missing().min(READ_BYTES_MAX) as u32;
        let offset = self.request.offset + (self.buffer.len() - self.start) as u64;
        // `raw_fd` was Some when the request was made; -1 is answered with EBADF.
        let fd: RawFd = self.request.file.raw_fd().unwrap_or(-1);
        let target = self.buffer.spare_capacity_mut().as_mut_ptr();
        opcode::Read::new(types::Fd(fd), target.cast(), chunk)
            .offset(offset)
            .build()
    }

    /// Takes the kernel's answer.
    ///
    /// # Safety
    /// `result` is the completion of the operation that [`Self::entry`] made last, and no other is out.
    pub(super) unsafe fn advance(&mut self, result: i32) -> Progress {
        match result {
            0 => Progress::Done(Err(unexpected_eof(self.request.offset, self.request.len))),
            1.. => {
                let filled = self.buffer.len() + (result as usize).min(self.missing());
                // SAFETY: the kernel has written `result` bytes after the first `len`, within the capacity.
                unsafe { self.buffer.set_len(filled) };
                self.interruptions = 0;
                if self.missing() == 0 {
                    Progress::Done(Ok(()))
                } else {
                    Progress::Again
                }
            }
            _ => self.refused(io::Error::from_raw_os_error(-result)),
        }
    }

    fn refused(&mut self, error: io::Error) -> Progress {
        let interrupted = matches!(
            Errno::from_io_error(&error),
            Some(Errno::INTR | Errno::AGAIN)
        );
        if interrupted && self.interruptions < INTERRUPTIONS_MAX {
            self.interruptions += 1;
            return Progress::Again;
        }
        Progress::Done(Err(error))
    }
}

/// The reads that the kernel has not answered yet, by slot.
pub(super) struct InFlight {
    slots: Vec<Option<Read>>,
    free: Vec<usize>,
}

impl InFlight {
    pub(super) fn new(reads_max: usize) -> Self {
        Self {
            slots: (0..reads_max).map(|_| None).collect(),
            free: (0..reads_max).rev().collect(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.free.len() == self.slots.len()
    }

    pub(super) fn has_room(&self) -> bool {
        !self.free.is_empty()
    }

    pub(super) fn insert(&mut self, read: Read) -> Option<usize> {
        let slot = self.free.pop()?;
        self.slots[slot] = Some(read);
        Some(slot)
    }

    pub(super) fn get_mut(&mut self, slot: usize) -> Option<&mut Read> {
        self.slots.get_mut(slot)?.as_mut()
    }

    pub(super) fn finish(&mut self, slot: usize, outcome: io::Result<()>) {
        if let Some(read) = self.slots.get_mut(slot).and_then(Option::take) {
            self.free.push(slot);
            let Read {
                request, buffer, ..
            } = read;
            request.answer(outcome.map(|()| buffer));
        }
    }
}

impl InFlight {
    /// Gives up on what is in flight: its readers get an error. The kernel may yet write to its memory, which is
    /// therefore leaked, never freed.
    pub(super) fn abandon(&mut self) {
        for read in self.slots.drain(..).flatten() {
            let Read {
                request, buffer, ..
            } = read;
            std::mem::forget(buffer);
            request.answer(Err(stopped()));
        }
        self.free.clear();
    }
}

/// The worker has ended, perhaps by a panic.
impl Drop for InFlight {
    fn drop(&mut self) {
        self.abandon();
    }
}
