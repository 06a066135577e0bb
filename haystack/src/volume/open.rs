//! Opening a volume: after a clean stop at once, after a crash by reading the tail, after a move by reading it all.
//!
//! The `.dat` is the truth. The index says how far it covers the `.dat`; what stands behind is walked commit by commit. Whole
//! commits count. What a crash left of the last one (it was never acknowledged) is cut off, but for records in it that are whole:
//! should it have been acknowledged and then damaged, they are not lost with it. What SeaweedFS appended counts where its `.idx` names it.

use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize};

use arc_swap::{ArcSwap, ArcSwapOption};
use bytes::Bytes;
use moongate_disk::{Disk, DiskFile, OpenMode};
use parking_lot::RwLock;

use super::files::VolumeFiles;
use super::replay::Replay;
use super::writer::{Start, Writer};
use super::{Generation, Volume};
use crate::commit::{self, Before};
use crate::error::HaystackError;
use crate::id::Cookie;
use crate::idx::{IdxEntry, OffsetWidth};
use crate::index::hot::HotIndex;
use crate::index::{Change, Checkpoint, Entry, Progress, TableId};
use crate::mutant::{self, Mutant};
use crate::needle::{Header, Needle, NeedleError, Stamp, Version, encode_marker, record_bytes};
use crate::placement::ReplicaPlacement;
use crate::scan::{Event, Found, Scan};
use crate::sequence;
use crate::super_block::{SUPER_BLOCK_BYTES, SuperBlock, SuperBlockError};
use crate::ttl::Ttl;
use crate::vif::VolumeInfo;

/// Why a volume cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Its making was interrupted; nothing was ever stored in it: remove its files.
    #[error("volume {0} was never finished")]
    HalfMade(crate::id::VolumeId),
    /// It is of a kind that is not served: remote tier, or an unknown version.
    #[error("{0}")]
    Unsupported(String),
    /// The disk or the index failed.
    #[error(transparent)]
    Failed(#[from] HaystackError),
}

/// What opening had to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Recovery {
    /// Bytes of the `.dat` that were read.
    pub walked_bytes: u64,
    /// Bytes cut off behind the last whole commit.
    pub cut_bytes: u64,
    /// Whole records that were saved from what was cut off.
    pub salvaged: u64,
    /// Bytes that nothing can be read from.
    pub damaged_bytes: u64,
    /// The index was made anew.
    pub rebuilt: bool,
}

/// An open volume.
pub struct Opened {
    /// For readers.
    pub volume: Arc<Volume>,
    /// For the one who writes.
    pub writer: Writer,
    /// What had to be done.
    pub recovery: Recovery,
}

/// On taking over a volume without knowing how it was closed, more than this is not cut off without being asked.
const CUT_BYTES_MAX: u64 = 64 << 20;
/// Files that keep what was cut off at one and the same offset.
const CUT_FILES_MAX: u32 = 100;
const TAIL_CRC_BYTES: u64 = 64;
const COPY_BYTES: u64 = 4 << 20;

/// CRC-32 of the last bytes before `end`.
pub(crate) fn tail_crc(dat: &dyn DiskFile, end: u64) -> io::Result<u32> {
    let len = end.min(TAIL_CRC_BYTES);
    let bytes = moongate_disk::read_exact_at(dat, end - len, len as usize)?;
    Ok(crc32fast::hash(&bytes))
}

/// Makes an empty volume; when this returns it survives a power cut.
pub fn create(
    disk: &dyn Disk,
    files: &VolumeFiles,
    placement: ReplicaPlacement,
    ttl: Ttl,
) -> Result<(), HaystackError> {
    let failed = |e: io::Error| HaystackError::from_io(files.id, &e);
    let block = SuperBlock::new(placement, ttl).encode();
    // The `.dat` comes last: a volume without one does not exist.
    for (path, bytes) in [
        (files.vif(), &VolumeInfo::new_volume().encode()[..]),
        (files.idx(), &[]),
        (files.dat(), &block),
    ] {
        let file = disk
            .open(&path, OpenMode::CreateOrTruncate)
            .map_err(failed)?;
        file.write_all_at(bytes, 0)
            .and_then(|()| file.sync_data())
            .map_err(failed)?;
    }
    if mutant::is(Mutant::SkipFolderSync) {
        Ok(())
    } else {
        disk.sync_dir(&files.dir).map_err(failed)
    }
}

/// Removes the files of a volume, the `.dat` first.
pub fn remove(disk: &dyn Disk, files: &VolumeFiles) -> io::Result<()> {
    for path in [
        files.dat(),
        files.idx(),
        files.vif(),
        files.compact_idx(),
        files.compact_dat(),
    ] {
        if disk.exists(&path)? {
            disk.remove(&path)?;
        }
    }
    disk.sync_dir(&files.dir)
}

/// Opens a volume and brings index and `.idx` up to its `.dat`.
pub fn open(
    disk: &dyn Disk,
    index: &Arc<HotIndex>,
    files: VolumeFiles,
) -> Result<Opened, OpenError> {
    open_as(disk, index, files, None)
}

/// What is known of a `.dat` that [`rebuild`] is to trust.
#[derive(Clone, Debug, Default)]
pub struct Trusted {
    /// Records before this offset are kept even where they are damaged.
    pub acknowledged_to: u64,
    /// Offsets at which records are known to start: where to read on after damage.
    pub places: Vec<u64>,
}

/// Opens a volume as [`open`] does, but builds its table and its `.idx` anew from the `.dat`, whatever they say. What is cut off
/// behind the last whole commit, however much it is, is kept beside it as `<base>.cut-<offset>`.
pub fn rebuild(
    disk: &dyn Disk,
    index: &Arc<HotIndex>,
    files: VolumeFiles,
    trusted: &Trusted,
) -> Result<Opened, OpenError> {
    open_as(disk, index, files, Some(trusted))
}

fn open_as(
    disk: &dyn Disk,
    index: &Arc<HotIndex>,
    files: VolumeFiles,
    rebuild: Option<&Trusted>,
) -> Result<Opened, OpenError> {
    let failed = |e: io::Error| HaystackError::from_io(files.id, &e);
    super::vacuum::finish_or_drop(disk, &files).map_err(failed)?;
    let info = read_info(disk, &files)?;
    let dat = disk
        .open(&files.dat(), OpenMode::ReadWrite)
        .map_err(failed)?;
    let block = read_block(&*dat, &info, files.id)?;
    let table = TableId {
        volume: files.id,
        revision: block.revision,
    };
    let mut opening = Opening {
        disk,
        index,
        files: &files,
        dat: &*dat,
        block,
        table,
        width: info.offset_width(),
        dat_bytes: dat.len().map_err(failed)?,
        recovery: Recovery::default(),
        refused: None,
        keeps_what_it_cuts: rebuild.is_some(),
    };
    let ready = match rebuild {
        Some(trusted) => opening.rebuild_all(trusted)?,
        None => opening.resume_or_take_over()?,
    };
    let (recovery, refused, width) = (opening.recovery, opening.refused.take(), opening.width);
    let generation = Generation {
        table,
        dat: Arc::clone(&dat),
        block,
        sealed_from: ready.progress.sealed_from,
    };
    let volume = Arc::new(Volume {
        files,
        width,
        index: Arc::clone(index),
        current: ArcSwap::from_pointee(generation),
        pending: RwLock::default(),
        pending_len: AtomicUsize::new(0),
        read_only: ArcSwapOption::empty(),
        dat_bytes: AtomicU64::new(0),
        modified_secs: AtomicU64::new(0),
        progress: RwLock::default(),
    });
    if let Some(text) = refused {
        volume.set_read_only(&text, false);
    } else if info.read_only {
        volume.set_read_only("its .vif says so", info.read_only_can_delete);
    } else if block.version == Version::V1 {
        volume.set_read_only("version 1 volumes hold no metadata", true);
    }
    let Ready {
        idx,
        idx_bytes,
        progress,
        checkpoint,
    } = ready;
    let writer = Writer::new(Start {
        volume: Arc::clone(&volume),
        idx,
        idx_bytes,
        progress,
        checkpoint,
    });
    Ok(Opened {
        volume,
        writer,
        recovery,
    })
}

pub(crate) fn read_info(disk: &dyn Disk, files: &VolumeFiles) -> Result<VolumeInfo, OpenError> {
    let failed = |e: io::Error| HaystackError::from_io(files.id, &e);
    if !disk.exists(&files.vif()).map_err(failed)? {
        return Ok(VolumeInfo::default());
    }
    let file = disk.open(&files.vif(), OpenMode::Read).map_err(failed)?;
    let len = file.len().map_err(failed)?.min(1 << 20);
    let bytes = moongate_disk::read_exact_at(&*file, 0, len as usize).map_err(failed)?;
    let info = VolumeInfo::decode(&bytes)
        .map_err(|e| OpenError::Unsupported(format!("{}: {e}", files.vif().display())))?;
    let info = info.unwrap_or_default();
    if info.files.is_empty() {
        Ok(info)
    } else {
        Err(OpenError::Unsupported(format!(
            "volume {} is on a remote tier",
            files.id
        )))
    }
}

pub(crate) fn read_block(
    dat: &dyn DiskFile,
    info: &VolumeInfo,
    id: crate::id::VolumeId,
) -> Result<SuperBlock, OpenError> {
    let mut bytes = [0; SUPER_BLOCK_BYTES];
    let read = dat
        .read_at(&mut bytes, 0)
        .map_err(|e| HaystackError::from_io(id, &e))?;
    let never_written = read < SUPER_BLOCK_BYTES
        || (bytes == [0; SUPER_BLOCK_BYTES]
            && dat.len().is_ok_and(|len| len <= SUPER_BLOCK_BYTES as u64));
    if never_written {
        return Err(OpenError::HalfMade(id));
    }
    let mut block = SuperBlock::decode(&bytes)
        .map_err(|e: SuperBlockError| OpenError::Unsupported(format!("volume {id}: {e}")))?;
    if let Some(version) = u8::try_from(info.version).ok().and_then(Version::from_byte) {
        block.version = version;
    }
    if let (false, Ok(placement)) = (
        info.replication.is_empty(),
        ReplicaPlacement::parse(&info.replication),
    ) {
        block.placement = placement;
    }
    Ok(block)
}

/// What the writer starts from.
struct Ready {
    idx: Arc<dyn DiskFile>,
    idx_bytes: u64,
    progress: Progress,
    checkpoint: Checkpoint,
}

struct Opening<'a> {
    disk: &'a dyn Disk,
    index: &'a Arc<HotIndex>,
    files: &'a VolumeFiles,
    dat: &'a dyn DiskFile,
    block: SuperBlock,
    table: TableId,
    width: OffsetWidth,
    dat_bytes: u64,
    recovery: Recovery,
    /// Why the volume must not be written to.
    refused: Option<String>,
    /// Asked to repair: what is cut off is kept in a file of its own.
    keeps_what_it_cuts: bool,
}

/// What an `.idx` says of the record at an offset.
type Named = BTreeMap<u64, IdxEntry>;

impl Opening<'_> {
    fn failed(&self, error: io::Error) -> HaystackError {
        HaystackError::from_io(self.files.id, &error)
    }

    /// What the index knows, if it is of this very file.
    fn known(&self) -> Result<Option<(Progress, Checkpoint)>, HaystackError> {
        let store = self.index.store();
        let (Some(progress), Some(checkpoint)) =
            (store.progress(self.table)?, store.checkpoint(self.table)?)
        else {
            return Ok(None);
        };
        let fits =
            checkpoint.dat_bytes <= progress.dat_bytes && progress.dat_bytes <= self.dat_bytes;
        let same = fits
            && tail_crc(self.dat, checkpoint.dat_bytes).map_err(|e| self.failed(e))?
                == checkpoint.tail_crc;
        Ok(same.then_some((progress, checkpoint)))
    }

    fn resume_or_take_over(&mut self) -> Result<Ready, HaystackError> {
        match self.known()? {
            Some((progress, checkpoint)) if self.has_idx(&checkpoint) => {
                self.resume(progress, checkpoint)
            }
            Some((progress, _)) => self.take_over(progress.dat_bytes),
            None => self.take_over(0),
        }
    }

    /// Whether the `.idx` is there as far as a checkpoint says.
    fn has_idx(&self, checkpoint: &Checkpoint) -> bool {
        self.disk
            .open(&self.files.idx(), OpenMode::Read)
            .and_then(|idx| idx.len())
            .is_ok_and(|len| len >= checkpoint.idx_bytes)
    }

    /// Reads on from the last checkpoint.
    fn resume(
        &mut self,
        progress: Progress,
        checkpoint: Checkpoint,
    ) -> Result<Ready, HaystackError> {
        let idx = self
            .disk
            .open(&self.files.idx(), OpenMode::ReadWrite)
            .map_err(|e| self.failed(e))?;
        let idx_len = idx.len().map_err(|e| self.failed(e))?;
        let clean = self.dat_bytes == checkpoint.dat_bytes
            && idx_len == checkpoint.idx_bytes
            && progress.dat_bytes == checkpoint.dat_bytes;
        if clean {
            return Ok(Ready {
                idx,
                idx_bytes: checkpoint.idx_bytes,
                progress,
                checkpoint,
            });
        }
        self.secure(checkpoint.dat_bytes)?;
        let entries = self.read_idx(&*idx, checkpoint.idx_bytes)?;
        idx.set_len(checkpoint.idx_bytes)
            .map_err(|e| self.failed(e))?;
        let index = self.index;
        let replay = Replay::new(
            index,
            self.table,
            self.block.version,
            self.width,
            progress,
            &idx,
            checkpoint.idx_bytes,
        );
        let named = named(&entries);
        let walk = Walk {
            replay,
            acknowledged_to: progress.dat_bytes,
            settled_to: checkpoint.dat_bytes,
            named,
            trust_loose: false,
            held: Vec::new(),
            torn: false,
            previous: None,
        };
        let (progress, idx_bytes) = self.walk(walk, checkpoint.dat_bytes, &[])?;
        let checkpoint = self.settle(&*idx, idx_bytes, &progress)?;
        self.keep(idx, progress, checkpoint)
    }

    /// Opens a volume that the index does not know: SeaweedFS made it, or the index was lost; or its `.idx` was.
    fn take_over(&mut self, acknowledged_to: u64) -> Result<Ready, HaystackError> {
        self.recovery.rebuilt = true;
        self.index.drop_table(self.table)?;
        let first = self.block.first_record();
        if self
            .disk
            .exists(&self.files.idx())
            .map_err(|e| self.failed(e))?
        {
            let idx = self
                .disk
                .open(&self.files.idx(), OpenMode::ReadWrite)
                .map_err(|e| self.failed(e))?;
            let entries = self.read_idx(&*idx, 0)?;
            let (covered, used) = covered(&entries, first, self.block.version, self.dat_bytes);
            // Ours is read as a whole: it tells which needles carry a seal.
            let has_commits = entries.iter().any(|e| e.key() == commit::COMMIT_KEY);
            let whole = used == entries.len() && used > 0 && !has_commits && acknowledged_to == 0;
            if whole && self.tail_is_as_indexed(entries.last(), covered)? {
                return self.take_over_idx(idx, &entries, covered);
            }
            return self.rebuild(&entries, acknowledged_to, &[]);
        }
        self.rebuild(&[], acknowledged_to, &[])
    }

    /// Trusts nothing but the `.dat`; the `.idx` says only what cannot be told from it.
    fn rebuild_all(&mut self, trusted: &Trusted) -> Result<Ready, HaystackError> {
        self.recovery.rebuilt = true;
        self.index.drop_table(self.table)?;
        let path = self.files.idx();
        let entries = if self.disk.exists(&path).map_err(|e| self.failed(e))? {
            let idx = self.disk.open(&path, OpenMode::Read);
            self.read_idx(&*idx.map_err(|e| self.failed(e))?, 0)?
        } else {
            Vec::new()
        };
        let acknowledged_to = trusted.acknowledged_to.min(self.dat_bytes);
        self.rebuild(&entries, acknowledged_to, &trusted.places)
    }

    /// Whether the record of the last `.idx` entry is in the `.dat`, and not ours.
    fn tail_is_as_indexed(
        &self,
        last: Option<&IdxEntry>,
        covered: u64,
    ) -> Result<bool, HaystackError> {
        let Some(last) = last.filter(|_| covered <= self.dat_bytes) else {
            return Ok(false);
        };
        let len = record_bytes(last.size(), self.block.version) as usize;
        let record = moongate_disk::read_exact_at(self.dat, last.offset(), len)
            .map_err(|e| self.failed(e))?;
        let as_indexed = Header::decode(&record).is_some_and(|h| h.key == last.key());
        let ours = Needle::header_holds(record.into(), self.block.version, last.offset());
        Ok(as_indexed && !ours)
    }

    /// The `.idx` covers the `.dat` record by record: take it as it is.
    fn take_over_idx(
        &mut self,
        idx: Arc<dyn DiskFile>,
        entries: &[IdxEntry],
        covered: u64,
    ) -> Result<Ready, HaystackError> {
        self.secure(covered)?;
        let (changes, mut progress) = fold(entries);
        for batch in changes.chunks(4096) {
            self.index.store().load(self.table, batch)?;
        }
        progress.dat_bytes = covered;
        progress.sealed_from = covered;
        let idx_bytes = (entries.len() * self.width.entry_bytes()) as u64;
        let replay = Replay::new(
            self.index,
            self.table,
            self.block.version,
            self.width,
            progress,
            &idx,
            idx_bytes,
        );
        let walk = Walk {
            replay,
            acknowledged_to: covered,
            settled_to: covered,
            named: Named::new(),
            trust_loose: true,
            held: Vec::new(),
            torn: false,
            previous: None,
        };
        let (progress, idx_bytes) = self.walk(walk, covered, &[])?;
        let checkpoint = self.settle(&*idx, idx_bytes, &progress)?;
        self.keep(idx, progress, checkpoint)
    }

    /// Reads the whole `.dat` and writes a new `.idx`, which replaces the old one when it is done.
    fn rebuild(
        &mut self,
        entries: &[IdxEntry],
        acknowledged_to: u64,
        places: &[u64],
    ) -> Result<Ready, HaystackError> {
        let first = self.block.first_record();
        let acknowledged_to = acknowledged_to.max(self.proved_by_idx(entries)?).max(first);
        self.secure(first)?;
        let new_path = self.files.path("idx.new");
        let idx = self
            .disk
            .open(&new_path, OpenMode::CreateOrTruncate)
            .map_err(|e| self.failed(e))?;
        let mut anchors: Vec<u64> = entries
            .iter()
            .map(|e| match e {
                IdxEntry::Put { offset, .. } | IdxEntry::Delete { offset, .. } => *offset,
            })
            .collect();
        anchors.extend(places);
        anchors.push(acknowledged_to);
        anchors.sort_unstable();
        let replay = Replay::new(
            self.index,
            self.table,
            self.block.version,
            self.width,
            Progress {
                dat_bytes: first,
                ..Progress::default()
            },
            &idx,
            0,
        );
        let walk = Walk {
            replay,
            acknowledged_to,
            settled_to: first,
            named: named(entries),
            trust_loose: true,
            held: Vec::new(),
            torn: false,
            previous: None,
        };
        let (progress, idx_bytes) = self.walk(walk, first, &anchors)?;
        let checkpoint = self.settle(&*idx, idx_bytes, &progress)?;
        self.disk
            .rename(&new_path, &self.files.idx())
            .and_then(|()| self.disk.sync_dir(&self.files.dir))
            .map_err(|e| self.failed(e))?;
        self.keep(idx, progress, checkpoint)
    }

    /// Offset behind the last commit record that is where an `.idx` says. We name a commit in the `.idx` only once it is durable.
    fn proved_by_idx(&self, entries: &[IdxEntry]) -> Result<u64, HaystackError> {
        let len = commit::commit_record_bytes(self.block.version);
        for entry in entries.iter().rev() {
            let IdxEntry::Delete { key, offset } = *entry else {
                continue;
            };
            let inside = offset
                .checked_add(len)
                .is_some_and(|end| end <= self.dat_bytes);
            if key != commit::COMMIT_KEY || !inside {
                continue;
            }
            let record = moongate_disk::read_exact_at(self.dat, offset, len as usize)
                .map_err(|e| self.failed(e))?;
            if commit::decode(&record, self.block.version, offset).is_some() {
                return Ok(offset + len);
            }
        }
        Ok(0)
    }

    /// Whole entries of an `.idx` from an offset on.
    fn read_idx(&self, idx: &dyn DiskFile, from: u64) -> Result<Vec<IdxEntry>, HaystackError> {
        let len = idx.len().map_err(|e| self.failed(e))?;
        let entry_bytes = self.width.entry_bytes();
        let mut entries = Vec::with_capacity(((len - from) as usize) / entry_bytes);
        let mut at = from;
        while at < len {
            let take = (len - at).min((entry_bytes as u64) << 16) as usize;
            let bytes = moongate_disk::read_exact_at(idx, at, take).map_err(|e| self.failed(e))?;
            entries.extend(
                bytes
                    .chunks_exact(entry_bytes)
                    .filter_map(|b| self.width.decode(b)),
            );
            at += take as u64;
        }
        Ok(entries)
    }

    /// Walks the `.dat` to its end, and deals with what is behind the last whole commit. Returns progress and `.idx` length.
    fn walk(
        &mut self,
        mut walk: Walk,
        from: u64,
        anchors: &[u64],
    ) -> Result<(Progress, u64), HaystackError> {
        self.recovery.walked_bytes = self.dat_bytes - from;
        let acknowledged = [walk.acknowledged_to];
        let anchors = if anchors.is_empty() {
            &acknowledged[..]
        } else {
            anchors
        };
        let mut scan = Scan::new(self.dat, self.block.version, from, self.dat_bytes, anchors);
        while let Some(event) = scan.next_event().map_err(|e| self.failed(e))? {
            self.recovery.damaged_bytes += walk.event(event)?;
        }
        // Damage at the very end is no torn write if the index knows that it was durable: it stays where it is.
        walk.settled_to = walk.settled_to.max(walk.acknowledged_to);
        walk.replay.progress.dat_bytes = walk.replay.progress.dat_bytes.max(walk.settled_to);
        if mutant::is(Mutant::TrustTail) {
            walk.accept_held()?;
            walk.settled_to = self.dat_bytes;
            walk.replay.progress.dat_bytes = self.dat_bytes;
        }
        self.cut_tail(&mut walk)?;
        walk.replay.flush()?;
        Ok((walk.replay.progress, walk.replay.idx_bytes))
    }

    fn cut_tail(&mut self, walk: &mut Walk) -> Result<(), HaystackError> {
        let cut_bytes = self.dat_bytes - walk.settled_to;
        if cut_bytes == 0 {
            return Ok(());
        }
        if self.keeps_what_it_cuts {
            self.keep_tail(walk.settled_to)?;
        } else if walk.trust_loose && cut_bytes > CUT_BYTES_MAX {
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

    /// Makes the `.dat` since `from` durable before anything of it is entered into the index. Its bytes may be in the page cache
    /// only, and marked clean by a sync that failed: they are written again.
    fn secure(&self, from: u64) -> Result<(), HaystackError> {
        if mutant::is(Mutant::SkipTailRewrite) {
            return Ok(());
        }
        self.write_again(from, self.dat_bytes)?;
        self.dat.sync_data().map_err(|e| self.failed(e))
    }

    /// Makes what was found durable.
    fn settle(
        &self,
        idx: &dyn DiskFile,
        idx_bytes: u64,
        progress: &Progress,
    ) -> Result<Checkpoint, HaystackError> {
        let end = progress.dat_bytes;
        idx.set_len(idx_bytes).map_err(|e| self.failed(e))?;
        self.dat
            .sync_data()
            .and_then(|()| idx.sync_data())
            .map_err(|e| self.failed(e))?;
        self.index.store().sync()?;
        Ok(Checkpoint {
            dat_bytes: end,
            idx_bytes,
            tail_crc: tail_crc(self.dat, end).map_err(|e| self.failed(e))?,
        })
    }

    /// Notes that all is durable, under the names where it will be looked for.
    fn keep(
        &self,
        idx: Arc<dyn DiskFile>,
        progress: Progress,
        checkpoint: Checkpoint,
    ) -> Result<Ready, HaystackError> {
        self.index.store().set_checkpoint(self.table, &checkpoint)?;
        Ok(Ready {
            idx,
            idx_bytes: checkpoint.idx_bytes,
            progress,
            checkpoint,
        })
    }

    fn write_again(&self, from: u64, end: u64) -> Result<(), HaystackError> {
        let ours = from.max(end.saturating_sub(16 * CUT_BYTES_MAX));
        let mut at = ours;
        while at < end {
            let len = (end - at).min(COPY_BYTES) as usize;
            let bytes =
                moongate_disk::read_exact_at(self.dat, at, len).map_err(|e| self.failed(e))?;
            self.dat
                .write_all_at(&bytes, at)
                .map_err(|e| self.failed(e))?;
            at += len as u64;
        }
        Ok(())
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
            self.bytes.extend_from_slice(&record);
            self.in_place_bytes = self.bytes.len();
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

fn named(entries: &[IdxEntry]) -> Named {
    entries
        .iter()
        .map(|entry| (entry.offset(), *entry))
        .collect()
}

/// How far `.idx` entries follow each other in the `.dat` without a gap, and how many of them do.
fn covered(entries: &[IdxEntry], first: u64, version: Version, dat_bytes: u64) -> (u64, usize) {
    let mut at = first;
    for (n, entry) in entries.iter().enumerate() {
        let (offset, size) = (entry.offset(), entry.size());
        let end = offset.saturating_add(record_bytes(size, version));
        if offset != at || end > dat_bytes {
            return (at, n);
        }
        at = end;
    }
    (at, entries.len())
}

/// The last word of an `.idx` on each key, and what it counts.
fn fold(entries: &[IdxEntry]) -> (Vec<Change>, Progress) {
    let mut order: Vec<u32> = (0..u32::try_from(entries.len()).unwrap_or(u32::MAX)).collect();
    let key = |n: u32| entries[n as usize].key();
    order.sort_by_key(|n| key(*n));
    let (mut changes, mut progress): (Vec<Change>, _) = (Vec::new(), Progress::default());
    for group in order.chunk_by(|a, b| key(*a) == key(*b)) {
        let mut last: Option<Entry> = None;
        for n in group {
            let before = last.filter(|e| !e.deleted);
            progress.counters.deletes += u64::from(before.is_some());
            progress.counters.deleted_bytes += before.map_or(0, |e| u64::from(e.size));
            last = match entries[*n as usize] {
                IdxEntry::Put { offset, size, .. } => {
                    progress.counters.puts += 1;
                    Some(Entry {
                        offset,
                        size,
                        deleted: false,
                    })
                }
                IdxEntry::Delete { .. } => last.map(|e| Entry { deleted: true, ..e }),
            };
        }
        if let Some(entry) = last {
            let key = key(group[0]);
            changes.push((key, entry));
            progress.key_max = if sequence::is_ours(key) {
                progress.key_max.max(key.0)
            } else {
                progress.key_max
            };
        }
    }
    (changes, progress)
}

enum Held {
    Record(Found),
    CommitEnd(u64),
}

/// Decides, record by record, what of a tail counts.
struct Walk {
    replay: Replay,
    /// Everything before was acknowledged, damaged or not.
    acknowledged_to: u64,
    settled_to: u64,
    named: Named,
    /// Records outside commits count by their own checksum: nobody wrote commits, or nobody knows.
    trust_loose: bool,
    /// Behind the last commit that counts.
    held: Vec<Held>,
    /// Bytes behind it cannot be read.
    torn: bool,
    /// Of the record before, if no commit ended since: whether it is ours, and whether the `.idx` names it.
    previous: Option<(bool, bool)>,
}

impl Walk {
    /// Takes an event; returns how many bytes it could not read.
    fn event(&mut self, event: Event) -> Result<u64, HaystackError> {
        match event {
            Event::Commit {
                records,
                sound,
                end,
                ..
            } => {
                self.previous = None;
                if self.counts(sound, end) {
                    self.accept_held()?;
                    records.iter().try_for_each(|found| self.accept(found))?;
                    self.accept_commit(end)?;
                } else {
                    self.held.extend(records.into_iter().map(Held::Record));
                    self.held.push(Held::CommitEnd(end));
                }
            }
            Event::Loose(records) => {
                records.iter().try_for_each(|found| self.loose(found))?;
                if self.held.is_empty() {
                    self.replay.settle()?;
                }
            }
            Event::Damage { start, end } => {
                self.previous = None;
                self.torn |= end > self.acknowledged_to;
                self.accept_named(start..end.min(self.acknowledged_to))?;
                return Ok(end - start);
            }
        }
        Ok(0)
    }

    /// Whether a commit and all before it counts. What follows a torn one without having waited for it does not: a power cut
    /// took the one and spared the other.
    fn counts(&self, sound: Option<Before>, end: u64) -> bool {
        let nothing_torn = self.held.is_empty() && !self.torn;
        match sound {
            _ if end <= self.acknowledged_to => true,
            Some(Before::Durable) => true,
            Some(Before::Unsynced) => nothing_torn || mutant::is(Mutant::TrustOverlappingCommits),
            None => false,
        }
    }

    fn loose(&mut self, found: &Found) -> Result<(), HaystackError> {
        let mut found = *found;
        let name = self.named.get(&found.offset);
        let named = name.is_some();
        let key = name.map_or(found.header.key, IdxEntry::key);
        let was_commit = key == commit::COMMIT_KEY && found.header.size == 0;
        let among_ours = self
            .previous
            .is_some_and(|(ours, before_named)| ours && (before_named || !named));
        let ours = found.sealed || among_ours || was_commit;
        self.previous = Some((ours, named));
        if !found.sealed && ours {
            found.fault = found.fault.or(Some(NeedleError::Seal));
            if found.header.size == 0 {
                // A commit record, or nobody knows whose delete marker.
                found.header.key = commit::COMMIT_KEY;
            }
        }
        let by_others = !ours && (named || (self.trust_loose && found.fault.is_none()));
        if by_others {
            self.accept_held()?;
            self.accept_foreign(&found)
        } else if found.offset < self.acknowledged_to {
            self.accept_held()?;
            self.accept(&found)
        } else {
            self.held.push(Held::Record(found));
            Ok(())
        }
    }

    /// Enters what an `.idx` knows to be where nothing can be read: a deleted needle stays deleted, a damaged one is answered with
    /// an error and not with what it replaced.
    fn accept_named(&mut self, damage: Range<u64>) -> Result<(), HaystackError> {
        if damage.is_empty() {
            return Ok(());
        }
        self.accept_held()?;
        let lost: Vec<IdxEntry> = self.named.range(damage).map(|(_, entry)| *entry).collect();
        for entry in lost {
            let header = Header {
                cookie: Cookie(0),
                key: entry.key(),
                size: entry.size(),
            };
            self.accept(&Found {
                offset: entry.offset(),
                header,
                appended_at_ns: 0,
                checksum: 0,
                fault: Some(NeedleError::Malformed),
                sealed: false,
            })?;
        }
        Ok(())
    }

    fn accept_foreign(&mut self, found: &Found) -> Result<(), HaystackError> {
        let fresh = found.offset >= self.replay.progress.dat_bytes;
        self.accept(found)?;
        if fresh {
            self.replay.progress.sealed_from = self.settled_to;
        }
        Ok(())
    }

    fn accept(&mut self, found: &Found) -> Result<(), HaystackError> {
        let named = self.named.get(&found.offset);
        let mut found = *found;
        if let (false, Some(entry)) = (found.sealed, named) {
            found.header.key = entry.key();
        }
        self.replay.record(&found, named.map(IdxEntry::is_put))?;
        self.settled_to = found.end(self.replay.version);
        Ok(())
    }

    fn accept_commit(&mut self, end: u64) -> Result<(), HaystackError> {
        self.replay.commit_record(end);
        self.settled_to = end;
        self.torn = false;
        self.replay.settle()
    }

    /// A later commit proves that these were durable before it began.
    fn accept_held(&mut self) -> Result<(), HaystackError> {
        for held in std::mem::take(&mut self.held) {
            match held {
                Held::Record(found) => self.accept(&found)?,
                Held::CommitEnd(end) => self.accept_commit(end)?,
            }
        }
        Ok(())
    }

    fn held_records(&self) -> impl Iterator<Item = Found> {
        self.held.iter().filter_map(|held| match held {
            Held::Record(found) => Some(*found),
            Held::CommitEnd(_) => None,
        })
    }
}
