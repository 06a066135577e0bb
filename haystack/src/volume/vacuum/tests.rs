//! What a vacuum takes along and what it leaves, on a disk in memory.

use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use moongate_disk::{Disk, OpenMode, SimDisk};

use super::*;
use crate::id::{Cookie, NeedleKey, VolumeId};
use crate::index::hot::HotIndex;
use crate::index::mem::MemIndex;
use crate::needle::{Draft, HEADER_BYTES, Version};
use crate::placement::ReplicaPlacement;
use crate::ttl::Ttl;
use crate::volume::Durability;
use crate::volume::open::{Opened, create, open};
use crate::volume::writer::Op;

const NOW_SECS: u64 = 1_700_000_000;

fn files() -> VolumeFiles {
    VolumeFiles {
        dir: PathBuf::from("/data"),
        collection: String::new(),
        id: VolumeId(1),
    }
}

fn open_anew(disk: &SimDisk) -> Opened {
    let index = Arc::new(HotIndex::new(Arc::new(MemIndex::new()) as _, 0));
    open(disk, &index, files()).unwrap()
}

fn new_volume() -> (SimDisk, Opened) {
    let disk = SimDisk::new(0);
    disk.create_dir_all(&files().dir).unwrap();
    create(&disk, &files(), ReplicaPlacement::from_byte(0), Ttl::NONE).unwrap();
    let opened = open_anew(&disk);
    (disk, opened)
}

fn put(key: u64, draft: Draft) -> Op {
    Op::Put {
        key: NeedleKey(key),
        cookie: Cookie(9),
        draft: draft.with_checksum(),
        precondition: None,
        must_exist: false,
    }
}

fn commit(opened: &mut Opened, ops: &[Op], secs: u64) {
    let outcomes = opened
        .writer
        .commit(ops, Durability::Fsync, secs * 1_000_000_000);
    for outcome in outcomes {
        outcome.unwrap();
    }
}

fn vacuum(disk: &SimDisk, opened: &mut Opened, now_secs: u64) {
    let mut vacuum = Vacuum::begin(disk, &opened.volume, now_secs).unwrap();
    while vacuum.step(1 << 20).unwrap() > 0 {}
    vacuum.finish(disk, &mut opened.writer).unwrap();
}

fn is_damaged(opened: &Opened, key: u64) -> bool {
    let answer = opened.volume.read(NeedleKey(key));
    matches!(answer, Err(HaystackError::Damaged { .. }))
}

#[track_caller]
fn assert_all_damaged(opened: &Opened, keys: &[u64]) {
    let is_served = |key: &&u64| !is_damaged(opened, **key);
    let served: Vec<&u64> = keys.iter().filter(is_served).collect();
    assert!(served.is_empty(), "{served:?}");
}

/// An empty image with metadata that leave one byte for its seal, if it is stored as earlier versions did.
fn empty_with_a_short_seal(n: u64) -> Draft {
    let lengths = 40 + n as usize % 200..;
    let mut drafts = lengths.map(|len| Draft {
        pairs: Bytes::from(vec![b'a' + (n % 26) as u8; len]),
        last_modified_secs: Some(NOW_SECS),
        ttl: Ttl::parse("1m").unwrap(),
        ..Draft::default()
    });
    let has_short_seal = |draft: &Draft| {
        let size = draft.size(Version::V3);
        record_bytes(size, Version::V3) - 28 - u64::from(size) < 4
    };
    drafts.find(has_short_seal).unwrap()
}

/// A record moves when it is copied, and at another place one byte of seal may hold by chance: without data
/// nothing else would tell that the record is damaged.
#[test]
fn what_was_damaged_stays_damaged_wherever_it_is_copied_to() {
    let (disk, mut opened) = new_volume();
    let keys = 2..1000u64;
    mutant::with(Some(Mutant::ShortSeals), || {
        for key in keys.clone() {
            let wasted = put(1, empty_with_a_short_seal(key + 1));
            let draft = put(key, empty_with_a_short_seal(key));
            commit(&mut opened, &[wasted, draft], NOW_SECS);
        }
    });
    let dat = disk.open(&files().dat(), OpenMode::ReadWrite).unwrap();
    for key in keys.clone() {
        let (_, entry) = opened
            .volume
            .locate_slow(NeedleKey(key), false)
            .unwrap()
            .unwrap();
        // Flags, time and TTL: eight bytes in a row.
        let at = entry.offset + HEADER_BYTES as u64 + 4;
        let mut bytes = moongate_disk::read_exact_at(&*dat, at, 8).unwrap();
        bytes.iter_mut().for_each(|byte| *byte ^= 1 << (key % 8));
        dat.write_all_at(&bytes, at).unwrap();
    }
    let damaged: Vec<u64> = keys.filter(|key| is_damaged(&opened, *key)).collect();
    assert!(damaged.len() > 900, "{}", damaged.len());
    for _ in 0..2 {
        vacuum(&disk, &mut opened, NOW_SECS);
        assert_all_damaged(&opened, &damaged);
    }
    // Nor does it become sound where all that is known of it is the file.
    opened.writer.close().unwrap();
    let opened = open_anew(&disk);
    assert_all_damaged(&opened, &damaged);
}

#[test]
fn what_has_expired_is_left_behind_at_its_second() {
    let (disk, mut opened) = new_volume();
    let draft = |ttl: &str| Draft {
        data: Bytes::from_static(b"an image"),
        last_modified_secs: Some(NOW_SECS),
        ttl: Ttl::parse(ttl).unwrap(),
        ..Draft::default()
    };
    let ops = [put(2, draft("1m")), put(3, draft("2m")), put(4, draft(""))];
    commit(&mut opened, &ops, NOW_SECS);
    let there = |opened: &Opened| [2, 3, 4].map(|key| opened.volume.read(NeedleKey(key)).is_ok());
    vacuum(&disk, &mut opened, NOW_SECS + 59);
    assert_eq!(there(&opened), [true; 3]);
    vacuum(&disk, &mut opened, NOW_SECS + 61);
    assert_eq!(there(&opened), [false, true, true]);
    opened.writer.close().unwrap();
    let mut opened = open_anew(&disk);
    assert_eq!(there(&opened), [false, true, true]);
    vacuum(&disk, &mut opened, NOW_SECS + 1_000_000);
    assert_eq!(there(&opened), [false, false, true]);
}
