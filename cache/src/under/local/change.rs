//! Changes of names and attributes.

use std::time::Duration;

use rustix::fs::{
    AtFlags, CWD, FileType, Gid, Mode, RenameFlags, Timespec, Timestamps, UTIME_OMIT, Uid, chmodat,
    chownat, mkdirat, renameat, renameat_with, statat, utimensat,
};
use rustix::io::Errno;

use super::error::{invalid, of_errno};
use super::root::{Place, by_number};
use super::tree::{join, sync};
use super::{Shared, stat};
use crate::backend::{BackendError, Change, ErrorKind, RenameMode};

pub(super) fn make_dirs(shared: &Shared, path: &str, permission: u16) -> Result<(), BackendError> {
    match stat::of_path(shared, path) {
        Ok(found) if found.is_dir() => return Ok(()),
        Ok(_) => return Err(of_errno(Errno::EXIST, path)),
        Err(error) if error.kind == ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let ends = path.match_indices('/').skip(1).map(|(at, _)| at);
    for end in ends.chain([path.len()]) {
        let Some(folder) = path.get(..end) else {
            continue;
        };
        make_dir(shared, folder, permission)?;
    }
    Ok(())
}

/// One folder, if there is none.
fn make_dir(shared: &Shared, path: &str, permission: u16) -> Result<(), BackendError> {
    let fail = |errno| of_errno(errno, path);
    let place = shared.root.place(path)?;
    match mkdirat(&place.parent, &place.name, Mode::from(0o700)) {
        Ok(()) => {}
        Err(Errno::EXIST) => return Ok(()),
        Err(errno) => return Err(fail(errno)),
    }
    // Exactly these: not what the process's umask leaves of them.
    set_permission(shared, path, permission)?;
    sync(&place.parent, path)
}

pub(super) fn rename(
    shared: &Shared,
    from: &str,
    to: &str,
    mode: RenameMode,
) -> Result<(), BackendError> {
    let source = shared.root.place(from)?;
    let found = kind_at(&source).ok_or_else(|| BackendError::not_found(from))?;
    let into = (mode == RenameMode::Into).then(|| stat::of_path(shared, to));
    let to = match into {
        Some(Ok(target)) if target.is_dir() => join(to, &source.name),
        Some(Ok(_)) if from == to => return Ok(()),
        _ => to.to_owned(),
    };
    if to
        .strip_prefix(from)
        .is_some_and(|rest| rest.starts_with('/'))
    {
        return Err(invalid(from, "a folder cannot be moved into itself"));
    }
    if from == to {
        return Err(of_errno(Errno::EXIST, &to));
    }
    let target = shared.root.place(&to)?;
    match mode {
        RenameMode::Replace => replace(&source, found, &target, &to)?,
        RenameMode::Into | RenameMode::NoReplace => {
            move_new(&source, &target).map_err(|errno| of_errno(errno, &to))?;
        }
    }
    sync(&source.parent, from)?;
    sync(&target.parent, &to)
}

fn kind_at(place: &Place) -> Option<FileType> {
    let found = statat(&place.parent, &place.name, AtFlags::SYMLINK_NOFOLLOW).ok()?;
    Some(FileType::from_raw_mode(found.st_mode))
}

/// The system's own rename replaces a file by a file and an empty folder by a folder, and says what is wrong with all others.
fn replace(source: &Place, kind: FileType, target: &Place, to: &str) -> Result<(), BackendError> {
    let moved = renameat(&source.parent, &source.name, &target.parent, &target.name);
    moved.map_err(|errno| match errno {
        // POSIX lets a folder that is not empty say so in two ways.
        Errno::EXIST if kind.is_dir() => of_errno(Errno::NOTEMPTY, to),
        errno => of_errno(errno, to),
    })
}

/// A rename to a name that is free.
pub(super) fn move_new(source: &Place, target: &Place) -> Result<(), Errno> {
    let (from, to) = (&source.parent, &target.parent);
    match renameat_with(from, &source.name, to, &target.name, RenameFlags::NOREPLACE) {
        // Not every file system has it: there the look and the move are two steps.
        Err(Errno::INVAL | Errno::NOSYS) if kind_at(target).is_none() => {
            renameat(from, &source.name, to, &target.name)
        }
        Err(Errno::INVAL | Errno::NOSYS) => Err(Errno::EXIST),
        done => done,
    }
}

/// `lacks` is what to answer for an attribute that a file system has not.
pub(super) fn attributes(
    shared: &Shared,
    path: &str,
    change: &Change,
    lacks: BackendError,
) -> Result<(), BackendError> {
    match change {
        Change::Permission(permission) => set_permission(shared, path, *permission),
        Change::Owner { owner, group } => {
            set_owner(shared, path, owner.as_deref(), group.as_deref())
        }
        Change::Times {
            modified_ms,
            accessed_ms,
        } => set_times(shared, path, *modified_ms, *accessed_ms),
        Change::Replication(_)
        | Change::ModifyAcl(_)
        | Change::RemoveAclEntries(_)
        | Change::RemoveDefaultAcl
        | Change::RemoveAcl
        | Change::SetAcl(_) => Err(lacks),
    }
}

fn set_permission(shared: &Shared, path: &str, permission: u16) -> Result<(), BackendError> {
    let handle = shared.root.resolve(path)?;
    let mode = Mode::from(u32::from(permission) & 0o1777);
    chmodat(CWD, by_number(&handle), mode, AtFlags::empty()).map_err(|errno| of_errno(errno, path))
}

fn set_owner(
    shared: &Shared,
    path: &str,
    owner: Option<&str>,
    group: Option<&str>,
) -> Result<(), BackendError> {
    let unknown = |name: &str| invalid(path, &format!("this machine knows no {name}"));
    let owner = owner.map(|name| shared.owners.user_id(name).ok_or_else(|| unknown(name)));
    let group = group.map(|name| shared.owners.group_id(name).ok_or_else(|| unknown(name)));
    let (owner, group) = (owner.transpose()?, group.transpose()?);
    let handle = shared.root.resolve(path)?;
    let (owner, group) = (owner.map(Uid::from_raw), group.map(Gid::from_raw));
    chownat(CWD, by_number(&handle), owner, group, AtFlags::empty())
        .map_err(|errno| of_errno(errno, path))
}

fn set_times(
    shared: &Shared,
    path: &str,
    modified_ms: Option<u64>,
    accessed_ms: Option<u64>,
) -> Result<(), BackendError> {
    let handle = shared.root.resolve(path)?;
    let times = Timestamps {
        last_access: timespec(accessed_ms),
        last_modification: timespec(modified_ms),
    };
    utimensat(CWD, by_number(&handle), &times, AtFlags::empty())
        .map_err(|errno| of_errno(errno, path))
}

fn timespec(ms: Option<u64>) -> Timespec {
    let time = Duration::from_millis(ms.unwrap_or(0));
    let nsec = ms.map_or(UTIME_OMIT, |_| time.subsec_nanos().into());
    Timespec {
        tv_sec: i64::try_from(time.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: nsec,
    }
}
