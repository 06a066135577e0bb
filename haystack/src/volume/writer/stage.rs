//! Staging: each op is checked against what is there and encoded into the commit's buffer.

use super::Writer;
use super::ops::{Done, Op, Outcome, Precondition};
use crate::commit::{self, Before, COMMIT_KEY};
use crate::error::HaystackError;
use crate::id::{Cookie, NeedleKey};
use crate::idx::IdxEntry;
use crate::index::Entry;
use crate::mutant::{self, Mutant};
use crate::needle::{self, Draft, HEADER_BYTES, Header, Needle, Stamp, record_bytes};
use crate::sequence;

/// How often a needle that imitates commit records is moved before it is refused.
const MOVES_MAX: u32 = 64;

impl Writer {
    pub(super) fn stage(&mut self, op: &Op, now_ns: u64) -> Outcome {
        let is_delete = matches!(op, Op::Delete { .. });
        self.volume.writable(is_delete)?;
        match op {
            Op::Put {
                key,
                must_exist: true,
                ..
            } if self.existing(*key)?.is_none() => Err(HaystackError::KeyNeverAssigned(*key)),
            Op::Put {
                key,
                cookie,
                draft,
                precondition,
                ..
            } => self.stage_put(*key, *cookie, draft, precondition.as_ref(), now_ns),
            Op::Delete {
                key,
                cookie,
                precondition,
            } => self.stage_delete(*key, *cookie, precondition.as_ref(), now_ns),
        }
    }

    fn stage_put(
        &mut self,
        key: NeedleKey,
        cookie: Cookie,
        draft: &Draft,
        precondition: Option<&Precondition>,
        now_ns: u64,
    ) -> Outcome {
        let existing = self.existing(key)?;
        if let Some((entry, header)) = &existing {
            if header.cookie != cookie {
                return Err(HaystackError::CookieMismatch(cookie));
            }
            if precondition.is_none() && self.is_unchanged(entry, draft) {
                return Ok(Done::Unchanged);
            }
        }
        self.check(
            precondition,
            existing.as_ref().map(|(entry, _)| entry),
            key,
            now_ns,
        )?;
        let version = self.generation.version();
        let size = draft.size(version);
        if self.next_offset() + record_bytes(size, version) + commit::commit_record_bytes(version)
            > self.volume.width.volume_bytes_max()
        {
            return Err(HaystackError::VolumeFull(self.volume.id()));
        }
        let offset = self.place(key, cookie, draft, now_ns)?;
        self.enter(
            key,
            Entry {
                offset,
                size,
                deleted: false,
            },
            IdxEntry::Put { key, offset, size },
        );
        self.unsynced
            .counted
            .put(key, existing.as_ref().map(|(entry, _)| entry));
        Ok(Done::Stored { offset })
    }

    /// Encodes a needle where it hides no commit record; where it does, the commit so far ends and makes it move on.
    fn place(
        &mut self,
        key: NeedleKey,
        cookie: Cookie,
        draft: &Draft,
        now_ns: u64,
    ) -> Result<u64, HaystackError> {
        let version = self.generation.version();
        for _ in 0..MOVES_MAX {
            let (at, offset) = (self.batch.bytes.len(), self.next_offset());
            let stamp = Stamp {
                key,
                cookie,
                appended_at_ns: self.tick(now_ns),
                offset,
            };
            draft.encode(&stamp, version, &mut self.batch.bytes);
            if !commit::hides_in(&self.batch.bytes[at..], version, offset)
                || mutant::is(Mutant::AcceptForgedCommits)
            {
                return Ok(offset);
            }
            self.batch.bytes.truncate(at);
            self.end_commit(now_ns);
        }
        Err(HaystackError::Storage(
            "the data imitates this volume's commit records".into(),
        ))
    }

    /// Closes what was staged since the last commit record with another.
    pub(super) fn end_commit(&mut self, now_ns: u64) {
        let nothing_waits = self.tail == self.progress.dat_bytes && self.batch.committed == 0;
        let before = if nothing_waits {
            Before::Durable
        } else {
            Before::Unsynced
        };
        let (key, offset) = (COMMIT_KEY, self.next_offset());
        let stamp_ns = self.tick(now_ns);
        let from = self.batch.committed;
        commit::seal_commit_from(
            &mut self.batch.bytes,
            from,
            self.tail + from as u64,
            before,
            stamp_ns,
            self.generation.version(),
        );
        self.batch.committed = self.batch.bytes.len();
        let entry = IdxEntry::Delete { key, offset };
        self.volume.width.encode(&entry, &mut self.batch.idx);
    }

    fn stage_delete(
        &mut self,
        key: NeedleKey,
        cookie: Cookie,
        precondition: Option<&Precondition>,
        now_ns: u64,
    ) -> Outcome {
        let (entry, header) = self.existing(key)?.ok_or(HaystackError::NotFound)?;
        if header.cookie != cookie {
            return Err(HaystackError::CookieMismatch(cookie));
        }
        self.check(precondition, Some(&entry), key, now_ns)?;
        let offset = self.next_offset();
        let checksum = self.bytes_at(
            entry.offset + HEADER_BYTES as u64 + u64::from(entry.size),
            4,
        )?;
        let checksum = needle::u32_at(&checksum, 0).unwrap_or(0);
        let stamp = Stamp {
            key,
            cookie,
            appended_at_ns: self.tick(now_ns),
            offset,
        };
        if !mutant::is(Mutant::DeleteInIndexOnly) {
            needle::encode_marker(
                &stamp,
                checksum,
                self.generation.version(),
                &mut self.batch.bytes,
            );
        }
        self.enter(
            key,
            Entry {
                deleted: true,
                ..entry
            },
            IdxEntry::Delete { key, offset },
        );
        self.unsynced.counted.delete(&entry);
        Ok(Done::Deleted { size: entry.size })
    }

    fn enter(&mut self, key: NeedleKey, entry: Entry, idx: IdxEntry) {
        self.batch.changes.push((key, entry));
        self.batch.staged.insert(key, entry);
        self.volume.width.encode(&idx, &mut self.batch.idx);
    }

    pub(super) fn next_offset(&self) -> u64 {
        self.tail + self.batch.bytes.len() as u64
    }

    /// Strictly increasing time of appends.
    fn tick(&mut self, now_ns: u64) -> u64 {
        self.appended_at_ns = now_ns.max(self.appended_at_ns.saturating_add(1));
        self.appended_at_ns
    }

    /// The live entry of a key with its stored header, the batch's own changes included.
    fn existing(&self, key: NeedleKey) -> Result<Option<(Entry, Header)>, HaystackError> {
        let entry = match self.batch.staged.get(&key) {
            Some(entry) => Some(*entry).filter(|e| !e.deleted),
            None if key.0 > self.unsynced.counted.key_max && sequence::is_ours(key) => None,
            None => self.volume.locate_slow(key, false)?.map(|(_, entry)| entry),
        };
        let Some(entry) = entry else { return Ok(None) };
        let bytes = self.bytes_at(entry.offset, HEADER_BYTES)?;
        let header = Header::decode(&bytes).filter(|h| h.key == key);
        let damaged = HaystackError::Damaged {
            volume: self.volume.id(),
            key,
            fault: needle::NeedleError::Malformed,
        };
        header.map(|header| Some((entry, header))).ok_or(damaged)
    }

    /// Bytes of the file, or of the batch that will stand behind it.
    fn bytes_at(&self, offset: u64, len: usize) -> Result<Vec<u8>, HaystackError> {
        if let Some(at) = offset.checked_sub(self.tail) {
            let at = usize::try_from(at).unwrap_or(usize::MAX);
            let bytes = self.batch.bytes.get(at..at.saturating_add(len));
            return bytes
                .map(<[u8]>::to_vec)
                .ok_or_else(|| HaystackError::Storage("an entry points behind the file".into()));
        }
        moongate_disk::read_exact_at(&*self.generation.dat, offset, len)
            .map_err(|e| HaystackError::from_io(self.volume.id(), &e))
    }

    fn needle(&self, key: NeedleKey, entry: &Entry) -> Result<Needle, HaystackError> {
        let len = usize::try_from(self.generation.record_bytes(entry)).unwrap_or(usize::MAX);
        self.generation
            .decode(key, entry, self.bytes_at(entry.offset, len)?.into())
    }

    /// Whether a put would change nothing. Where a TTL runs, writing again renews it.
    fn is_unchanged(&self, entry: &Entry, draft: &Draft) -> bool {
        if !draft.ttl.is_none()
            || !self.generation.block.ttl.is_none()
            || entry.size != draft.size(self.generation.version())
        {
            return false;
        }
        let Ok(header) = self.bytes_at(entry.offset + 4, 8) else {
            return false;
        };
        let key = NeedleKey(needle::u64_at(&header, 0).unwrap_or(0));
        self.needle(key, entry).is_ok_and(|old| {
            let same_data = old.checksum == draft.checksum && old.data() == draft.data;
            let same_words = old.name() == &draft.name[..]
                && old.mime() == &draft.mime[..]
                && old.pairs() == &draft.pairs[..];
            old.ttl.is_none() && same_data && same_words
        })
    }

    fn check(
        &self,
        precondition: Option<&Precondition>,
        entry: Option<&Entry>,
        key: NeedleKey,
        now_ns: u64,
    ) -> Result<(), HaystackError> {
        let Some(precondition) = precondition else {
            return Ok(());
        };
        let present = entry.map(|entry| self.needle(key, entry)).transpose()?;
        let present = present.filter(|needle| !needle.expired(now_ns / 1_000_000_000));
        if precondition(present.as_ref()) {
            Ok(())
        } else {
            Err(HaystackError::PreconditionFailed)
        }
    }
}
