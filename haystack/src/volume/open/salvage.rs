//! What stands behind the last whole commit: cut off, but for whole records in it, which are written again as commits of their own.

use std::io;

use bytes::Bytes;
use moongate_disk::OpenMode;

use super::walk::{Held, Walk};
use super::{COPY_BYTES, CUT_BYTES_MAX, Opening};
use crate::commit::{self, Before};
use crate::error::HaystackError;
use crate::needle::{Needle, Stamp, Version, encode_marker, record_bytes};
use crate::scan::Found;

/// Files that keep what was cut off at one and the same offset.
const CUT_FILES_MAX: u32 = 100;

impl Opening<'_> {
    pub(super) fn cut_tail(&mut self, walk: &mut Walk) -> Result<(), HaystackError> {
        let cut_bytes = self.dat_bytes - walk.settled_to;
        if cut_bytes == 0 {
            return Ok(());
        }
        if !self.may_cut(walk, cut_bytes)? {
            self.refused = Some(format!(
                "{cut_bytes} bytes behind offset {} cannot be read: copy the file, then run moongate fsck --repair",
                walk.settled_to
            ));
            return Ok(());
        }
        let whole: Vec<Found> = walk
            .held_records()
            .filter(|r| r.sealed && r.fault.is_none())
            .collect();
        let salvaged = self.salvage(&whole, walk.settled_to)?;
        self.put_back(&salvaged)?;
        self.recovery.cut_bytes = cut_bytes;
        self.recovery.salvaged = whole.len() as u64;
        self.dat_bytes = salvaged.end();
        for held in salvaged.entries {
            match held {
                Held::Record(found) => walk.replay.record(&found, None)?,
                Held::CommitEnd(end) => walk.replay.commit_record(end),
            }
        }
        Ok(())
    }

    /// Whether the tail may go. Where it may hold what others stored it is kept in a file of its own first.
    fn may_cut(&self, walk: &Walk, cut_bytes: u64) -> Result<bool, HaystackError> {
        let may_be_foreign = walk.trust_loose || walk.looks_foreign;
        if self.keeps_what_it_cuts {
            self.keep_tail(walk.settled_to).map(|()| true)
        } else if !may_be_foreign {
            Ok(true)
        } else if cut_bytes > CUT_BYTES_MAX {
            Ok(false)
        } else {
            match self.keep_tail(walk.settled_to) {
                Ok(()) => Ok(true),
                // Without room for a copy only what nobody else can have stored goes.
                Err(HaystackError::NoSpace(_)) => Ok(!walk.looks_foreign),
                Err(error) => Err(error),
            }
        }
    }

    /// Copies what stands from an offset on to a file beside the `.dat`, and makes it durable.
    fn keep_tail(&self, from: u64) -> Result<(), HaystackError> {
        let name = |n| match n {
            0 => format!("cut-{from}"),
            n => format!("cut-{from}.{n}"),
        };
        let copy = (0..CUT_FILES_MAX)
            .map(|n| {
                self.disk
                    .open(&self.files.path(&name(n)), OpenMode::CreateNew)
            })
            .find(|opened| !matches!(opened, Err(e) if e.kind() == io::ErrorKind::AlreadyExists));
        let copy = copy
            .unwrap_or_else(|| Err(io::ErrorKind::AlreadyExists.into()))
            .map_err(|e| self.failed(e))?;
        let mut at = from;
        while at < self.dat_bytes {
            let len = (self.dat_bytes - at).min(COPY_BYTES) as usize;
            let bytes =
                moongate_disk::read_exact_at(self.dat, at, len).map_err(|e| self.failed(e))?;
            copy.write_all_at(&bytes, at - from)
                .map_err(|e| self.failed(e))?;
            at += len as u64;
        }
        copy.sync_data()
            .and_then(|()| self.disk.sync_dir(&self.files.dir))
            .map_err(|e| self.failed(e))
    }

    /// Cuts the tail and appends what was saved of it. What is in its place already is not touched: should this be interrupted, the
    /// next opening finds it again.
    fn put_back(&self, salvaged: &Salvaged) -> Result<(), HaystackError> {
        let kept_to = salvaged.start + salvaged.in_place_bytes as u64;
        self.dat
            .set_len(kept_to)
            .and_then(|()| {
                self.dat
                    .write_all_at(&salvaged.bytes[salvaged.in_place_bytes..], kept_to)
            })
            .and_then(|()| self.dat.sync_data())
            .map_err(|e| self.failed(e))
    }

    /// Whole records of torn commits, as a commit of their own at `start`.
    fn salvage(&self, whole: &[Found], start: u64) -> Result<Salvaged, HaystackError> {
        let version = self.block.version;
        let mut salvaged = Salvaged {
            version,
            start,
            bytes: Vec::new(),
            committed: 0,
            entries: Vec::new(),
            in_place_bytes: 0,
            appended_at_ns: 0,
        };
        for found in whole {
            let len = record_bytes(found.header.size, version) as usize;
            let record = moongate_disk::read_exact_at(self.dat, found.offset, len)
                .map_err(|e| self.failed(e))?;
            salvaged.take(found, record);
        }
        if !whole.is_empty() {
            salvaged.end_commit();
        }
        Ok(salvaged)
    }
}

/// What is saved of a torn tail.
struct Salvaged {
    version: Version,
    /// Offset of `bytes`.
    start: u64,
    bytes: Vec<u8>,
    /// Of `bytes`, those that a commit record closes already.
    committed: usize,
    entries: Vec<Held>,
    /// So much of `bytes` is where it was.
    in_place_bytes: usize,
    appended_at_ns: u64,
}

impl Salvaged {
    fn end(&self) -> u64 {
        self.start + self.bytes.len() as u64
    }

    /// Takes a record, to another place if it must be; there too it may hide no commit record.
    fn take(&mut self, found: &Found, record: Vec<u8>) {
        self.appended_at_ns = self.appended_at_ns.max(found.appended_at_ns);
        if found.offset == self.end() {
            // Only where all before it is in its place as well: what is not must be written, and so what is behind it.
            let all_in_place = self.in_place_bytes == self.bytes.len();
            self.bytes.extend_from_slice(&record);
            if all_in_place {
                self.in_place_bytes = self.bytes.len();
            }
            self.entries.push(Held::Record(*found));
            return;
        }
        let record = record.into();
        loop {
            let (at, offset) = (self.bytes.len(), self.end());
            self.encode(found, &record);
            if !commit::hides_in(&self.bytes[at..], self.version, offset) {
                self.entries.push(Held::Record(Found { offset, ..*found }));
                return;
            }
            self.bytes.truncate(at);
            self.end_commit();
        }
    }

    fn encode(&mut self, found: &Found, record: &Bytes) {
        let stamp = Stamp {
            key: found.header.key,
            cookie: found.header.cookie,
            appended_at_ns: found.appended_at_ns,
            offset: self.end(),
        };
        match Needle::decode(record.clone(), self.version, None) {
            Ok(needle) if found.header.size > 0 => {
                needle
                    .to_draft()
                    .encode(&stamp, self.version, &mut self.bytes);
            }
            _ => encode_marker(&stamp, found.checksum, self.version, &mut self.bytes),
        }
    }

    fn end_commit(&mut self) {
        let mut commit = self.bytes.split_off(self.committed);
        // What is before was made durable before anything was judged.
        let before = if self.committed == 0 {
            Before::Durable
        } else {
            Before::Unsynced
        };
        let stamp_ns = self.appended_at_ns + 1;
        commit::seal_commit(&mut commit, self.end(), before, stamp_ns, self.version);
        self.bytes.append(&mut commit);
        self.committed = self.bytes.len();
        self.entries.push(Held::CommitEnd(self.end()));
    }
}
