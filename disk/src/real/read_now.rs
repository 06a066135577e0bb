//! The read that never waits for a device: `preadv2(RWF_NOWAIT)` into memory that nobody zeroed first.
#![allow(unsafe_code)]

use crate::disk::buffer_for;
use rustix::buffer::spare_capacity;
use rustix::fs::fstatfs;
use rustix::io::{Errno, ReadWriteFlags, pread, preadv2};
use std::fs::File;
use std::io::{self, IoSliceMut};
use std::mem::{MaybeUninit, transmute};
use std::sync::atomic::{AtomicU8, Ordering};

/// `statfs` types of file systems that live in memory (`linux/magic.h`).
const TMPFS_MAGIC: u32 = 0x0102_1994;
const RAMFS_MAGIC: u32 = 0x8584_58f6;

/// Ask the kernel to answer only from the page cache.
const NOWAIT: u8 = 0;
/// The file system is memory itself: a plain read waits for no device. (Older kernels refuse NOWAIT there.)
const IN_MEMORY: u8 = 1;
/// The file system refuses NOWAIT: don't ask again.
const UNSUPPORTED: u8 = 2;

/// What one file's file system can do without waiting.
#[derive(Debug)]
pub(super) struct ReadNow {
    way: AtomicU8,
}

impl ReadNow {
    pub(super) fn for_file(file: &File) -> io::Result<Self> {
        // The kernel's field is a word whose upper half is empty or, on 32 bits, sign extension.
        let way = match fstatfs(file)?.f_type as u32 {
            TMPFS_MAGIC | RAMFS_MAGIC => IN_MEMORY,
            _ => NOWAIT,
        };
        Ok(Self {
            way: AtomicU8::new(way),
        })
    }

    pub(super) fn read(&self, file: &File, offset: u64, len: usize) -> io::Result<Option<Vec<u8>>> {
        // Relaxed: a thread that sees the old value asks the kernel once more, which is harmless.
        let way = self.way.load(Ordering::Relaxed);
        if way == UNSUPPORTED {
            return Ok(None);
        }
        if len == 0 {
            return Ok(Some(Vec::new()));
        }
        let mut bytes = buffer_for(len)?;
        let outcome = match way {
            IN_MEMORY => pread(file, spare_capacity(&mut bytes), offset).map(drop),
            _ => read_nowait(file, &mut bytes, offset),
        };
        match outcome {
            Ok(()) if bytes.len() >= len => Ok(Some(bytes)),
            Ok(()) => short(file, offset, bytes),
            Err(Errno::AGAIN | Errno::INTR) => Ok(None),
            Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::PERM) if way == NOWAIT => {
                self.way.store(UNSUPPORTED, Ordering::Relaxed);
                Ok(None)
            }
            Err(e) => Err(e.into()),
        }
    }
}

/// A short read is whole where the file ends; elsewhere the rest is not in memory.
fn short(file: &File, offset: u64, bytes: Vec<u8>) -> io::Result<Option<Vec<u8>>> {
    let end = offset.saturating_add(bytes.len() as u64);
    Ok((end >= file.metadata()?.len()).then_some(bytes))
}

/// The kernel's `struct iovec` (readv(2)).
#[repr(C)]
struct Iovec {
    base: *mut MaybeUninit<u8>,
    len_bytes: usize,
}

/// Fills the spare capacity of `bytes`, which must be empty, with what the page cache holds at `offset`.
fn read_nowait(file: &File, bytes: &mut Vec<u8>, offset: u64) -> rustix::io::Result<()> {
    debug_assert!(bytes.is_empty());
    let spare = bytes.spare_capacity_mut();
    let room_bytes = spare.len();
    let iovec = Iovec {
        base: spare.as_mut_ptr(),
        len_bytes: room_bytes,
    };
    // SAFETY: the standard library guarantees that `IoSliceMut` is ABI compatible with `iovec`, which `Iovec`
    // repeats. It points at memory that `bytes` owns and nothing else touches until the call returns. The slice is
    // only handed to the kernel, which writes; no reference to the uninitialised bytes is ever made.
    let slice: IoSliceMut<'_> = unsafe { transmute(iovec) };
    let read = preadv2(file, &mut [slice], offset, ReadWriteFlags::NOWAIT)?;
    debug_assert!(read <= room_bytes);
    // SAFETY: the kernel has written `read` bytes from the start of the spare capacity, which begins at 0.
    unsafe { bytes.set_len(read) };
    Ok(())
}
