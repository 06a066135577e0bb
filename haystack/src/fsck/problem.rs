//! What can be wrong with a folder of volumes, as values: each says where, whose, and what to do.

use std::fmt;

use crate::id::{Cookie, FileId, NeedleKey, VolumeId};
use crate::needle::NeedleError;

/// A needle by the name that its client knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NeedleName {
    /// Its volume.
    pub volume: VolumeId,
    /// Its key.
    pub key: NeedleKey,
    /// Its cookie; `None` where its header cannot be read.
    pub cookie: Option<Cookie>,
}

impl fmt::Display for NeedleName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fid = FileId {
            volume: self.volume,
            key: self.key,
            cookie: self.cookie.unwrap_or(Cookie(0)),
        };
        let text = fid.to_string();
        match self.cookie {
            Some(_) => f.write_str(&text),
            None => write!(f, "{}????????", &text[..text.len() - 8]),
        }
    }
}

/// Why a needle is damaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Its record does not hold.
    Record(NeedleError),
    /// Its record cannot be told from its neighbours.
    Unreadable,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Record(error) => error.fmt(f),
            Self::Unreadable => f.write_str("its header cannot be read"),
        }
    }
}

/// One finding. Offsets are of the `.dat` unless said otherwise, in bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(
    missing_docs,
    reason = "the fields are offsets, lengths and names as their text says"
)]
pub enum Problem {
    /// A live needle cannot be served.
    DamagedNeedle {
        needle: NeedleName,
        offset: u64,
        fault: Fault,
    },
    /// A record that no key stands for any more is damaged: nothing is lost.
    DamagedGarbage { offset: u64, fault: Fault },
    /// Bytes between two records that are none.
    Unreadable { offset: u64, end: u64 },
    /// A commit does not match its checksum, though each of its needles is whole.
    BrokenCommit { offset: u64, end: u64 },
    /// What a crash left behind the last whole commit.
    TornTail {
        offset: u64,
        bytes: u64,
        whole_needles: u64,
    },
    /// There is no `.idx`.
    IdxMissing,
    /// The `.idx` ends inside an entry.
    IdxCut { idx_bytes: u64 },
    /// An `.idx` entry points at no record of its key and size.
    IdxStray {
        idx_offset: u64,
        key: NeedleKey,
        offset: u64,
    },
    /// The last `.idx` entry of a key is not about its last record.
    IdxOrder { needle: NeedleName, offset: u64 },
    /// A needle, or its deletion, is not in the `.idx`.
    IdxLacks { needle: NeedleName, offset: u64 },
    /// The `.idx` ends before the `.dat` does.
    IdxShort { offset: u64, end: u64 },
    /// RocksDB cannot be opened.
    IndexUnreadable { error: String },
    /// Moongate wrote to the volume, but it has no table in RocksDB.
    IndexMissing,
    /// Note: the volume has not been opened by Moongate yet.
    NotTakenOver,
    /// Note: the volume was not closed cleanly.
    NotClosed { offset: u64, bytes: u64 },
    /// The table in RocksDB is of another state of the `.dat`.
    IndexOther { covers: u64, bytes: u64 },
    /// The table lacks a live needle, or has it elsewhere.
    IndexLacks { needle: NeedleName, offset: u64 },
    /// The table has a needle that the `.dat` does not have, or has deleted.
    IndexStray { needle: NeedleName, offset: u64 },
    /// A file that an interrupted vacuum, rebuild or creation left.
    Leftover { file: String },
    /// A volume whose making was interrupted.
    HalfMade,
    /// A `.dat` without a super block, though its `.idx` names needles.
    DatCut { idx_bytes: u64 },
    /// An `.idx` that names needles, without a `.dat`.
    DatMissing { file: String },
    /// Two volumes in the folder have one number.
    DuplicateVolume { volume: u32 },
    /// A volume that is not served (and was not checked).
    NotServed { why: String },
    /// A file could not be read or mended.
    Failed { error: String },
    /// The sequence of keys is missing, though Moongate wrote volumes here.
    SequenceMissing,
    /// The sequence of keys cannot be read.
    SequenceUnreadable { error: String },
    /// Note: keys or volume numbers are in use that the sequence still has to hand out (the gateway goes on above both).
    SequenceBehind {
        next_key: NeedleKey,
        key_max: NeedleKey,
        volume_max: u32,
    },
}

const BY_REPAIR: &str = "run moongate fsck --repair: it is built anew from the .dat";
const AT_START: &str = "nothing to do: the gateway sees to it when it starts";

impl Problem {
    /// Its kind, for programs.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::DamagedNeedle { .. } => "damaged_needle",
            Self::DamagedGarbage { .. } => "damaged_garbage",
            Self::Unreadable { .. } => "unreadable",
            Self::BrokenCommit { .. } => "broken_commit",
            Self::TornTail { .. } => "torn_tail",
            Self::IdxMissing => "idx_missing",
            Self::IdxCut { .. } => "idx_cut",
            Self::IdxStray { .. } => "idx_stray",
            Self::IdxOrder { .. } => "idx_order",
            Self::IdxLacks { .. } => "idx_lacks",
            Self::IdxShort { .. } => "idx_short",
            Self::IndexUnreadable { .. } => "index_unreadable",
            Self::IndexMissing => "index_missing",
            Self::NotTakenOver => "not_taken_over",
            Self::NotClosed { .. } => "not_closed",
            Self::IndexOther { .. } => "index_other",
            Self::IndexLacks { .. } => "index_lacks",
            Self::IndexStray { .. } => "index_stray",
            Self::Leftover { .. } => "leftover",
            Self::HalfMade => "half_made",
            Self::DatCut { .. } => "dat_cut",
            Self::DatMissing { .. } => "dat_missing",
            Self::DuplicateVolume { .. } => "duplicate_volume",
            Self::NotServed { .. } => "not_served",
            Self::Failed { .. } => "failed",
            Self::SequenceMissing => "sequence_missing",
            Self::SequenceUnreadable { .. } => "sequence_unreadable",
            Self::SequenceBehind { .. } => "sequence_behind",
        }
    }

    /// What to do about it.
    pub const fn advice(&self) -> &'static str {
        match self {
            Self::DamagedNeedle { .. } => {
                "store it again from where it came; until then it is answered with 500"
            }
            Self::DamagedGarbage { .. } | Self::BrokenCommit { .. } => {
                "no needle is lost; a vacuum of the volume writes it anew; look after the disk"
            }
            Self::Unreadable { .. } => {
                "needles in it are named beside this where they are known; store them again, and look after the disk"
            }
            Self::TornTail { .. } => {
                "run moongate fsck --repair: it is kept in a file of its own and cut off; whole needles stay"
            }
            Self::IdxMissing
            | Self::IdxCut { .. }
            | Self::IdxStray { .. }
            | Self::IdxOrder { .. }
            | Self::IdxLacks { .. }
            | Self::IdxShort { .. }
            | Self::IndexUnreadable { .. }
            | Self::IndexMissing
            | Self::IndexOther { .. }
            | Self::IndexLacks { .. }
            | Self::IndexStray { .. } => BY_REPAIR,
            Self::NotTakenOver | Self::NotClosed { .. } => AT_START,
            Self::Leftover { .. } | Self::HalfMade => {
                "run moongate fsck --repair, or start the gateway: both remove it"
            }
            Self::DatCut { .. } | Self::DatMissing { .. } => {
                "restore the .dat from a backup before the gateway is started again"
            }
            Self::DuplicateVolume { .. } => "move one of them away: the gateway cannot serve both",
            Self::NotServed { .. } => "serve it with SeaweedFS, or restore its files from a backup",
            Self::Failed { .. } => "see to the file's rights and its disk, then check again",
            Self::SequenceBehind { .. } => {
                "nothing to do, unless it came from an old backup: then run moongate fsck --repair, which leaves room for keys that were handed out since"
            }
            Self::SequenceMissing | Self::SequenceUnreadable { .. } => {
                "run moongate fsck --repair: it goes on far above every key that is in use"
            }
        }
    }

    /// Whether it is told for information only: nothing is lost, and the next start sees to it.
    pub const fn is_note(&self) -> bool {
        matches!(
            self,
            Self::NotTakenOver | Self::NotClosed { .. } | Self::SequenceBehind { .. }
        )
    }

    /// Whether building the index anew from the `.dat`, or cutting off its tail, mends it.
    pub(super) const fn wants_rebuild(&self) -> bool {
        matches!(
            self,
            Self::TornTail { .. }
                | Self::IdxMissing
                | Self::IdxCut { .. }
                | Self::IdxStray { .. }
                | Self::IdxOrder { .. }
                | Self::IdxLacks { .. }
                | Self::IdxShort { .. }
                | Self::IndexMissing
                | Self::IndexOther { .. }
                | Self::IndexLacks { .. }
                | Self::IndexStray { .. }
        )
    }

    /// Where in the `.dat` it is.
    pub const fn offset(&self) -> Option<u64> {
        match self {
            Self::DamagedNeedle { offset, .. }
            | Self::DamagedGarbage { offset, .. }
            | Self::Unreadable { offset, .. }
            | Self::BrokenCommit { offset, .. }
            | Self::TornTail { offset, .. }
            | Self::IdxStray { offset, .. }
            | Self::IdxOrder { offset, .. }
            | Self::IdxLacks { offset, .. }
            | Self::IdxShort { offset, .. }
            | Self::NotClosed { offset, .. }
            | Self::IndexLacks { offset, .. }
            | Self::IndexStray { offset, .. } => Some(*offset),
            _ => None,
        }
    }

    /// Whose it is.
    pub const fn needle(&self) -> Option<&NeedleName> {
        match self {
            Self::DamagedNeedle { needle, .. }
            | Self::IdxOrder { needle, .. }
            | Self::IdxLacks { needle, .. }
            | Self::IndexLacks { needle, .. }
            | Self::IndexStray { needle, .. } => Some(needle),
            _ => None,
        }
    }
}
