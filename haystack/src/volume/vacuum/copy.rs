//! Copying records into the new `.dat`, a commit at a time.

use super::{Found, Vacuum};
use crate::commit;
use crate::error::HaystackError;
use crate::id::{Cookie, NeedleKey};
use crate::index::Entry;
use crate::needle::{HEADER_BYTES, Header, Needle, Stamp, encode_marker, record_bytes};

impl Vacuum {
    fn read_old(&self, offset: u64, size: u32) -> Result<Vec<u8>, HaystackError> {
        let len = record_bytes(size, self.block.version) as usize;
        moongate_disk::read_exact_at(&*self.old.dat, offset, len).map_err(|e| self.failed(&e))
    }

    /// Copies a record, unless it is dropped for its age.
    pub(super) fn copy(
        &mut self,
        key: NeedleKey,
        entry: &Entry,
        drop_expired: bool,
    ) -> Result<(), HaystackError> {
        let record = self.read_old(entry.offset, entry.size)?;
        match self.old.decode(key, entry, record.clone().into()) {
            Ok(needle) if drop_expired && needle.expired(self.now_secs) => {}
            Ok(needle) => self.put(&needle)?,
            Err(_) => self.keep_damaged(key, entry, record)?,
        }
        Ok(())
    }

    pub(super) fn offset(&self) -> u64 {
        self.chunk_start + self.chunk.len() as u64
    }

    fn found(&self, header: Header, appended_at_ns: u64, checksum: u32) -> Found {
        Found {
            offset: self.offset(),
            header,
            appended_at_ns,
            expires_secs: None,
            checksum,
            adds_up: true,
            fault: None,
            sealed: true,
            surely_sealed: true,
            filled: true,
            mended: None,
        }
    }

    /// Copies a sound needle to where it hides no commit record.
    fn put(&mut self, needle: &Needle) -> Result<(), HaystackError> {
        loop {
            let (at, offset) = (self.chunk.len(), self.offset());
            self.encode(needle);
            if !commit::hides_in(&self.chunk[at..], self.block.version, offset) {
                return Ok(());
            }
            self.chunk.truncate(at);
            self.chunk_records.pop();
            self.close_chunk()?;
        }
    }

    fn encode(&mut self, needle: &Needle) {
        let stamp = Stamp {
            key: needle.header.key,
            cookie: needle.header.cookie,
            appended_at_ns: needle.appended_at_ns,
            offset: self.offset(),
        };
        let draft = needle.to_draft();
        let (version, size) = (self.block.version, draft.size(self.block.version));
        let found = self.found(
            Header {
                size,
                ..needle.header
            },
            needle.appended_at_ns,
            needle.checksum,
        );
        if size == 0 {
            encode_marker(&stamp, 0, version, &mut self.chunk);
            self.chunk_records.push(Found {
                sealed: false,
                ..found
            });
        } else {
            draft.encode(&stamp, version, &mut self.chunk);
            self.chunk_records.push(found);
        }
    }

    /// A damaged record goes along as it is, with a header that can be walked over, so that it is still answered with an error and
    /// not silently gone.
    fn keep_damaged(
        &mut self,
        key: NeedleKey,
        entry: &Entry,
        mut record: Vec<u8>,
    ) -> Result<(), HaystackError> {
        tracing::warn!(
            volume = self.volume.id().0,
            key = key.0,
            "vacuum keeps a damaged needle"
        );
        record[4..12].copy_from_slice(&key.0.to_be_bytes());
        record[12..HEADER_BYTES].copy_from_slice(&entry.size.to_be_bytes());
        let header = Header {
            cookie: Cookie(0),
            key,
            size: entry.size,
        };
        // For whoever reads without the seal, too: the checksum says that it is damaged, whatever comes.
        let checksum_at = HEADER_BYTES + entry.size as usize;
        let data_crc = Needle::data_checksum(&record, self.block.version);
        record[checksum_at..checksum_at + 4].copy_from_slice(&(!data_crc).to_be_bytes());
        while commit::hides_in(&record, self.block.version, self.offset()) {
            self.close_chunk()?;
        }
        // The checksum says nothing where there are no data.
        Needle::break_seal(&mut record, self.block.version, self.offset());
        self.chunk_records.push(self.found(header, 0, 0));
        self.chunk.extend_from_slice(&record);
        Ok(())
    }

    /// Ends what was gathered with a commit record and writes it.
    pub(super) fn end_chunk(&mut self) -> Result<(), HaystackError> {
        if self.chunk.is_empty() {
            Ok(())
        } else {
            self.close_chunk()
        }
    }

    fn close_chunk(&mut self) -> Result<(), HaystackError> {
        let newest = self
            .chunk_records
            .iter()
            .map(|r| r.appended_at_ns)
            .max()
            .unwrap_or(0);
        commit::seal_commit(
            &mut self.chunk,
            self.chunk_start,
            // None of this file counts before all of it is durable.
            commit::Before::Durable,
            newest,
            self.block.version,
        );
        self.dat
            .write_all_at(&self.chunk, self.chunk_start)
            .map_err(|e| self.failed(&e))?;
        for found in std::mem::take(&mut self.chunk_records) {
            let empty_object = found.header.size == 0 && !found.sealed;
            self.replay.record(&found, empty_object.then_some(true))?;
        }
        self.chunk_start += self.chunk.len() as u64;
        self.replay.commit_record(self.chunk_start);
        self.chunk.clear();
        self.replay.settle()
    }
}
