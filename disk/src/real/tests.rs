use super::*;
use crate::{read_exact_at, replace_file};
use tempfile::TempDir;

fn file_with(dir: &TempDir, bytes: &[u8]) -> Arc<dyn DiskFile> {
    let file = RealDisk
        .open(&dir.path().join("file"), OpenMode::CreateNew)
        .unwrap();
    file.write_all_at(bytes, 0).unwrap();
    file
}

#[test]
fn reads_come_short_only_at_the_end() {
    let dir = TempDir::new().unwrap();
    let file = file_with(&dir, b"0123456789");
    let mut buf = [0; 4];
    assert_eq!(file.read_at(&mut buf, 2).unwrap(), 4);
    assert_eq!(&buf, b"2345");
    assert_eq!(file.read_at(&mut buf, 8).unwrap(), 2);
    assert_eq!(file.read_at(&mut buf, 11).unwrap(), 0);
    assert_eq!(read_exact_at(&*file, 4, 3).unwrap(), b"456");
    let error = read_exact_at(&*file, 8, 3).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
}

#[test]
fn a_length_that_no_memory_holds_is_an_error() {
    let dir = TempDir::new().unwrap();
    let file = file_with(&dir, b"x");
    let error = read_exact_at(&*file, 0, usize::MAX).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::OutOfMemory);
    assert!(file.try_read_now(0, usize::MAX).is_err());
}

/// Just written bytes are in the page cache, so the answer is immediate wherever NOWAIT is supported.
fn check_read_now(dir: &TempDir) {
    let content: Vec<u8> = (0..20_000_u32).map(|i| i as u8).collect();
    let file = file_with(dir, &content);
    if let Some(bytes) = file.try_read_now(1000, 5000).unwrap() {
        assert_eq!(bytes, content[1000..6000]);
        assert_eq!(
            file.try_read_now(19_990, 100).unwrap().unwrap(),
            content[19_990..]
        );
        assert!(file.try_read_now(30_000, 100).unwrap().unwrap().is_empty());
        assert!(file.try_read_now(5, 0).unwrap().unwrap().is_empty());
    }
}

#[test]
fn resident_bytes_are_read_now() {
    check_read_now(&TempDir::new().unwrap());
}

#[test]
fn memory_file_systems_always_answer_now() {
    let Ok(dir) = tempfile::tempdir_in("/dev/shm") else {
        return;
    };
    check_read_now(&dir);
    let file = RealDisk
        .open(&dir.path().join("file"), OpenMode::Read)
        .unwrap();
    assert!(file.try_read_now(0, 10).unwrap().is_some());
}

#[test]
fn modes_treat_existing_files_as_they_say() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("a");
    let kind = |mode| RealDisk.open(&path, mode).unwrap_err().kind();
    assert_eq!(kind(OpenMode::Read), io::ErrorKind::NotFound);
    assert_eq!(kind(OpenMode::ReadWrite), io::ErrorKind::NotFound);
    let file = RealDisk.open(&path, OpenMode::CreateNew).unwrap();
    file.write_all_at(b"abc", 0).unwrap();
    assert_eq!(kind(OpenMode::CreateNew), io::ErrorKind::AlreadyExists);
    let read_only = RealDisk.open(&path, OpenMode::Read).unwrap();
    assert!(read_only.write_all_at(b"x", 0).is_err());
    let emptied = RealDisk.open(&path, OpenMode::CreateOrTruncate).unwrap();
    assert!(emptied.is_empty().unwrap());
}

#[test]
fn names_are_listed_renamed_and_removed() {
    let dir = TempDir::new().unwrap();
    let deep = dir.path().join("x/y");
    RealDisk.create_dir_all(&deep).unwrap();
    RealDisk.create_dir_all(&deep).unwrap();
    for name in ["b", "a"] {
        RealDisk
            .open(&deep.join(name), OpenMode::CreateNew)
            .unwrap();
    }
    RealDisk.create_dir_all(&deep.join("dir")).unwrap();
    assert_eq!(RealDisk.list(&deep).unwrap(), ["a", "b"]);
    RealDisk.rename(&deep.join("a"), &deep.join("b")).unwrap();
    assert_eq!(RealDisk.list(&deep).unwrap(), ["b"]);
    assert!(RealDisk.exists(&deep.join("b")).unwrap());
    RealDisk.remove(&deep.join("b")).unwrap();
    assert!(!RealDisk.exists(&deep.join("b")).unwrap());
    RealDisk.sync_dir(&deep).unwrap();
}

#[test]
fn reserving_keeps_the_length() {
    let dir = TempDir::new().unwrap();
    let file = file_with(&dir, b"abc");
    file.reserve(0, 1 << 20).unwrap();
    file.reserve(0, 0).unwrap();
    assert_eq!(file.len().unwrap(), 3);
    file.set_len(10).unwrap();
    file.sync_data().unwrap();
    assert_eq!(read_exact_at(&*file, 0, 10).unwrap(), b"abc\0\0\0\0\0\0\0");
}

#[test]
fn a_replaced_file_leaves_nothing_beside_it() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("checkpoint");
    replace_file(&RealDisk, &path, b"first, longer").unwrap();
    replace_file(&RealDisk, &path, b"second").unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), b"second");
    assert_eq!(RealDisk.list(dir.path()).unwrap(), ["checkpoint"]);
}

#[test]
fn space_is_told() {
    let space = RealDisk.space(TempDir::new().unwrap().path()).unwrap();
    assert!(space.total_bytes >= space.free_bytes && space.total_bytes > 0);
}
