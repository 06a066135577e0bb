//! Failing syncs and writes, full disks, and bytes that go bad.

use super::*;

#[test]
fn a_failed_sync_forgets_what_it_had_to_sync() {
    let disk = SimDisk::new(1);
    let file = durable(&disk, "a", b"old");
    file.write_all_at(b"new", 0).unwrap();
    disk.fail_next_syncs(1);
    assert_eq!(file.sync_data().unwrap_err().raw_os_error(), Some(5));
    assert_eq!(content(&disk, "a"), b"new");
    // It succeeds, and is a lie.
    file.sync_data().unwrap();
    let disk = disk.crash(Crash::ProcessKill);
    assert_eq!(content(&disk, "a"), b"new");
    assert_eq!(content(&disk.crash(Crash::PowerLoss), "a"), b"old");
}

#[test]
fn writing_again_after_a_failed_sync_heals() {
    let disk = SimDisk::new(1);
    let file = durable(&disk, "a", b"old");
    file.write_all_at(b"newer", 0).unwrap();
    disk.fail_next_syncs(1);
    file.sync_data().unwrap_err();
    file.write_all_at(b"newer", 0).unwrap();
    file.sync_data().unwrap();
    assert_eq!(content(&disk.crash(Crash::PowerLoss), "a"), b"newer");
}

#[test]
fn a_failed_write_leaves_some_prefix() {
    let mut lengths: Vec<usize> = (0..SEEDS)
        .map(|seed| {
            let disk = SimDisk::new(seed);
            let file = durable(&disk, "a", b"");
            disk.fail_next_writes(1);
            let error = file.write_all_at(b"0123456789", 0).unwrap_err();
            assert_eq!(error.raw_os_error(), Some(5));
            let found = content(&disk, "a");
            assert!(b"0123456789".starts_with(&found));
            file.write_all_at(b"0123456789", 0).unwrap();
            found.len()
        })
        .collect();
    lengths.sort_unstable();
    lengths.dedup();
    assert!(lengths.len() > 5, "{lengths:?}");
}

#[test]
fn a_full_disk_takes_part_of_a_write_and_no_new_file() {
    let disk = SimDisk::new(7);
    let file = durable(&disk, "a", &[1; 600]);
    disk.set_capacity(1000);
    let root = Path::new("");
    let space = |free_bytes| Space {
        total_bytes: 1000,
        free_bytes,
    };
    assert_eq!(disk.space(root).unwrap(), space(400));
    let error = file.write_all_at(&[2; 500], 600).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    assert!((600..=1000).contains(&file.len().unwrap()));
    assert!(content(&disk, "a")[600..].iter().all(|byte| *byte == 2));
    assert!(file.set_len(1001).is_err());
    file.set_len(1000).unwrap();
    assert_eq!(disk.space(root).unwrap(), space(0));
    let error = disk.open(Path::new("b"), OpenMode::CreateNew).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(28));
    // Overwriting needs no room, and removing gives it back.
    file.write_all_at(&[3; 1000], 0).unwrap();
    disk.remove(Path::new("a")).unwrap();
    assert_eq!(disk.space(root).unwrap(), space(1000));
    create(&disk, "b");
}

#[test]
fn flipped_bits_stay_flipped() {
    let disk = SimDisk::new(1);
    let path = Path::new("a");
    let file = durable(&disk, "a", &[0; 4]);
    file.write_all_at(&[0; 2], 2).unwrap();
    for (offset, bit) in [(1, 7), (2, 0)] {
        disk.flip_bit(path, offset, bit).unwrap();
    }
    file.sync_data().unwrap();
    assert_eq!(content(&disk, "a"), [0, 0x80, 1, 0]);
    assert_eq!(content(&disk.crash(Crash::PowerLoss), "a"), [0, 0x80, 1, 0]);
    assert!(disk.flip_bit(path, 4, 0).is_err());
    assert!(disk.flip_bit(path, 0, 8).is_err());
    assert!(disk.flip_bit(Path::new("b"), 0, 0).is_err());
}

#[test]
fn bad_ranges_fail_every_read_that_touches_them() {
    let disk = SimDisk::new(1);
    durable(&disk, "a", &[1; 100]);
    disk.fail_reads(Path::new("a"), 10..20).unwrap();
    disk.rename(Path::new("a"), Path::new("b")).unwrap();
    disk.sync_dir(Path::new("")).unwrap();
    let disk = disk.crash(Crash::PowerLoss);
    let file = disk.open(Path::new("b"), OpenMode::Read).unwrap();
    for (offset, len) in [(0, 11), (19, 1), (5, 50)] {
        let error = file.read_at(&mut vec![0; len], offset).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(5));
        assert!(file.try_read_now(offset, len).is_err());
    }
    assert_eq!(read_exact_at(&*file, 0, 10).unwrap(), [1; 10]);
    assert_eq!(read_exact_at(&*file, 20, 80).unwrap(), [1; 80]);
}
