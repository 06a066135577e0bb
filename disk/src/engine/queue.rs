//! The bounded queue between the readers and an engine's threads.

use crate::disk::buffer_for;
use crate::{AlignedBuf, DiskFile};
use parking_lot::{Condvar, Mutex};
use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

/// The most reads that may wait or be in flight: 4096 reads of a few KB are some 20 MB and tens of milliseconds of
/// a fast device's time. More would only wait longer.
const READS_MAX: usize = 4096;

/// A read that somebody waits for.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) file: Arc<dyn DiskFile>,
    pub(super) offset: u64,
    pub(super) len: usize,
    /// Into memory as of [`crate::AlignedBuf`].
    pub(super) is_aligned: bool,
    pub(super) reply: oneshot::Sender<io::Result<Vec<u8>>>,
    /// Its place in the bound, given back when the read has ended.
    pub(super) place: OwnedSemaphorePermit,
}

impl Request {
    /// Memory for what is to be read; what it holds already is no part of that.
    pub(super) fn buffer(&self) -> io::Result<Vec<u8>> {
        if self.is_aligned {
            return Ok(AlignedBuf::with_capacity(self.len)?.into_padded());
        }
        buffer_for(self.len)
    }

    /// Whether nobody waits any more.
    pub(super) fn is_abandoned(&self) -> bool {
        self.reply.is_closed()
    }

    /// Gives the place back, then answers: who has its answer finds the place free.
    pub(super) fn answer(self, result: io::Result<Vec<u8>>) {
        let Self {
            reply, place, file, ..
        } = self;
        drop((place, file));
        // The reader may have gone; its bytes go with it.
        let _ = reply.send(result);
    }
}

#[derive(Debug)]
pub(super) struct Queue {
    waiting: Mutex<Waiting>,
    changed: Condvar,
    places: Arc<Semaphore>,
}

#[derive(Debug, Default)]
struct Waiting {
    requests: VecDeque<Request>,
    closed: bool,
}

impl Queue {
    pub(super) fn new() -> Self {
        Self {
            waiting: Mutex::default(),
            changed: Condvar::new(),
            places: Arc::new(Semaphore::new(READS_MAX)),
        }
    }

    /// Waits for a place in the bound.
    pub(super) async fn place(&self) -> io::Result<OwnedSemaphorePermit> {
        let places = Arc::clone(&self.places);
        places.acquire_owned().await.map_err(|_| stopped())
    }

    /// Appends a request, and says whether the queue was empty before.
    pub(super) fn push(&self, request: Request) -> io::Result<bool> {
        let mut waiting = self.waiting.lock();
        if waiting.closed {
            return Err(stopped());
        }
        let was_empty = waiting.requests.is_empty();
        waiting.requests.push_back(request);
        drop(waiting);
        self.changed.notify_one();
        Ok(was_empty)
    }

    /// The next request whose reader still waits; `None` when there is none now.
    pub(super) fn pop(&self) -> Option<Request> {
        self.waiting.lock().next()
    }

    /// The next request whose reader still waits, waiting for one; `None` when the queue is closed and empty.
    pub(super) fn pop_wait(&self) -> Option<Request> {
        let mut waiting = self.waiting.lock();
        loop {
            if let Some(request) = waiting.next() {
                return Some(request);
            }
            if waiting.closed {
                return None;
            }
            self.changed.wait(&mut waiting);
        }
    }

    /// Takes no more requests; those that wait are still served.
    pub(super) fn close(&self) {
        self.waiting.lock().closed = true;
        self.places.close();
        self.changed.notify_all();
    }

    /// Takes no more requests, and drops those that wait: their readers get an error.
    pub(super) fn abort(&self) {
        self.close();
        self.waiting.lock().requests.clear();
    }

    /// Whether nothing waits, and nothing can come any more.
    pub(super) fn is_finished(&self) -> bool {
        let waiting = self.waiting.lock();
        waiting.closed && waiting.requests.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        READS_MAX - self.places.available_permits()
    }
}

impl Waiting {
    fn next(&mut self) -> Option<Request> {
        loop {
            let request = self.requests.pop_front()?;
            if !request.is_abandoned() {
                return Some(request);
            }
        }
    }
}

pub(super) fn stopped() -> io::Error {
    io::Error::new(io::ErrorKind::BrokenPipe, "the read engine has stopped")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Disk, OpenMode, SimDisk};
    use std::path::Path;

    #[tokio::test]
    async fn reads_that_nobody_waits_for_are_not_begun() {
        let file = SimDisk::new(1)
            .open(Path::new("f"), OpenMode::CreateNew)
            .unwrap();
        let queue = Queue::new();
        let mut answers = Vec::new();
        for offset in 0..3 {
            let (reply, answer) = oneshot::channel();
            let (file, place) = (Arc::clone(&file), queue.place().await.unwrap());
            let was_empty = queue
                .push(Request {
                    file,
                    offset,
                    len: 1,
                    is_aligned: false,
                    reply,
                    place,
                })
                .unwrap();
            assert_eq!(was_empty, offset == 0);
            answers.push(answer);
        }
        assert_eq!(queue.len(), 3);
        answers.truncate(1);
        let read = queue.pop().unwrap();
        assert_eq!(read.offset, 0);
        assert!(queue.pop().is_none());
        assert_eq!(queue.len(), 1);
        read.answer(Ok(Vec::new()));
        assert_eq!(queue.len(), 0);
    }
}
