//! A disk in memory that fails the way disks do, for tests; the same seed and operations give the same faults.
//!
//! # The fault model
//! **Files.** A file has what is *visible* (every read sees all that was written, as the page cache shows it) and
//! what is *durable*. [`DiskFile::sync_data`](crate::DiskFile::sync_data) makes a file's bytes and length durable,
//! and nothing else: not its name, not other files.
//!
//! **Names.** Creating, renaming and removing are visible at once, and durable after
//! [`Disk::sync_dir`](crate::Disk::sync_dir) of the directory. A rename from one directory to another becomes
//! durable as a whole, with whichever of the two is synced. Directories themselves are durable when made.
//!
//! **The process is killed** ([`Crash::ProcessKill`]): all that is visible stays visible; what was not durable still
//! is not.
//!
//! **The power fails** ([`Crash::PowerLoss`]): what is durable stays. Of what is not:
//! - a write may be there, be lost, or be *torn*: any subset of its 512-byte sectors (a sector itself is never
//!   torn). Writes are *reordered*: a later one may be there and an earlier one not. A sector holds what was visible
//!   in it after one of the writes to it, as it does when the kernel writes back a page.
//! - changes of a file's length happen up to some point, in order, independently of the bytes: a sector that is
//!   within the length and was lost reads as before, or as zeros.
//! - changes of names happen up to some point, in order, as metadata journals have it.
//!
//! **A sync fails** ([`SimDisk::fail_next_syncs`]): it gives EIO, and what was written since the last sync stays
//! visible but is marked clean, as Linux does: later syncs succeed without making it durable, and the next power
//! loss takes it, unless it is written again. (Lengths set by `set_len` are metadata, and stay to be synced.)
//!
//! **A write fails** ([`SimDisk::fail_next_writes`], [`SimDisk::set_capacity`]) with EIO or ENOSPC, and some prefix
//! of it may have been written.
//!
//! **The disk decays**: [`SimDisk::flip_bit`] and [`SimDisk::fail_reads`] damage what is there already.
//!
//! **Dying between two steps**: [`SimDisk::kill_after`]. The step after the last is cut: a write has put down some
//! prefix, any other step happened or did not, and its caller has no answer.
//!
//! # Outside the model
//! Durable bytes are never lost but by decay; there are no misdirected writes or reads, and no latency. The space of
//! a removed file is free at once, even while it is open. Operations from several threads are safe, but their order
//! is the scheduler's, so only one thread's are replayed exactly.

mod content;
mod disk;
mod file;
mod names;
mod rng;
pub mod seeds;
mod state;
mod trace;

pub use rng::Rng;
pub use trace::Trace;

use parking_lot::Mutex;
use state::State;
use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What a power loss keeps or loses as a whole.
pub const SECTOR_BYTES: usize = 512;
/// The longest file the simulation holds; beyond it, EFBIG.
pub const FILE_BYTES_MAX: u64 = 1 << 30;
/// The size of a disk whose capacity nobody set.
pub const CAPACITY_BYTES_DEFAULT: u64 = 1 << 40;

/// How a machine goes down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Crash {
    /// The process dies, the kernel lives: everything written is there.
    ProcessKill,
    /// Everything that was not synced is at risk.
    PowerLoss,
}

/// The simulated disk. A clone is another handle of the same disk.
#[derive(Clone, Debug)]
pub struct SimDisk {
    state: Arc<Mutex<State>>,
}

impl SimDisk {
    /// An empty disk, whose faults are drawn from `seed`.
    pub fn new(seed: u64) -> Self {
        Self::with_state(State::new(seed))
    }

    fn with_state(state: State) -> Self {
        Self {
            state: Arc::new(Mutex::new(state)),
        }
    }

    /// Takes this disk down, and gives the disk as it is found when the machine is up again. This disk, its clones
    /// and its open files give nothing but errors from now on. Counters and planned faults start afresh; decay and
    /// capacity stay.
    pub fn crash(&self, crash: Crash) -> Self {
        let mut state = self.state.lock();
        state.go_down();
        Self::with_state(state.after(crash))
    }

    /// Lets `steps` more mutating steps happen; then every operation gives an error, until [`Self::crash`]. The
    /// first of them, if it is mutating, is cut in the middle.
    ///
    /// A mutating step is one call of: open that creates or truncates, write, `set_len`, `sync_data`, rename,
    /// remove, `create_dir_all` or `sync_dir`.
    pub fn kill_after(&self, steps: u64) {
        self.state.lock().kill_after(steps);
    }

    /// How many mutating steps have been taken since the disk was made or came back from a crash.
    pub fn steps(&self) -> u64 {
        self.state.lock().steps()
    }

    /// Whether the machine is down, so that operations give errors.
    pub fn is_down(&self) -> bool {
        self.state.lock().is_down()
    }

    /// Lets the next `count` calls of `sync_data`, on any file, fail with EIO and forget what they had to sync.
    pub fn fail_next_syncs(&self, count: u32) {
        self.state.lock().failing_syncs = count;
    }

    /// Lets the next `count` writes, to any file, fail with EIO after some prefix of them.
    pub fn fail_next_writes(&self, count: u32) {
        self.state.lock().failing_writes = count;
    }

    /// The most bytes that the files may hold together; more is ENOSPC. It may be less than they hold now.
    pub fn set_capacity(&self, bytes: u64) {
        self.state.lock().capacity_bytes = bytes;
    }

    /// Flips a bit (0 is the lowest) of the byte at `offset`, in what is visible and what is durable.
    ///
    /// # Errors
    /// `NotFound`; `InvalidInput` when the file has no such byte, or a byte no such bit.
    pub fn flip_bit(&self, path: &Path, offset: u64, bit: u8) -> io::Result<()> {
        self.state.lock().content_mut(path)?.flip_bit(offset, bit)
    }

    /// Makes every read that touches these bytes of the file fail with EIO, also after a crash or a rename.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn fail_reads(&self, path: &Path, offsets: Range<u64>) -> io::Result<()> {
        self.state.lock().content_mut(path)?.fail_reads(offsets);
        Ok(())
    }

    /// The files that a power loss now is sure to leave, if it takes everything that it may.
    pub fn durable_files(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        self.state.lock().durable_files()
    }

    /// The files as reads see them.
    pub fn visible_files(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        self.state.lock().visible_files()
    }
}

#[cfg(test)]
mod tests;
