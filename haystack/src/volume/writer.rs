//! The one who writes to a volume: group commit.
//!
//! A commit is a batch of puts and deletes. It is encoded into one buffer, closed with a commit record, written with one write,
//! made durable with one `fdatasync`, entered into the index in one batch, and only then acknowledged. With durability "os"
//! the last three wait until [`Writer::flush`], and the entries are served from memory meanwhile, so that the index never
//! points at bytes that a power cut could take.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use moongate_disk::DiskFile;

use super::{Durability, Generation, Volume};
use crate::commit::{self, Before, COMMIT_KEY};
use crate::error::HaystackError;
use crate::id::{Cookie, NeedleKey};
use crate::idx::IdxEntry;
use crate::index::{Change, Checkpoint, Counters, Entry, Progress};
use crate::mutant::{self, Mutant};
use crate::needle::{self, Draft, HEADER_BYTES, Header, Needle, Stamp, record_bytes};
use crate::sequence;

/// What a request wants of the needle that is there before it writes: given the present one, whether to go on.
pub type Precondition = Box<dyn Fn(Option<&Needle>) -> bool + Send>;

/// One change asked of a volume.
pub enum Op {
    /// Store a needle.
    Put {
        /// Its key.
        key: NeedleKey,
        /// Its cookie; must be that of an existing needle of this key.
        cookie: Cookie,
        /// What to store.
        draft: Draft,
        /// Checked against what is there, at the moment of writing.
        precondition: Option<Precondition>,
        /// The key was never handed out: it may only replace what is there.
        must_exist: bool,
    },
    /// Delete a needle.
    Delete {
        /// Its key.
        key: NeedleKey,
        /// Must be its cookie.
        cookie: Cookie,
        /// Checked against what is there.
        precondition: Option<Precondition>,
    },
}

/// What became of an [`Op`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Done {
    /// Stored, and as durable as the volume promises.
    Stored {
        /// Where the record stands.
        offset: u64,
    },
    /// The same bytes were there already under the same cookie; nothing was written.
    Unchanged,
    /// Deleted.
    Deleted {
        /// Size field of the deleted record, as SeaweedFS answers it.
        size: u32,
    },
}

/// Result of one op.
pub type Outcome = Result<Done, HaystackError>;

/// Bytes appended between two checkpoints, which bounds what recovery has to read.
/// Small in tests, so that they come by it.
pub const CHECKPOINT_EVERY_BYTES: u64 = if cfg!(test) { 16 << 10 } else { 64 << 20 };
/// Bytes that may wait for [`Writer::flush`].
const UNSYNCED_BYTES_MAX: u64 = if cfg!(test) { 24 << 10 } else { 32 << 20 };
/// Most `.idx` bytes that wait in memory because the disk would not take them.
const IDX_BACKLOG_BYTES_MAX: usize = 16 << 20;
const RESERVE_STEP_BYTES_MAX: u64 = 64 << 20;
/// How often a needle that imitates commit records is moved before it is refused.
const MOVES_MAX: u32 = 64;
const RESERVE_STEP_BYTES_MIN: u64 = 1 << 20;

/// See the module.
pub struct Writer {
    volume: Arc<Volume>,
    generation: Arc<Generation>,
    idx: Arc<dyn DiskFile>,
    idx_bytes: u64,
    /// Entries that belong at the end of the `.idx` but are not there yet.
    idx_backlog: Vec<u8>,
    tail: u64,
    reserved_to: u64,
    appended_at_ns: u64,
    /// What the index has.
    progress: Progress,
    unsynced: Unsynced,
    checkpoint: Checkpoint,
    batch: Batch,
    /// A sync or the index failed: what stands behind `progress` is for recovery to judge.
    poisoned: bool,
}

/// Written, not yet durable.
#[derive(Default)]
struct Unsynced {
    changes: Vec<Change>,
    idx: Vec<u8>,
    counted: Counted,
}

/// What the index will count once everything written is durable.
#[derive(Clone, Copy, Default)]
struct Counted {
    counters: Counters,
    key_max: u64,
}

/// The commit being put together.
#[derive(Default)]
struct Batch {
    bytes: Vec<u8>,
    changes: Vec<Change>,
    idx: Vec<u8>,
    staged: HashMap<NeedleKey, Entry>,
    /// Of `bytes`, those that a commit record closes already.
    committed: usize,
}

/// State that opening a volume hands to its writer.
pub(super) struct Start {
    pub volume: Arc<Volume>,
    pub idx: Arc<dyn DiskFile>,
    pub idx_bytes: u64,
    pub progress: Progress,
    pub checkpoint: Checkpoint,
}

impl Writer {
    pub(super) fn new(start: Start) -> Self {
        let Start {
            volume,
            idx,
            idx_bytes,
            progress,
            checkpoint,
        } = start;
        let generation = volume.generation();
        volume.publish(&progress);
        Self {
            generation,
            idx,
            idx_bytes,
            idx_backlog: Vec::new(),
            tail: progress.dat_bytes,
            reserved_to: progress.dat_bytes,
            appended_at_ns: progress.appended_at_ns,
            unsynced: Unsynced {
                counted: Counted {
                    counters: progress.counters,
                    key_max: progress.key_max,
                },
                ..Unsynced::default()
            },
            poisoned: false,
            progress,
            checkpoint,
            batch: Batch::default(),
            volume,
        }
    }

    /// The volume.
    pub const fn volume(&self) -> &Arc<Volume> {
        &self.volume
    }

    /// Offset behind the last commit.
    pub const fn tail(&self) -> u64 {
        self.tail
    }

    /// Writes a batch. Every op has its own outcome, in order; those that were acknowledged are as durable as asked.
    pub fn commit(&mut self, ops: &[Op], durability: Durability, now_ns: u64) -> Vec<Outcome> {
        self.batch.clear();
        let counted = self.unsynced.counted;
        let mut outcomes: Vec<Outcome> = ops.iter().map(|op| self.stage(op, now_ns)).collect();
        if self.batch.changes.is_empty() {
            return outcomes;
        }
        if let Err(error) = self.write_batch(durability, now_ns) {
            self.unsynced.counted = counted;
            let staged = |o: &Outcome| matches!(o, Ok(Done::Stored { .. } | Done::Deleted { .. }));
            outcomes
                .iter_mut()
                .filter(|o| staged(o))
                .for_each(|o| *o = Err(error.clone()));
        }
        outcomes
    }

    fn stage(&mut self, op: &Op, now_ns: u64) -> Outcome {
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
    fn end_commit(&mut self, now_ns: u64) {
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

    fn next_offset(&self) -> u64 {
        self.tail + self.batch.bytes.len() as u64
    }

    /// Strictly increasing time of appends.
    fn tick(&mut self, now_ns: u64) -> u64 {
        self.appended_at_ns = now_ns.max(self.appended_at_ns + 1);
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

    /// Writes and publishes what was staged; on an error nothing of it counts.
    fn write_batch(&mut self, durability: Durability, now_ns: u64) -> Result<(), HaystackError> {
        self.end_commit(now_ns);
        if mutant::is(Mutant::IndexBeforeData) {
            let _ = self.volume.index.store().apply(
                self.generation.table,
                &self.batch.changes,
                &Progress {
                    dat_bytes: self.next_offset(),
                    ..self.progress
                },
            );
        }
        self.reserve();
        if let Err(error) = self
            .generation
            .dat
            .write_all_at(&self.batch.bytes, self.tail)
        {
            self.roll_back();
            return Err(self.fail(&error));
        }
        self.tail = self.next_offset();
        self.unsynced.changes.append(&mut self.batch.changes);
        self.unsynced.idx.append(&mut self.batch.idx);
        self.batch.bytes.clear();
        self.volume
            .modified_secs
            .store(now_ns / 1_000_000_000, Ordering::Relaxed);
        match durability {
            Durability::Fsync => self.flush(),
            Durability::Os => {
                self.volume.show_pending(&self.unsynced.changes);
                self.volume.dat_bytes.store(self.tail, Ordering::Relaxed);
                // These are as durable as was asked, and readers see them: a sync that fails now only ends the writing.
                if self.tail - self.progress.dat_bytes > UNSYNCED_BYTES_MAX
                    && let Err(error) = self.flush()
                {
                    tracing::error!(volume = self.volume.id().0, %error, "flush failed");
                }
                Ok(())
            }
        }
    }

    /// Asks for room on the disk ahead of the tail, in steps that grow with the volume: it makes syncing cheaper. The file's
    /// length stays what was written.
    fn reserve(&mut self) {
        let end = self.next_offset();
        if end <= self.reserved_to {
            return;
        }
        let step = (self.tail / 4).clamp(RESERVE_STEP_BYTES_MIN, RESERVE_STEP_BYTES_MAX);
        // Without room ahead the write itself will tell.
        if self
            .generation
            .dat
            .reserve(self.tail, end - self.tail + step)
            .is_ok()
        {
            self.reserved_to = end + step;
        } else {
            self.reserved_to = end;
        }
    }

    /// Takes back a write that failed, so that nothing torn stands before the next commit.
    fn roll_back(&mut self) {
        if let Err(error) = self.generation.dat.set_len(self.tail) {
            self.volume.set_read_only(
                &format!("a failed write could not be taken back: {error}"),
                false,
            );
        }
        self.reserved_to = self.tail;
    }

    fn fail(&self, error: &io::Error) -> HaystackError {
        let failure = HaystackError::from_io(self.volume.id(), error);
        if !matches!(failure, HaystackError::NoSpace(_)) {
            tracing::error!(volume = self.volume.id().0, %error, "write failed");
        }
        failure
    }

    /// Makes everything written durable and enters it into the index.
    pub fn flush(&mut self) -> Result<(), HaystackError> {
        if self.tail == self.progress.dat_bytes || self.poisoned {
            return Ok(());
        }
        if !mutant::is(Mutant::SkipDataSync)
            && let Err(error) = self.generation.dat.sync_data()
            && !mutant::is(Mutant::IgnoreFailedSync)
        {
            self.poisoned = true;
            // What the kernel dropped cannot be told from what it kept: no more writes until the volume is opened again.
            self.volume.set_read_only(
                &format!("fdatasync failed ({error}): restart to recover"),
                false,
            );
            return Err(self.fail(&error));
        }
        self.append_idx();
        let progress = Progress {
            dat_bytes: self.tail,
            appended_at_ns: self.appended_at_ns,
            counters: self.unsynced.counted.counters,
            key_max: self.unsynced.counted.key_max,
            sealed_from: self.progress.sealed_from,
        };
        let key_max = Some(NeedleKey(self.progress.key_max)).filter(|k| k.0 > 0);
        let applied = self.volume.index.apply(
            self.generation.table,
            &self.unsynced.changes,
            &progress,
            key_max,
        );
        if let Err(error) = applied {
            self.poisoned = true;
            // The data is durable: serve it from memory, and let opening the volume again repair the index.
            tracing::error!(volume = self.volume.id().0, %error, "index write failed");
            self.volume.show_pending(&self.unsynced.changes);
            self.volume.set_read_only(
                &format!("the index failed ({error}): restart to recover"),
                false,
            );
            return Ok(());
        }
        self.volume.hide_pending();
        self.unsynced.changes.clear();
        self.progress = progress;
        self.volume.publish(&progress);
        if self.tail - self.checkpoint.dat_bytes >= CHECKPOINT_EVERY_BYTES
            && let Err(error) = self.checkpoint()
        {
            // What was flushed is durable all the same.
            tracing::error!(volume = self.volume.id().0, %error, "checkpoint failed");
        }
        Ok(())
    }

    /// The `.idx` is derived: where the disk does not take it now, it is tried again with the next commit.
    fn append_idx(&mut self) {
        self.idx_backlog.append(&mut self.unsynced.idx);
        match self.idx.write_all_at(&self.idx_backlog, self.idx_bytes) {
            Ok(()) => {
                self.idx_bytes += self.idx_backlog.len() as u64;
                self.idx_backlog.clear();
            }
            Err(error) if self.idx_backlog.len() > IDX_BACKLOG_BYTES_MAX => {
                self.volume
                    .set_read_only(&format!("its .idx cannot be written: {error}"), false);
            }
            Err(_) => {}
        }
    }

    /// Whether anything was written since the last checkpoint.
    pub const fn is_dirty(&self) -> bool {
        self.tail != self.checkpoint.dat_bytes
    }

    /// Makes `.dat`, `.idx` and index durable and notes up to where, so that the next start reads on from here.
    pub fn checkpoint(&mut self) -> Result<(), HaystackError> {
        self.flush()?;
        if self.progress.dat_bytes != self.tail || !self.idx_backlog.is_empty() || self.poisoned {
            return Ok(());
        }
        let failed = |e: io::Error| HaystackError::from_io(self.volume.id(), &e);
        if !mutant::is(Mutant::SkipIdxSync)
            && let Err(error) = self.idx.sync_data()
        {
            // A later sync would succeed without what this one dropped: opening the volume again writes it again.
            self.volume.set_read_only(
                &format!("fdatasync of its .idx failed ({error}): restart to recover"),
                false,
            );
            self.poisoned = true;
            return Err(failed(error));
        }
        self.volume.index.store().sync()?;
        let tail_crc = super::open::tail_crc(&*self.generation.dat, self.tail).map_err(failed)?;
        let checkpoint = Checkpoint {
            dat_bytes: self.tail,
            idx_bytes: self.idx_bytes,
            tail_crc,
        };
        self.volume
            .index
            .store()
            .set_checkpoint(self.generation.table, &checkpoint)?;
        self.checkpoint = checkpoint;
        Ok(())
    }

    /// Goes on with what vacuum made.
    pub(super) fn switch(
        &mut self,
        generation: Generation,
        idx: &Arc<dyn DiskFile>,
        progress: Progress,
        checkpoint: Checkpoint,
    ) {
        let generation = Arc::new(generation);
        self.volume.current.store(Arc::clone(&generation));
        self.volume.publish(&progress);
        self.generation = generation;
        self.idx = Arc::clone(idx);
        self.idx_bytes = checkpoint.idx_bytes;
        self.idx_backlog.clear();
        self.tail = progress.dat_bytes;
        self.reserved_to = progress.dat_bytes;
        self.unsynced.counted = Counted {
            counters: progress.counters,
            key_max: progress.key_max,
        };
        self.appended_at_ns = self.appended_at_ns.max(progress.appended_at_ns);
        self.progress = progress;
        self.checkpoint = checkpoint;
    }

    /// Checkpoints and gives back the room that was reserved. The writer is not used afterwards.
    pub fn close(&mut self) -> Result<(), HaystackError> {
        self.checkpoint()?;
        self.volume.index.store().sync()?;
        let read_only = self.volume.read_only().is_some();
        if read_only {
            Ok(())
        } else {
            self.generation
                .dat
                .set_len(self.tail)
                .map_err(|e| HaystackError::from_io(self.volume.id(), &e))
        }
    }
}

impl Batch {
    fn clear(&mut self) {
        self.bytes.clear();
        self.changes.clear();
        self.idx.clear();
        self.staged.clear();
        self.committed = 0;
    }
}

impl Counted {
    fn put(&mut self, key: NeedleKey, replaced: Option<&Entry>) {
        self.counters.puts += 1;
        if sequence::is_ours(key) {
            self.key_max = self.key_max.max(key.0);
        }
        if let Some(entry) = replaced {
            self.delete(entry);
        }
    }

    fn delete(&mut self, entry: &Entry) {
        self.counters.deletes += 1;
        self.counters.deleted_bytes += u64::from(entry.size);
    }
}

impl Volume {
    fn show_pending(&self, changes: &[Change]) {
        let mut pending = self.pending.write();
        pending.extend(changes.iter().copied());
        self.pending_len.store(pending.len(), Ordering::Release);
    }

    fn hide_pending(&self) {
        if self.pending_len.load(Ordering::Acquire) > 0 {
            let mut pending = self.pending.write();
            *pending = HashMap::new();
            self.pending_len.store(0, Ordering::Release);
        }
    }

    pub(super) fn publish(&self, progress: &Progress) {
        *self.progress.write() = *progress;
        self.dat_bytes.store(progress.dat_bytes, Ordering::Relaxed);
        self.modified_secs
            .store(progress.appended_at_ns / 1_000_000_000, Ordering::Relaxed);
    }
}
