//! Whole folders: listing, deleting, counting.

use std::collections::BTreeSet;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, fstat, openat, statat, unlinkat};
use rustix::io::Errno;

use super::error::{invalid, of_errno};
use super::root::{Place, reopen};
use super::{Shared, WRITING_PREFIX, stat};
use crate::backend::{BackendError, ErrorKind, FileKind, Listing, Status, Summary};

/// Folders within folders that are gone into; deeper ones are refused.
const DEPTH_MAX: usize = 512;
/// Unit of `st_blocks`, whatever the file system's own block is (stat(2)).
const STAT_BLOCK_BYTES: u64 = 512;

pub(super) fn list(
    shared: &Shared,
    path: &str,
    after: Option<&str>,
    limit: usize,
) -> Result<Listing, BackendError> {
    let handle = shared.root.resolve(path)?;
    let stat = stat::settled(&handle, path)?;
    let itself =
        stat::to_status(shared, &stat, String::new()).ok_or_else(|| stat::neither(path))?;
    if itself.kind == FileKind::File {
        let entries = if after.is_none() {
            vec![itself]
        } else {
            Vec::new()
        };
        return Ok(Listing {
            entries: entries.into(),
            more: false,
        });
    }
    let folder = open_folder(&handle, path)?;
    page(shared, &folder, path, after, limit)
}

/// The next entries in order. What is gone before it was looked at was never there, and what may not be shown leaves its place to others.
fn page(
    shared: &Shared,
    folder: &OwnedFd,
    path: &str,
    after: Option<&str>,
    limit: usize,
) -> Result<Listing, BackendError> {
    let mut entries = Vec::new();
    let mut after = after.map(str::to_owned);
    loop {
        let wanted = limit - entries.len();
        let found = names_after(folder, path, after.as_deref(), wanted.saturating_add(1))?;
        let more = found.len() > wanted;
        let mut names: Vec<String> = found.into_iter().collect();
        names.truncate(wanted);
        after = names.last().cloned().or(after);
        let found = names.into_iter();
        entries.extend(found.filter_map(|name| entry(shared, folder, path, name)));
        if !more || entries.len() == limit {
            return Ok(Listing {
                entries: entries.into(),
                more,
            });
        }
    }
}

/// The first `count` names in the order of their bytes; memory for no more than these, however large the folder.
fn names_after(
    folder: &OwnedFd,
    path: &str,
    after: Option<&str>,
    count: usize,
) -> Result<BTreeSet<String>, BackendError> {
    let mut names: BTreeSet<String> = BTreeSet::new();
    for_each_name(folder, path, |name| {
        let is_next = !name.starts_with(WRITING_PREFIX) && after.is_none_or(|after| name > after);
        let is_early = || names.last().is_none_or(|last| name < last.as_str());
        if is_next && (names.len() < count || is_early()) {
            names.insert(name.to_owned());
        }
        if names.len() > count {
            names.pop_last();
        }
        Ok(())
    })?;
    Ok(names)
}

fn entry(shared: &Shared, folder: &OwnedFd, path: &str, name: String) -> Option<Status> {
    let found = statat(folder, &name, AtFlags::SYMLINK_NOFOLLOW).ok()?;
    if !FileType::from_raw_mode(found.st_mode).is_symlink() {
        return stat::to_status(shared, &found, name);
    }
    // Shown as what it leads to, if that is beneath the root.
    let target = shared.root.resolve(&join(path, &name)).ok()?;
    stat::to_status(shared, &fstat(&target).ok()?, name)
}

/// `/a` and `b` are `/a/b`, also of the root.
pub(super) fn join(path: &str, name: &str) -> String {
    format!("{}/{name}", path.trim_end_matches('/'))
}

fn open_folder(handle: impl AsFd, path: &str) -> Result<OwnedFd, BackendError> {
    reopen(handle, OFlags::RDONLY | OFlags::DIRECTORY).map_err(|errno| of_errno(errno, path))
}

/// Every name in a folder but its own and its parent's. Names that are not UTF-8 cannot be asked for and are passed over.
fn for_each_name(
    folder: &OwnedFd,
    path: &str,
    mut each: impl FnMut(&str) -> Result<(), BackendError>,
) -> Result<(), BackendError> {
    let fail = |errno| of_errno(errno, path);
    for entry in Dir::read_from(folder).map_err(fail)? {
        let entry = entry.map_err(fail)?;
        match entry.file_name().to_str() {
            Ok("." | "..") | Err(_) => {}
            Ok(name) => each(name)?,
        }
    }
    Ok(())
}

pub(super) fn delete(shared: &Shared, path: &str, recursive: bool) -> Result<bool, BackendError> {
    let place = match shared.root.place(path) {
        Err(error) if error.kind == ErrorKind::NotFound => return Ok(false),
        place => place?,
    };
    match unlinkat(&place.parent, &place.name, AtFlags::empty()) {
        Ok(()) => {
            sync(&place.parent, path)?;
            return Ok(true);
        }
        Err(Errno::NOENT) => return Ok(false),
        // Linux says ISDIR of a folder, POSIX PERM.
        Err(Errno::ISDIR | Errno::PERM) => {}
        Err(errno) => return Err(of_errno(errno, path)),
    }
    delete_folder(&place, path, recursive)?;
    sync(&place.parent, path)?;
    Ok(true)
}

fn delete_folder(place: &Place, path: &str, recursive: bool) -> Result<(), BackendError> {
    let fail = |errno| of_errno(errno, path);
    match unlinkat(&place.parent, &place.name, AtFlags::REMOVEDIR) {
        Err(Errno::NOTEMPTY | Errno::EXIST) => {}
        done => return done.map_err(fail),
    }
    let folder = child_folder(&place.parent, &place.name, path)?;
    if !recursive && !names_after(&folder, path, None, 1)?.is_empty() {
        return Err(fail(Errno::NOTEMPTY));
    }
    // Without `recursive` too, for what a writer that was killed has left, which nobody sees.
    empty(&folder, path, DEPTH_MAX)?;
    unlinkat(&place.parent, &place.name, AtFlags::REMOVEDIR).map_err(fail)
}

/// A folder itself, never one that a symbolic link leads to.
fn child_folder(parent: &OwnedFd, name: &str, path: &str) -> Result<OwnedFd, BackendError> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    openat(parent, name, flags, Mode::empty()).map_err(|errno| of_errno(errno, path))
}

fn empty(folder: &OwnedFd, path: &str, depth: usize) -> Result<(), BackendError> {
    if depth == 0 {
        return Err(invalid(path, "the folders in it are nested too deeply"));
    }
    for entry in Dir::read_from(folder).map_err(|errno| of_errno(errno, path))? {
        let entry = entry.map_err(|errno| of_errno(errno, path))?;
        let name = entry.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        match unlinkat(folder, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(Errno::ISDIR | Errno::PERM) => {
                let inner = path.to_owned() + "/" + &name.to_string_lossy();
                let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let fail = |errno| of_errno(errno, &inner);
                let child = openat(folder, name, flags, Mode::empty()).map_err(fail)?;
                empty(&child, &inner, depth - 1)?;
                unlinkat(folder, name, AtFlags::REMOVEDIR).map_err(fail)?;
            }
            Err(errno) => return Err(of_errno(errno, path)),
        }
    }
    Ok(())
}

/// Makes a change of names in a folder durable.
pub(super) fn sync(folder: &OwnedFd, path: &str) -> Result<(), BackendError> {
    let folder = open_folder(folder, path)?;
    rustix::fs::fsync(&folder).map_err(|errno| of_errno(errno, path))
}

pub(super) fn summary(shared: &Shared, path: &str) -> Result<Summary, BackendError> {
    let handle = shared.root.resolve(path)?;
    let found = fstat(&handle).map_err(|errno| of_errno(errno, path))?;
    let mut sum = Summary {
        quota: -1,
        space_quota_bytes: -1,
        ..Summary::default()
    };
    match FileType::from_raw_mode(found.st_mode) {
        FileType::Directory => count(&open_folder(&handle, path)?, path, DEPTH_MAX, &mut sum)?,
        FileType::RegularFile => add(&mut sum, &found),
        _ => return Err(stat::neither(path)),
    }
    Ok(sum)
}

/// A symbolic link counts for nothing: what it leads to is counted where it is.
fn count(
    folder: &OwnedFd,
    path: &str,
    depth: usize,
    sum: &mut Summary,
) -> Result<(), BackendError> {
    if depth == 0 {
        return Err(invalid(path, "the folders in it are nested too deeply"));
    }
    sum.directories += 1;
    for_each_name(folder, path, |name| {
        let Ok(found) = statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) else {
            return Ok(());
        };
        match FileType::from_raw_mode(found.st_mode) {
            FileType::Directory => {
                let inner = join(path, name);
                count(&child_folder(folder, name, &inner)?, &inner, depth - 1, sum)
            }
            FileType::RegularFile if !name.starts_with(WRITING_PREFIX) => {
                add(sum, &found);
                Ok(())
            }
            _ => Ok(()),
        }
    })
}

fn add(sum: &mut Summary, file: &rustix::fs::Stat) {
    sum.files += 1;
    sum.len += u64::try_from(file.st_size).unwrap_or(0);
    sum.space_bytes += u64::try_from(file.st_blocks).unwrap_or(0) * STAT_BLOCK_BYTES;
}
