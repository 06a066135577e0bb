//! Reads that may have to wait for a device, off the async threads.
//!
//! Two engines, one face: io_uring (cheapest when many reads are in flight) and a pool of threads (works
//! everywhere). Both take requests from one bounded [`Queue`]; when it is full, [`ReadEngine::read`] waits, which is
//! how pressure reaches the caller. A dropped read is skipped if it has not started, and otherwise finishes into a
//! buffer that nobody looks at: the engine owns the buffer, so a dropped future frees nothing the kernel writes to.

mod pool;
mod queue;
mod uring;

use crate::disk::read_exact_at;
use crate::{AlignedBuf, DiskFile, disk};
use queue::{Queue, Request};
use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use tokio::sync::oneshot;
use uring::Doorbell;

/// Which engine to start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EngineChoice {
    /// io_uring where the kernel permits it, else threads.
    #[default]
    Auto,
    /// io_uring, or an error that says what to set so that it works.
    IoUring,
    /// A pool of threads.
    Threads,
}

/// Reads from files without blocking the caller's thread. Shared by all files of a process.
///
/// Dropping it waits until the reads that were started have ended.
#[derive(Debug)]
pub struct ReadEngine {
    queue: Arc<Queue>,
    /// How to wake the ring's thread; the pool needs none.
    doorbell: Option<Arc<Doorbell>>,
    workers: Vec<JoinHandle<()>>,
}

impl ReadEngine {
    /// Starts an engine; `threads` is the size of the pool (at least 1) where it is the pool.
    ///
    /// # Errors
    /// With [`EngineChoice::IoUring`], why io_uring does not work here and what to set. Otherwise what the system
    /// says when it refuses a thread.
    pub fn start(choice: EngineChoice, threads: usize) -> io::Result<Self> {
        match choice {
            EngineChoice::Threads => Self::start_pool(threads),
            EngineChoice::IoUring => Self::start_uring(),
            EngineChoice::Auto => Self::start_uring().or_else(|why| {
                tracing::info!(%why, "reads go through a pool of threads");
                Self::start_pool(threads)
            }),
        }
    }

    fn start_uring() -> io::Result<Self> {
        let queue = Arc::new(Queue::new());
        let (doorbell, worker) = uring::start(Arc::clone(&queue))?;
        Ok(Self {
            queue,
            doorbell: Some(doorbell),
            workers: vec![worker],
        })
    }

    fn start_pool(threads: usize) -> io::Result<Self> {
        let mut engine = Self {
            queue: Arc::new(Queue::new()),
            doorbell: None,
            workers: Vec::new(),
        };
        for number in 0..threads.max(1) {
            // On an error the drop of `engine` stops the threads that did start.
            let worker = pool::start(number, Arc::clone(&engine.queue))?;
            engine.workers.push(worker);
        }
        Ok(engine)
    }

    /// Reads exactly `len` bytes from `offset`, waiting while the queue is full.
    ///
    /// A file without a descriptor (a simulated one) is memory, and is read on the spot.
    ///
    /// # Errors
    /// `UnexpectedEof` when the file ends before, `OutOfMemory` when there is no room for `len` bytes, `BrokenPipe`
    /// when the engine has stopped, or what the disk says.
    pub async fn read(
        &self,
        file: Arc<dyn DiskFile>,
        offset: u64,
        len: usize,
    ) -> io::Result<Vec<u8>> {
        if len == 0 {
            return Ok(Vec::new());
        }
        if file.raw_fd().is_none() {
            return read_exact_at(&*file, offset, len);
        }
        self.request(file, offset, len, false).await
    }

    /// Reads as [`Self::read`] does, into aligned memory. From a file that is read directly, `offset` and `len` are whole blocks
    /// ([`crate::BLOCK_BYTES`]).
    ///
    /// # Errors
    /// As of [`Self::read`]; `InvalidInput` where they are not whole blocks.
    pub async fn read_aligned(
        &self,
        file: Arc<dyn DiskFile>,
        offset: u64,
        len: usize,
    ) -> io::Result<AlignedBuf> {
        if file.raw_fd().is_none() || len == 0 {
            let bytes = self.read(file, offset, len).await?;
            let mut buf = AlignedBuf::with_capacity(len)?;
            return match buf.push(&bytes) {
                true => Ok(buf),
                false => Err(disk::unexpected_eof(offset, len)),
            };
        }
        let bytes = self.request(file, offset, len, true).await?;
        Ok(AlignedBuf::from_padded(bytes))
    }

    async fn request(
        &self,
        file: Arc<dyn DiskFile>,
        offset: u64,
        len: usize,
        is_aligned: bool,
    ) -> io::Result<Vec<u8>> {
        offset
            .checked_add(len as u64)
            .ok_or_else(|| disk::unexpected_eof(offset, len))?;
        let place = self.queue.place().await?;
        let (reply, answer) = oneshot::channel();
        self.push(Request {
            file,
            offset,
            len,
            is_aligned,
            reply,
            place,
        })?;
        answer.await.unwrap_or_else(|_| Err(queue::stopped()))
    }

    fn push(&self, request: Request) -> io::Result<()> {
        let was_empty = self.queue.push(request)?;
        match &self.doorbell {
            // Otherwise the ring has been told already, or is full and looks again when a read ends.
            Some(doorbell) if was_empty => doorbell.ring(),
            _ => Ok(()),
        }
    }

    /// The engine's name for a status page: `io_uring` or `threads`.
    pub fn name(&self) -> &'static str {
        match self.doorbell {
            Some(_) => "io_uring",
            None => "threads",
        }
    }

    /// How many reads wait or are in flight.
    pub fn queue_len(&self) -> usize {
        self.queue.len()
    }
}

impl Drop for ReadEngine {
    fn drop(&mut self) {
        self.queue.close();
        if let Some(doorbell) = &self.doorbell
            && let Err(error) = doorbell.ring()
        {
            // Its thread would sleep for ever, and so would we.
            tracing::error!(%error, "the io_uring thread cannot be woken; leaving it behind");
            return;
        }
        for worker in self.workers.drain(..) {
            if worker.join().is_err() {
                tracing::error!("a read engine's thread has panicked");
            }
        }
    }
}

#[cfg(test)]
mod tests;
