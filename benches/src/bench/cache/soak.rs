//! Memory of the read cache while many readers go through far more than it may hold.

use std::fs;
use std::io::Write as _;
use std::time::Duration;

use anyhow::{Context, Result};
use moongate_tests::beds::hdfs::Hdfs;
use rand::{Rng as _, SeedableRng as _, rngs::SmallRng};

use super::{mib, write_pattern};
use crate::bench::{Bench, progress};
use crate::connection::{Expect, Source};
use crate::figures::{Limit, Section, Table, Verdict};
use crate::load::{self, Extent};
use crate::procfs;
use crate::rounds;

const READERS: usize = 64;
const FILES: u64 = 64;
const FILE_BYTES: u64 = 24 << 20;
const SOAK: Duration = Duration::from_mins(10);
const QUICK_SOAK: Duration = Duration::from_secs(15);
const MEMORY_BYTES: u64 = 256 << 20;
const IN_FLIGHT_BYTES: u64 = 128 << 20;
const DISK_BYTES: u64 = 512 << 20;
/// Over the budget.
const RSS_LIMIT: f64 = 1.1;

pub fn run(bench: &Bench) -> Result<Section> {
    let hdfs = Hdfs::start(1);
    fill(bench, &hdfs)?;
    let (data, disk) = (bench.folder("soak-data")?, bench.folder("soak-cache")?);
    let config = bench.path("soak.toml");
    let text = format!(
        "[cache]\nmemory = '{MEMORY_BYTES}'\nin_flight_bytes_max = '{IN_FLIGHT_BYTES}'\ndirs = ['{}']\ndisk_bytes_max = '{DISK_BYTES}'\n\
         [[mount]]\npath = '/hdfs'\nstore = '{}'\n",
        disk.display(),
        hdfs.url()
    );
    fs::write(&config, text)?;
    let server = bench.serve_with(&data, &config)?;
    let target = server.file_target()?;
    let idle = procfs::memory(target.pid)?.rss_bytes;
    let window = if bench.quick { QUICK_SOAK } else { SOAK };
    progress(&format!("soaking for {} s", window.as_secs()));
    procfs::forget_peak(target.pid)?;
    let extent = Extent::Timed {
        warmup: Duration::ZERO,
        window,
    };
    let read = load::run(target, extent, rounds::sources(READERS, Mixed::boxed))?;
    let (peak, end) = (
        procfs::peak_bytes(target.pid)?,
        procfs::memory(target.pid)?.rss_bytes,
    );
    server.stop()?;
    let budget = idle + MEMORY_BYTES + IN_FLIGHT_BYTES;
    let mut section = Section {
        title: "Read cache, soak",
        about: about(window),
        table: Table::new(&["", "MiB"]),
        ..Section::default()
    };
    for (name, bytes) in [
        ("resident when it was started", idle),
        ("budget: that, and what is configured", budget),
        ("resident, peak", peak),
        ("resident, at the end", end),
    ] {
        section
            .table
            .row([name.to_owned(), format!("{:.0}", mib(bytes))]);
    }
    let per_sec = read.operations as f64 / read.elapsed.as_secs_f64();
    section
        .table
        .row(["reads a second".to_owned(), format!("{per_sec:.0}")]);
    section.verdicts.push(Verdict {
        work: format!(
            "resident memory, peak of {} s with {READERS} readers and evictions",
            window.as_secs()
        ),
        measured: format!("{:.0} MiB", mib(peak)),
        floor: format!("{:.0} MiB", mib(budget)),
        compared: peak as f64 / budget as f64,
        limit: Limit::AtMost(RSS_LIMIT),
        unit: "x",
    });
    Ok(section)
}

fn fill(bench: &Bench, hdfs: &Hdfs) -> Result<()> {
    let local = bench.folder("soak-files")?;
    for n in 0..FILES {
        write_pattern(&local.join(n.to_string()), FILE_BYTES)?;
    }
    let from = local.to_str().context("a folder with a UTF-8 name")?;
    hdfs.dfs(&["-put", from, "/soak"]);
    Ok(fs::remove_dir_all(&local)?)
}

/// Reads of 4 KB, 64 KB and a MiB at random, and runs of consecutive ones, in all files.
struct Mixed {
    random: SmallRng,
    file: u64,
    next: u64,
    left: u64,
    len: u64,
}

impl Mixed {
    fn boxed(seed: usize) -> Box<dyn Source> {
        Box::new(Self {
            random: SmallRng::seed_from_u64(seed as u64),
            file: 0,
            next: 0,
            left: 0,
            len: 0,
        })
    }

    fn begin(&mut self) {
        self.file = self.random.random_range(0..FILES);
        self.len = [4 << 10, 64 << 10, 1 << 20][self.random.random_range(0..3)];
        let run = self.random.random_range(1..16);
        self.next = self
            .random
            .random_range(0..(FILE_BYTES - run * self.len) / 8)
            * 8;
        self.left = run;
    }
}

impl Source for Mixed {
    fn next(&mut self, request: &mut Vec<u8>) -> Option<Expect> {
        if self.left == 0 {
            self.begin();
        }
        let (file, from, to) = (self.file, self.next, self.next + self.len - 1);
        let _ = write!(
            request,
            "GET /hdfs/soak/{file} HTTP/1.1\r\nHost: bench\r\nRange: bytes={from}-{to}\r\n\r\n"
        );
        (self.left, self.next) = (self.left - 1, self.next + self.len);
        Some(Expect::part(self.len as usize, (from / 8).to_be_bytes()))
    }
}

fn about(window: Duration) -> String {
    format!(
        "{READERS} connections read {FILES} files of {:.0} MiB of a real HDFS for {} s, at random and in runs, through a gateway with {:.0} MiB of memory \
         for pages, {:.0} MiB for bytes on their way and {:.0} MiB of disk: pages are let go all the time.",
        mib(FILE_BYTES),
        window.as_secs(),
        mib(MEMORY_BYTES),
        mib(IN_FLIGHT_BYTES),
        mib(DISK_BYTES)
    )
}
