//! One cache disk: on, or off for a while after it has failed.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use moongate_disk::ReadEngine;
use parking_lot::{Mutex, RwLock};

use super::bars::{Bar, Bars};
use super::live::Live;
use super::queue::Queue;
use crate::clock::Clock;
use crate::share::{Owner, Share};
use crate::stats::Counters;

/// Failed reads after which a disk is off; each gives up one page.
const READ_FAILURES_MAX: u64 = 16;

/// Changes that a disk that is off remembers one by one.
const OWED_MAX: usize = 4096;

/// One cache disk.
#[derive(Debug)]
pub struct Folder {
    pub(super) root: PathBuf,
    pub(super) page_bytes: u64,
    bytes_max: u64,
    /// Less, after the file system was full.
    bytes_fit: AtomicU64,
    pub(super) pinned_bytes_max: u64,
    shares: Arc<[Share]>,
    pub(super) engine: Arc<ReadEngine>,
    pub(super) counters: Arc<Counters>,
    clock: Clock,
    retry: Duration,
    live: RwLock<Option<Arc<Live>>>,
    off_until: Mutex<Duration>,
    read_failures: AtomicU64,
    /// What is to be dropped before it is on again.
    owed: Mutex<Owed>,
    pub(super) bars: Arc<Bars>,
    pub(super) queue: Queue,
}

/// Changes that were made while the disk was off.
#[derive(Debug, Default)]
struct Owed {
    bars: Vec<Bar>,
    /// Too many to be told apart: all is dropped.
    is_everything: bool,
}

/// What all folders share.
#[derive(Clone, Debug)]
pub struct Terms {
    pub page_bytes: u64,
    pub bytes_max: u64,
    pub pinned_bytes_max: u64,
    pub shares: Arc<[Share]>,
    pub retry: Duration,
    pub engine: Arc<ReadEngine>,
    pub counters: Arc<Counters>,
    pub clock: Clock,
}

impl Folder {
    /// Opens it; one that cannot be opened is off.
    pub(super) fn open(root: &Path, terms: &Terms) -> io::Result<(Arc<Self>, JoinHandle<()>)> {
        let folder = Arc::new(Self {
            root: root.to_owned(),
            page_bytes: terms.page_bytes,
            bytes_max: terms.bytes_max,
            bytes_fit: AtomicU64::new(u64::MAX),
            pinned_bytes_max: terms.pinned_bytes_max,
            shares: Arc::clone(&terms.shares),
            engine: Arc::clone(&terms.engine),
            counters: Arc::clone(&terms.counters),
            clock: terms.clock.clone(),
            retry: terms.retry,
            live: RwLock::new(None),
            off_until: Mutex::new(Duration::ZERO),
            read_failures: AtomicU64::new(0),
            owed: Mutex::default(),
            bars: Arc::default(),
            queue: Queue::default(),
        });
        folder.reopen();
        let writer = Arc::clone(&folder);
        let thread = std::thread::Builder::new()
            .name("cache-disk-write".to_owned())
            .spawn(move || writer.write_jobs())?;
        Ok((folder, thread))
    }

    fn reopen(&self) {
        let opened = Live::open(&self.root, self.page_bytes);
        match opened.and_then(|live| self.pay(live)) {
            Ok(live) => {
                self.bytes_fit.store(u64::MAX, Ordering::Relaxed);
                self.read_failures.store(0, Ordering::Relaxed);
                *self.live.write() = Some(Arc::new(live));
            }
            Err(error) => self.failed(&error),
        }
    }

    /// Notes a change that the disk has to learn of before it is on again.
    pub(super) fn owe(&self, bar: Bar) {
        let mut owed = self.owed.lock();
        if owed.bars.len() < OWED_MAX {
            owed.bars.push(bar);
        } else {
            owed.is_everything = true;
        }
    }

    /// Drops what was changed while the disk was off.
    fn pay(&self, live: Live) -> io::Result<Live> {
        let mut owed = self.owed.lock();
        if owed.is_everything {
            drop(live);
            std::fs::remove_dir_all(self.root.join("index"))?;
            *owed = Owed::default();
            return Live::open(&self.root, self.page_bytes);
        }
        while let Some(bar) = owed.bars.last() {
            self.drop_path(&live, bar)?;
            owed.bars.pop();
        }
        Ok(live)
    }

    /// The disk, if it is on.
    pub(super) fn live(&self) -> Option<Arc<Live>> {
        self.live.read().clone()
    }

    /// The disk; one that was off for long enough is tried again. For the writer alone.
    pub(super) fn live_or_reopened(&self) -> Option<Arc<Live>> {
        if self.live.read().is_none() && self.may_try() {
            self.reopen();
        }
        self.live()
    }

    /// Whether it is on, or was off for long enough to be tried again.
    pub(super) fn may_try(&self) -> bool {
        self.live.read().is_some() || self.clock.now() >= *self.off_until.lock()
    }

    /// The bytes that it may hold now.
    pub(super) fn bytes_max(&self) -> u64 {
        self.bytes_max.min(self.bytes_fit.load(Ordering::Relaxed))
    }

    /// The bytes of them that an owner may hold.
    pub(super) fn share_bytes(&self, owner: Owner) -> u64 {
        let share = owner.share().and_then(|place| self.shares.get(place));
        share.map_or(u64::MAX, |share| share.of(self.bytes_max()))
    }

    /// Something went wrong: a full disk holds less from now on, any other is off for a while.
    pub(super) fn failed(&self, error: &io::Error) {
        self.counters.disk_failures.add(1);
        if error.kind() == io::ErrorKind::StorageFull
            && let Some(live) = self.live()
        {
            let held = live.table.lock().bytes();
            let was = self.bytes_fit.swap(held / 10 * 9, Ordering::Relaxed);
            if was == u64::MAX {
                tracing::warn!(dir = %self.root.display(), held, "the cache disk is full: it holds less than cache.disk_bytes allows");
            }
            if held > 0 {
                return;
            }
        }
        self.turn_off(error);
    }

    pub(super) fn turn_off(&self, error: &io::Error) {
        let first = self.off_until.lock().is_zero();
        *self.off_until.lock() = self.clock.now().saturating_add(self.retry);
        let was_on = self.live.write().take().is_some();
        if was_on || first {
            tracing::warn!(dir = %self.root.display(), %error, "the cache disk fails: it is left alone for a while, reads go to the under stores");
        }
    }

    /// A page could not be read.
    pub(super) fn read_failed(&self, error: &io::Error) {
        self.counters.disk_failures.add(1);
        let failures = self.read_failures.fetch_add(1, Ordering::Relaxed) + 1;
        if failures >= READ_FAILURES_MAX {
            self.turn_off(error);
        }
    }
}
