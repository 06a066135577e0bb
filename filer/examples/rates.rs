//! What entries cost: `cargo run --release -p moongate-filer --example rates`. In a temporary folder, or the one that is named.
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::disallowed_methods)]

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use moongate_filer::{
    Attributes, Chunk, Content, Entry, FilePath, Filer, ListOptions, Needle, PutOptions, RocksRows,
};

const FILES: u64 = 200_000;
const BATCH: u64 = 1000;
const SINGLES: u64 = 20_000;
const THREADS: u64 = 32;

fn entry(key: u64) -> Entry {
    let needle = Needle {
        volume: 3,
        key,
        cookie: 9,
    };
    let chunk = Chunk {
        needle,
        offset: 0,
        bytes: 5000,
        modified_ns: 1,
        md5: Some([1; 16]),
        crc32c: Some(1),
    };
    let attributes = Attributes {
        mime: "image/jpeg".into(),
        md5: Some([1; 16]),
        mtime_ns: 1_700_000_000_000_000_000,
        ..Attributes::default()
    };
    Entry::file(attributes, Content::chunks(vec![chunk]))
}

fn path(folder: &str, n: u64) -> FilePath {
    FilePath::parse(&format!("/sets/{folder}/{:03}/{n:08}.jpg", n / 1000)).unwrap()
}

/// Time that has passed, and that processors have spent on this process (in hundredths of a second, `man 5 proc`).
struct Clock(Instant, u64);

impl Clock {
    fn start() -> Self {
        Self(Instant::now(), cpu())
    }

    fn told(self, what: &str, count: u64) {
        let each = self.0.elapsed().as_secs_f64() * 1e6 / count as f64;
        let cpu = (cpu() - self.1) as f64 * 1e4 / count as f64;
        println!("{what:<36} {each:>9.2} us and {cpu:>6.2} us of CPU each");
    }
}

fn cpu() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields = stat.rsplit(')').next().unwrap().split_whitespace();
    fields
        .skip(11)
        .take(2)
        .map(|ticks| ticks.parse::<u64>().unwrap())
        .sum()
}

fn main() {
    let temporary = tempfile::tempdir().unwrap();
    let dir = std::env::args()
        .nth(1)
        .map_or(temporary.path().to_owned(), PathBuf::from);
    let filer = Filer::open(Box::new(RocksRows::open(&dir).unwrap()), 1).unwrap();
    let options = PutOptions::default();

    let start = Clock::start();
    for batch in 0..FILES / BATCH {
        let numbers = batch * BATCH..(batch + 1) * BATCH;
        let entries = numbers.map(|n| (path("many", n), entry(n)));
        filer.put_many(entries.collect(), options, 1).unwrap();
    }
    start.told("put_many, 1000 a batch, durable", FILES);

    let start = Clock::start();
    let next = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                while let n = next.fetch_add(1, Ordering::Relaxed)
                    && n < SINGLES
                {
                    filer.put(&path("one", n), entry(n), options, 1).unwrap();
                }
            });
        }
    });
    start.told("put, 32 threads, durable", SINGLES);

    let start = Clock::start();
    for n in 0..FILES {
        filer.find(&path("many", n * 7919 % FILES), 1).unwrap();
    }
    start.told("find", FILES);

    let start = Clock::start();
    let folder = FilePath::parse("/sets/many/007").unwrap();
    let listed = (0..20)
        .map(|_| {
            filer
                .list(&folder, ListOptions::default(), 1)
                .unwrap()
                .count() as u64
        })
        .sum();
    start.told("list", listed);

    let start = Clock::start();
    let walked = filer.walk(&FilePath::root(), 1).unwrap().count() as u64;
    start.told("walk", walked);

    let start = Clock::start();
    filer
        .delete(&FilePath::parse("/sets").unwrap(), true, 1)
        .unwrap();
    start.told("delete of all of it", 1);
    let start = Clock::start();
    while filer.sweep(10_000).unwrap().more {}
    start.told("sweep", FILES + SINGLES);
}
