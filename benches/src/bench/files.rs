//! Folders on the file port: training shards against a plain batch download, and a listing of many entries.

use std::fs;

use anyhow::{Context, Result, ensure};
use rand::SeedableRng;
use rand::rngs::SmallRng;
use rand::seq::SliceRandom;
use serde::Deserialize;
use serde_json::Value;

use super::batch::{IN_TAR_BYTES, download, row, table};
use super::{Bench, progress};
use crate::bulk;
use crate::chunked::header;
use crate::figures::{Section, Table, Verdict, mib};
use crate::floor_http::BODY_BYTES;
use crate::load::Round;
use crate::process::Target;
use crate::procfs;
use crate::rounds::{self, Medians};
use crate::tar::{Set, TarCheck};

/// Shards that a folder is dealt into.
const SHARDS: u32 = 4;

/// The least rate of shards, in that of a batch download in the order asked.
const SHARDS_LIMIT: f64 = 0.8;

/// Entries of the listing, quick or not.
const LISTED: Set = Set {
    count: 325_000,
    image_bytes: 16,
    seed: 2,
};

/// The most that a listing may take, in seconds.
const LISTING_LIMIT_SECS: f64 = 0.7;

/// The most memory of a listing above the idle server's, in MiB.
const LISTING_LIMIT_MIB: f64 = 64.0;

const JSON: &str = "Accept: application/json\r\n";

pub fn run(bench: &Bench) -> Result<Section> {
    let data = bench.folder("files")?;
    let server = bench.serve(&data)?;
    let train = Set {
        count: if bench.quick { 20_000 } else { 200_000 },
        image_bytes: BODY_BYTES,
        seed: 1,
    };
    store(server.file_target()?, "/train/", train)?;
    store(server.file_target()?, "/listed/", LISTED)?;
    let (plain, shards) = downloads(bench, server.file_target()?, train)?;
    server.stop()?;
    let server = bench.serve(&data)?;
    let listing = listing(bench, server.file_target()?)?;
    server.stop()?;
    fs::remove_dir_all(data)?;
    Ok(section(train, &plain, &shards, &listing))
}

/// Stores a set in a folder.
fn store(server: Target, folder: &str, set: Set) -> Result<()> {
    let mut answer = Vec::new();
    let line = format!("POST {folder}?batch");
    let answered = bulk::exchange(server, &line, "", set.tar(), &mut |piece| {
        answer.extend_from_slice(piece);
        Ok(())
    })?;
    let last = answer.trim_ascii_end().rsplit(|byte| *byte == b'\n').next();
    let last: Value = serde_json::from_slice(last.unwrap_or_default())?;
    ensure!(
        last["stored"] == set.count,
        "{folder} is not stored: {last}"
    );
    progress(&format!(
        "{folder}: {} files of {} bytes stored in {:.1?}",
        set.count, set.image_bytes, answered.round.elapsed
    ));
    Ok(())
}

/// All of a folder by a list of paths in a shuffled order, and by shards, in turn.
fn downloads(bench: &Bench, server: Target, set: Set) -> Result<(Medians, Medians)> {
    let mut lines: Vec<String> = (0..set.count)
        .map(|nth| format!("\"/train/{}\"\n", set.name(nth)))
        .collect();
    lines.shuffle(&mut SmallRng::seed_from_u64(7));
    let list = lines.concat().into_bytes();
    let mut seed = 0;
    let [plain, shards] = rounds::alternate(
        bench.rounds,
        [
            Box::new(|| download(server, "/batch/get", &list, set)),
            Box::new(|| {
                seed += 1;
                epoch(server, set, seed)
            }),
        ],
    )?;
    Ok((plain, shards))
}

/// All shards of one seed, one after the other; the first pins the listing for the others.
fn epoch(server: Target, set: Set, seed: u32) -> Result<Round> {
    let (mut total, mut at) = (Round::default(), String::new());
    for shard in 0..SHARDS {
        let line = format!("GET /train/?shards={SHARDS}&shard={shard}&seed={seed}{at}");
        let mut check = TarCheck::new(set);
        let answered = bulk::exchange(server, &line, "", &b""[..], &mut |piece| check.feed(piece))?;
        let token = header(&answered.head, "moongate-at").context("a shard without Moongate-At")?;
        at = format!("&at={token}");
        total.operations += check.finish(set.count / SHARDS)?;
        total.elapsed += answered.round.elapsed;
        total.server_cpu += answered.round.server_cpu;
    }
    Ok(total)
}

/// What a listing took.
struct Listing {
    figures: Medians,
    answer_bytes: u64,
    idle_bytes: u64,
    peak_bytes: u64,
}

/// Lists, first for memory, of a server that has just started, then for time.
fn listing(bench: &Bench, server: Target) -> Result<Listing> {
    list(server, 1, &mut |_| {})?;
    let idle_bytes = procfs::memory(server.pid)?.rss_bytes;
    procfs::forget_peak(server.pid)?;
    let mut answer = Vec::new();
    list(server, u64::from(LISTED.count) + 1, &mut |piece| {
        answer.extend_from_slice(piece);
    })?;
    let peak_bytes = procfs::peak_bytes(server.pid)?;
    check_listing(&answer)?;
    let answer_bytes = answer.len() as u64;
    drop(answer);
    let [figures] = rounds::alternate(
        bench.rounds,
        [Box::new(|| {
            let mut bytes = 0;
            let round = list(server, u64::from(LISTED.count) + 1, &mut |piece| {
                bytes += piece.len() as u64;
            })?;
            ensure!(bytes == answer_bytes, "a listing differs from the first");
            Ok(round)
        })],
    )?;
    Ok(Listing {
        figures,
        answer_bytes,
        idle_bytes,
        peak_bytes: peak_bytes.max(procfs::peak_bytes(server.pid)?),
    })
}

fn list(server: Target, limit: u64, sink: &mut dyn FnMut(&[u8])) -> Result<Round> {
    let line = format!("GET /listed/?limit={limit}");
    let answered = bulk::exchange(server, &line, JSON, &b""[..], &mut |piece| {
        sink(piece);
        Ok(())
    })?;
    Ok(Round {
        operations: 1,
        ..answered.round
    })
}

/// What is looked at of a listing.
#[derive(Deserialize)]
struct Listed {
    #[serde(rename = "Entries")]
    entries: Vec<ListedEntry>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ListedEntry {
    full_path: String,
    file_size: usize,
}

fn check_listing(answer: &[u8]) -> Result<()> {
    let listed: Listed = serde_json::from_slice(answer).context("the listing is none")?;
    let all_right = (0..LISTED.count).zip(&listed.entries).all(|(nth, entry)| {
        entry.full_path == format!("/listed/{}", LISTED.name(nth))
            && entry.file_size == LISTED.image_bytes
    });
    ensure!(
        all_right && listed.entries.len() == LISTED.count as usize,
        "the listing has {} entries, or wrong ones",
        listed.entries.len()
    );
    Ok(())
}

fn section(train: Set, plain: &Medians, shards: &Medians, listing: &Listing) -> Section {
    let mut table = table();
    row(&mut table, "POST /batch/get, as asked", IN_TAR_BYTES, plain);
    row(&mut table, format!("{SHARDS} shards"), IN_TAR_BYTES, shards);
    listing_row(&mut table, listing);
    let verdicts = vec![
        Verdict::rate(
            format!(
                "shards of a folder of {}, against a plain batch download",
                train.count
            ),
            shards.per_sec,
            plain.per_sec,
            "images",
            SHARDS_LIMIT,
        ),
        Verdict::absolute(
            format!("listing {} entries as JSON", LISTED.count),
            1.0 / listing.figures.per_sec,
            LISTING_LIMIT_SECS,
            "s",
        ),
        Verdict::absolute(
            format!(
                "listing {} entries as JSON, memory above idle",
                LISTED.count
            ),
            (listing.peak_bytes as f64 - listing.idle_bytes as f64) / f64::from(1 << 20),
            LISTING_LIMIT_MIB,
            "MiB",
        ),
    ];
    Section {
        title: "Folders",
        about: about(train, listing),
        table,
        verdicts,
    }
}

fn listing_row(table: &mut Table, listing: &Listing) {
    let Medians {
        cpu_us, per_sec, ..
    } = listing.figures;
    let entries = f64::from(LISTED.count);
    table.row([
        "listing, by entry".to_owned(),
        format!("{:.2}", cpu_us / entries),
        format!("{:.0}", per_sec * entries),
        format!(
            "{:.0}",
            per_sec * listing.answer_bytes as f64 / f64::from(1 << 20)
        ),
    ]);
}

fn about(train: Set, listing: &Listing) -> String {
    format!(
        "{} images of 5 KB in one folder, all of them by a list of paths in a shuffled order, and by {SHARDS} shards one after the \
         other, of which the first also pins the folder's listing; every image is checked. The listing: {} files in one folder, \
         in one answer of {} MiB as SeaweedFS's filer gives it; the server has just been started, and has {} MiB resident when idle.",
        train.count,
        LISTED.count,
        mib(listing.answer_bytes),
        mib(listing.idle_bytes)
    )
}
