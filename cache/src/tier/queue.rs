//! What a cache disk's writer has to do. Pages wait within a bound of bytes, else they are not written; the rest is small and must be done.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::{Condvar, Mutex};
use tokio::sync::oneshot;

use super::bars::Bar;
use crate::budget::Charge;
use crate::files::{FileId, FileVersion, PageKey};

/// Work for the writer.
#[derive(Debug)]
pub enum Job {
    /// Writes a page.
    Put(Put),
    /// Forgets the version of a file that was replaced.
    DropFile(FileId, u64),
    /// Forgets what is at a path, and below it if it says so; then lifts the bar.
    DropPath(Bar, oneshot::Sender<Vec<Dropped>>),
    /// A page has turned out not to be what its row says.
    Corrupt(PageKey),
    /// Pins a path, or not any more.
    Pin(Arc<str>, Arc<str>, bool, oneshot::Sender<bool>),
}

/// A page to be written.
#[derive(Debug)]
pub struct Put {
    pub mount: Arc<str>,
    pub file: Arc<FileVersion>,
    pub page: u64,
    pub bytes: Bytes,
    pub charge: Vec<Charge>,
    /// Told when it is written, or not.
    pub done: Option<oneshot::Sender<()>>,
}

/// A file that was forgotten, and its pages.
#[derive(Clone, Debug)]
pub struct Dropped {
    pub file: FileId,
    pub pages: u64,
    pub bytes: u64,
}

/// The queue of one writer.
#[derive(Debug, Default)]
pub struct Queue {
    jobs: Mutex<Jobs>,
    more: Condvar,
}

#[derive(Debug, Default)]
struct Jobs {
    waiting: VecDeque<Job>,
    closed: bool,
}

impl Queue {
    pub fn push(&self, job: Job) {
        let mut jobs = self.jobs.lock();
        if !jobs.closed {
            jobs.waiting.push_back(job);
        }
        drop(jobs);
        self.more.notify_one();
    }

    /// The next job; `None` when closed. Pages that wait then are not written.
    pub fn pop(&self) -> Option<Job> {
        let mut jobs = self.jobs.lock();
        loop {
            if let Some(job) = jobs.waiting.pop_front() {
                return Some(job);
            }
            if jobs.closed {
                return None;
            }
            self.more.wait(&mut jobs);
        }
    }

    pub fn close(&self) {
        let mut jobs = self.jobs.lock();
        jobs.closed = true;
        jobs.waiting.retain(|job| !matches!(job, Job::Put(_)));
        drop(jobs);
        self.more.notify_all();
    }
}
