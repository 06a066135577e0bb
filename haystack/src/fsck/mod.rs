//! Checking a folder of volumes, and mending what can be mended, while no gateway has it open.
//!
//! The `.dat` is the truth. Each is read from end to end: every record's CRC-32C and seal, every commit's checksum. From what
//! stands there follows what the `.idx` and the table in RocksDB should say, and both are compared with it. A check writes
//! nothing at all: RocksDB is opened for reading only, under a read lock on its own `LOCK` file, which keeps a gateway from
//! starting meanwhile. A repair opens it as a gateway does. What it cannot mend it leaves as it is: a damaged needle stays, and is
//! answered with an error until it is stored again.
//!
//! Nothing is printed here: findings are values ([`Problem`]), handed to a [`Watcher`] volume by volume.

mod damage;
mod fold;
mod folder;
mod idx_file;
mod lock;
mod problem;
mod repair;
mod table;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_of_repair;
mod text;
mod volume;
mod walk;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use moongate_disk::Disk;
use serde::Serialize;

use crate::id::VolumeId;
use crate::index::IndexStore;
use crate::index::hot::HotIndex;
use crate::index::rocks::RocksIndex;
use crate::store::INDEX_DIR;

use lock::ReadLock;
pub use problem::{Fault, NeedleName, Problem};

/// Problems of one volume that are listed; beyond them they are counted only.
pub const PROBLEMS_MAX: usize = 100_000;

/// Why a folder cannot be checked.
#[derive(Debug, thiserror::Error)]
pub enum FsckError {
    /// A gateway (or another check) has the folder: stop it first.
    #[error("{} is in use by another process: stop the gateway first, then run moongate fsck again", .0.display())]
    InUse(PathBuf),
    /// The folder or a file of it cannot be read or written: see to its rights and its disk.
    #[error("{}: {error}", .path.display())]
    Io {
        /// The folder or the file.
        path: PathBuf,
        /// What the operating system says.
        error: std::io::Error,
    },
}

/// What was found in one volume.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct VolumeReport {
    /// Number of the volume.
    pub volume: u32,
    /// Its collection, empty for the default one.
    pub collection: String,
    /// Its `.dat`.
    pub file: PathBuf,
    /// Needles ever put that are still in the file, overwritten and deleted ones included.
    pub needles: u64,
    /// Needles that can be asked for.
    pub live: u64,
    /// Keys that were deleted.
    pub deleted: u64,
    /// Length of the `.dat`.
    pub bytes: u64,
    /// Bytes of it that vacuum would free.
    pub garbage_bytes: u64,
    /// Whether Moongate has written to it (it holds commit records).
    pub written_by_moongate: bool,
    /// Largest key in it, made-up ones aside.
    pub key_max: u64,
    /// What is wrong with it, now.
    pub problems: Vec<Problem>,
    /// Problems that are not listed, because they are too many.
    pub problems_left_out: u64,
    /// What a repair did, in words.
    pub repaired: Vec<String>,
}

impl VolumeReport {
    /// Whether nothing is wrong. Notes do not count.
    pub fn is_sound(&self) -> bool {
        self.problems_left_out == 0 && self.problems.iter().all(Problem::is_note)
    }

    fn add(&mut self, problem: Problem) {
        if self.problems.len() < PROBLEMS_MAX {
            self.problems.push(problem);
        } else {
            self.problems_left_out += 1;
        }
    }
}

/// What was found in all.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct FolderReport {
    /// Volumes.
    pub volumes: u64,
    /// Volumes with problems that are left.
    pub volumes_hurt: u64,
    /// See [`VolumeReport::needles`].
    pub needles: u64,
    /// See [`VolumeReport::live`].
    pub live: u64,
    /// See [`VolumeReport::deleted`].
    pub deleted: u64,
    /// Bytes of all `.dat` files.
    pub bytes: u64,
    /// See [`VolumeReport::garbage_bytes`].
    pub garbage_bytes: u64,
    /// Live needles that cannot be read whole.
    pub damaged_needles: u64,
    /// Problems of all volumes and of the folder that are left, notes aside.
    pub problems_left: u64,
    /// What is wrong with the folder itself.
    pub problems: Vec<Problem>,
    /// What a repair did to the folder itself.
    pub repaired: Vec<String>,
}

impl FolderReport {
    /// Whether nothing is wrong, or is so any more. Notes do not count.
    pub const fn is_sound(&self) -> bool {
        self.problems_left == 0
    }

    fn count(&mut self, report: &VolumeReport) {
        self.volumes += 1;
        self.volumes_hurt += u64::from(!report.is_sound());
        self.needles += report.needles;
        self.live += report.live;
        self.deleted += report.deleted;
        self.bytes += report.bytes;
        self.garbage_bytes += report.garbage_bytes;
        let count = |wanted: fn(&Problem) -> bool| {
            report.problems.iter().filter(|p| wanted(p)).count() as u64
        };
        self.damaged_needles += count(|p| matches!(p, Problem::DamagedNeedle { .. }));
        self.problems_left += count(|p| !p.is_note()) + report.problems_left_out;
    }
}

/// Who is told how a check goes.
pub trait Watcher {
    /// It starts: so many bytes are to be read (a repair reads hurt volumes several times).
    fn begin(&mut self, _bytes: u64) {}
    /// So many more bytes were read.
    fn walked(&mut self, _bytes: u64) {}
    /// A volume is done.
    fn volume(&mut self, _report: &VolumeReport) {}
}

/// What a check or a repair works with.
struct Context<'a> {
    disk: &'a dyn Disk,
    dir: &'a Path,
    index: Option<Arc<HotIndex>>,
    repair: bool,
}

impl Context<'_> {
    fn store(&self) -> Option<&dyn IndexStore> {
        self.index.as_deref().map(|hot| &**hot.store())
    }
}

/// Checks every volume in a folder, and with `repair` mends what can be mended.
pub fn run(
    disk: &dyn Disk,
    dir: &Path,
    repair: bool,
    watcher: &mut dyn Watcher,
) -> Result<FolderReport, FsckError> {
    let content = folder::read(disk, dir)?;
    let mut total = FolderReport::default();
    let lock = ReadLock::take(&dir.join(INDEX_DIR))?;
    let (index, _lock) = if repair {
        // Closing our descriptor would take RocksDB's own lock away with it: it goes first.
        drop(lock);
        (Some(repair::open_index(disk, dir, &mut total)?), None)
    } else {
        (open_for_reading(disk, dir, &mut total)?, Some(lock))
    };
    let context = Context {
        disk,
        dir,
        index,
        repair,
    };
    watcher.begin(content.bytes);
    let mut extremes = folder::Extremes::default();
    for files in &content.volumes {
        let report = if content.twice.contains(&files.id) {
            duplicate(files.id, files.dat())
        } else {
            repair::check_and_mend(&context, files, watcher)
        };
        extremes.take(&report);
        total.count(&report);
        watcher.volume(&report);
    }
    folder::check(&context, &content, &extremes, &mut total);
    total.problems_left += total.problems.iter().filter(|p| !p.is_note()).count() as u64;
    Ok(total)
}

fn duplicate(id: VolumeId, file: PathBuf) -> VolumeReport {
    VolumeReport {
        volume: id.0,
        file,
        problems: vec![Problem::DuplicateVolume { volume: id.0 }],
        ..VolumeReport::default()
    }
}

fn open_for_reading(
    disk: &dyn Disk,
    dir: &Path,
    total: &mut FolderReport,
) -> Result<Option<Arc<HotIndex>>, FsckError> {
    let path = dir.join(INDEX_DIR);
    let there = disk.exists(&path).map_err(|error| FsckError::Io {
        path: path.clone(),
        error,
    })?;
    if !there {
        return Ok(None);
    }
    match RocksIndex::open_read_only(&path) {
        Ok(index) => Ok(Some(Arc::new(HotIndex::new(Arc::new(index), 0)))),
        Err(error) => {
            total.problems.push(Problem::IndexUnreadable {
                error: error.to_string(),
            });
            Ok(None)
        }
    }
}
