//! Python's clients of WebHDFS, as they come from PyPI.

use std::path::{Path, PathBuf};
use std::process::Command;

use moongate_tests::tools::repository;

use crate::door::Door;

/// Python with the packages of `scripts/python.sh`.
fn python() -> PathBuf {
    let output = Command::new(repository().join("scripts/python.sh"))
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    Path::new(String::from_utf8(output.stdout).unwrap().trim()).join("python")
}

#[test]
fn the_hdfs_package_fsspec_and_pyarrow_read_and_write() {
    let door = Door::open();
    let script = repository().join("tests/cache/python_clients.py");
    let output = Command::new(python())
        .arg(script)
        .arg(door.gateway.file().to_string())
        .output()
        .unwrap();
    let done = output.stdout.ends_with(b"all is as it should be\n");
    let told = [output.stdout, output.stderr].concat();
    assert!(
        output.status.success() && done,
        "{}",
        String::from_utf8_lossy(&told)
    );
    assert_eq!(
        std::fs::read(door.folder.path().join("by-hdfs/f")).unwrap(),
        b"hello moon"
    );
    assert!(door.folder.path().join("t.parquet").is_file());
}
