//! Reads a file of HDFS without the cache, by the reader of our own or by hdfs-native, to compare them:
//! `cargo run --release -p moongate-cache --example hdfs_read -- hdfs://host:port /path own 8`
#![allow(clippy::print_stdout, clippy::disallowed_methods)] // a program that measures and says so

use std::time::Instant;

use futures::StreamExt as _;
use moongate_cache::under::{HdfsOptions, HdfsStore};
use moongate_cache::{Backend as _, BackendError, Caller, ErrorKind, Freshness};

/// As the cache has it by default.
const PAGE_BYTES: u64 = 1 << 20;

#[tokio::main]
async fn main() -> Result<(), BackendError> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [url, path, reader, readers] = &arguments[..] else {
        let text = "usage: hdfs_read URL PATH own|native READERS";
        return Err(BackendError::new(ErrorKind::Invalid, text));
    };
    let readers: usize = readers.parse().unwrap_or(1);
    let store = HdfsStore::open(HdfsOptions {
        own_reader: reader == "own",
        ..HdfsOptions::new(url.as_str())
    })?;
    let begun = Instant::now();
    let reads = (0..readers).map(|_| tokio::spawn(read(store.clone(), path.clone())));
    let mut bytes = 0;
    for read in futures::future::join_all(reads).await {
        bytes +=
            read.map_err(|error| BackendError::new(ErrorKind::Failed, error.to_string()))??;
    }
    let seconds = begun.elapsed().as_secs_f64();
    let by = if store.has_read_itself() {
        "own"
    } else {
        "native"
    };
    println!(
        "{by}: {bytes} bytes in {seconds:.3} s, {:.0} MB/s",
        bytes as f64 / seconds / 1e6
    );
    Ok(())
}

async fn read(store: HdfsStore, path: String) -> Result<u64, BackendError> {
    let user = std::env::var("HADOOP_USER_NAME").or_else(|_| std::env::var("USER"));
    let caller = Caller::new(user.unwrap_or_else(|_| "root".to_owned()));
    let file = store.open(&caller, &path, Freshness::Now).await?;
    let range = 0..file.status().len;
    let mut pieces = file.read_pages(range, PAGE_BYTES).await?.stream;
    let mut bytes = 0;
    while let Some(piece) = pieces.next().await {
        bytes += piece?.len() as u64;
    }
    Ok(bytes)
}
