//! HDFS behind a slow link: what a second epoch through the gateway gains over reading directly.

use std::fs;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use moongate_tests::beds::hdfs::Hdfs;

use super::near::{Measured, RANDOM_BYTES, SMALL_BYTES, Taken, WORKS};
use super::{mib, write_pattern};
use crate::bench::{Bench, progress};
use crate::figures::{Limit, Section, Table, Verdict};
use crate::link::Link;

const RATE_MBIT: u32 = 1000;
const ROUND_TRIP: Duration = Duration::from_millis(2);
const FILE_BYTES: u64 = 512 << 20;
const FILES: usize = 1000;
const READS: usize = 500;
const SEQUENTIAL_LIMIT: f64 = 20.0;
const RANDOM_LIMIT: f64 = 30.0;

/// How much is read.
#[derive(Clone, Copy)]
struct Extent {
    file_bytes: u64,
    files: usize,
    reads: usize,
}

pub fn run(bench: &Bench) -> Result<Section> {
    let scale = if bench.quick { 10 } else { 1 };
    let extent = Extent {
        file_bytes: FILE_BYTES / scale as u64 / 8 * 8,
        files: FILES / scale,
        reads: READS / scale,
    };
    let link = Link::up(RATE_MBIT, ROUND_TRIP)?;
    let hdfs = Hdfs::start_at(link.far(), 1);
    fill(bench, &hdfs, extent)?;
    progress("the slow link is up, and HDFS at its far end is filled");
    let measured = measure(bench, &link, &hdfs, extent)?;
    let mut section = Section {
        title: "Read cache, slow link",
        about: about(extent),
        table: Table::new(&[
            "",
            "hdfs-native, s",
            "Hadoop's client, s",
            "first epoch, s",
            "second epoch, s",
        ]),
        ..Section::default()
    };
    for (n, work) in WORKS.into_iter().enumerate() {
        let seconds = |taken: &Taken| format!("{:.3}", taken[n]);
        let Measured {
            direct,
            java,
            first,
            second,
        } = &measured;
        section.table.row([
            work.to_owned(),
            seconds(direct),
            seconds(java),
            seconds(first),
            seconds(second),
        ]);
        section.verdicts.extend(verdicts(work, &measured, n));
    }
    Ok(section)
}

fn verdicts(work: &str, measured: &Measured, n: usize) -> [Verdict; 3] {
    let limit = if n == 0 {
        SEQUENTIAL_LIMIT
    } else {
        RANDOM_LIMIT
    };
    let verdict = |epoch: &str, reader: &str, taken: &Taken, theirs: &Taken, limit| Verdict {
        work: format!("{work}, {epoch} epoch against {reader}"),
        measured: format!("{:.3} s", taken[n]),
        floor: format!("{:.3} s", theirs[n]),
        compared: theirs[n] / taken[n],
        limit: Limit::AtLeast(limit),
        unit: "x",
    };
    let Measured {
        direct,
        java,
        first,
        second,
    } = measured;
    [
        verdict("second", "hdfs-native", second, direct, limit),
        verdict("second", "Hadoop's client", second, java, limit),
        // Where the cache does not pay.
        verdict("first", "hdfs-native", first, direct, 1.0),
    ]
}

fn fill(bench: &Bench, hdfs: &Hdfs, extent: Extent) -> Result<()> {
    let local = bench.folder("link-files")?;
    write_pattern(&local.join("file"), extent.file_bytes)?;
    let small = local.join("small");
    fs::create_dir(&small)?;
    for n in 0..extent.files {
        write_pattern(&small.join(format!("{n:04}")), SMALL_BYTES as u64)?;
    }
    let from = local.to_str().context("a folder with a UTF-8 name")?;
    hdfs.dfs(&["-put", from, "/bench"]);
    Ok(fs::remove_dir_all(&local)?)
}

fn measure(bench: &Bench, link: &Link, hdfs: &Hdfs, extent: Extent) -> Result<Measured> {
    let mut command = link.near(&std::env::current_exe()?);
    command.arg("link-near").arg("--bin").arg(&bench.bin);
    command.arg("--dir").arg(bench.folder("link-near")?);
    command.args(["--url", &hdfs.url(), "--class-path", &hdfs.class_path()]);
    command.args(["--file-bytes", &extent.file_bytes.to_string()]);
    command.args([
        "--files",
        &extent.files.to_string(),
        "--reads",
        &extent.reads.to_string(),
    ]);
    let output = command.stderr(Stdio::inherit()).output()?;
    ensure!(
        output.status.success(),
        "the near end failed: {}",
        output.status
    );
    serde_json::from_slice(&output.stdout).context("what the near end says")
}

fn about(extent: Extent) -> String {
    format!(
        "A real HDFS at the far end of a link of {RATE_MBIT} Mb/s (tbf) and a round trip of {} ms (a cable of TUN devices), one reader at the near \
         end, one read after the other: a file of {:.0} MiB, {} reads of each of {:?} bytes at random places of it, and {} files of {} KB. Directly \
         by hdfs-native and by Hadoop's own client, then twice through a gateway that was just started at the near end. The first epoch's rows say \
         what the gateway costs where nothing is read again.",
        ROUND_TRIP.as_millis(),
        mib(extent.file_bytes),
        extent.reads,
        RANDOM_BYTES,
        extent.files,
        SMALL_BYTES >> 10
    )
}
