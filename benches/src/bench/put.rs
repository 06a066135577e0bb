//! Durable PUT of 5 KB images against a bare group-commit loop plus a bare hyper server.

use std::collections::BTreeSet;
use std::fs;
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Result, ensure};

use super::Bench;
use crate::cli::AppendOptions;
use crate::client::Client;
use crate::figures::{Section, Table, Verdict};
use crate::floor_append;
use crate::floor_http::PutFloor;
use crate::images::{self, Puts, Range, SharedRange};
use crate::load::{self, Round};
use crate::process::Target;
use crate::rounds::{self, Measure, Medians};

const CONNECTIONS: usize = 64;

/// Ids a connection asks for at once.
const ASSIGN: u32 = 10_000;

/// More than this no server stores in a second on such a machine; it decides how many ids are at hand.
const PER_SEC_MAX: f64 = 100_000.0;

/// Images read back at the end.
const READ_BACK: u64 = 50_000;

/// The most that a PUT may cost, in floors.
const LIMIT: f64 = 2.0;

const P99_LIMIT_MS: f64 = 10.0;

pub fn run(bench: &Bench) -> Result<Section> {
    let data = bench.folder("put")?;
    let (server, http) = (bench.serve(&data)?, bench.floor()?);
    let mut puts = Putter::new(server.target(), bench.window, CONNECTIONS);
    let extent = rounds::timed(bench.window);
    let [append_64, append_128, http, put] = rounds::alternate(
        bench.rounds,
        [
            append(bench, 64),
            append(bench, 128),
            Box::new(|| {
                load::run(
                    http.target(),
                    extent,
                    rounds::sources(CONNECTIONS, |_| PutFloor::boxed()),
                )
            }),
            Box::new(|| puts.round()),
        ],
    )?;
    puts.read_back()?;
    server.stop()?;
    fs::remove_dir_all(data)?;
    Ok(section(&puts, &append_64, &append_128, &http, &put))
}

fn append(bench: &Bench, depth: usize) -> Measure<'_> {
    let options = AppendOptions {
        file: bench.path("append"),
        depth,
        seconds: bench.window.as_secs_f64(),
    };
    Box::new(move || floor_append::measure(&options))
}

/// Stores images round by round, each connection under ids of its own.
pub struct Putter {
    server: Target,
    window: Duration,
    connections: usize,
    ranges: Vec<SharedRange>,
}

impl Putter {
    /// Nothing is stored yet.
    pub fn new(server: Target, window: Duration, connections: usize) -> Self {
        Self {
            server,
            window,
            connections,
            ranges: Vec::new(),
        }
    }

    /// Stores for one window.
    ///
    /// # Errors
    /// When an image is not acknowledged.
    pub fn round(&mut self) -> Result<Round> {
        let ranges = self.fresh_ranges()?;
        let round = load::run(
            self.server,
            rounds::timed(self.window),
            ranges.iter().map(Puts::boxed).collect(),
        )?;
        let spent = ranges.iter().any(|range| range.borrow().left() == 0);
        ensure!(
            !spent,
            "a connection ran out of ids before the round ended; the rate is wrong"
        );
        Ok(round)
    }

    /// One range with enough left for each connection; those with too little are kept for reading back.
    fn fresh_ranges(&mut self) -> Result<Vec<SharedRange>> {
        let need =
            (PER_SEC_MAX * (self.window.as_secs_f64() + 1.0) / self.connections as f64) as u32;
        let mut client = Client::connect(self.server.addr)?;
        let mut ranges: Vec<SharedRange> = self
            .ranges
            .iter()
            .filter(|range| range.borrow().left() >= need)
            .cloned()
            .collect();
        while ranges.len() < self.connections {
            let range = Range::assign(&mut client, ASSIGN.max(need), self.ranges.len() as u64)?;
            self.ranges.push(Rc::clone(&range));
            ranges.push(range);
        }
        Ok(ranges)
    }

    fn read_back(&self) -> Result<()> {
        images::read_back(
            self.server,
            &Rc::new(images::stored(&self.ranges)),
            READ_BACK,
        )
    }

    fn volumes(&self) -> usize {
        self.ranges
            .iter()
            .map(|range| range.borrow().volume().to_owned())
            .collect::<BTreeSet<_>>()
            .len()
    }
}

fn section(
    puts: &Putter,
    append_64: &Medians,
    append_128: &Medians,
    http: &Medians,
    put: &Medians,
) -> Section {
    let mut table = Table::of_load();
    table.load_row("floor: append, 64 in flight", append_64);
    table.load_row("floor: append, 128 in flight", append_128);
    table.load_row("floor: HTTP, 64 connections", http);
    table.load_row("moongate, 64 connections", put);
    let floor_us = append_128.cpu_us + http.cpu_us;
    let verdicts = vec![
        Verdict::cpu(
            "PUT 5 KB, durable, 64 connections",
            put.cpu_us,
            floor_us,
            LIMIT,
        ),
        Verdict::absolute(
            "PUT 5 KB, durable, 64 connections, p99",
            put.p99_us / 1e3,
            P99_LIMIT_MS,
            "ms",
        ),
    ];
    let ratio_64 = put.cpu_us / (append_64.cpu_us + http.cpu_us);
    Section {
        title: "PUT",
        about: about(puts.volumes(), ratio_64),
        table,
        verdicts,
    }
}

fn about(volumes: usize, ratio_64: f64) -> String {
    format!(
        "Every image has a body of its own and is durable before it is acknowledged; each connection stores under ids that it \
         was assigned (volumes used: {volumes}), and {READ_BACK} random images are read back and checked at the end. \
         The floor is the sum of a bare group-commit append loop (one `pwrite` and one `fdatasync` a batch, 128 in flight) \
         and a bare hyper server that reads the body and answers 201. With 64 in flight, as many as there are connections, \
         the ratio is {ratio_64:.2} x."
    )
}
