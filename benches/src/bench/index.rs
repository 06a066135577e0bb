//! What ten million needles cost: memory above an empty server, and CPU time of a GET above one at ten thousand.

use std::fs::{self, File};
use std::path::Path;

use anyhow::Result;

use super::ten_million::TenMillion;
use super::{Bench, progress};
use crate::figures::{Section, Table, Verdict, mib};
use crate::images;
use crate::load::{self, Extent};
use crate::needles::{NeedleGets, Needles};
use crate::process::{Server, Target};
use crate::procfs::{self, Memory};
use crate::rounds::{self, Medians};

const CONNECTIONS: usize = 32;

/// The small server's needles.
const FEW: Needles = Needles { count: 10_000 };

/// Images in the "empty" server, so that it has something to answer while it warms up.
const EMPTY_IMAGES: u32 = 1_000;

const BYTES_LIMIT: f64 = 12.0;
const CPU_LIMIT: f64 = 1.2;

pub fn run(bench: &Bench) -> Result<Section> {
    let many = bench.ten_million()?;
    let few = TenMillion::make_with(bench, FEW, "ten-thousand")?;
    let memory = Memories {
        empty: empty(bench)?,
        few: after_gets(bench, &few, warm_gets(bench) / 5)?,
        many: after_gets(bench, many, warm_gets(bench))?,
    };
    let (few_cpu, many_cpu) = gets(bench, &few, many)?;
    Ok(section(many.needles.count, &memory, &few_cpu, &many_cpu))
}

struct Memories {
    empty: Memory,
    few: Memory,
    many: Memory,
}

/// GETs before memory is read: enough to touch every block of an index with ten million entries many times.
fn warm_gets(bench: &Bench) -> u64 {
    if bench.quick { 300_000 } else { 3_000_000 }
}

fn empty(bench: &Bench) -> Result<Memory> {
    let data = bench.folder("empty")?;
    let server = bench.serve(&data)?;
    let images = images::store(server.target(), EMPTY_IMAGES)?;
    server.stop()?;
    let server = bench.serve(&data)?;
    images::read_back(server.target(), &images, warm_gets(bench) / 5)?;
    let memory = procfs::memory(server.target().pid)?;
    server.stop()?;
    fs::remove_dir_all(data)?;
    Ok(memory)
}

fn after_gets(bench: &Bench, folder: &TenMillion, gets: u64) -> Result<Memory> {
    warm_page_cache(&folder.data)?;
    let server = bench.serve(&folder.data)?;
    warm_up(server.target(), folder.needles, gets)?;
    let memory = procfs::memory(server.target().pid)?;
    progress(&format!(
        "{} needles: {} MiB resident",
        folder.needles.count,
        mib(memory.rss_bytes)
    ));
    server.stop()?;
    Ok(memory)
}

fn warm_up(server: Target, needles: Needles, gets: u64) -> Result<()> {
    let each = gets / CONNECTIONS as u64;
    let sources = rounds::sources(CONNECTIONS, |seed| {
        NeedleGets::boxed(needles, seed, Some(each))
    });
    load::run(server, Extent::Exhaust, sources).map(drop)
}

/// Reads all volumes once, so that no GET waits for the disk.
fn warm_page_cache(data: &Path) -> Result<()> {
    for entry in fs::read_dir(data)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "dat") {
            std::io::copy(&mut File::open(path)?, &mut std::io::sink())?;
        }
    }
    Ok(())
}

/// Both servers at once, in turn.
fn gets(bench: &Bench, few: &TenMillion, many: &TenMillion) -> Result<(Medians, Medians)> {
    let servers: [Server; 2] = [bench.serve(&few.data)?, bench.serve(&many.data)?];
    warm_up(servers[0].target(), few.needles, warm_gets(bench) / 10)?;
    warm_up(servers[1].target(), many.needles, warm_gets(bench) / 2)?;
    let extent = rounds::timed(bench.window);
    let round = |server: Target, needles: Needles| {
        load::run(
            server,
            extent,
            rounds::sources(CONNECTIONS, |seed| {
                NeedleGets::boxed(needles, seed + 1000, None)
            }),
        )
    };
    let [few_cpu, many_cpu] = rounds::alternate(
        bench.rounds,
        [
            Box::new(|| round(servers[0].target(), few.needles)),
            Box::new(|| round(servers[1].target(), many.needles)),
        ],
    )?;
    servers
        .into_iter()
        .try_for_each(|server| server.stop().map(drop))?;
    Ok((few_cpu, many_cpu))
}

fn section(count: u64, memory: &Memories, few: &Medians, many: &Medians) -> Section {
    let mut table = Table::new(&[
        "",
        "RSS MiB",
        "PSS MiB",
        "anonymous MiB",
        "GET CPU us/op",
        "op/s",
        "p99 us",
    ]);
    memory_row(&mut table, "empty".to_owned(), memory.empty, None);
    memory_row(
        &mut table,
        format!("{} needles", FEW.count),
        memory.few,
        Some(few),
    );
    memory_row(
        &mut table,
        format!("{count} needles"),
        memory.many,
        Some(many),
    );
    let each = |many: u64, empty: u64| (many as f64 - empty as f64) / count as f64;
    let rss_each = each(memory.many.rss_bytes, memory.empty.rss_bytes);
    let anonymous_each = each(memory.many.anonymous_bytes, memory.empty.anonymous_bytes);
    let verdicts = vec![
        Verdict::absolute(
            format!("memory at {count} needles, above empty"),
            rss_each,
            BYTES_LIMIT,
            "bytes/needle",
        ),
        Verdict::cpu(
            format!("GET at {count} needles, against {}", FEW.count),
            many.cpu_us,
            few.cpu_us,
            CPU_LIMIT,
        ),
    ];
    Section {
        title: "Index",
        about: about(anonymous_each),
        table,
        verdicts,
    }
}

fn memory_row(table: &mut Table, name: String, memory: Memory, gets: Option<&Medians>) {
    let load = gets.map_or_else(
        || ["-"; 3].map(str::to_owned),
        |gets| {
            [
                format!("{:.1}", gets.cpu_us),
                format!("{:.0}", gets.per_sec),
                format!("{:.0}", gets.p99_us),
            ]
        },
    );
    let Memory {
        rss_bytes,
        pss_bytes,
        anonymous_bytes,
    } = memory;
    table.row(
        [name, mib(rss_bytes), mib(pss_bytes), mib(anonymous_bytes)]
            .into_iter()
            .chain(load),
    );
}

fn about(anonymous_each: f64) -> String {
    format!(
        "Needles of 200 bytes in four SeaweedFS volumes, opened in place, stopped and started again. Memory is read after \
         random GETs over all of them; the empty server holds {EMPTY_IMAGES} images and has answered GETs too. Resident \
         memory is judged; of anonymous memory alone it is {anonymous_each:.2} bytes a needle. GETs: {CONNECTIONS} \
         connections, both servers in turn, all volumes in the page cache."
    )
}
