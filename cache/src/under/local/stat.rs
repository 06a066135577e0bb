//! What a file is, and which version of it.

use std::os::fd::AsFd;
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::fs::{FileType, Stat, fstat};

use super::Shared;
use super::error::of_errno;
use crate::backend::{BackendError, ErrorKind, FileKind, Status};

/// The kernel stamps files by a clock that moves on every 1 to 10 ms, by its configuration.
const CLOCK_STEP: Duration = Duration::from_millis(11);
/// Said to readers, who split files by it.
const BLOCK_BYTES: u64 = 128 << 20;
/// Permissions and the sticky bit.
const PERMISSION_BITS: u32 = 0o1777;

pub(super) fn of_path(shared: &Shared, path: &str) -> Result<Status, BackendError> {
    let handle = shared.root.resolve(path)?;
    let stat = settled(&handle, path)?;
    to_status(shared, &stat, String::new()).ok_or_else(|| neither(path))
}

/// What a file is, looked at when its next change is sure to look different. Waits for a step of the clock at most.
pub(super) fn settled(handle: impl AsFd, path: &str) -> Result<Stat, BackendError> {
    let look = || fstat(&handle).map_err(|errno| of_errno(errno, path));
    let stat = look()?;
    let is_file = FileType::from_raw_mode(stat.st_mode).is_file();
    match unsettled_for(&stat) {
        Some(wait) if is_file => {
            thread::sleep(wait);
            look()
        }
        _ => Ok(stat),
    }
}

/// How long it takes until the clock has moved on since a change: the kernel's clock, by which it stamps files.
#[allow(clippy::disallowed_methods)]
fn unsettled_for(stat: &Stat) -> Option<Duration> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?;
    let changed = Duration::new(
        u64::try_from(stat.st_ctime).ok()?,
        nanos(stat.st_ctime_nsec),
    );
    let age = now.checked_sub(changed)?;
    CLOCK_STEP.checked_sub(age)
}

/// In the backend's words; `None` of what is neither file nor folder.
pub(super) fn to_status(shared: &Shared, stat: &Stat, name: String) -> Option<Status> {
    let kind = match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => FileKind::File,
        FileType::Directory => FileKind::Directory,
        _ => return None,
    };
    let is_file = kind == FileKind::File;
    let of_file = |value: u64| if is_file { value } else { 0 };
    Some(Status {
        name,
        kind,
        len: of_file(u64::try_from(stat.st_size).unwrap_or(0)),
        modified_ms: millis(stat.st_mtime, stat.st_mtime_nsec),
        accessed_ms: of_file(millis(stat.st_atime, stat.st_atime_nsec)),
        owner: shared.owners.user(stat.st_uid),
        group: shared.owners.group(stat.st_gid),
        #[allow(clippy::cast_possible_truncation)] // the mask fits
        permission: (stat.st_mode & PERMISSION_BITS) as u16,
        replication: u16::from(is_file),
        block_bytes: of_file(BLOCK_BYTES),
        etag: is_file.then(|| etag(stat).into()),
    })
}

/// Inode and both times to the nanosecond; of a file that changed within this step of the clock, a word that is never seen again.
fn etag(stat: &Stat) -> String {
    let since_1970 = |secs: i64, nsec| i128::from(secs) * 1_000_000_000 + i128::from(nanos(nsec));
    let modified = since_1970(stat.st_mtime, stat.st_mtime_nsec);
    let changed = since_1970(stat.st_ctime, stat.st_ctime_nsec);
    let settled = format!("{:x}-{modified:x}-{changed:x}", stat.st_ino);
    match unsettled_for(stat) {
        None => settled,
        Some(wait) => format!("{settled}-{:x}", wait.as_nanos()),
    }
}

/// Whether two looks at a file saw the same content.
pub(super) fn is_same(a: &Stat, b: &Stat) -> bool {
    let times = |s: &Stat| (s.st_mtime, s.st_mtime_nsec, s.st_ctime, s.st_ctime_nsec);
    (a.st_dev, a.st_ino, a.st_size) == (b.st_dev, b.st_ino, b.st_size) && times(a) == times(b)
}

/// What is neither file nor folder is not served.
pub(super) fn neither(path: &str) -> BackendError {
    let text = format!("{path}: it is neither a file nor a folder (a socket, a pipe, a device)");
    BackendError::new(ErrorKind::Unsupported, text)
}

fn millis(secs: i64, nsec: u64) -> u64 {
    let secs = u64::try_from(secs).unwrap_or(0);
    secs.saturating_mul(1000) + u64::from(nanos(nsec)) / 1_000_000
}

fn nanos(nsec: u64) -> u32 {
    u32::try_from(nsec).unwrap_or(0)
}
