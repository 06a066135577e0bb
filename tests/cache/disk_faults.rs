//! Cache disks that fail under the real binary: whatever becomes of them, a read gets the right bytes.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use moongate_tests::small_disk::SmallDisk;
use moongate_tests::{Gateway, payload, wait};
use tempfile::TempDir;

use crate::door::mount;
use crate::mounted::metric;

const LIMIT: Duration = Duration::from_secs(120);
/// What is read: files of several pages, of one, and small ones that share an extent.
const SIZES: [usize; 12] = [
    5_000_000, 4_194_304, 3_000_000, 1_048_576, 1_048_577, 700_000, 300_000, 262_144, 65_536, 4096,
    4095, 1,
];

/// A mounted folder with files, and a gateway with one cache disk and next to no memory for pages.
struct Bed {
    gateway: Gateway,
    disk: PathBuf,
    _folders: [TempDir; 2],
}

impl Bed {
    fn with_disk(disk: &Path) -> Bed {
        let (store, data) = (TempDir::new().unwrap(), TempDir::new().unwrap());
        for (number, len) in SIZES.iter().enumerate() {
            let bytes = payload::bytes(number as u64, *len);
            std::fs::write(store.path().join(number.to_string()), bytes).unwrap();
        }
        let config = format!(
            "[cache]\nmemory = '4MiB'\ndirs = ['{}']\ndisk_bytes_max = '1GiB'\n{}ttl = '1h'\n",
            disk.display(),
            mount("/m", store.path())
        );
        Bed {
            gateway: Gateway::start(&[data.path()], &config),
            disk: disk.to_owned(),
            _folders: [store, data],
        }
    }

    fn metric(&self, name: &str) -> u64 {
        metric(&self.gateway, name)
    }

    /// Reads all files; what came of the store for it.
    #[track_caller]
    fn read_all(&self) -> u64 {
        let before = self.metric("cache_under_bytes");
        for (number, len) in SIZES.iter().enumerate() {
            let bytes = payload::bytes(number as u64, *len);
            let target = format!("/m/{number}");
            self.gateway.files().assert_has(&target, &bytes);
        }
        self.metric("cache_under_bytes") - before
    }

    /// Reads all files and waits until they are on disk.
    fn warm(&self) {
        let wanted: u64 = SIZES.iter().map(|len| *len as u64).sum();
        wait::until_true("all is on disk", LIMIT, || {
            self.read_all();
            wait::until_true("the queue is empty", LIMIT, || {
                self.metric("cache_disk_queue_bytes") == 0
            });
            self.metric("cache_disk_bytes") >= wanted
        });
        assert_eq!(self.read_all(), 0, "warm");
    }
}

/// Files below a folder of the disk.
fn files_in(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap();
    entries.map(|entry| entry.unwrap().path()).collect()
}

/// Turns a bit of every block of a file that is not all zeros.
fn flip(path: &Path) -> u64 {
    let file: File = OpenOptions::new()
        .read(true)
        .write(true)
        .open(path)
        .unwrap();
    let len = file.metadata().unwrap().len();
    let mut flipped = 0;
    for block in (0..len).step_by(4096) {
        let mut byte = [0];
        file.read_exact_at(&mut byte, block).unwrap();
        byte[0] ^= 0x10;
        file.write_all_at(&byte, block).unwrap();
        flipped += 1;
    }
    file.sync_all().unwrap();
    flipped
}

#[test]
fn a_kill_leaves_it_warm_and_right() {
    let disk = TempDir::new().unwrap();
    let mut bed = Bed::with_disk(disk.path());
    bed.warm();
    bed.gateway.kill9();
    bed.gateway.restart();
    assert_eq!(bed.read_all(), 0, "bytes of the store after a restart");
    assert_eq!(bed.metric("cache_corrupt_pages"), 0);
}

#[test]
fn a_kill_while_pages_are_written_leaves_it_right() {
    let disk = TempDir::new().unwrap();
    let mut bed = Bed::with_disk(disk.path());
    for _ in 0..5 {
        for number in 0..3 {
            bed.gateway.files().get(&format!("/m/{number}")).status(200);
        }
        bed.gateway.kill9();
        bed.gateway.restart();
    }
    bed.read_all();
    bed.warm();
    assert_eq!(bed.metric("cache_corrupt_pages"), 0);
}

#[test]
fn flipped_bits_are_fetched_again_and_counted() {
    let disk = TempDir::new().unwrap();
    let mut bed = Bed::with_disk(disk.path());
    bed.warm();
    bed.gateway.kill9();
    let folders = ["files", "extents"].map(|name| files_in(&bed.disk.join(name)));
    let flipped: u64 = folders.iter().flatten().map(|path| flip(path)).sum();
    assert!(flipped > 1000 && folders.iter().all(|files| !files.is_empty()));
    bed.gateway.restart();
    let total: u64 = SIZES.iter().map(|len| *len as u64).sum();
    assert_eq!(bed.read_all(), total, "nothing of the disk was served");
    assert!(bed.metric("cache_corrupt_pages") >= SIZES.len() as u64);
    bed.warm();
}

#[test]
fn a_full_disk_fails_no_read() {
    let disk = SmallDisk::mount(12);
    let bed = Bed::with_disk(disk.path());
    for _ in 0..3 {
        bed.read_all();
    }
    // What is written is written behind the reads.
    wait::until_true("it was full", LIMIT, || {
        bed.read_all();
        bed.metric("cache_disk_failures") > 0 && bed.gateway.log().contains("full")
    });
    assert!(bed.metric("cache_disk_bytes") < 12 << 20);
}

#[test]
fn a_read_only_disk_fails_no_read() {
    let disk = SmallDisk::mount(64);
    let remounted = Command::new("mount")
        .args(["-o", "remount,ro"])
        .arg(disk.path())
        .status();
    assert!(remounted.unwrap().success());
    let bed = Bed::with_disk(disk.path());
    for _ in 0..3 {
        bed.read_all();
    }
    wait::until_true("it is off", LIMIT, || bed.metric("cache_disks_off") == 1);
    assert_eq!(bed.metric("cache_disk_bytes"), 0);
}

#[test]
fn a_disk_that_goes_while_it_is_used_fails_no_read() {
    let disk = SmallDisk::mount(64);
    let bed = Bed::with_disk(disk.path());
    bed.warm();
    for path in files_in(disk.path()) {
        std::fs::remove_dir_all(path).unwrap();
    }
    for _ in 0..3 {
        bed.read_all();
    }
    bed.gateway
        .files()
        .put("/m/new", &payload::bytes(99, 2_000_000));
    bed.gateway
        .files()
        .assert_has("/m/new", &payload::bytes(99, 2_000_000));
}
