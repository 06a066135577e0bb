//! Time to ready over ten million needles: after a clean stop, and after SIGKILL.

use anyhow::Result;

use super::Bench;
use super::ten_million::TenMillion;
use crate::client::Client;
use crate::figures::{Section, Table, Verdict, secs};
use crate::images::{self, Image, Puts, Range, SharedRange};
use crate::load::{self, Extent};
use crate::needles::NeedleGets;
use crate::process::{Server, Target};
use crate::rounds;

use std::rc::Rc;
use std::time::Duration;

/// Connections that store what a killed server must find again.
const CONNECTIONS: usize = 64;

const LIMIT_SECS: f64 = 1.0;

/// A start after a crash may take longer; how long is reported, not judged.
const CRASH_PATIENCE: Duration = Duration::from_secs(300);

pub fn run(bench: &Bench) -> Result<Section> {
    let folder = bench.ten_million()?;
    let clean = (0..bench.rounds)
        .map(|_| clean_start(bench, folder))
        .collect::<Result<Vec<_>>>()?;
    let median = rounds::median(clean.iter().map(Duration::as_secs_f64).collect());
    let mut table = Table::new(&["start", "ready in"]);
    let count = folder.needles.count;
    table.row([
        format!("first, {count} needles written by another server"),
        secs(folder.import),
    ]);
    table.row([
        "after a clean stop, median".to_owned(),
        secs(Duration::from_secs_f64(median)),
    ]);
    table.row([
        "after a clean stop, worst".to_owned(),
        secs(clean.into_iter().max().unwrap_or_default()),
    ]);
    for images in [0, 10_000, 50_000] {
        let ready = crash_start(bench, folder, images)?;
        table.row([
            format!("after SIGKILL, {images} images stored since the start"),
            secs(ready),
        ]);
    }
    let verdicts = vec![Verdict::absolute(
        format!("start after a clean stop, {count} needles"),
        median,
        LIMIT_SECS,
        "s",
    )];
    Ok(Section {
        title: "Start",
        about: ABOUT.to_owned(),
        table,
        verdicts,
    })
}

const ABOUT: &str = "From starting the process to its ready line, the volumes in the page cache. A server is ready only if it \
     answers: needles are read after each start, and after SIGKILL also what had been acknowledged before it.";

fn clean_start(bench: &Bench, folder: &TenMillion) -> Result<Duration> {
    let server = bench.serve(&folder.data)?;
    read_some(server.target(), folder)?;
    let ready = server.started_in();
    server.stop()?;
    Ok(ready)
}

/// Stores `images`, kills the server, and starts it again.
fn crash_start(bench: &Bench, folder: &TenMillion, images: u32) -> Result<Duration> {
    let server = bench.serve(&folder.data)?;
    let stored = store(server.target(), images)?;
    server.kill()?;
    let server = Server::moongate(
        &bench.bin,
        &folder.data,
        &bench.path("moongate.log"),
        CRASH_PATIENCE,
    )?;
    read_some(server.target(), folder)?;
    if images > 0 {
        images::read_back(server.target(), &Rc::new(stored), u64::from(images))?;
    }
    let ready = server.started_in();
    server.stop()?;
    Ok(ready)
}

fn store(server: Target, images: u32) -> Result<Vec<Image>> {
    if images == 0 {
        return Ok(Vec::new());
    }
    let mut client = Client::connect(server.addr)?;
    let each = images.div_ceil(CONNECTIONS as u32);
    let ranges: Vec<SharedRange> = (0..CONNECTIONS as u64)
        .map(|seed| Range::assign(&mut client, each, seed))
        .collect::<Result<_>>()?;
    load::run(
        server,
        Extent::Exhaust,
        ranges.iter().map(Puts::boxed).collect(),
    )?;
    Ok(images::stored(&ranges))
}

fn read_some(server: Target, folder: &TenMillion) -> Result<()> {
    let sources = rounds::sources(4, |seed| NeedleGets::boxed(folder.needles, seed, Some(250)));
    load::run(server, Extent::Exhaust, sources).map(drop)
}
