//! GET of 5 KB images at random, all of them warm, against a bare hyper server that answers from memory.

use std::fs;
use std::rc::Rc;

use anyhow::Result;

use super::Bench;
use crate::figures::{Section, Table, Verdict};
use crate::floor_http::GetFloor;
use crate::images::{self, Gets, Image};
use crate::load;
use crate::process::Target;
use crate::rounds::{self, Medians};

/// Images stored.
const IMAGES: u32 = 20_000;

/// The most that a GET may cost, in floors.
const LIMIT: f64 = 1.5;

pub fn run(bench: &Bench) -> Result<Section> {
    let data = bench.folder("get")?;
    let (server, floor) = (bench.serve(&data)?, bench.floor()?);
    let images = images::store(server.target(), IMAGES)?;
    images::read_back(server.target(), &images, 2 * u64::from(IMAGES))?;
    let mut section = Section {
        title: "GET",
        about: about(images.len()),
        table: Table::of_load(),
        ..Section::default()
    };
    for connections in [32, 64] {
        let (floor, get) = measure(bench, floor.target(), server.target(), &images, connections)?;
        section
            .table
            .load_row(format!("floor, {connections} connections"), &floor);
        section
            .table
            .load_row(format!("moongate, {connections} connections"), &get);
        let work = format!("GET 5 KB, random, warm, {connections} connections");
        section
            .verdicts
            .push(Verdict::cpu(work, get.cpu_us, floor.cpu_us, LIMIT));
    }
    server.stop()?;
    fs::remove_dir_all(data)?;
    Ok(section)
}

fn measure(
    bench: &Bench,
    floor: Target,
    server: Target,
    images: &Rc<Vec<Image>>,
    connections: usize,
) -> Result<(Medians, Medians)> {
    let extent = rounds::timed(bench.window);
    let [floor, get] = rounds::alternate(
        bench.rounds,
        [
            Box::new(|| {
                load::run(
                    floor,
                    extent,
                    rounds::sources(connections, |_| GetFloor::boxed()),
                )
            }),
            Box::new(|| {
                load::run(
                    server,
                    extent,
                    rounds::sources(connections, |seed| Gets::boxed(images, seed, None)),
                )
            }),
        ],
    )?;
    Ok((floor, get))
}

fn about(images: usize) -> String {
    format!(
        "{images} images of 5 KB, stored over HTTP, read at random after each has been read about twice. The length and the \
         first bytes of every response are checked. The floor is a bare hyper server that answers 5 KB from memory."
    )
}
