//! Keeping a gateway out of a folder while it is read, without writing to it.
//!
//! RocksDB locks its `LOCK` file for writing (`fcntl`). A read lock on the same file is refused while it does so, and makes it
//! refuse to open while we hold it. Such locks belong to the process, and all of them go when it closes any descriptor of the
//! file: this one must be dropped before RocksDB is opened for writing.

use std::fs::File;
use std::io;
use std::path::Path;

use rustix::fs::{FlockOperation, fcntl_lock};

use super::FsckError;

/// Held until dropped; empty where there is no index yet.
pub struct ReadLock {
    _file: Option<File>,
}

impl ReadLock {
    /// Takes the lock of the index in a folder.
    pub fn take(index_dir: &Path) -> Result<Self, FsckError> {
        let path = index_dir.join("LOCK");
        let failed = |error| FsckError::Io {
            path: path.clone(),
            error,
        };
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Self { _file: None }),
            Err(e) => return Err(failed(e)),
        };
        match fcntl_lock(&file, FlockOperation::NonBlockingLockShared) {
            Ok(()) => Ok(Self { _file: Some(file) }),
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::ACCESS) => {
                Err(FsckError::InUse(index_dir.to_owned()))
            }
            Err(e) => Err(failed(e.into())),
        }
    }
}
