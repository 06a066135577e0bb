//! The near end of the slow link: reads a far HDFS directly, and through a gateway at this end, twice. A process of its own, in the
//! namespace of that end; says what it took as one line of JSON.

use std::fs;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use clap::Args;
use futures::StreamExt as _;
use hdfs_native::{Client, ClientBuilder};
use rand::{Rng as _, SeedableRng as _, rngs::SmallRng};
use serde::{Deserialize, Serialize};

use super::read_file;
use crate::connection::{Expect, Source};
use crate::load::{self, Extent};
use crate::process::{Server, Target};

/// What the near end is told.
#[derive(Args)]
pub struct NearOptions {
    /// The moongate binary.
    #[arg(long)]
    bin: PathBuf,
    /// An empty folder for the gateway.
    #[arg(long)]
    dir: PathBuf,
    /// The far HDFS.
    #[arg(long)]
    url: String,
    /// Hadoop's clients.
    #[arg(long)]
    class_path: String,
    /// Bytes of the large file.
    #[arg(long)]
    file_bytes: u64,
    /// Small files, each of `SMALL_BYTES`.
    #[arg(long)]
    files: usize,
    /// Random reads of each length.
    #[arg(long)]
    reads: usize,
}

/// A program that reads by Hadoop's clients.
pub const READ_JAVA: &str = include_str!("../../../java/Read.java");

/// Bytes of a small file.
pub const SMALL_BYTES: usize = 20 << 10;
/// Lengths of random reads.
pub const RANDOM_BYTES: [usize; 2] = [4 << 10, 64 << 10];
/// What is read, in the order of [`Taken`].
pub const WORKS: [&str; 4] = [
    "a large file from end to end",
    "4 KB at random places",
    "64 KB at random places",
    "small files of 20 KB, whole",
];

/// Seconds of each work.
pub type Taken = [f64; 4];

/// What was measured.
#[derive(Debug, Serialize, Deserialize)]
pub struct Measured {
    /// By hdfs-native.
    pub direct: Taken,
    /// By Hadoop's own client.
    pub java: Taken,
    /// By the gateway, which has nothing yet.
    pub first: Taken,
    /// By the gateway again.
    pub second: Taken,
}

/// Measures, and says what it took.
///
/// # Errors
/// Something cannot be read, or is not as long as it is.
pub fn run(options: &NearOptions) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let client = ClientBuilder::new()
        .with_url(options.url.clone())
        .with_io_runtime(runtime.handle().clone())
        .build()?;
    let direct = runtime.block_on(direct(&client, options))?;
    let java = java(options)?;
    let config = options.dir.join("link.toml");
    let text = format!(
        "[cache]\nmemory = '1 GiB'\n[[mount]]\npath = '/hdfs'\nstore = '{}'\nttl = '10m'\n",
        options.url
    );
    fs::write(&config, text)?;
    let (data, log) = (options.dir.join("data"), options.dir.join("near.log"));
    fs::create_dir_all(&data)?;
    let patience = Duration::from_secs(60);
    let server = Server::moongate_with(&options.bin, &data, Some(&config), &log, patience)?;
    let first = gateway(server.file_target()?, options)?;
    let second = gateway(server.file_target()?, options)?;
    server.stop()?;
    let measured = Measured {
        direct,
        java,
        first,
        second,
    };
    Ok(writeln!(
        std::io::stdout(),
        "{}",
        serde_json::to_string(&measured)?
    )?)
}

/// Begins of random reads of this length, the same for all who read.
fn places(options: &NearOptions, len: usize) -> Vec<u64> {
    let mut random = SmallRng::seed_from_u64(len as u64);
    let end = (options.file_bytes - len as u64) / 8;
    (0..options.reads)
        .map(|_| random.random_range(0..end) * 8)
        .collect()
}

async fn direct(client: &Client, options: &NearOptions) -> Result<Taken> {
    let mut taken = Taken::default();
    let begun = Instant::now();
    let reader = client.read("/bench/file").await?;
    let mut stream = Box::pin(reader.read_range_stream(0, reader.file_length()));
    let mut bytes = 0;
    while let Some(piece) = stream.next().await {
        bytes += piece?.len() as u64;
    }
    ensure!(bytes == options.file_bytes, "{bytes} bytes read directly");
    taken[0] = begun.elapsed().as_secs_f64();
    for (n, len) in RANDOM_BYTES.into_iter().enumerate() {
        let begun = Instant::now();
        for place in places(options, len) {
            let read: Bytes = reader.read_range(place as usize, len).await?;
            ensure!(
                read.starts_with(&(place / 8).to_be_bytes()),
                "wrong bytes at {place}"
            );
        }
        taken[1 + n] = begun.elapsed().as_secs_f64();
    }
    let begun = Instant::now();
    for n in 0..options.files {
        let reader = client.read(&format!("/bench/small/{n:04}")).await?;
        let read: Bytes = reader.read_range(0, reader.file_length()).await?;
        ensure!(
            read.len() == SMALL_BYTES,
            "small file {n}: {} bytes",
            read.len()
        );
    }
    taken[3] = begun.elapsed().as_secs_f64();
    Ok(taken)
}

fn java(options: &NearOptions) -> Result<Taken> {
    let program = options.dir.join("Read.java");
    fs::write(&program, READ_JAVA)?;
    let mut command = Command::new("java");
    command.args(["-Xmx512m", "-cp", &options.class_path]);
    command.arg(program);
    command.args([
        &options.url,
        "/bench",
        &options.files.to_string(),
        &options.reads.to_string(),
    ]);
    let output = command.output().context("java cannot be run")?;
    let said = String::from_utf8_lossy(&output.stdout);
    let seconds: Vec<f64> = said.lines().filter_map(|line| line.parse().ok()).collect();
    let told = String::from_utf8_lossy(&output.stderr);
    seconds
        .try_into()
        .map_err(|_| anyhow::anyhow!("Read.java (it takes a JDK): {said}\n{told}"))
}

/// Works through requests on one connection.
struct Requests(std::vec::IntoIter<(String, Expect)>);

impl Source for Requests {
    fn next(&mut self, request: &mut Vec<u8>) -> Option<Expect> {
        let (text, expect) = self.0.next()?;
        request.extend_from_slice(text.as_bytes());
        Some(expect)
    }
}

fn gateway(target: Target, options: &NearOptions) -> Result<Taken> {
    let mut taken = Taken::default();
    let begun = Instant::now();
    read_file(target, "GET /hdfs/bench/file", options.file_bytes)?;
    taken[0] = begun.elapsed().as_secs_f64();
    for (n, len) in RANDOM_BYTES.into_iter().enumerate() {
        let request = |place: u64| {
            let last = place + len as u64 - 1;
            let text = format!(
                "GET /hdfs/bench/file HTTP/1.1\r\nHost: bench\r\nRange: bytes={place}-{last}\r\n\r\n"
            );
            (text, Expect::part(len, (place / 8).to_be_bytes()))
        };
        taken[1 + n] = ask(target, places(options, len).into_iter().map(request))?;
    }
    let request = |n: usize| {
        let text = format!("GET /hdfs/bench/small/{n:04} HTTP/1.1\r\nHost: bench\r\n\r\n");
        (text, Expect::body(SMALL_BYTES, 0u64.to_be_bytes()))
    };
    taken[3] = ask(target, (0..options.files).map(request))?;
    Ok(taken)
}

/// One after the other on one connection.
fn ask(target: Target, requests: impl Iterator<Item = (String, Expect)>) -> Result<f64> {
    let requests: Vec<_> = requests.collect();
    let source: Box<dyn Source> = Box::new(Requests(requests.into_iter()));
    Ok(load::run(target, Extent::Exhaust, vec![source])?
        .elapsed
        .as_secs_f64())
}
