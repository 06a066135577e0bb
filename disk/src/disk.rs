//! The two traits that everything which stores bytes is written against.

use std::fmt::Debug;
use std::io;
use std::os::fd::RawFd;
use std::path::Path;
use std::sync::Arc;

/// How [`Disk::open`] treats a file that is there, or is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenMode {
    /// For reading only; the file must exist.
    Read,
    /// For reading and writing; the file must exist.
    ReadWrite,
    /// For reading and writing; the file must not exist yet.
    CreateNew,
    /// For reading and writing; an existing file is emptied.
    CreateOrTruncate,
}

/// The room on the file system that holds a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Space {
    /// Everything the file system could hold.
    pub total_bytes: u64,
    /// What an unprivileged user may still write.
    pub free_bytes: u64,
}

/// A place where files live. All methods block.
///
/// Changes of names (create, rename, remove) survive a loss of power only after [`Disk::sync_dir`] of the
/// directory they happened in.
pub trait Disk: Send + Sync + Debug {
    /// Opens a file.
    ///
    /// # Errors
    /// `NotFound`, `AlreadyExists` (for [`OpenMode::CreateNew`]), `StorageFull`, or what the disk says.
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>>;

    /// As [`Self::open`], past the page cache where the file system can (`O_DIRECT`; see [`DiskFile::is_direct`]): reads go by
    /// [`crate::ReadEngine::read_aligned`], and writes are whole blocks of an [`crate::AlignedBuf`] at places that are whole blocks.
    ///
    /// # Errors
    /// As of [`Self::open`].
    fn open_direct(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        self.open(path, mode)
    }

    /// Gives the file `from` the name `to`, in one step, replacing a file that has that name.
    ///
    /// # Errors
    /// `NotFound`, or what the disk says.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file's name; handles that are open stay usable.
    ///
    /// # Errors
    /// `NotFound`, or what the disk says.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// The names of the files in a directory (not of the directories in it), sorted. Names that are not UTF-8 are
    /// left out: we never make such names.
    ///
    /// # Errors
    /// `NotFound`, or what the disk says.
    fn list(&self, dir: &Path) -> io::Result<Vec<String>>;

    /// Whether a file or directory has this path.
    ///
    /// # Errors
    /// What the disk says when it cannot tell.
    fn exists(&self, path: &Path) -> io::Result<bool>;

    /// Makes a directory and those above it, and makes them durable: each parent of a new directory is synced.
    ///
    /// # Errors
    /// What the disk says.
    fn create_dir_all(&self, dir: &Path) -> io::Result<()>;

    /// Makes the names in a directory durable.
    ///
    /// # Errors
    /// `NotFound`, or what the disk says.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;

    /// The room on the file system that holds `dir`.
    ///
    /// # Errors
    /// `NotFound`, or what the disk says.
    fn space(&self, dir: &Path) -> io::Result<Space>;
}

/// An open file, read and written at positions; it has no cursor, so it can be shared. All methods block, but
/// [`DiskFile::try_read_now`].
pub trait DiskFile: Send + Sync + Debug {
    /// Reads into `buf` from `offset`, and says how many bytes: fewer than asked only at the end of the file.
    ///
    /// # Errors
    /// What the disk says.
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Writes all of `buf` at `offset`, extending the file where needed. Not durable before [`Self::sync_data`].
    ///
    /// # Errors
    /// `StorageFull`, or what the disk says. Part of `buf` may have been written.
    fn write_all_at(&self, buf: &[u8], offset: u64) -> io::Result<()>;

    /// Makes the file's bytes and length durable (`fdatasync`). Says nothing of the file's name.
    ///
    /// # Errors
    /// What the disk says. After an error nothing written since the last success is certain, and a later success
    /// does not make it so: write it again, or stop writing to this file.
    fn sync_data(&self) -> io::Result<()>;

    /// Cuts the file to `len` bytes, or extends it with zeros.
    ///
    /// # Errors
    /// What the disk says.
    fn set_len(&self, len: u64) -> io::Result<()>;

    /// The file's length in bytes.
    ///
    /// # Errors
    /// What the disk says.
    fn len(&self) -> io::Result<u64>;

    /// Whether the file holds no byte.
    ///
    /// # Errors
    /// What the disk says.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }

    /// Asks for room for `len` bytes from `offset` without changing the file's length, so that appends there need
    /// less metadata in each sync. A file system that cannot is no error.
    ///
    /// # Errors
    /// `StorageFull`, or what the disk says.
    fn reserve(&self, offset: u64, len: u64) -> io::Result<()>;

    /// Gives back the room of `len` bytes from `offset`, which then read as zeros; the length stays. Where the file system cannot,
    /// nothing happens, which is no error.
    ///
    /// # Errors
    /// What the disk says.
    fn punch(&self, _offset: u64, _len: u64) -> io::Result<()> {
        Ok(())
    }

    /// Whether it is read and written past the page cache.
    fn is_direct(&self) -> bool {
        false
    }

    /// Reads `len` bytes from `offset` if that needs no waiting for a device, in one system call: for bytes in
    /// memory this is the cheapest read there is, and it may be called on an async thread.
    ///
    /// `None` when it would have to wait, or cannot tell: read by [`crate::ReadEngine`] then. Fewer bytes than asked only
    /// at the end of the file.
    ///
    /// # Errors
    /// What the disk says.
    fn try_read_now(&self, offset: u64, len: usize) -> io::Result<Option<Vec<u8>>>;

    /// The file descriptor, for io_uring; `None` for a simulated file. Valid as long as this file is.
    fn raw_fd(&self) -> Option<RawFd>;
}

/// Reads exactly `len` bytes from `offset`.
///
/// # Errors
/// `UnexpectedEof` when the file ends before, `OutOfMemory` when there is no room for `len` bytes, or what the disk
/// says.
pub fn read_exact_at(file: &dyn DiskFile, offset: u64, len: usize) -> io::Result<Vec<u8>> {
    let mut bytes = buffer_for(len)?;
    bytes.resize(len, 0);
    if file.read_at(&mut bytes, offset)? < len {
        return Err(unexpected_eof(offset, len));
    }
    Ok(bytes)
}

/// An empty buffer with room for `len` bytes. `len` may come from a damaged file: too much is an error, no abort.
pub(crate) fn buffer_for(len: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    bytes
        .try_reserve_exact(len)
        .map_err(|e| io::Error::new(io::ErrorKind::OutOfMemory, e))?;
    Ok(bytes)
}

pub(crate) fn unexpected_eof(offset: u64, len: usize) -> io::Error {
    io::Error::new(
        io::ErrorKind::UnexpectedEof,
        format!("the file ends before the {len} bytes at {offset}"),
    )
}
