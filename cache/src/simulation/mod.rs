//! The cache over a store in memory, and beside it the history of every file, which says what may be read.
//!
//! A run of a seed does random operations on few paths: reads of ranges, through new and old handles; changes behind the cache's back and
//! through it; time that passes; answers that fail; restarts, with bits of the cache's disks flipped meanwhile. Each read must give one
//! version, whole: one that was current within the mount's TTL, no older than any that was shown or written before, and the present one
//! where that was asked for. Mistakes that are built in ([`crate::mutant`]) must be noticed.
//!
//! A run is replayed by its seed: `MOONGATE_SIM_SEED=123 cargo test -p moongate-cache simulation` prints what happened.
//! `MOONGATE_SIM_SEEDS` is the number of seeds that the test runs, `MOONGATE_SIM_FROM` the first of them.

mod history;
mod ops;
mod tests;
mod threads;
mod world;

use crate::mutant::{self, Mutant};
use world::World;

/// Runs one seed, with a mistake built into the cache if asked.
fn run(seed: u64, mutant: Option<Mutant>, aloud: bool) -> Result<u64, String> {
    // One thread for all tasks: mistakes belong to a thread.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| error.to_string())?;
    mutant::with(mutant, || {
        runtime.block_on(async {
            let mut world = World::new(seed, aloud).await;
            match world.live().await {
                Ok(()) => Ok(world.steps),
                Err(what) => Err(format!("{what}\n{}", world.told.join("\n"))),
            }
        })
    })
}
