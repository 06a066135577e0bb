//! Reading: from the descriptor that was opened, which stays on the old bytes when the name is given to others.

use std::fmt;
use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt, stream};
use rustix::fs::{FileType, OFlags, Stat, fstat};

use super::error::{changed, of_errno, of_io};
use super::{Shared, blocking, root, stat};
use crate::backend::{BackendError, BackendFile, ByteStream, Status};

/// Read by one system call.
const CHUNK_BYTES: u64 = 512 << 10;

/// An open file.
pub(super) struct LocalFile {
    open: Arc<Open>,
    status: Status,
}

struct Open {
    file: File,
    stat: Stat,
    path: String,
}

impl LocalFile {
    pub(super) fn open(shared: &Shared, path: &str) -> Result<Self, BackendError> {
        let file = open_file(shared, path, OFlags::RDONLY)?;
        let stat = stat::settled(&file, path)?;
        let status =
            stat::to_status(shared, &stat, String::new()).ok_or_else(|| stat::neither(path))?;
        let path = path.to_owned();
        Ok(Self {
            open: Arc::new(Open { file, stat, path }),
            status,
        })
    }
}

/// Opens a regular file, and nothing else: to open a pipe would wait for its other end.
pub(super) fn open_file(shared: &Shared, path: &str, flags: OFlags) -> Result<File, BackendError> {
    let fail = |errno| of_errno(errno, path);
    let handle = shared.root.resolve(path)?;
    let found = fstat(&handle).map_err(fail)?;
    match FileType::from_raw_mode(found.st_mode) {
        FileType::RegularFile => {}
        FileType::Directory => return Err(fail(rustix::io::Errno::ISDIR)),
        _ => return Err(stat::neither(path)),
    }
    Ok(root::reopen(&handle, flags).map_err(fail)?.into())
}

impl Open {
    /// Bytes that are sure to be of the version that was opened: whoever writes changes the times before the bytes.
    fn read(&self, range: Range<u64>) -> Result<Bytes, BackendError> {
        let len = usize::try_from(range.end - range.start).unwrap_or(0);
        let mut bytes = vec![0; len];
        match self.file.read_exact_at(&mut bytes, range.start) {
            Ok(()) => {}
            Err(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => {
                return Err(changed(&self.path));
            }
            Err(e) => return Err(of_io(&e, &self.path)),
        }
        let now = fstat(&self.file).map_err(|errno| of_errno(errno, &self.path))?;
        if !stat::is_same(&self.stat, &now) {
            return Err(changed(&self.path));
        }
        Ok(bytes.into())
    }
}

impl fmt::Debug for LocalFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LocalFile({})", self.open.path)
    }
}

#[async_trait]
impl BackendFile for LocalFile {
    fn status(&self) -> &Status {
        &self.status
    }

    async fn read(&self, range: Range<u64>) -> Result<ByteStream, BackendError> {
        let end = range.end.min(self.status.len);
        let state = Some((self.open.clone(), range.start));
        let chunks = stream::try_unfold(state, move |state| async move {
            let Some((open, start)) = state.filter(|(_, start)| *start < end) else {
                return Ok(None);
            };
            let next = end.min(start.saturating_add(CHUNK_BYTES));
            let reader = open.clone();
            let bytes = blocking(move || reader.read(start..next)).await?;
            Ok(Some((bytes, Some((open, next)))))
        });
        Ok(chunks.boxed())
    }
}
