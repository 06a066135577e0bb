//! How readers wake the ring's thread: an eventfd (eventfd(2)) that the ring polls.

use rustix::event::{EventfdFlags, eventfd};
use rustix::io::Errno;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

/// Wakes the ring's thread.
#[derive(Debug)]
pub(in crate::engine) struct Doorbell {
    event: OwnedFd,
}

impl Doorbell {
    pub(super) fn new() -> io::Result<Self> {
        let flags = EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK;
        Ok(Self {
            event: eventfd(0, flags)?,
        })
    }

    pub(in crate::engine) fn ring(&self) -> io::Result<()> {
        match rustix::io::write(&self.event, &1_u64.to_ne_bytes()) {
            // EAGAIN: the counter is full, so it has rung often enough.
            Ok(_) | Err(Errno::AGAIN) => Ok(()),
            Err(e) => Err(e.into()),
        }
    }

    pub(super) fn raw_fd(&self) -> RawFd {
        self.event.as_raw_fd()
    }

    /// Makes it ready to ring again.
    pub(super) fn silence(&self) {
        // EAGAIN: it has not rung. Any other error repeats when it is polled.
        let _ = rustix::io::read(&self.event, &mut [0_u8; 8]);
    }
}
