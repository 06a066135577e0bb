//! The volume engine on a disk that loses, tears and flips, and beside it a plain map that says what may be answered.
//!
//! One run of a seed makes a few volumes on a [`moongate_disk::SimDisk`] and lives a few lives. In each, random operations meet
//! random faults (see [`faults`]); each ends with a clean stop, a killed process or a power cut between any two steps of the disk,
//! also in the middle of recovery and of vacuum's renames. After it every volume is opened again and compared as a whole:
//! what was acknowledged is there byte for byte, what was not is there whole or not at all, what was deleted stays deleted, keys
//! are never handed out twice, the `.dat` ends with its last record, and the `.idx` is what an independent walk says it is.
//!
//! A run is replayed by its seed: `MOONGATE_SIM_SEED=123 cargo test --release -p moongate-haystack simulation` prints what happened.
//! `MOONGATE_SIM_SEEDS` is the number of seeds that the test runs, `MOONGATE_SIM_FROM` the first of them.

mod check;
mod faults;
mod model;
mod ops;
mod payload;
mod stranger;
mod tests;
mod walk;
mod world;

use crate::mutant::{self, Mutant};
use world::World;

/// Runs one seed, with a mistake built into the engine if asked; returns the hash of all that happened.
fn run(seed: u64, mutant: Option<Mutant>, aloud: bool) -> Result<u64, String> {
    let work = || {
        let mut world = World::new(seed, aloud);
        let lived = world.live();
        match lived {
            Ok(()) => Ok(world.trace.hash()),
            Err(what) => Err(format!("{what}{}", world.trace.told())),
        }
    };
    let unwound = std::panic::catch_unwind(|| mutant::with(mutant, work));
    unwound.unwrap_or_else(|_| Err("the engine panicked".into()))
}
