//! Volumes that were cut, and tails that SeaweedFS wrote, on a disk in memory.

use std::path::PathBuf;

use moongate_disk::SimDisk;

use super::*;
use crate::id::{Cookie, NeedleKey, VolumeId};
use crate::index::mem::MemIndex;
use crate::needle::{Draft, Stamp};
use crate::placement::ReplicaPlacement;
use crate::ttl::Ttl;
use crate::volume::Durability;
use crate::volume::writer::{Done, Op};

const NOW_NS: u64 = 1_700_000_000_000_000_000;
/// Bytes of a commit record.
const COMMIT_BYTES: u64 = 32;

fn files() -> VolumeFiles {
    VolumeFiles {
        dir: PathBuf::from("/data"),
        collection: String::new(),
        id: VolumeId(1),
    }
}

fn new_disk() -> SimDisk {
    let disk = SimDisk::new(0);
    disk.create_dir_all(&files().dir).unwrap();
    create(&disk, &files(), ReplicaPlacement::from_byte(0), Ttl::NONE).unwrap();
    disk
}

fn open_anew(disk: &SimDisk) -> Opened {
    let index = Arc::new(HotIndex::new(Arc::new(MemIndex::new()) as _, 0));
    open(disk, &index, files()).unwrap()
}

fn draft(text: &str) -> Draft {
    Draft {
        data: text.as_bytes().to_vec().into(),
        name: "a name of some length".into(),
        ..Draft::default()
    }
    .with_checksum()
}

/// Stores one needle in a commit of its own; gives its offset.
fn store(opened: &mut Opened, key: u64, text: &str) -> u64 {
    let put = Op::Put {
        key: NeedleKey(key),
        cookie: Cookie(9),
        draft: draft(text),
        precondition: None,
        must_exist: false,
    };
    let now_ns = NOW_NS + opened.writer.tail();
    let done = opened.writer.commit(&[put], Durability::Fsync, now_ns);
    let [Ok(Done::Stored { offset, .. })] = &done[..] else {
        panic!("{done:?}")
    };
    *offset
}

/// Appends as SeaweedFS does, without naming it in the `.idx`.
fn append_as_seaweedfs(disk: &SimDisk, key: u64, text: &str, at_ns: u64) {
    let dat = disk.open(&files().dat(), OpenMode::ReadWrite).unwrap();
    let stamp = Stamp {
        key: NeedleKey(key),
        cookie: Cookie(9),
        appended_at_ns: at_ns,
        offset: u64::MAX,
    };
    let mut record = Vec::new();
    let draft = draft(text);
    // Its padding is what is left, and none is made for a seal.
    let size = mutant::with(Some(Mutant::ShortSeals), || {
        draft.encode(&stamp, Version::V3, &mut record);
        draft.size(Version::V3)
    });
    let unpadded = 28 + size as usize;
    record[unpadded..].fill(0);
    dat.write_all_at(&record, dat.len().unwrap()).unwrap();
}

fn flip(disk: &SimDisk, offset: u64, mask: u8) {
    let dat = disk.open(&files().dat(), OpenMode::ReadWrite).unwrap();
    let byte = moongate_disk::read_exact_at(&*dat, offset, 1).unwrap()[0];
    dat.write_all_at(&[byte ^ mask], offset).unwrap();
}

fn text_of(opened: &Opened, key: u64) -> Result<String, HaystackError> {
    let needle = opened.volume.read(NeedleKey(key))?;
    Ok(String::from_utf8_lossy(&needle.data()).into_owned())
}

fn is_damaged(opened: &Opened, key: u64) -> bool {
    matches!(text_of(opened, key), Err(HaystackError::Damaged { .. }))
}

/// Removes the `.idx`; the index in memory is lost with each opening anyway.
fn lose_idx(disk: &SimDisk) {
    disk.remove(&files().idx()).unwrap();
}

#[test]
fn a_dat_cut_to_nothing_keeps_the_idx_that_names_its_needles() {
    let disk = new_disk();
    let mut opened = open_anew(&disk);
    store(&mut opened, 5, "an image");
    opened.writer.close().unwrap();
    let dat = disk.open(&files().dat(), OpenMode::ReadWrite).unwrap();
    for len in [7, 0] {
        dat.set_len(len).unwrap();
        let index = Arc::new(HotIndex::new(Arc::new(MemIndex::new()) as _, 0));
        let refused = open(&disk, &index, files()).err();
        assert!(
            matches!(refused, Some(OpenError::DatCut { idx_bytes: 32, .. })),
            "{refused:?}"
        );
    }
    let idx = disk.open(&files().idx(), OpenMode::ReadWrite).unwrap();
    idx.set_len(0).unwrap();
    let index = Arc::new(HotIndex::new(Arc::new(MemIndex::new()) as _, 0));
    let refused = open(&disk, &index, files()).err();
    assert!(matches!(refused, Some(OpenError::HalfMade(_))));
}

#[test]
fn a_flipped_header_of_the_newest_record_uncovers_nothing() {
    for byte in 0..16 {
        let disk = new_disk();
        let mut opened = open_anew(&disk);
        store(&mut opened, 5, "before");
        let newest = store(&mut opened, 5, "newest");
        drop(opened);
        lose_idx(&disk);
        flip(&disk, newest + byte, 0x04);
        let opened = open_anew(&disk);
        assert!(
            is_damaged(&opened, 5),
            "byte {byte}: {:?}",
            text_of(&opened, 5)
        );
    }
}

#[test]
fn flipped_metadata_is_not_taken_for_seaweedfs_when_the_commit_record_is_hit_too() {
    let disk = new_disk();
    let mut opened = open_anew(&disk);
    store(&mut opened, 5, "first");
    let hit = store(&mut opened, 6, "second");
    let behind = store(&mut opened, 7, "third");
    drop(opened);
    lose_idx(&disk);
    // In the name; and two bits of the commit record.
    flip(&disk, hit + 16 + 4 + 6 + 5, 0x01);
    flip(&disk, behind - COMMIT_BYTES + 1, 0x01);
    flip(&disk, behind - COMMIT_BYTES + 6, 0x40);
    let opened = open_anew(&disk);
    assert!(is_damaged(&opened, 6), "{:?}", text_of(&opened, 6));
    assert_eq!(text_of(&opened, 5).unwrap(), "first");
    assert_eq!(text_of(&opened, 7).unwrap(), "third");
}

#[test]
fn what_seaweedfs_appended_after_our_commits_is_read_without_any_index() {
    let disk = new_disk();
    let mut opened = open_anew(&disk);
    store(&mut opened, 5, "ours");
    drop(opened);
    for n in 0..600u64 {
        // Of all lengths: among them are some whose padding passes for a seal of one byte by chance.
        let text = "x".repeat(1 + n as usize % 90);
        append_as_seaweedfs(&disk, 100 + n, &text, NOW_NS + 1_000_000 + n);
    }
    lose_idx(&disk);
    let mut opened = open_anew(&disk);
    assert_eq!(opened.recovery.cut_bytes, 0);
    for n in 0..600u64 {
        assert_eq!(text_of(&opened, 100 + n).unwrap().len() as u64, 1 + n % 90);
    }
    assert_eq!(text_of(&opened, 5).unwrap(), "ours");
    store(&mut opened, 5, "and again ours");
    drop(opened);
    lose_idx(&disk);
    let opened = open_anew(&disk);
    assert_eq!(text_of(&opened, 5).unwrap(), "and again ours");
    assert_eq!(text_of(&opened, 699).unwrap().len() as u64, 1 + 599 % 90);
}

/// Simulation seed 70198: 32 bytes of a torn payload, without data and so without a checksum, passed for a delete marker of
/// SeaweedFS's, and their time set the volume's clock centuries forward.
#[test]
fn torn_bytes_are_no_delete_marker_of_a_key_that_is_not_there() {
    let marker = |key: u64, at_ns: u64| {
        let mut bytes = Vec::new();
        let stamp = Stamp {
            key: NeedleKey(key),
            cookie: Cookie(9),
            appended_at_ns: at_ns,
            offset: u64::MAX,
        };
        crate::needle::encode_marker(&stamp, 7, Version::V3, &mut bytes);
        bytes
    };
    for (key, counts) in [(763, false), (5, true)] {
        let disk = new_disk();
        let mut opened = open_anew(&disk);
        store(&mut opened, 5, "an image");
        let tail = opened.writer.tail();
        drop(opened);
        let dat = disk.open(&files().dat(), OpenMode::ReadWrite).unwrap();
        let at_ns = NOW_NS + 1_000_000_000;
        dat.write_all_at(&marker(key, at_ns), tail).unwrap();
        lose_idx(&disk);
        let mut opened = open_anew(&disk);
        assert_eq!(text_of(&opened, 5).is_err(), counts, "{key}");
        assert_eq!(opened.recovery.cut_bytes, if counts { 0 } else { 32 });
        store(&mut opened, 6, "another");
        let written_ns = opened.volume.read(NeedleKey(6)).unwrap().appended_at_ns;
        assert_eq!(written_ns > at_ns, counts, "{key}");
    }
}

#[test]
fn what_is_cut_off_without_an_index_is_kept_aside() {
    let disk = new_disk();
    let mut opened = open_anew(&disk);
    store(&mut opened, 5, "ours");
    let tail = opened.writer.tail();
    drop(opened);
    let dat = disk.open(&files().dat(), OpenMode::ReadWrite).unwrap();
    dat.write_all_at(&[0xab; 100], tail).unwrap();
    lose_idx(&disk);
    let opened = open_anew(&disk);
    assert_eq!((opened.recovery.cut_bytes, dat.len().unwrap()), (100, tail));
    let kept = files().path(&format!("cut-{tail}"));
    let kept = disk.open(&kept, OpenMode::Read).unwrap();
    assert_eq!(
        moongate_disk::read_exact_at(&*kept, 0, 100).unwrap(),
        [0xab; 100]
    );
}
