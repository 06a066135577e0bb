//! What is lost with the power, and what never is.

use super::*;
use std::collections::BTreeSet;

const SECTORS: usize = 8;
const BYTES: usize = SECTORS * SECTOR_BYTES;

/// The first byte of each sector, having checked that no sector is torn.
fn sectors(bytes: &[u8]) -> Vec<u8> {
    let whole = bytes.chunks(SECTOR_BYTES).inspect(|sector| {
        assert!(
            sector.iter().all(|byte| *byte == sector[0]),
            "a torn sector"
        );
    });
    whole.map(|sector| sector[0]).collect()
}

#[test]
fn synced_bytes_are_never_lost() {
    for seed in 0..SEEDS {
        let disk = SimDisk::new(seed);
        let file = durable(&disk, "a", &[1; BYTES]);
        file.write_all_at(&[2; 100], BYTES as u64).unwrap();
        let after = content(&disk.crash(Crash::PowerLoss), "a");
        assert_eq!(after[..BYTES], [1; BYTES]);
    }
}

#[test]
fn unsynced_writes_are_lost_kept_or_torn_by_sectors() {
    let (mut lost, mut kept, mut torn) = (0, 0, 0);
    for seed in 0..SEEDS {
        let disk = SimDisk::new(seed);
        let file = durable(&disk, "a", &[1; BYTES]);
        file.write_all_at(&[2; BYTES], 0).unwrap();
        let found = sectors(&content(&disk.crash(Crash::PowerLoss), "a"));
        match found.iter().filter(|sector| **sector == 2).count() {
            0 => lost += 1,
            SECTORS => kept += 1,
            _ => torn += 1,
        }
        assert!(found.iter().all(|sector| [1, 2].contains(sector)));
    }
    assert!(lost > 20 && kept > 20 && torn > 20, "{lost} {kept} {torn}");
}

#[test]
fn unsynced_writes_are_reordered() {
    let reordered = (0..SEEDS).filter(|seed| {
        let disk = SimDisk::new(*seed);
        let file = durable(&disk, "a", &[0; BYTES]);
        file.write_all_at(&[1; SECTOR_BYTES], 0).unwrap();
        file.write_all_at(&[2; SECTOR_BYTES], SECTOR_BYTES as u64)
            .unwrap();
        sectors(&content(&disk.crash(Crash::PowerLoss), "a"))[..2] == [0, 2]
    });
    assert!(reordered.count() > 20);
}

/// The page cache holds one version of a sector: the second write to it can not be there without the first.
#[test]
fn a_sector_is_as_it_was_after_one_of_its_writes() {
    let mut seen = BTreeSet::new();
    for seed in 0..SEEDS {
        let disk = SimDisk::new(seed);
        let file = durable(&disk, "a", b"....");
        file.write_all_at(b"1", 1).unwrap();
        file.write_all_at(b"2", 2).unwrap();
        seen.insert(content(&disk.crash(Crash::PowerLoss), "a"));
    }
    let expected: [&[u8]; 3] = [b"....", b".1..", b".12."];
    assert_eq!(seen, expected.map(<[u8]>::to_vec).into());
}

#[test]
fn an_append_may_leave_its_length_and_lose_its_bytes() {
    let (mut shorter, mut zeros, mut whole) = (0, 0, 0);
    for seed in 0..SEEDS {
        let disk = SimDisk::new(seed);
        let file = durable(&disk, "a", &[1; SECTOR_BYTES]);
        file.write_all_at(&[2; SECTOR_BYTES], SECTOR_BYTES as u64)
            .unwrap();
        match sectors(&content(&disk.crash(Crash::PowerLoss), "a"))[..] {
            [1] => shorter += 1,
            [1, 0] => zeros += 1,
            [1, 2] => whole += 1,
            ref other => panic!("impossible: {other:?}"),
        }
    }
    assert!(
        shorter > 20 && zeros > 20 && whole > 20,
        "{shorter} {zeros} {whole}"
    );
}

#[test]
fn a_cut_length_may_come_back_until_it_is_synced() {
    let lengths: BTreeSet<usize> = (0..SEEDS)
        .map(|seed| {
            let disk = SimDisk::new(seed);
            durable(&disk, "a", &[1; 2000]).set_len(600).unwrap();
            content(&disk.crash(Crash::PowerLoss), "a").len()
        })
        .collect();
    assert_eq!(lengths, [600, 2000].into());
    let disk = SimDisk::new(1);
    let file = durable(&disk, "a", &[1; 2000]);
    file.set_len(600).unwrap();
    file.sync_data().unwrap();
    file.set_len(2000).unwrap();
    file.sync_data().unwrap();
    let after = content(&disk.crash(Crash::PowerLoss), "a");
    assert_eq!(
        (&after[..600], &after[600..]),
        (&[1; 600][..], &[0; 1400][..])
    );
}

/// What a cut took does not come back when the file is extended again, but for the cut itself being lost.
#[test]
fn bytes_beyond_a_cut_are_zeros() {
    let found: BTreeSet<Vec<u8>> = (0..SEEDS)
        .map(|seed| {
            let disk = SimDisk::new(seed);
            let file = durable(&disk, "a", &[1; 6]);
            file.set_len(2).unwrap();
            file.set_len(4).unwrap();
            content(&disk.crash(Crash::PowerLoss), "a")
        })
        .collect();
    let expected: [&[u8]; 3] = [&[1; 6], &[1; 2], &[1, 1, 0, 0]];
    assert_eq!(found, expected.map(<[u8]>::to_vec).into());
}

/// The old file behind a removed or replaced name is still on the disk as long as the name may come back.
#[test]
fn a_name_that_comes_back_has_its_content() {
    let (mut back, mut gone) = (0, 0);
    for seed in 0..SEEDS {
        let disk = SimDisk::new(seed);
        durable(&disk, "a", b"old");
        disk.remove(Path::new("a")).unwrap();
        let disk = disk.crash(Crash::ProcessKill).crash(Crash::PowerLoss);
        match disk.visible_files().get(Path::new("a")) {
            Some(bytes) => {
                assert_eq!(bytes, b"old");
                back += 1;
            }
            None => gone += 1,
        }
    }
    assert!(back > 20 && gone > 20, "{back} {gone}");
}

#[test]
fn syncing_a_file_does_not_keep_its_name() {
    let lost = (0..SEEDS).filter(|seed| {
        let disk = SimDisk::new(*seed);
        let file = create(&disk, "a");
        file.write_all_at(b"abc", 0).unwrap();
        file.sync_data().unwrap();
        assert!(disk.durable_files().is_empty());
        let found = disk.crash(Crash::PowerLoss).visible_files();
        assert!(found.values().all(|bytes| bytes == b"abc"));
        found.is_empty()
    });
    assert!((20..SEEDS as usize - 20).contains(&lost.count()));
}

#[test]
fn names_are_kept_up_to_some_point_in_order() {
    let mut seen = BTreeSet::new();
    for seed in 0..SEEDS {
        let disk = SimDisk::new(seed);
        durable(&disk, "a", b"");
        create(&disk, "b");
        disk.rename(Path::new("a"), Path::new("c")).unwrap();
        disk.remove(Path::new("b")).unwrap();
        seen.insert(
            disk.crash(Crash::PowerLoss)
                .list(Path::new(""))
                .unwrap()
                .concat(),
        );
    }
    assert_eq!(seen, ["a", "ab", "bc", "c"].map(str::to_owned).into());
}

#[test]
fn a_directory_s_sync_keeps_its_names_and_no_other_s() {
    let (mut kept, mut lost) = (0, 0);
    for seed in 0..SEEDS {
        let disk = SimDisk::new(seed);
        disk.create_dir_all(Path::new("/x/y")).unwrap();
        create(&disk, "/x/other");
        create(&disk, "/x/y/synced");
        disk.sync_dir(Path::new("/x/y")).unwrap();
        let disk = disk.crash(Crash::PowerLoss);
        assert!(disk.exists(Path::new("/x/y/synced")).unwrap());
        match disk.exists(Path::new("/x/other")).unwrap() {
            true => kept += 1,
            false => lost += 1,
        }
    }
    assert!(kept > 20 && lost > 20, "{kept} {lost}");
}

/// A file that moves between directories is never found under both names, nor under none.
#[test]
fn a_move_between_directories_is_whole() {
    for seed in 0..SEEDS {
        let disk = SimDisk::new(seed);
        disk.create_dir_all(Path::new("/x")).unwrap();
        disk.create_dir_all(Path::new("/y")).unwrap();
        create(&disk, "/x/a");
        disk.rename(Path::new("/x/a"), Path::new("/y/a")).unwrap();
        let synced = if seed % 2 == 0 { "/x" } else { "/y" };
        disk.sync_dir(Path::new(synced)).unwrap();
        let found = disk.crash(Crash::PowerLoss).visible_files();
        assert_eq!(found.into_keys().collect::<Vec<_>>(), [Path::new("/y/a")]);
    }
}

#[test]
fn a_replaced_file_is_the_old_one_or_the_new_one_s_name() {
    let mut seen = BTreeSet::new();
    for seed in 0..SEEDS {
        let disk = SimDisk::new(seed);
        durable(&disk, "a", b"old");
        let new = create(&disk, "b");
        new.write_all_at(b"new", 0).unwrap();
        disk.rename(Path::new("b"), Path::new("a")).unwrap();
        seen.insert(content(&disk.crash(Crash::PowerLoss), "a"));
    }
    // Without a sync before the rename, the new name may hold nothing, or zeros.
    let expected: [&[u8]; 4] = [b"", b"\0\0\0", b"new", b"old"];
    assert_eq!(seen, expected.map(<[u8]>::to_vec).into());
}

#[test]
fn a_process_kill_loses_nothing_but_makes_nothing_durable() {
    let mut lost = 0;
    for seed in 0..SEEDS {
        let disk = SimDisk::new(seed);
        durable(&disk, "a", &[1; BYTES])
            .write_all_at(&[2; BYTES], 0)
            .unwrap();
        create(&disk, "b");
        let disk = disk.crash(Crash::ProcessKill);
        assert_eq!(content(&disk, "a"), [2; BYTES]);
        assert!(disk.exists(Path::new("b")).unwrap());
        assert_eq!(disk.durable_files()[Path::new("a")], [1; BYTES]);
        let disk = disk.crash(Crash::PowerLoss);
        lost += usize::from(content(&disk, "a") != [2; BYTES]);
    }
    assert!(lost > 20, "{lost}");
}
