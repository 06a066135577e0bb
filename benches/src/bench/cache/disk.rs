//! The disk tier beside fio on the same disk: what is in the cache is on disk alone, and both read past the page cache.

use std::fs;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use rand::{Rng as _, SeedableRng as _, rngs::SmallRng};
use serde_json::Value;

use super::{mib, read_file, row, write_pattern};
use crate::bench::{Bench, progress};
use crate::connection::{Expect, Source};
use crate::figures::{Section, Table, Verdict};
use crate::load::{self, Round};
use crate::process::Server;
use crate::rounds;

const FILE_BYTES: u64 = 2 << 30;
const RANDOM_BYTES: u64 = 4 << 10;
/// Random reads under way.
const DEPTH: usize = 32;
const SEQUENTIAL_LIMIT: f64 = 0.9;
const RANDOM_LIMIT: f64 = 0.8;

/// A gateway whose cache holds a file on disk, of which the store is gone: a read of anything else fails.
struct Warm {
    server: Server,
    folder: PathBuf,
    file_bytes: u64,
}

pub fn run(bench: &Bench) -> Result<Section> {
    let file_bytes = if bench.quick {
        FILE_BYTES / 16
    } else {
        FILE_BYTES
    };
    let warm = Warm::load(bench, file_bytes)?;
    let mut section = Section {
        title: "Read cache, disk tier",
        about: about(file_bytes),
        table: Table::new(&["", "CPU us/op", "op/s", "MiB/s", "p50 us"]),
        ..Section::default()
    };
    sequential(bench, &warm, &mut section)?;
    random(bench, &warm, &mut section)?;
    warm.server.stop()?;
    fs::remove_dir_all(warm.folder)?;
    Ok(section)
}

impl Warm {
    fn load(bench: &Bench, file_bytes: u64) -> Result<Self> {
        let folder = bench.folder("disk-tier")?;
        let made = |name: &str| -> Result<PathBuf> {
            let path = folder.join(name);
            fs::create_dir(&path)?;
            Ok(path)
        };
        let (store, cache, data) = (made("store")?, made("cache")?, made("data")?);
        write_pattern(&store.join("file"), file_bytes)?;
        let config = folder.join("disk.toml");
        let text = format!(
            "[cache]\nmemory = '16 MiB'\ndirs = ['{}']\n[[mount]]\npath = '/m'\nstore = 'file://{}'\nttl = '1h'\n",
            cache.display(),
            store.display()
        );
        fs::write(&config, text)?;
        let server = bench.serve_with(&data, &config)?;
        let admin = server.admin_addr()?.to_string();
        let mut load = Command::new(&bench.bin);
        let loaded = load.args(["load", "/m", "--admin", &admin]).output()?;
        let told = String::from_utf8_lossy(&loaded.stderr);
        ensure!(loaded.status.success(), "moongate load: {told}");
        fs::remove_file(store.join("file"))?;
        write_pattern(&folder.join("fio"), file_bytes)?;
        progress("the disk tier is filled");
        Ok(Self {
            server,
            folder,
            file_bytes,
        })
    }

    /// What fio reads of a file of the same length on the same disk.
    fn fio(&self, bench: &Bench, how: &[&str]) -> Result<Round> {
        let name = self.folder.join("fio");
        let mut fio = Command::new("fio");
        fio.args([
            "--name=floor",
            "--direct=1",
            "--ioengine=io_uring",
            "--time_based",
        ]);
        fio.args(["--output-format=json", "--readonly"]).args(how);
        fio.arg(format!("--filename={}", name.display()));
        fio.arg(format!("--runtime={}ms", bench.window.as_millis()));
        let output = fio
            .output()
            .context("fio is missing: apt-get install -y fio")?;
        let told = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "fio: {told}");
        fio_round(&output.stdout)
    }
}

fn fio_round(report: &[u8]) -> Result<Round> {
    // Warnings may stand before it.
    let start = report.iter().position(|byte| *byte == b'{').unwrap_or(0);
    let said: Value = serde_json::from_slice(report.get(start..).unwrap_or_default())?;
    let read = &said["jobs"][0]["read"];
    let number = |value: &Value| value.as_u64().context("fio's report lacks a figure");
    Ok(Round {
        operations: number(&read["total_ios"])?,
        elapsed: std::time::Duration::from_millis(number(&read["runtime"])?),
        p50: std::time::Duration::from_nanos(number(&read["clat_ns"]["percentile"]["50.000000"])?),
        ..Round::default()
    })
}

fn sequential(bench: &Bench, warm: &Warm, section: &mut Section) -> Result<()> {
    const PIECE_BYTES: u64 = 1 << 20;
    let how = ["--rw=read", "--bs=1M", "--iodepth=8"];
    let target = warm.server.file_target()?;
    let [fio, ours] = rounds::alternate(
        bench.rounds,
        [
            Box::new(|| warm.fio(bench, &how)),
            Box::new(|| {
                let read = read_file(target, "GET /m/file", warm.file_bytes)?;
                Ok(Round {
                    operations: warm.file_bytes / PIECE_BYTES,
                    ..read
                })
            }),
        ],
    )?;
    row(
        section,
        "floor: fio, 1 MiB, depth 8, O_DIRECT",
        &fio,
        PIECE_BYTES,
    );
    row(
        section,
        "moongate, one stream, from disk, by MiB",
        &ours,
        PIECE_BYTES,
    );
    section.verdicts.push(Verdict::rate(
        "disk tier, sequential, against fio with O_DIRECT",
        ours.per_sec,
        fio.per_sec,
        "MiB",
        SEQUENTIAL_LIMIT,
    ));
    Ok(())
}

/// GETs of 4 KB at random places of the file.
struct Ranges {
    random: SmallRng,
    file_bytes: u64,
}

impl Source for Ranges {
    fn next(&mut self, request: &mut Vec<u8>) -> Option<Expect> {
        let block = self.random.random_range(0..self.file_bytes / RANDOM_BYTES);
        let (from, to) = (block * RANDOM_BYTES, (block + 1) * RANDOM_BYTES - 1);
        let _ = write!(
            request,
            "GET /m/file HTTP/1.1\r\nHost: bench\r\nRange: bytes={from}-{to}\r\n\r\n"
        );
        Some(Expect::part(
            RANDOM_BYTES as usize,
            (from / 8).to_be_bytes(),
        ))
    }
}

fn random(bench: &Bench, warm: &Warm, section: &mut Section) -> Result<()> {
    let depth = format!("--iodepth={DEPTH}");
    let how = ["--rw=randread", "--bs=4k", &depth];
    let (target, extent) = (warm.server.file_target()?, rounds::timed(bench.window));
    let source = |seed: usize| -> Box<dyn Source> {
        Box::new(Ranges {
            random: SmallRng::seed_from_u64(seed as u64),
            file_bytes: warm.file_bytes,
        })
    };
    let [fio, ours] = rounds::alternate(
        bench.rounds,
        [
            Box::new(|| warm.fio(bench, &how)),
            Box::new(|| load::run(target, extent, rounds::sources(DEPTH, source))),
        ],
    )?;
    row(
        section,
        "floor: fio, 4 KB random, depth 32, O_DIRECT",
        &fio,
        RANDOM_BYTES,
    );
    row(
        section,
        "moongate, 4 KB random ranges, 32 connections",
        &ours,
        RANDOM_BYTES,
    );
    section.verdicts.push(Verdict::rate(
        "disk tier, 4 KB random at depth 32, against fio with O_DIRECT",
        ours.per_sec,
        fio.per_sec,
        "reads",
        RANDOM_LIMIT,
    ));
    Ok(())
}

fn about(file_bytes: u64) -> String {
    format!(
        "A file of {:.0} MiB in the disk tier of a gateway that has 16 MiB of memory for pages; its store is deleted before anything is read. fio reads a \
         file of the same length on the same disk with io_uring and O_DIRECT, the gateway is asked over HTTP.",
        mib(file_bytes)
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_report_of_fio_is_read() {
        let report = br#"fio: a warning
{"jobs":[{"read":{"total_ios":1000,"runtime":500,"clat_ns":{"percentile":{"50.000000":90000}}}}]}"#;
        let round = fio_round(report).unwrap();
        assert_eq!((round.operations, round.elapsed.as_millis()), (1000, 500));
        assert_eq!(round.p50.as_micros(), 90);
        assert!(fio_round(b"{}").is_err());
    }
}
