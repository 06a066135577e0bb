use super::*;
use crate::{Disk, DiskFile, OpenMode, Space, read_exact_at};

mod decay;
mod kill;
mod model;
mod power_loss;

const SEEDS: u64 = 300;

fn create(disk: &SimDisk, path: &str) -> Arc<dyn DiskFile> {
    disk.open(Path::new(path), OpenMode::CreateNew).unwrap()
}

/// A file whose name and bytes are durable.
fn durable(disk: &SimDisk, path: &str, bytes: &[u8]) -> Arc<dyn DiskFile> {
    let file = create(disk, path);
    file.write_all_at(bytes, 0).unwrap();
    file.sync_data().unwrap();
    disk.sync_dir(Path::new("")).unwrap();
    file
}

fn content(disk: &SimDisk, path: &str) -> Vec<u8> {
    disk.visible_files()[Path::new(path)].clone()
}

/// A few steps of everything, whose faults are the seed's.
fn exercise(seed: u64) -> SimDisk {
    let disk = SimDisk::new(seed);
    disk.create_dir_all(Path::new("/d/e")).unwrap();
    let a = durable(&disk, "a", &[1; 3000]);
    a.write_all_at(&[2; 5000], 700).unwrap();
    let b = create(&disk, "/d/b");
    b.write_all_at(&[3; 2000], 100).unwrap();
    disk.fail_next_writes(1);
    b.write_all_at(&[4; 2000], 1000).unwrap_err();
    disk.rename(Path::new("a"), Path::new("/d/e/c")).unwrap();
    disk.kill_after(1);
    b.set_len(5000).unwrap();
    a.write_all_at(&[5; 3000], 3000).unwrap_err();
    disk.crash(Crash::PowerLoss)
}

#[test]
fn a_seed_is_replayed_exactly() {
    let mut states = Vec::new();
    for seed in 0..50 {
        let (one, other) = (exercise(seed), exercise(seed));
        assert_eq!(one.visible_files(), other.visible_files());
        assert_eq!(one.durable_files(), other.durable_files());
        // And the life after it goes on alike.
        let (one, other) = (one.crash(Crash::PowerLoss), other.crash(Crash::PowerLoss));
        assert_eq!(one.visible_files(), other.visible_files());
        states.push(one.visible_files());
    }
    states.sort();
    states.dedup();
    assert!(
        states.len() > 25,
        "seeds make a difference: {}",
        states.len()
    );
}

#[test]
fn a_disk_that_is_down_gives_nothing_but_errors() {
    let disk = SimDisk::new(1);
    let file = durable(&disk, "a", b"abc");
    let clone = disk.clone();
    let next = disk.crash(Crash::ProcessKill);
    let path = Path::new("a");
    assert!(disk.is_down() && clone.is_down() && !next.is_down());
    assert!(file.read_at(&mut [0; 1], 0).is_err());
    assert!(file.try_read_now(0, 1).is_err());
    assert!(file.write_all_at(b"x", 0).is_err());
    assert!(file.sync_data().is_err() && file.len().is_err() && file.set_len(0).is_err());
    assert!(file.reserve(0, 1).is_err());
    assert!(clone.open(path, OpenMode::Read).is_err());
    assert!(clone.open(path, OpenMode::CreateOrTruncate).is_err());
    assert!(clone.exists(path).is_err() && clone.list(Path::new("")).is_err());
    assert!(clone.remove(path).is_err() && clone.rename(path, path).is_err());
    assert!(clone.sync_dir(Path::new("")).is_err() && clone.space(Path::new("")).is_err());
    assert_eq!(content(&next, "a"), b"abc");
}

#[test]
fn reads_are_exact_and_immediate() {
    let disk = SimDisk::new(1);
    let file = durable(&disk, "a", b"0123456789");
    assert_eq!(read_exact_at(&*file, 2, 3).unwrap(), b"234");
    assert_eq!(file.try_read_now(8, 5).unwrap().unwrap(), b"89");
    assert_eq!(
        file.try_read_now(u64::MAX, usize::MAX).unwrap().unwrap(),
        b""
    );
    assert!(file.raw_fd().is_none());
}

#[test]
fn a_file_has_a_longest_length() {
    let disk = SimDisk::new(1);
    let file = create(&disk, "a");
    let error = file.write_all_at(b"xy", FILE_BYTES_MAX - 1).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::FileTooLarge);
    let error = file.write_all_at(b"xy", u64::MAX).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::FileTooLarge);
    let error = file.set_len(FILE_BYTES_MAX + 1).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::FileTooLarge);
    assert!(file.is_empty().unwrap());
}
