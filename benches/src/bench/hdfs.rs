//! `hdfs://` itself: the same clients read a real NameNode and DataNode, and a gateway that has what they read in its memory.

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use hdfs_native::{Client, ClientBuilder};
use rand::{Rng as _, SeedableRng as _, rngs::SmallRng};

use super::cache::near::READ_JAVA;
use super::cache::{Store, mib, read_one, row};
use super::{Bench, progress};
use crate::figures::{Limit, Section, Table, Verdict};
use crate::load::Round;
use crate::process::Server;
use crate::procfs;
use crate::rounds;

const FILE: &str = "/bench/file";
/// A positioned read.
const RANGE_BYTES: usize = 4 << 10;
/// Positioned reads and opens of a round.
const CALLS: usize = 1000;
/// Files and random reads of Hadoop's client beside the large file.
const JAVA_CALLS: &str = "100";
/// Rounds of Hadoop's client, each a JVM of its own.
const JAVA_ROUNDS: usize = 3;

const SEQUENTIAL_LIMIT: f64 = 1.5;
const RANGE_LIMIT: f64 = 0.7;
const OPEN_LIMIT: f64 = 0.5;

/// One of the two that are read.
struct Side<'a> {
    store: &'a Store,
    url: String,
    client: Client,
    /// The gateway; the NameNode's and the DataNode's time is not measured.
    server: Option<&'a Server>,
}

pub fn run(bench: &Bench) -> Result<Section> {
    let store = Store::fill(bench)?;
    let config = bench.path("hdfs.toml");
    let text = format!(
        "[hdfs]\nlisten = '127.0.0.1:0'\n[cache]\nmemory = '2 GiB'\n[[mount]]\npath = '/'\nstore = '{}'\nttl = '10m'\n",
        store.hdfs.url()
    );
    fs::write(&config, text)?;
    let server = bench.serve_with(&bench.folder("hdfs")?, &config)?;
    let direct = Side::new(&store, store.hdfs.url(), None)?;
    let gateway = Side::new(&store, server.hdfs_url()?, Some(&server))?;
    let mut section = Section {
        title: "hdfs:// itself",
        about: about(store.file_bytes),
        table: Table::new(&["", "CPU us/op", "op/s", "MiB/s", "p50 us"]),
        ..Section::default()
    };
    // The first brings it in.
    gateway.whole()?;
    progress("the gateway has the file");
    sequential(bench, &direct, &gateway, &mut section)?;
    java(bench, &direct, &gateway, &mut section)?;
    calls(bench, &direct, &gateway, &mut section)?;
    server.stop()?;
    Ok(section)
}

impl<'a> Side<'a> {
    fn new(store: &'a Store, url: String, server: Option<&'a Server>) -> Result<Self> {
        let client = ClientBuilder::new()
            .with_url(url.clone())
            .with_io_runtime(store.runtime.handle().clone())
            .build()?;
        Ok(Self {
            store,
            url,
            client,
            server,
        })
    }

    fn cpu(&self) -> Result<Duration> {
        self.server.map_or(Ok(Duration::ZERO), |server| {
            procfs::cpu_time(server.target().pid)
        })
    }

    /// The large file from end to end.
    fn whole(&self) -> Result<Round> {
        let (begun, cpu) = (Instant::now(), self.cpu()?);
        let bytes = self.store.runtime.block_on(read_one(&self.client, FILE))?;
        ensure!(
            bytes == self.store.file_bytes,
            "{bytes} bytes of {}",
            self.url
        );
        Ok(Round {
            operations: 1,
            elapsed: begun.elapsed(),
            server_cpu: self.cpu()?.saturating_sub(cpu),
            ..Round::default()
        })
    }

    /// Short reads at random places of it, one after the other.
    fn ranges(&self) -> Result<Round> {
        let mut random = SmallRng::seed_from_u64(7);
        let end = (self.store.file_bytes - RANGE_BYTES as u64) / 8;
        let reader = self.store.runtime.block_on(self.client.read(FILE))?;
        self.each(|| {
            let place = random.random_range(0..end);
            let read = reader.read_range(place as usize * 8, RANGE_BYTES);
            let read = self.store.runtime.block_on(read)?;
            ensure!(
                read.starts_with(&place.to_be_bytes()),
                "wrong bytes at {place}"
            );
            Ok(())
        })
    }

    /// What an open takes: a status, and where the blocks are.
    fn opens(&self) -> Result<Round> {
        self.each(|| {
            self.store.runtime.block_on(async {
                let found = self.client.get_file_info(FILE).await?;
                let reader = self.client.read(FILE).await?;
                ensure!(found.length == reader.file_length(), "two lengths");
                Ok(())
            })
        })
    }

    fn each(&self, mut call: impl FnMut() -> Result<()>) -> Result<Round> {
        let (begun, cpu) = (Instant::now(), self.cpu()?);
        let mut taken = Vec::with_capacity(CALLS);
        for _ in 0..CALLS {
            let begun = Instant::now();
            call()?;
            taken.push(begun.elapsed());
        }
        taken.sort_unstable();
        Ok(Round {
            operations: CALLS as u64,
            elapsed: begun.elapsed(),
            server_cpu: self.cpu()?.saturating_sub(cpu),
            p50: taken[CALLS / 2],
            p99: taken[CALLS * 99 / 100],
        })
    }

    /// The large file by Hadoop's own client.
    fn by_java(&self, bench: &Bench) -> Result<Round> {
        let program = bench.path("Read.java");
        fs::write(&program, READ_JAVA)?;
        let cpu = self.cpu()?;
        let output = Command::new("java")
            .args(["-Xmx512m", "-cp", &self.store.hdfs.class_path()])
            .arg(program)
            .args([&self.url, "/bench", JAVA_CALLS, JAVA_CALLS])
            .output()
            .context("java cannot be run")?;
        let told = String::from_utf8_lossy(&output.stderr);
        let said = String::from_utf8_lossy(&output.stdout);
        let seconds = said.lines().next().and_then(|line| line.parse().ok());
        let seconds: f64 =
            seconds.with_context(|| format!("Read.java (it takes a JDK): {told}"))?;
        Ok(Round {
            operations: 1,
            elapsed: Duration::from_secs_f64(seconds),
            server_cpu: self.cpu()?.saturating_sub(cpu),
            ..Round::default()
        })
    }
}

fn sequential(
    bench: &Bench,
    direct: &Side<'_>,
    gateway: &Side<'_>,
    section: &mut Section,
) -> Result<()> {
    let bytes = direct.store.file_bytes;
    let [far, near] = rounds::alternate(
        bench.rounds,
        [Box::new(|| direct.whole()), Box::new(|| gateway.whole())],
    )?;
    row(section, "HDFS, hdfs-native, one stream", &far, bytes);
    row(
        section,
        "moongate, warm, hdfs-native, one stream",
        &near,
        bytes,
    );
    section.verdicts.push(Verdict::rate(
        "hdfs://, warm sequential read by hdfs-native, against a DataNode",
        near.per_sec * mib(bytes),
        far.per_sec * mib(bytes),
        "MiB",
        SEQUENTIAL_LIMIT,
    ));
    Ok(())
}

fn java(bench: &Bench, direct: &Side<'_>, gateway: &Side<'_>, section: &mut Section) -> Result<()> {
    let bytes = direct.store.file_bytes;
    let [far, near] = rounds::alternate(
        JAVA_ROUNDS,
        [
            Box::new(|| direct.by_java(bench)),
            Box::new(|| gateway.by_java(bench)),
        ],
    )?;
    row(section, "HDFS, Hadoop's client, one stream", &far, bytes);
    row(
        section,
        "moongate, warm, Hadoop's client, one stream",
        &near,
        bytes,
    );
    section.verdicts.push(Verdict::rate(
        "hdfs://, warm sequential read by Hadoop's client, against a DataNode",
        near.per_sec * mib(bytes),
        far.per_sec * mib(bytes),
        "MiB",
        SEQUENTIAL_LIMIT,
    ));
    Ok(())
}

fn calls(
    bench: &Bench,
    direct: &Side<'_>,
    gateway: &Side<'_>,
    section: &mut Section,
) -> Result<()> {
    type Call = for<'a, 'b> fn(&'a Side<'b>) -> Result<Round>;
    let works: [(&str, &str, Call, u64, f64); 2] = [
        (
            "4 KB positioned reads",
            "hdfs://, warm 4 KB positioned read by hdfs-native, p50, against a DataNode",
            |side| side.ranges(),
            RANGE_BYTES as u64,
            RANGE_LIMIT,
        ),
        (
            "opens: status and locations",
            "hdfs://, open by hdfs-native (status and locations), p50, against the NameNode",
            |side| side.opens(),
            0,
            OPEN_LIMIT,
        ),
    ];
    for (name, work, call, bytes, limit) in works {
        let [far, near] = rounds::alternate(
            bench.rounds,
            [Box::new(|| call(direct)), Box::new(|| call(gateway))],
        )?;
        row(section, &format!("HDFS, hdfs-native, {name}"), &far, bytes);
        row(
            section,
            &format!("moongate, warm, hdfs-native, {name}"),
            &near,
            bytes,
        );
        section.verdicts.push(Verdict {
            work: work.to_owned(),
            measured: format!("{:.0} us", near.p50_us),
            floor: format!("{:.0} us", far.p50_us),
            compared: near.p50_us / far.p50_us,
            limit: Limit::AtMost(limit),
            unit: "x",
        });
    }
    Ok(())
}

fn about(file_bytes: u64) -> String {
    format!(
        "A real HDFS (one NameNode, one DataNode) on the same machine, and a gateway that has all of it at its root, with a cache of 2 GiB in memory. \
         hdfs-native (in the benchmark's own process, one call after the other) and Hadoop's own client (a JVM of its own for each round) read \
         `hdfs://` of both: a file of {:.0} MiB from end to end, and {CALLS} short reads and opens a round.",
        mib(file_bytes)
    )
}
