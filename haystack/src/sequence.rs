//! Handing out keys and volume numbers, each once for ever.
//!
//! Both are reserved in steps: a small file in every data folder says up to where, and it is durable before anything from
//! the new step is handed out. After a crash the rest of the step is skipped.

use std::path::{Path, PathBuf};

use moongate_disk::{Disk, OpenMode};
use serde::{Deserialize, Serialize};

use crate::error::HaystackError;
use crate::id::{NeedleKey, VolumeId};
use crate::mutant::{self, Mutant};

/// Keys from here on were made up by clients of SeaweedFS (or are its snowflake ids); ours stay below for 100,000 years.
const FOREIGN_FROM: u64 = 1 << 48;
const KEY_STEP: u64 = 100_000;
/// Keys that one call may ask for.
pub const COUNT_MAX: u64 = 10_000_000;

/// Whether a key can have come from a sequence like ours. Others don't push the sequence forward.
pub const fn is_ours(key: NeedleKey) -> bool {
    key.0 < FOREIGN_FROM
}

#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Reserved {
    /// No key from here on was ever handed out.
    pub(crate) next_key: u64,
    /// Largest volume number ever used.
    pub(crate) volume_max: u32,
}

/// See the module.
#[derive(Debug)]
pub struct Sequence {
    files: Vec<PathBuf>,
    reserved: Reserved,
    next_key: u64,
}

/// Name of the file in a data folder.
pub const FILE_NAME: &str = "sequence.json";

impl Sequence {
    /// Goes on from what the files in `dirs` say, above every key and volume that is there.
    pub fn open(
        disk: &dyn Disk,
        dirs: &[PathBuf],
        key_max: u64,
        volume_max: u32,
    ) -> Result<Self, HaystackError> {
        let files: Vec<_> = dirs.iter().map(|dir| dir.join(FILE_NAME)).collect();
        let mut reserved = Reserved {
            next_key: key_max + 1,
            volume_max,
        };
        for file in &files {
            let found = read(disk, file)?;
            reserved.next_key = reserved.next_key.max(found.next_key);
            reserved.volume_max = reserved.volume_max.max(found.volume_max);
        }
        let next_key = reserved.next_key;
        Ok(Self {
            files,
            reserved,
            next_key,
        })
    }

    /// The next key to be handed out; no key from here on is known to any client.
    pub const fn next_key(&self) -> NeedleKey {
        NeedleKey(self.next_key)
    }

    /// Whether [`Self::keys`] can answer without a disk.
    pub fn has(&self, count: u64) -> bool {
        self.next_key + count.clamp(1, COUNT_MAX) <= self.reserved.next_key
    }

    /// Hands out `count` keys in a row; the first is returned.
    pub fn keys(&mut self, disk: &dyn Disk, count: u64) -> Result<NeedleKey, HaystackError> {
        let first = self.next_key;
        let end = first + count.clamp(1, COUNT_MAX);
        if end > FOREIGN_FROM {
            return Err(HaystackError::Storage("all keys are handed out".into()));
        }
        if end > self.reserved.next_key && !mutant::is(Mutant::ReuseKeys) {
            self.reserve(
                disk,
                Reserved {
                    next_key: end + KEY_STEP,
                    ..self.reserved
                },
            )?;
        }
        self.next_key = end;
        Ok(NeedleKey(first))
    }

    /// A number for a new volume.
    pub fn volume(&mut self, disk: &dyn Disk) -> Result<VolumeId, HaystackError> {
        let volume_max = self
            .reserved
            .volume_max
            .checked_add(1)
            .ok_or_else(|| HaystackError::Storage("all volume numbers are used".into()))?;
        self.reserve(
            disk,
            Reserved {
                volume_max,
                ..self.reserved
            },
        )?;
        Ok(VolumeId(volume_max))
    }

    /// Largest volume number ever used.
    pub const fn volume_max(&self) -> u32 {
        self.reserved.volume_max
    }

    fn reserve(&mut self, disk: &dyn Disk, reserved: Reserved) -> Result<(), HaystackError> {
        let json = serde_json::to_vec(&reserved).unwrap_or_default();
        for file in &self.files {
            moongate_disk::replace_file(disk, file, &json)
                .map_err(|e| HaystackError::from_io(VolumeId(0), &e))?;
        }
        self.reserved = reserved;
        Ok(())
    }
}

/// What a file says; nothing is reserved where it is missing.
pub(crate) fn read(disk: &dyn Disk, file: &Path) -> Result<Reserved, HaystackError> {
    let failed = |e: &dyn std::fmt::Display| {
        HaystackError::Storage(
            format!(
                "{}: {e}: restore it, or remove it if no file id is in use",
                file.display()
            )
            .into(),
        )
    };
    if !disk.exists(file).map_err(|e| failed(&e))? {
        return Ok(Reserved::default());
    }
    let handle = disk.open(file, OpenMode::Read).map_err(|e| failed(&e))?;
    let len = handle.len().map_err(|e| failed(&e))?.min(4096);
    let bytes = moongate_disk::read_exact_at(&*handle, 0, len as usize).map_err(|e| failed(&e))?;
    serde_json::from_slice(&bytes).map_err(|e| failed(&e))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use moongate_disk::{Crash, SimDisk};

    use super::*;

    fn open(disk: &SimDisk, key_max: u64) -> Sequence {
        let dirs = [PathBuf::from("/a"), PathBuf::from("/b")];
        for dir in &dirs {
            disk.create_dir_all(dir).unwrap();
        }
        Sequence::open(disk, &dirs, key_max, 0).unwrap()
    }

    #[test]
    fn keys_follow_each_other_and_are_not_repeated_after_a_power_loss() {
        let disk = SimDisk::new(1);
        let mut sequence = open(&disk, 0);
        assert!(!sequence.has(1));
        assert_eq!(sequence.keys(&disk, 3).unwrap(), NeedleKey(1));
        assert_eq!(sequence.keys(&disk, 1).unwrap(), NeedleKey(4));
        assert!(sequence.has(1));
        let disk = disk.crash(Crash::PowerLoss);
        assert!(open(&disk, 0).next_key() > NeedleKey(4));
    }

    #[test]
    fn one_folder_is_enough_and_what_is_stored_counts() {
        let disk = SimDisk::new(1);
        let handed = open(&disk, 500).keys(&disk, 1).unwrap();
        assert_eq!(handed, NeedleKey(501));
        disk.remove(Path::new("/a/sequence.json")).unwrap();
        assert!(open(&disk, 0).next_key() > handed);
    }

    #[test]
    fn a_damaged_file_is_refused() {
        let disk = SimDisk::new(1);
        open(&disk, 0).keys(&disk, 1).unwrap();
        disk.flip_bit(Path::new("/b/sequence.json"), 0, 3).unwrap();
        let dirs = [PathBuf::from("/a"), PathBuf::from("/b")];
        assert!(Sequence::open(&disk, &dirs, 0, 0).is_err());
    }

    #[test]
    fn a_disk_that_is_full_hands_out_nothing() {
        let disk = SimDisk::new(1);
        let mut sequence = open(&disk, 0);
        disk.set_capacity(0);
        assert!(sequence.keys(&disk, 1).is_err() && sequence.volume(&disk).is_err());
        disk.set_capacity(1 << 20);
        assert_eq!(sequence.keys(&disk, 1).unwrap(), NeedleKey(1));
        assert_eq!(sequence.volume(&disk).unwrap(), VolumeId(1));
    }
}
