//! The files of a volume together: where they are, and whether a stranger would take them.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::{Dat, IndexEntry, Record, TOMBSTONE, read_dat, read_idx, replay};

/// Bases (path without `.dat`) of the volumes in a folder and the folders in it, sorted.
pub fn bases(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("the folder can be listed") {
        let path = entry.expect("the folder can be listed").path();
        if path.is_dir() {
            found.extend(bases(&path));
        } else if path.extension().is_some_and(|extension| extension == "dat") {
            found.push(path.with_extension(""));
        }
    }
    found.sort();
    found
}

/// The volume id in a base: what follows the last `_` of the file's name.
pub fn id_of(base: &Path) -> Option<u32> {
    let name = base.file_name()?.to_str()?;
    name.rsplit('_').next()?.parse().ok()
}

/// `base.suffix`, whatever dots the base has.
pub fn with_suffix(base: &Path, suffix: &str) -> PathBuf {
    let mut name = base.as_os_str().to_owned();
    name.push(".");
    name.push(suffix);
    PathBuf::from(name)
}

/// The `.vif` of a volume as JSON; `None` when it is missing or empty.
pub fn read_vif(base: &Path) -> Option<serde_json::Value> {
    let text = fs::read(with_suffix(base, "vif"))
        .ok()
        .filter(|text| !text.is_empty())?;
    Some(serde_json::from_slice(&text).expect("a .vif is JSON"))
}

/// Reads a stopped volume as SeaweedFS would and fails on whatever it would not take: a `.dat` that does not walk to
/// its end, an index that points elsewhere than at the record it names, or does not reach the last record.
#[track_caller]
pub fn assert_sound(base: &Path) -> (Dat, BTreeMap<u64, IndexEntry>) {
    let vif = read_vif(base).unwrap_or_default();
    let version = vif["version"]
        .as_u64()
        .filter(|version| *version > 0)
        .map(|version| version as u8);
    let dat =
        read_dat(&with_suffix(base, "dat"), version).unwrap_or_else(|error| panic!("{error}"));
    let offset_bytes = vif["bytesOffset"]
        .as_u64()
        .filter(|bytes| *bytes > 0)
        .unwrap_or(4) as usize;
    let entries =
        read_idx(&with_suffix(base, "idx"), offset_bytes).unwrap_or_else(|error| panic!("{error}"));
    assert_index_agrees(base, &dat, &entries);
    let live = replay(&entries);
    (dat, live)
}

#[track_caller]
fn assert_index_agrees(base: &Path, dat: &Dat, entries: &[IndexEntry]) {
    let by_offset: BTreeMap<u64, &Record> = dat
        .records
        .iter()
        .map(|record| (record.offset, record))
        .collect();
    for entry in entries.iter().filter(|entry| entry.offset != 0) {
        let record = by_offset.get(&entry.offset);
        let record =
            record.unwrap_or_else(|| panic!("{}: {entry:?} points at no record", base.display()));
        assert_eq!(
            record.key,
            entry.key,
            "{}: {entry:?} points at another key",
            base.display()
        );
        let expected = if entry.size == TOMBSTONE {
            0
        } else {
            entry.size
        };
        assert_eq!(
            record.size,
            expected,
            "{}: {entry:?} and its record differ in size",
            base.display()
        );
    }
    let indexed_end = entries
        .iter()
        .map(|entry| entry.offset)
        .max()
        .and_then(|offset| by_offset.get(&offset));
    if let (Some(last), Some(indexed)) = (dat.records.last(), indexed_end) {
        assert_eq!(
            indexed.offset,
            last.offset,
            "{}: the index does not reach the last record",
            base.display()
        );
    } else {
        assert!(
            dat.records.is_empty(),
            "{}: records, and an empty index",
            base.display()
        );
    }
    if dat.super_block.version == 3 {
        let rises = dat
            .records
            .windows(2)
            .all(|pair| pair[0].append_at_ns < pair[1].append_at_ns);
        // A vacuum writes in key order: only then may times go back.
        assert!(
            rises || dat.super_block.compaction_revision > 0,
            "{}: AppendAtNs goes back",
            base.display()
        );
    }
}
