//! Files on disks, as an engine sees them that must not lose data.
//!
//! **Owns:** positioned reads and writes, making them durable, and the crash-safe steps on names (create,
//! rename, remove, each followed by a sync of the directory): the traits [`Disk`] and [`DiskFile`]. Two disks
//! stand behind them: [`RealDisk`], the operating system's, and [`SimDisk`], one in memory that loses, tears and
//! reorders what was not synced, fails on demand and runs out of space, all replayable from a seed.
//!
//! **Refuses to own:** any file format, any checksum, any caching (that is the kernel's page cache, or the crate
//! above), and any policy of when to sync. It never retries a failed write or sync: the caller must know.
//!
//! **Life of a read:** the caller tries [`DiskFile::try_read_now`], one system call that answers from memory or
//! says that it would have to wait. Only then does it go to the [`ReadEngine`], which waits for the device
//! elsewhere: on an io_uring, or on a pool of threads where the kernel or the container runtime forbids io_uring.
//!
//! **Life of a durable write:** [`DiskFile::write_all_at`], [`DiskFile::sync_data`], and for a file that is new
//! [`Disk::sync_dir`] of its directory. [`replace_file`] is that recipe for a small file that must change at once.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod aligned;
mod disk;
mod engine;
mod real;
mod replace;
pub mod sim;

pub use aligned::{AlignedBuf, BLOCK_BYTES};
pub use disk::{Disk, DiskFile, OpenMode, Space, read_exact_at};
pub use engine::{EngineChoice, ReadEngine};
pub use real::RealDisk;
pub use replace::replace_file;
pub use sim::{Crash, SimDisk};
