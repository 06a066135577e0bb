//! Many images in one call on the image port, against the same images one by one, and against a bare stream from memory.

use std::fs;
use std::rc::Rc;

use anyhow::{Context, Result, ensure};
use rand::SeedableRng;
use rand::rngs::SmallRng;
use rand::seq::SliceRandom;
use serde_json::Value;

use super::Bench;
use super::put::Putter;
use crate::bulk;
use crate::figures::{Section, Table, Verdict};
use crate::floor_http::{BODY_BYTES, STREAM_PATH};
use crate::images::{Gets, Image};
use crate::load::{self, Round};
use crate::process::Target;
use crate::rounds::{self, Medians};
use crate::tar::{Set, TarCheck};

/// Connections of those who do it one by one; as in the sections GET and PUT.
const CONNECTIONS: usize = 64;

/// The most that an image of a batch may cost, in single GETs or PUTs.
const CPU_LIMIT: f64 = 0.25;

/// The least rate of an upload, in that of single PUTs, both over one connection.
const UPLOAD_LIMIT: f64 = 10.0;

/// The least rate of a download in the order of the disk, in that of a bare server that streams memory.
const STREAM_LIMIT: f64 = 0.5;

/// What an image takes in a tar.
pub const IN_TAR_BYTES: usize = 512 + BODY_BYTES;

pub fn run(bench: &Bench) -> Result<Section> {
    let data = bench.folder("batch")?;
    let (server, floor) = (bench.serve(&data)?, bench.floor()?);
    let uploads = uploads(bench, server.target())?;
    let downloads = downloads(bench, server.target(), floor.target(), &uploads.stored)?;
    server.stop()?;
    fs::remove_dir_all(data)?;
    Ok(section(images(bench), &uploads, &downloads))
}

/// Images of one call.
fn images(bench: &Bench) -> u32 {
    if bench.quick { 20_000 } else { 100_000 }
}

struct Uploads {
    put_many: Medians,
    put_one: Medians,
    batch: Medians,
    stored: Stored,
}

/// What one upload has stored.
struct Stored {
    set: Set,
    fids: Vec<String>,
}

fn uploads(bench: &Bench, server: Target) -> Result<Uploads> {
    let mut many = Putter::new(server, bench.window, CONNECTIONS);
    let mut one = Putter::new(server, bench.window, 1);
    let mut set = Set {
        count: images(bench),
        image_bytes: BODY_BYTES,
        seed: 0,
    };
    let mut fids = Vec::new();
    let [put_many, put_one, batch] = rounds::alternate(
        bench.rounds,
        [
            Box::new(|| many.round()),
            Box::new(|| one.round()),
            Box::new(|| {
                set.seed += 1;
                let (round, stored) = upload(server, set)?;
                fids = stored;
                Ok(round)
            }),
        ],
    )?;
    Ok(Uploads {
        put_many,
        put_one,
        batch,
        stored: Stored { set, fids },
    })
}

/// Stores a set as one tar and gives the fids, in order.
fn upload(server: Target, set: Set) -> Result<(Round, Vec<String>)> {
    let mut answer = Vec::new();
    let answered = bulk::exchange(server, "POST /batch", "", set.tar(), &mut |piece| {
        answer.extend_from_slice(piece);
        Ok(())
    })?;
    let mut fids = Vec::with_capacity(set.count as usize);
    for line in answer.split(|byte| *byte == b'\n') {
        if let Some(fid) = fid(line).with_context(|| String::from_utf8_lossy(line).into_owned())? {
            fids.push(fid);
        }
    }
    ensure!(
        fids.len() == set.count as usize,
        "{} of {} images are stored",
        fids.len(),
        set.count
    );
    let round = Round {
        operations: u64::from(set.count),
        ..answered.round
    };
    Ok((round, fids))
}

/// The fid in a line of an upload's answer; `None` for the line with the totals.
fn fid(line: &[u8]) -> Result<Option<String>> {
    if line.is_empty() {
        return Ok(None);
    }
    let line: Value = serde_json::from_slice(line)?;
    ensure!(line.get("error").is_none(), "an image is not stored");
    Ok(line["fid"].as_str().map(str::to_owned))
}

struct Downloads {
    get: Medians,
    asked: Medians,
    stored: Medians,
    stream: Medians,
}

fn downloads(bench: &Bench, server: Target, floor: Target, stored: &Stored) -> Result<Downloads> {
    let singles = Rc::new(singles(stored));
    let list = shuffled_list(stored);
    download(server, "/batch/get", &list, stored.set)?;
    let [get, asked, stored, stream] = rounds::alternate(
        bench.rounds,
        [
            Box::new(|| {
                let gets = |seed| Gets::boxed(&singles, seed, None);
                load::run(
                    server,
                    rounds::timed(bench.window),
                    rounds::sources(CONNECTIONS, gets),
                )
            }),
            Box::new(|| download(server, "/batch/get", &list, stored.set)),
            Box::new(|| download(server, "/batch/get?order=stored", &list, stored.set)),
            Box::new(|| stream(floor, stored.set.count)),
        ],
    )?;
    Ok(Downloads {
        get,
        asked,
        stored,
        stream,
    })
}

fn singles(stored: &Stored) -> Vec<Image> {
    (0..)
        .zip(&stored.fids)
        .map(|(nth, fid)| Image::new(fid.as_str(), stored.set.stamp(nth)))
        .collect()
}

/// All fids in an order that is not that of the disk.
fn shuffled_list(stored: &Stored) -> Vec<u8> {
    let mut lines: Vec<String> = stored
        .fids
        .iter()
        .map(|fid| format!("\"{fid}\"\n"))
        .collect();
    lines.shuffle(&mut SmallRng::seed_from_u64(7));
    lines.concat().into_bytes()
}

/// Gets a list of all images of a set as one tar, and checks it.
pub fn download(server: Target, path: &str, list: &[u8], set: Set) -> Result<Round> {
    let mut check = TarCheck::new(set);
    let answered = bulk::exchange(
        server,
        &format!("POST {path}"),
        "Content-Type: application/x-ndjson\r\n",
        list,
        &mut |piece| check.feed(piece),
    )?;
    Ok(Round {
        operations: check.finish(set.count)?,
        ..answered.round
    })
}

/// Gets as many bytes as so many images have in a tar from the floor.
fn stream(floor: Target, images: u32) -> Result<Round> {
    let (mut got, bytes) = (0, u64::from(images) * IN_TAR_BYTES as u64);
    let line = format!("GET {STREAM_PATH}{bytes}");
    let answered = bulk::exchange(floor, &line, "", &b""[..], &mut |piece| {
        got += piece.len() as u64;
        Ok(())
    })?;
    ensure!(got == bytes, "{got} of {bytes} bytes came");
    Ok(Round {
        operations: u64::from(images),
        ..answered.round
    })
}

/// A table of batches.
pub fn table() -> Table {
    Table::new(&["", "CPU us/image", "images/s", "MiB/s"])
}

/// Adds a row to such a table.
pub fn row(table: &mut Table, name: impl Into<String>, image_bytes: usize, figures: &Medians) {
    let mib = figures.per_sec * image_bytes as f64 / f64::from(1 << 20);
    table.row([
        name.into(),
        format!("{:.2}", figures.cpu_us),
        format!("{:.0}", figures.per_sec),
        format!("{mib:.0}"),
    ]);
}

fn section(images: u32, up: &Uploads, down: &Downloads) -> Section {
    let mut table = table();
    for (name, bytes, figures) in [
        ("PUT, 64 connections", BODY_BYTES, &up.put_many),
        ("PUT, one connection", BODY_BYTES, &up.put_one),
        ("POST /batch", IN_TAR_BYTES, &up.batch),
        ("GET, 64 connections", BODY_BYTES, &down.get),
        ("POST /batch/get, as asked", IN_TAR_BYTES, &down.asked),
        ("POST /batch/get, order=stored", IN_TAR_BYTES, &down.stored),
        ("floor: hyper streams memory", IN_TAR_BYTES, &down.stream),
    ] {
        row(&mut table, name, bytes, figures);
    }
    Section {
        title: "Batches",
        about: about(images),
        table,
        verdicts: verdicts(up, down),
    }
}

fn verdicts(up: &Uploads, down: &Downloads) -> Vec<Verdict> {
    let mib = |figures: &Medians| figures.per_sec * IN_TAR_BYTES as f64 / f64::from(1 << 20);
    vec![
        Verdict::cpu(
            "batch upload, durable, against single PUTs",
            up.batch.cpu_us,
            up.put_many.cpu_us,
            CPU_LIMIT,
        ),
        Verdict::rate(
            "batch upload, durable, against single PUTs, one connection each",
            up.batch.per_sec,
            up.put_one.per_sec,
            "images",
            UPLOAD_LIMIT,
        ),
        Verdict::cpu(
            "batch download as asked, warm, against single GETs",
            down.asked.cpu_us,
            down.get.cpu_us,
            CPU_LIMIT,
        ),
        Verdict::rate(
            "batch download order=stored, against a bare stream from memory",
            mib(&down.stored),
            mib(&down.stream),
            "MiB",
            STREAM_LIMIT,
        ),
    ]
}

fn about(images: u32) -> String {
    format!(
        "{images} images of 5 KB in one tar over one connection, up and down. CPU is compared with that of single PUTs and GETs \
         over {CONNECTIONS} connections, where they cost least. Each image is durable before its line of the answer; the \
         downloads ask in an order shuffled over all images, and the name, the length and the first bytes of every image are \
         checked. The floor of the stream is a bare hyper server that sends as many bytes from memory."
    )
}
