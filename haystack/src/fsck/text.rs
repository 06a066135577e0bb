//! [`Problem`] in words, and as JSON.

use std::fmt;

use serde::ser::{Serialize, SerializeMap, Serializer};

use super::problem::Problem;

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DamagedNeedle {
                needle,
                offset,
                fault,
            } => {
                write!(f, "needle {needle} at offset {offset} is damaged: {fault}")
            }
            Self::DamagedGarbage { offset, fault } => {
                write!(f, "garbage at offset {offset} is damaged: {fault}")
            }
            Self::Unreadable { offset, end } => {
                write!(
                    f,
                    "{} bytes at offset {offset} cannot be read as records",
                    end - offset
                )
            }
            Self::BrokenCommit { offset, end } => {
                write!(
                    f,
                    "the commit at offset {offset}, {} bytes, does not match its checksum",
                    end - offset
                )
            }
            Self::TornTail {
                offset,
                bytes,
                whole_needles,
            } => {
                write!(
                    f,
                    "{bytes} bytes at offset {offset} stand behind the last whole commit; {whole_needles} records in them are whole"
                )
            }
            Self::IdxMissing => f.write_str("there is no .idx"),
            Self::IdxCut { idx_bytes } => {
                write!(f, "the .idx of {idx_bytes} bytes ends inside an entry")
            }
            Self::IdxStray {
                idx_offset,
                key,
                offset,
            } => {
                write!(
                    f,
                    "the .idx entry at {idx_offset} points at offset {offset} for key {:x}, where no such record is",
                    key.0
                )
            }
            Self::IdxOrder { needle, offset } => {
                write!(
                    f,
                    "the .idx names {needle} at offset {offset} before an older record of it"
                )
            }
            Self::IdxLacks { needle, offset } => {
                write!(
                    f,
                    "the .idx lacks the last record of {needle}, at offset {offset}"
                )
            }
            Self::IdxShort { offset, end } => {
                write!(f, "the .idx ends with offset {offset}, the .dat with {end}")
            }
            Self::IndexUnreadable { error } => write!(f, "the index cannot be opened: {error}"),
            Self::IndexMissing => f.write_str("the index has no table of this volume"),
            Self::NotTakenOver => f.write_str(
                "not opened by Moongate yet: the index will be built at the first start",
            ),
            Self::NotClosed { offset, bytes } => {
                write!(
                    f,
                    "not closed cleanly: {bytes} bytes from offset {offset} on are read again at the next start"
                )
            }
            Self::IndexOther { covers, bytes } => {
                write!(
                    f,
                    "the index is of another state of the .dat, which had {covers} bytes; the file has {bytes}"
                )
            }
            Self::IndexLacks { needle, offset } => {
                write!(
                    f,
                    "the index does not have {needle} at offset {offset}, where it is"
                )
            }
            Self::IndexStray { needle, offset } => {
                write!(
                    f,
                    "the index has {needle} at offset {offset}, where it is not, or no longer"
                )
            }
            Self::Leftover { file } => write!(
                f,
                "{file} was left behind by an interrupted vacuum, rebuild or creation"
            ),
            Self::HalfMade => {
                f.write_str("its making was interrupted: nothing was ever stored in it")
            }
            Self::DatCut { idx_bytes } => {
                write!(
                    f,
                    "the .dat has no super block, but its .idx of {idx_bytes} bytes names needles"
                )
            }
            Self::DatMissing { file } => write!(f, "{file} names needles, but its .dat is missing"),
            Self::DuplicateVolume { volume } => {
                write!(f, "two volumes here have the number {volume}")
            }
            Self::NotServed { why } => write!(f, "not served, and not checked: {why}"),
            Self::Failed { error } => f.write_str(error),
            Self::SequenceMissing => f.write_str("sequence.json is missing"),
            Self::SequenceUnreadable { error } => {
                write!(f, "sequence.json cannot be read: {error}")
            }
            Self::SequenceBehind {
                next_key,
                key_max,
                volume_max,
            } => write!(
                f,
                "sequence.json would go on with key {:x}, but key {:x} and volume {volume_max} are in use",
                next_key.0, key_max.0
            ),
        }
    }
}

impl Serialize for Problem {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("problem", self.code())?;
        map.serialize_entry("note", &self.is_note())?;
        if let Some(offset) = self.offset() {
            map.serialize_entry("offset", &offset)?;
        }
        if let Some(needle) = self.needle() {
            map.serialize_entry("fid", &needle.to_string())?;
            map.serialize_entry("key", &format!("{:x}", needle.key.0))?;
        }
        map.serialize_entry("text", &self.to_string())?;
        map.serialize_entry("advice", self.advice())?;
        map.end()
    }
}
