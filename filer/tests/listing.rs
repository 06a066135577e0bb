//! A large folder: its listing holds one row in memory, and is of one moment while writers go on. Alone in its process, because it
//! looks at the process's memory.
#![allow(clippy::unwrap_used)]

use std::sync::atomic::{AtomicBool, Ordering};

use moongate_filer::{
    Attributes, Content, Entry, FilePath, Filer, ListOptions, PutOptions, RocksRows,
};

const FILES: u64 = 30_000;
const BYTES: usize = 6_000;
const BATCH: u64 = 500;
const NOW: u64 = 1;
const OPTIONS: PutOptions = PutOptions {
    may_replace: true,
    make_parents: true,
    durable: false,
};

fn name(number: u64) -> String {
    format!("{number:08}")
}

fn file() -> Entry {
    Entry::file(Attributes::default(), Content::inline(vec![7; BYTES]))
}

fn path(number: u64) -> FilePath {
    FilePath::parse(&format!("/big/{}", name(number))).unwrap()
}

/// The process's resident memory in bytes.
fn resident() -> u64 {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: u64 = text.split(' ').nth(1).unwrap().parse().unwrap();
    pages * 4096
}

/// Puts odd names and deletes even ones until told to stop.
fn disturb(filer: &Filer, stop: &AtomicBool) {
    for n in 0.. {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        filer
            .put(&path(2 * (n % FILES) + 1), file(), OPTIONS, NOW)
            .unwrap();
        let _ = filer.delete(&path(2 * (FILES - 1 - n % FILES)), false, NOW);
    }
}

#[test]
fn a_listing_is_of_one_moment_and_in_flat_memory() {
    let dir = tempfile::tempdir().unwrap();
    let rows = RocksRows::open(dir.path()).unwrap();
    let filer = Filer::open(Box::new(rows), NOW).unwrap();
    for batch in 0..FILES / BATCH {
        let numbers = (0..BATCH).map(|n| 2 * (batch * BATCH + n));
        let entries = numbers.map(|number| (path(number), file()));
        filer.put_many(entries.collect(), OPTIONS, NOW).unwrap();
    }
    let folder = FilePath::parse("/big").unwrap();
    let listing = filer.list(&folder, ListOptions::default(), NOW).unwrap();
    let stop = AtomicBool::new(false);
    let before = resident();
    let (mut most, mut count) = (before, 0);
    std::thread::scope(|scope| {
        scope.spawn(|| disturb(&filer, &stop));
        for step in listing {
            let (found, entry) = step.unwrap();
            assert_eq!((found.as_str(), entry.size()), (&*name(2 * count), 6_000));
            count += 1;
            if count % 1000 == 0 {
                most = most.max(resident());
            }
        }
        stop.store(true, Ordering::Relaxed);
    });
    assert_eq!(count, FILES);
    // RocksDB's block cache (64 MiB) may fill; what was listed is three times that.
    let grown = most - before;
    assert!(
        grown < FILES * BYTES as u64 * 2 / 3,
        "listing grew by {grown} bytes"
    );
}
