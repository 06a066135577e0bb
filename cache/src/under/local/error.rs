//! The operating system's errors, as what a caller does about them.

use rustix::io::Errno;

use crate::backend::{BackendError, ErrorKind};

/// An error of the operating system about a path.
pub(super) fn of_errno(errno: Errno, path: &str) -> BackendError {
    let kind = kind_of(errno);
    let text = match kind {
        ErrorKind::NotFound => return BackendError::not_found(path),
        ErrorKind::AlreadyExists => format!("{path}: it is there already"),
        ErrorKind::NotADirectory => format!("{path}: it, or a parent of it, is a file"),
        ErrorKind::IsADirectory => format!("{path}: it is a folder"),
        ErrorKind::NotEmpty => format!("{path}: the folder is not empty"),
        _ => format!("{path}: {errno}"),
    };
    BackendError::new(kind, text)
}

/// As [`of_errno`], of an error of the standard library.
pub(super) fn of_io(error: &std::io::Error, path: &str) -> BackendError {
    match Errno::from_io_error(error) {
        Some(errno) => of_errno(errno, path),
        None => BackendError::new(ErrorKind::Failed, format!("{path}: {error}")),
    }
}

fn kind_of(errno: Errno) -> ErrorKind {
    match errno {
        Errno::NOENT => ErrorKind::NotFound,
        Errno::EXIST => ErrorKind::AlreadyExists,
        Errno::NOTDIR => ErrorKind::NotADirectory,
        Errno::ISDIR => ErrorKind::IsADirectory,
        Errno::NOTEMPTY => ErrorKind::NotEmpty,
        // A symbolic link that leads out of the root: XDEV, or LOOP where the kernel has no openat2.
        Errno::ACCESS | Errno::PERM | Errno::ROFS | Errno::XDEV | Errno::LOOP => {
            ErrorKind::PermissionDenied
        }
        Errno::NOSPC | Errno::DQUOT | Errno::FBIG => ErrorKind::NoSpace,
        Errno::INVAL | Errno::NAMETOOLONG | Errno::ILSEQ => ErrorKind::Invalid,
        Errno::MFILE | Errno::NFILE | Errno::AGAIN | Errno::BUSY | Errno::STALE => {
            ErrorKind::Unavailable
        }
        Errno::TIMEDOUT => ErrorKind::TimedOut,
        Errno::OPNOTSUPP | Errno::NOSYS => ErrorKind::Unsupported,
        _ => ErrorKind::Failed,
    }
}

/// [`ErrorKind::Invalid`], in words.
pub(super) fn invalid(path: &str, why: &str) -> BackendError {
    BackendError::new(ErrorKind::Invalid, format!("{path}: {why}"))
}

/// [`ErrorKind::Changed`], in words.
pub(super) fn changed(path: &str) -> BackendError {
    let text = format!("{path}: the file has changed since it was opened; open it again");
    BackendError::new(ErrorKind::Changed, text)
}
