//! The read cache before a real HDFS: warm reads against a bare hyper server, cold ones against hdfs-native, names against the NameNode.

pub mod disk;
pub mod link;
pub mod near;
pub mod soak;

use std::fs::{self, File};
use std::io::{BufWriter, Write as _};
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use futures::StreamExt as _;
use hdfs_native::{Client, ClientBuilder};
use moongate_tests::beds::hdfs::Hdfs;
use rand::{Rng as _, SeedableRng as _, rngs::SmallRng};

use super::{Bench, progress};
use crate::bulk;
use crate::connection::{Expect, Source};
use crate::figures::{Section, Table, Verdict};
use crate::floor_http::{GetFloor, STREAM_PATH};
use crate::load::{self, Round};
use crate::names::{self, Names};
use crate::process::{Server, Target};
use crate::rounds::{self, Medians};

/// The file that is read from end to end.
const FILE_BYTES: u64 = 512 << 20;
/// A random read.
const RANGE_BYTES: u64 = 4 << 10;
/// Readers of the cold read by many, each of a file of its own.
const READERS: u64 = 8;
/// Entries of the folder that is listed.
const ENTRIES: usize = 1000;

const SEQUENTIAL_LIMIT: f64 = 0.8;
const RANGE_LIMIT: f64 = 1.5;
const COLD_LIMIT: f64 = 1.0;
const NAMES_LIMIT: f64 = 5.0;

/// A cluster with the files that are read, and who reads them directly.
pub(super) struct Store {
    pub(super) hdfs: Hdfs,
    direct: Client,
    pub(super) runtime: tokio::runtime::Runtime,
    pub(super) file_bytes: u64,
}

pub fn run(bench: &Bench) -> Result<Section> {
    let store = Store::fill(bench)?;
    let mut section = Section {
        title: "Read cache",
        about: about(store.file_bytes),
        table: Table::new(&["", "CPU us/op", "op/s", "MiB/s", "p50 us"]),
        ..Section::default()
    };
    cold(bench, &store, &mut section)?;
    let data = bench.folder("cache-warm")?;
    let (server, floor) = (store.gateway(bench, &data)?, bench.floor()?);
    sequential(bench, &store, &server, &floor, &mut section)?;
    ranges(bench, &store, &server, &floor, &mut section)?;
    names_of(bench, &store, &server, &mut section)?;
    server.stop()?;
    fs::remove_dir_all(data)?;
    Ok(section)
}

impl Store {
    pub(super) fn fill(bench: &Bench) -> Result<Self> {
        let file_bytes = if bench.quick {
            FILE_BYTES / 8
        } else {
            FILE_BYTES
        };
        let hdfs = Hdfs::start(1);
        let local = bench.folder("cache-files")?;
        write_pattern(&local.join("file"), file_bytes)?;
        for n in 0..READERS {
            write_pattern(&local.join(format!("part{n}")), file_bytes / READERS)?;
        }
        let small = local.join("small");
        fs::create_dir(&small)?;
        for n in 0..ENTRIES {
            fs::write(small.join(format!("{n:04}")), b"x")?;
        }
        let from = local.to_str().context("a folder with a UTF-8 name")?;
        hdfs.dfs(&["-put", from, "/bench"]);
        fs::remove_dir_all(&local)?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()?;
        let direct = ClientBuilder::new()
            .with_url(hdfs.url())
            .with_io_runtime(runtime.handle().clone())
            .build()?;
        progress("HDFS is filled");
        Ok(Self {
            hdfs,
            direct,
            runtime,
            file_bytes,
        })
    }

    /// A gateway with nothing in its cache.
    fn gateway(&self, bench: &Bench, data: &Path) -> Result<Server> {
        let config = bench.path("cache.toml");
        let text = format!(
            "[cache]\nmemory = '2 GiB'\n[[mount]]\npath = '/hdfs'\nstore = '{}'\nttl = '10m'\n",
            self.hdfs.url()
        );
        fs::write(&config, text)?;
        bench.serve_with(data, &config)
    }

    /// Reads files of the store by hdfs-native, all at once.
    fn read_direct(&self, paths: &[String]) -> Result<Round> {
        let begun = Instant::now();
        let read: Result<Vec<u64>> = self.runtime.block_on(async {
            let each = paths.iter().map(|path| {
                let (client, path) = (self.direct.clone(), path.clone());
                self.runtime
                    .spawn(async move { read_one(&client, &path).await })
            });
            let each: Vec<_> = each.collect();
            let mut read = Vec::with_capacity(each.len());
            for one in each {
                read.push(one.await??);
            }
            Ok(read)
        });
        let bytes: u64 = read?.iter().sum();
        ensure!(bytes == self.file_bytes, "{bytes} bytes read directly");
        Ok(Round {
            operations: 1,
            elapsed: begun.elapsed(),
            ..Round::default()
        })
    }

    fn paths(&self, readers: u64) -> Vec<String> {
        match readers {
            1 => vec!["/bench/file".to_owned()],
            _ => (0..readers).map(|n| format!("/bench/part{n}")).collect(),
        }
    }
}

pub(super) async fn read_one(client: &Client, path: &str) -> Result<u64> {
    let reader = client.read(path).await?;
    let mut stream = Box::pin(reader.read_range_stream(0, reader.file_length()));
    let mut bytes = 0;
    while let Some(piece) = stream.next().await {
        bytes += piece?.len() as u64;
    }
    Ok(bytes)
}

/// Bytes that tell where they are: each eight are the number of their place.
fn write_pattern(path: &Path, bytes: u64) -> Result<()> {
    let mut out = BufWriter::with_capacity(1 << 20, File::create(path)?);
    for at in 0..bytes / 8 {
        out.write_all(&at.to_be_bytes())?;
    }
    Ok(out.flush()?)
}

/// Cold reads: each round by a gateway that was just started.
fn cold(bench: &Bench, store: &Store, section: &mut Section) -> Result<()> {
    for readers in [1, READERS] {
        let paths = store.paths(readers);
        let mut round = 0;
        let [direct, gateway] = rounds::alternate(
            bench.rounds,
            [
                Box::new(|| store.read_direct(&paths)),
                Box::new(|| {
                    round += 1;
                    let data = bench.folder(&format!("cache-cold-{readers}-{round}"))?;
                    let server = store.gateway(bench, &data)?;
                    let read = read_all(server.file_target()?, &paths, store.file_bytes)?;
                    server.stop()?;
                    fs::remove_dir_all(data)?;
                    Ok(read)
                }),
            ],
        )?;
        let who = if readers == 1 {
            "one reader".to_owned()
        } else {
            format!("{readers} readers")
        };
        row(
            section,
            &format!("hdfs-native directly, {who}"),
            &direct,
            store.file_bytes,
        );
        row(
            section,
            &format!("moongate, cold, {who}"),
            &gateway,
            store.file_bytes,
        );
        let rate = |medians: &Medians| medians.per_sec * mib(store.file_bytes);
        section.verdicts.push(Verdict::rate(
            format!("cold sequential read of HDFS, {who}, against hdfs-native directly"),
            rate(&gateway),
            rate(&direct),
            "MiB",
            COLD_LIMIT,
        ));
    }
    Ok(())
}

/// Reads files through the gateway, each over a connection of its own, all at once.
fn read_all(target: Target, paths: &[String], bytes: u64) -> Result<Round> {
    let begun = Instant::now();
    let cpu = crate::procfs::cpu_time(target.pid)?;
    let each = bytes / paths.len() as u64;
    std::thread::scope(|scope| {
        let reads: Vec<_> = paths
            .iter()
            .map(|path| scope.spawn(move || read_file(target, &format!("GET /hdfs{path}"), each)))
            .collect();
        reads.into_iter().try_for_each(|read| match read.join() {
            Ok(read) => read.map(drop),
            Err(_) => anyhow::bail!("a reader panicked"),
        })
    })?;
    Ok(Round {
        operations: 1,
        elapsed: begun.elapsed(),
        server_cpu: crate::procfs::cpu_time(target.pid)?.saturating_sub(cpu),
        ..Round::default()
    })
}

/// Reads one answer from end to end.
fn read_file(target: Target, line: &str, bytes: u64) -> Result<Round> {
    let mut got = 0;
    let answered = bulk::exchange(target, line, "", &b""[..], &mut |piece| {
        got += piece.len() as u64;
        Ok(())
    })?;
    ensure!(got == bytes, "{line}: {got} of {bytes} bytes");
    Ok(Round {
        operations: 1,
        ..answered.round
    })
}

fn sequential(
    bench: &Bench,
    store: &Store,
    server: &Server,
    floor: &Server,
    section: &mut Section,
) -> Result<()> {
    let (bytes, target) = (store.file_bytes, server.file_target()?);
    let line = "GET /hdfs/bench/file";
    // The first brings it in.
    read_file(target, line, bytes)?;
    let [bare, warm] = rounds::alternate(
        bench.rounds,
        [
            Box::new(|| read_file(floor.target(), &format!("GET {STREAM_PATH}{bytes}"), bytes)),
            Box::new(|| read_file(target, line, bytes)),
        ],
    )?;
    row(section, "floor: hyper streams memory", &bare, bytes);
    row(section, "moongate, warm, one stream", &warm, bytes);
    section.verdicts.push(Verdict::rate(
        "warm sequential read over HTTP, one stream",
        warm.per_sec * mib(bytes),
        bare.per_sec * mib(bytes),
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
        let place = self
            .random
            .random_range(0..(self.file_bytes - RANGE_BYTES) / 8);
        let (from, to) = (place * 8, place * 8 + RANGE_BYTES - 1);
        let _ = write!(
            request,
            "GET /hdfs/bench/file HTTP/1.1\r\nHost: bench\r\nRange: bytes={from}-{to}\r\n\r\n"
        );
        Some(Expect::part(RANGE_BYTES as usize, place.to_be_bytes()))
    }
}

fn ranges(
    bench: &Bench,
    store: &Store,
    server: &Server,
    floor: &Server,
    section: &mut Section,
) -> Result<()> {
    let (target, extent) = (server.file_target()?, rounds::timed(bench.window));
    let [bare, warm] = rounds::alternate(
        bench.rounds,
        [
            Box::new(|| {
                load::run(
                    floor.target(),
                    extent,
                    rounds::sources(1, |_| GetFloor::boxed()),
                )
            }),
            Box::new(|| {
                let source = |seed: usize| -> Box<dyn Source> {
                    Box::new(Ranges {
                        random: SmallRng::seed_from_u64(seed as u64),
                        file_bytes: store.file_bytes,
                    })
                };
                load::run(target, extent, rounds::sources(1, source))
            }),
        ],
    )?;
    row(
        section,
        "floor: hyper, 5 KB, one connection",
        &bare,
        RANGE_BYTES,
    );
    row(
        section,
        "moongate, warm, 4 KB ranges, one connection",
        &warm,
        RANGE_BYTES,
    );
    section.verdicts.push(Verdict {
        work: "warm 4 KB range GET, one connection, p50".to_owned(),
        measured: format!("{:.0} us", warm.p50_us),
        floor: format!("{:.0} us", bare.p50_us),
        compared: warm.p50_us / bare.p50_us,
        limit: crate::figures::Limit::AtMost(RANGE_LIMIT),
        unit: "x",
    });
    Ok(())
}

/// Statuses and listings by WebHDFS, by the same client from the gateway and from the NameNode.
fn names_of(bench: &Bench, store: &Store, server: &Server, section: &mut Section) -> Result<()> {
    let namenode = store.hdfs.http(0).replace("localhost", "127.0.0.1");
    let namenode = namenode.parse().context("the NameNode's address")?;
    let gateway = server.file_target()?.addr;
    for (what, op, path) in [
        ("GETFILESTATUS", "GETFILESTATUS", "/bench/file"),
        ("LISTSTATUS of 1000 entries", "LISTSTATUS", "/bench/small"),
    ] {
        let asked = |address, prefix: &str| Names {
            address,
            target: format!("/webhdfs/v1{prefix}{path}?op={op}&user.name=root"),
            window: bench.window,
        };
        let (direct, cached) = (asked(namenode, ""), asked(gateway, "/hdfs"));
        names::ask(&cached)?;
        let [direct, cached] = rounds::alternate(
            bench.rounds,
            [
                Box::new(|| names::ask(&direct)),
                Box::new(|| names::ask(&cached)),
            ],
        )?;
        row(section, &format!("NameNode's WebHDFS, {what}"), &direct, 0);
        row(section, &format!("moongate, warm, {what}"), &cached, 0);
        section.verdicts.push(Verdict::rate(
            format!("{what}, warm, against the NameNode's own WebHDFS"),
            cached.per_sec,
            direct.per_sec,
            "requests",
            NAMES_LIMIT,
        ));
    }
    Ok(())
}

pub(super) fn row(section: &mut Section, name: &str, medians: &Medians, bytes: u64) {
    let figure = |known: bool, text: String| if known { text } else { "-".to_owned() };
    section.table.row([
        name.to_owned(),
        figure(medians.cpu_us > 0.0, format!("{:.1}", medians.cpu_us)),
        format!("{:.1}", medians.per_sec),
        figure(bytes > 0, format!("{:.0}", medians.per_sec * mib(bytes))),
        figure(medians.p50_us > 0.0, format!("{:.0}", medians.p50_us)),
    ]);
}

pub(super) fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

fn about(file_bytes: u64) -> String {
    format!(
        "A real HDFS (one NameNode, one DataNode) on the same machine, mounted with a cache of 2 GiB in memory. A file of {:.0} MiB is read from \
         end to end over one connection, and {READERS} of an eighth of it over {READERS}; each cold read is by a gateway that was just started. \
         hdfs-native reads in the benchmark's own process, the others are asked over HTTP. Names: 8 connections, the same client for both.",
        mib(file_bytes)
    )
}
