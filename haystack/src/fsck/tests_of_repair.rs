//! What a repair mends, what it leaves, and that nothing is lost by it.

use moongate_disk::RealDisk;

use super::tests::{Folder, NEEDLES, Seen, codes, sample_folder, snapshot};
use super::*;
use crate::id::NeedleKey;

/// As a client sees it: key 4 is deleted, all others are there.
fn all_there(folder: &Folder) {
    for (n, answer) in folder.answers().iter().enumerate() {
        assert_eq!(answer.is_ok(), n != 3, "key {}: {answer:?}", n + 1);
    }
}

fn mended(folder: &Folder) -> VolumeReport {
    let (report, total) = folder.fsck(true);
    assert!(total.is_sound(), "{report:#?} {total:#?}");
    assert_eq!(report.repaired.len(), 1, "{report:#?}");
    let (after, total) = folder.fsck(false);
    assert_eq!(after.problems, []);
    assert!(total.is_sound());
    report
}

#[test]
fn an_idx_is_built_anew() {
    for change in [
        (|b: &mut Vec<u8>| b.truncate(b.len() - 5)) as fn(&mut Vec<u8>),
        |b| b.clear(),
        |b| b.iter_mut().for_each(|byte| *byte = 0x5a),
        |b| b[11] ^= 1,
    ] {
        let folder = Folder::new();
        let sound = std::fs::read(folder.files().idx()).unwrap();
        folder.edit(&folder.files().idx(), change);
        mended(&folder);
        assert!(std::fs::read(folder.files().idx()).unwrap() == sound);
        all_there(&folder);
    }
    let folder = Folder::new();
    std::fs::remove_file(folder.files().idx()).unwrap();
    mended(&folder);
    all_there(&folder);
}

#[test]
fn a_missing_index_is_built_anew() {
    let folder = Folder::new();
    std::fs::remove_dir_all(folder.path().join(INDEX_DIR)).unwrap();
    assert_eq!(codes(&folder.fsck(false).0), ["index_missing"]);
    assert!(
        !folder.path().join(INDEX_DIR).exists(),
        "a check makes none"
    );
    mended(&folder);
    all_there(&folder);
}

#[test]
fn an_index_that_cannot_be_opened_is_set_aside() {
    let folder = Folder::new();
    let index = folder.path().join(INDEX_DIR);
    for entry in std::fs::read_dir(&index).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if name.starts_with("MANIFEST") || name == "CURRENT" {
            std::fs::write(path, b"no such thing\n").unwrap();
        }
    }
    let (_, total) = folder.fsck(false);
    assert_eq!(total.problems.len(), 1, "{total:#?}");
    assert_eq!(total.problems[0].code(), "index_unreadable");
    let (report, total) = folder.fsck(true);
    assert!(total.is_sound(), "{report:#?} {total:#?}");
    assert!(folder.path().join("index.damaged-1").exists());
    all_there(&folder);
}

#[test]
fn a_torn_tail_is_cut_off_and_kept() {
    let folder = Folder::new();
    let dat = folder.files().dat();
    let whole = std::fs::read(&dat).unwrap();
    let torn = [&[0x77; 100][..], &[0; 50]].concat();
    folder.edit(&dat, |bytes| bytes.extend_from_slice(&torn));
    let (report, _) = folder.fsck(false);
    assert_eq!(codes(&report), ["torn_tail"]);
    assert_eq!(report.problems[0].offset(), Some(whole.len() as u64));
    mended(&folder);
    assert!(std::fs::read(&dat).unwrap() == whole);
    let kept = folder.files().path(&format!("cut-{}", whole.len()));
    assert_eq!(std::fs::read(kept).unwrap(), torn);
    all_there(&folder);
}

#[test]
fn a_large_tail_that_opening_refuses_is_cut_off_and_kept() {
    let folder = Folder::new();
    let dat = folder.files().dat();
    let whole = std::fs::metadata(&dat).unwrap().len();
    std::fs::remove_dir_all(folder.path().join(INDEX_DIR)).unwrap();
    let file = std::fs::OpenOptions::new().write(true).open(&dat).unwrap();
    file.set_len(whole + (65 << 20)).unwrap();
    let (report, total) = folder.fsck(true);
    assert!(total.is_sound(), "{report:#?}");
    assert_eq!(std::fs::metadata(&dat).unwrap().len(), whole);
    let kept = folder.files().path(&format!("cut-{whole}"));
    assert_eq!(std::fs::metadata(kept).unwrap().len(), 65 << 20);
    all_there(&folder);
}

#[test]
fn damaged_needles_stay_and_answer_with_an_error() {
    for (byte, needs) in [
        (40, ""),
        (11, ""),
        (15, ""),
        (2, ""),
        (40, "idx"),
        (11, "idx"),
        (15, "idx"),
        (2, "idx"),
    ] {
        let folder = Folder::new();
        folder.flip(folder.offset_of(5) + byte);
        if needs == "idx" {
            std::fs::remove_file(folder.files().idx()).unwrap();
        }
        let (report, total) = folder.fsck(true);
        assert_eq!(total.damaged_needles, 1, "{byte} {needs}: {report:#?}");
        assert!(!total.is_sound());
        for (n, answer) in folder.answers().iter().enumerate() {
            match (n + 1, answer) {
                (4, answer) => assert_eq!(answer, &Err("not found".to_owned())),
                (5, Err(text)) => assert!(text.contains("damaged"), "{byte} {needs}: {text}"),
                (key, answer) => assert!(
                    key != 5 && answer.is_ok(),
                    "{byte} {needs}: {key} {answer:?}"
                ),
            }
        }
        let again = folder.fsck(false);
        assert_eq!(again.1.damaged_needles, 1, "{byte} {needs}: {:#?}", again.0);
    }
}

#[test]
fn a_damaged_last_commit_is_not_cut_off() {
    let folder = Folder::new();
    let dat = folder.files().dat();
    let end = std::fs::metadata(&dat).unwrap().len();
    folder.flip(folder.offset_of(4) + 1);
    folder.flip(end as usize - 32);
    std::fs::remove_file(folder.files().idx()).unwrap();
    folder.fsck(true);
    assert_eq!(std::fs::metadata(&dat).unwrap().len(), end);
}

#[test]
fn leftovers_of_a_vacuum_are_cleared() {
    let folder = Folder::new();
    for extension in ["cpd", "cpx", "idx.new"] {
        std::fs::write(folder.files().path(extension), b"half").unwrap();
    }
    let (report, _) = folder.fsck(false);
    assert_eq!(codes(&report), ["leftover"; 3]);
    mended(&folder);
    assert!(!folder.files().compact_dat().exists());
    assert!(!folder.files().path("idx.new").exists());
    all_there(&folder);
}

#[test]
fn a_vacuum_that_got_as_far_as_its_rename_is_finished() {
    let folder = Folder::new();
    let disk = RealDisk::new();
    let index = super::tests::hot(folder.path());
    let mut opened = crate::volume::open::open(&disk, &index, folder.files()).unwrap();
    let mut vacuum =
        crate::volume::vacuum::Vacuum::begin(&disk, &opened.volume, 1_700_000_000).unwrap();
    while vacuum.step(1 << 20).unwrap() > 0 {}
    vacuum.finish(&disk, &mut opened.writer).unwrap();
    opened.writer.close().unwrap();
    drop((opened, index));
    assert_eq!(folder.fsck(false).0.problems, []);
    // As it was between its two renames.
    std::fs::rename(folder.files().idx(), folder.files().compact_idx()).unwrap();
    std::fs::write(folder.files().idx(), [7; 160]).unwrap();
    assert_eq!(codes(&folder.fsck(false).0), ["leftover"]);
    mended(&folder);
    all_there(&folder);
}

#[test]
fn half_made_volumes_go_and_cut_ones_stay() {
    let folder = Folder::new();
    std::fs::write(folder.files().dat(), b"").unwrap();
    assert_eq!(codes(&folder.fsck(true).0), ["dat_cut"]);
    assert!(folder.files().idx().exists());
    std::fs::write(folder.files().idx(), b"").unwrap();
    assert_eq!(codes(&folder.fsck(false).0), ["half_made"]);
    folder.fsck(true);
    assert!(!folder.files().dat().exists() && !folder.files().vif().exists());
}

#[test]
fn an_idx_without_its_dat_is_never_removed() {
    let folder = Folder::new();
    std::fs::remove_file(folder.files().dat()).unwrap();
    let total = run(&RealDisk::new(), folder.path(), true, &mut Seen::default()).unwrap();
    assert_eq!(total.problems[0].code(), "dat_missing");
    assert!(folder.files().idx().exists() && !total.is_sound());
}

#[test]
fn a_lost_sequence_goes_on_above_every_key() {
    for text in [None, Some("{"), Some("{\"next_key\":3,\"volume_max\":7}")] {
        let folder = Folder::new();
        let path = folder.path().join("sequence.json");
        match text {
            None => std::fs::remove_file(&path).unwrap(),
            Some(text) => std::fs::write(&path, text).unwrap(),
        }
        let (_, total) = folder.fsck(false);
        assert_eq!(total.problems.len(), 1, "{text:?}");
        let (_, total) = folder.fsck(true);
        assert!(total.is_sound() && total.repaired.len() == 1, "{total:?}");
        let disk = RealDisk::new();
        let reserved = crate::sequence::read(&disk, &path).unwrap();
        assert!(reserved.next_key > NEEDLES + crate::sequence::COUNT_MAX);
        assert_eq!(reserved.volume_max, 7);
        assert!(folder.fsck(false).1.problems.is_empty());
    }
}

#[test]
fn samples_of_seaweedfs_can_lose_their_idx() {
    for base in ["plain_1", "rust5_1", "oldv2_2"] {
        let dir = sample_folder(base);
        let before = snapshot(dir.path());
        let mut first = Seen::default();
        run(&RealDisk::new(), dir.path(), false, &mut first).unwrap();
        let idx = dir.path().join(format!("{base}.idx"));
        std::fs::remove_file(&idx).unwrap();
        let mut seen = Seen::default();
        let total = run(&RealDisk::new(), dir.path(), true, &mut seen).unwrap();
        assert!(total.is_sound(), "{base}: {:#?}", seen.0);
        let dat = dir.path().join(format!("{base}.dat"));
        assert!(std::fs::read(&dat).unwrap() == before[&dat], "{base}");
        assert_eq!(seen.0[0].live, first.0[0].live, "{base}");
        assert!(std::fs::read(&idx).unwrap() == before[&idx], "{base}");
    }
}

#[test]
fn names_of_needles_without_a_cookie_are_marked() {
    let name = NeedleName {
        volume: VolumeId(3),
        key: NeedleKey(0x1a),
        cookie: None,
    };
    assert_eq!(name.to_string(), "3,1a????????");
}
