//! The engine on io_uring (io_uring(7), Linux 5.6 or later): one thread owns one ring.
//!
//! The thread sleeps in one system call until a read completes or the [`Doorbell`], an eventfd that the ring
//! polls, says that requests wait. Buffers and files live in [`InFlight`] until the kernel has answered.
#![allow(unsafe_code)]

mod doorbell;
mod in_flight;
mod refusal;

use super::pool;
use super::queue::Queue;
pub(super) use doorbell::Doorbell;
use in_flight::{InFlight, Progress, Read};
use io_uring::{IoUring, opcode, squeue, types};
use refusal::explain;
use rustix::event::PollFlags;
use rustix::io::Errno;
use std::io;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

/// Entries of the submission ring.
const DEPTH: u32 = 256;
/// Reads in flight; the one entry left is the doorbell's.
const READS_IN_FLIGHT_MAX: usize = DEPTH as usize - 1;
/// How long to wait for a kernel that has no memory for a request.
const MEMORY_PAUSE: Duration = Duration::from_millis(1);
/// The doorbell's mark; reads are marked with their slot's number.
const DOORBELL: u64 = u64::MAX;

/// Starts the ring's thread once a probe has shown that io_uring works here.
///
/// # Errors
/// Why it does not, and what to set.
pub(super) fn start(queue: Arc<Queue>) -> io::Result<(Arc<Doorbell>, JoinHandle<()>)> {
    let ring = IoUring::new(DEPTH).map_err(explain)?;
    let doorbell = Arc::new(Doorbell::new()?);
    let mut worker = Worker::new(ring, Arc::clone(&doorbell), queue);
    worker.probe().map_err(explain)?;
    let thread = Builder::new()
        .name("disk-io-uring".to_owned())
        .spawn(move || worker.serve())?;
    Ok((doorbell, thread))
}

/// Everything the ring's thread owns.
struct Worker {
    in_flight: InFlight,
    ring: IoUring,
    doorbell: Arc<Doorbell>,
    doorbell_is_polled: bool,
    queue: Arc<Queue>,
}

/// However the thread ends, nobody may wait for it any longer.
impl Drop for Worker {
    fn drop(&mut self) {
        self.queue.abort();
    }
}

impl Worker {
    fn new(ring: IoUring, doorbell: Arc<Doorbell>, queue: Arc<Queue>) -> Self {
        Self {
            in_flight: InFlight::new(READS_IN_FLIGHT_MAX),
            ring,
            doorbell,
            doorbell_is_polled: false,
            queue,
        }
    }

    /// One real read: a ring that can be set up may still be forbidden to do anything.
    fn probe(&mut self) -> io::Result<()> {
        let file = rustix::fs::memfd_create("moongate-probe", rustix::fs::MemfdFlags::CLOEXEC)?;
        rustix::io::write(&file, b"moongate")?;
        // Leaked if the ring fails under it: eight bytes, once.
        let buffer = Box::leak(Box::new([0_u8; 8]));
        let fd = types::Fd(file.as_raw_fd());
        let entry = opcode::Read::new(fd, buffer.as_mut_ptr(), 8).build();
        // SAFETY: the buffer is never freed, and nothing looks at it before the completion below. The kernel holds
        // its own reference to the file once the entry is submitted.
        unsafe { self.push(&entry)? };
        let result = loop {
            self.submit_and_wait()?;
            if let Some(done) = self.ring.completion().next() {
                break done.result();
            }
        };
        match result {
            8 if buffer == b"moongate" => Ok(()),
            error if error < 0 => Err(io::Error::from_raw_os_error(-error)),
            _ => Err(io::Error::other("a trial read gave wrong bytes")),
        }
    }

    fn serve(mut self) {
        if let Err(error) = self.run() {
            tracing::error!(%error, "io_uring has failed; reads now go through one thread: restart when you can");
            self.serve_without_ring();
        }
    }

    /// The ring is broken: its reads get an error, and later ones are done here one by one. Slow, but not silent.
    fn serve_without_ring(&mut self) {
        self.in_flight.abandon();
        pool::serve(&self.queue);
    }

    fn run(&mut self) -> io::Result<()> {
        let mut completed = Vec::with_capacity(2 * DEPTH as usize);
        loop {
            self.take_requests()?;
            if self.in_flight.is_empty() && self.queue.is_finished() {
                return Ok(());
            }
            self.poll_doorbell()?;
            self.submit_and_wait()?;
            let done = self.ring.completion();
            completed.extend(done.map(|c| (c.user_data(), c.result())));
            for (mark, result) in completed.drain(..) {
                self.complete(mark, result)?;
            }
        }
    }

    /// Starts reads as long as there are requests and room.
    fn take_requests(&mut self) -> io::Result<()> {
        while self.in_flight.has_room() {
            let Some(request) = self.queue.pop() else {
                break;
            };
            let buffer = match request.buffer() {
                Ok(buffer) => buffer,
                Err(error) => {
                    request.answer(Err(error));
                    continue;
                }
            };
            if let Some(slot) = self.in_flight.insert(Read::new(request, buffer)) {
                self.submit_slot(slot)?;
            }
        }
        Ok(())
    }

    fn submit_slot(&mut self, slot: usize) -> io::Result<()> {
        let Some(read) = self.in_flight.get_mut(slot) else {
            return Ok(());
        };
        let entry = read.entry().user_data(slot as u64);
        // SAFETY: the entry points into the spare capacity of the slot's buffer, and names the slot's file. Both
        // stay in `in_flight`, untouched, until the completion with this slot's mark is seen; if this worker ends
        // before that, `InFlight` leaks them.
        unsafe { self.push(&entry) }
    }

    fn poll_doorbell(&mut self) -> io::Result<()> {
        if self.doorbell_is_polled {
            return Ok(());
        }
        let fd = types::Fd(self.doorbell.raw_fd());
        let events = u32::from(PollFlags::IN.bits());
        let entry = opcode::PollAdd::new(fd, events).build().user_data(DOORBELL);
        // SAFETY: the entry holds no pointer; the kernel takes its own reference to the eventfd.
        unsafe { self.push(&entry)? };
        self.doorbell_is_polled = true;
        Ok(())
    }

    /// # Safety
    /// What `entry` points at must live, untouched, until its completion has been seen.
    unsafe fn push(&mut self, entry: &squeue::Entry) -> io::Result<()> {
        // SAFETY: the caller's promise is the one that is asked of us.
        if unsafe { self.ring.submission().push(entry) }.is_ok() {
            return Ok(());
        }
        // More than fits cannot be under way (see READS_IN_FLIGHT_MAX), but an earlier submit may have left some.
        self.ring.submit()?;
        // SAFETY: as above; the entry was not taken.
        unsafe { self.ring.submission().push(entry) }.map_err(io::Error::other)
    }

    fn submit_and_wait(&mut self) -> io::Result<()> {
        match self.ring.submit_and_wait(1) {
            Ok(_) => Ok(()),
            Err(e) => match Errno::from_io_error(&e) {
                // Interrupted, or completions have to be taken first: healed by going round again.
                Some(Errno::INTR | Errno::BUSY) => Ok(()),
                // The kernel is short of memory: that passes, but not faster for being asked without a pause.
                Some(Errno::AGAIN) => {
                    std::thread::sleep(MEMORY_PAUSE);
                    Ok(())
                }
                _ => Err(e),
            },
        }
    }

    fn complete(&mut self, mark: u64, result: i32) -> io::Result<()> {
        if mark == DOORBELL {
            self.doorbell_is_polled = false;
            // Silence first, look at the queue after: a ring between the two is heard by the next poll.
            self.doorbell.silence();
            return Ok(());
        }
        let slot = mark as usize;
        let Some(read) = self.in_flight.get_mut(slot) else {
            return Ok(());
        };
        // SAFETY: this is the kernel's answer for this slot's one outstanding operation.
        match unsafe { read.advance(result) } {
            Progress::Again => self.submit_slot(slot),
            Progress::Done(outcome) => {
                self.in_flight.finish(slot, outcome);
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::queue::Request;
    use crate::{Disk, OpenMode, RealDisk};
    use tokio::sync::oneshot;

    #[tokio::test]
    async fn a_broken_ring_fails_its_reads_and_serves_later_ones() {
        let Ok(ring) = IoUring::new(DEPTH) else {
            return;
        };
        let dir = tempfile::TempDir::new().unwrap();
        let file = RealDisk
            .open(&dir.path().join("f"), OpenMode::CreateNew)
            .unwrap();
        file.write_all_at(b"content", 0).unwrap();
        let queue = Arc::new(Queue::new());
        let mut worker = Worker::new(ring, Arc::new(Doorbell::new().unwrap()), Arc::clone(&queue));
        let mut answers = Vec::new();
        for _ in 0..2 {
            let (reply, answer) = oneshot::channel();
            let (file, place) = (Arc::clone(&file), queue.place().await.unwrap());
            queue
                .push(Request {
                    file,
                    offset: 0,
                    len: 7,
                    is_aligned: false,
                    reply,
                    place,
                })
                .unwrap();
            answers.push(answer);
            if answers.len() == 1 {
                worker.take_requests().unwrap();
            }
        }
        queue.close();
        worker.serve_without_ring();
        let later = answers.pop().unwrap().await.unwrap();
        assert_eq!(later.unwrap(), b"content");
        let first = answers.pop().unwrap().await.unwrap();
        assert_eq!(first.unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    }
}
