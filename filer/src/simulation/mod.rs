//! The filer over a log on a disk that loses, tears and fails, and beside it a plain map that says what should be there.
//!
//! A run of a seed lives a few lives. In each, random operations on few names meet random faults; each ends with a clean stop, a killed
//! process or a loss of power between any two steps of the disk, also while opening. After every operation the whole tree, every row
//! and every needle is compared; after every opening it must be one of the states that may be there: what was answered, and what was
//! done after it whole, in order. At the end everything is deleted, and nothing may be left. The same runs on RocksDB, without faults.
//!
//! A run is replayed by its seed: `MOONGATE_SIM_SEED=123 cargo test -p moongate-filer simulation` prints what happened.
//! `MOONGATE_SIM_SEEDS` is the number of seeds that the test runs, `MOONGATE_SIM_FROM` the first of them.

mod check;
mod log_rows;
mod model;
mod ops;
mod tests;
mod threads;
mod upkeep;
mod world;

use moongate_disk::SimDisk;

use crate::mutant::{self, Mutant};
use world::{Home, World};

/// Runs one seed, with a mistake built into the filer if asked; returns the hash of all that happened.
fn run(seed: u64, home: Home, mutant: Option<Mutant>, aloud: bool) -> Result<u64, String> {
    let work = || {
        let mut world = World::new(seed, home, aloud);
        match world.live() {
            Ok(()) => Ok(world.trace.hash()),
            Err(what) => Err(format!("{what}{}", world.trace.told())),
        }
    };
    mutant::with(mutant, work)
}

fn run_on_log(seed: u64, mutant: Option<Mutant>, aloud: bool) -> Result<u64, String> {
    run(seed, Home::Sim(SimDisk::new(seed)), mutant, aloud)
}
