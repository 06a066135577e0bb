//! Thousands of seeds, and the mistakes that they must notice.

use std::ops::Range;

use moongate_disk::sim::seeds::{self, number_from_env, seeds_from_env};

use super::world::Home;
use super::{run, run_on_log};
use crate::mutant::Mutant;

const SEEDS_DEFAULT: u64 = 2000;
const SEEDS_ON_ROCKSDB: u64 = 12;
/// Seeds within which each mistake must be noticed.
const SEEDS_PER_MUTANT: u64 = 1500;

/// The smallest seed that fails, with what failed.
fn first_failure(seeds: Range<u64>, mutant: Option<Mutant>) -> Option<(u64, String)> {
    seeds::first_failure(seeds, |seed| run_on_log(seed, mutant, false))
}

#[test]
fn what_was_answered_survives() {
    if let Some(seed) = number_from_env("MOONGATE_SIM_SEED") {
        run_on_log(seed, None, true).unwrap_or_else(|what| panic!("seed {seed}: {what}"));
        return;
    }
    let seeds = seeds_from_env(SEEDS_DEFAULT);
    if let Some((seed, what)) = first_failure(seeds, None) {
        panic!(
            "seed {seed}: {what}\nreplay: MOONGATE_SIM_SEED={seed} cargo test -p moongate-filer simulation"
        );
    }
}

#[test]
fn rocksdb_does_the_same() {
    for seed in 0..SEEDS_ON_ROCKSDB {
        let home = Home::Rocks(tempfile::tempdir().unwrap());
        run(seed, home, None, true).unwrap_or_else(|what| panic!("seed {seed}: {what}"));
    }
}

#[test]
fn a_seed_replays_exactly() {
    for seed in 0..40 {
        let first = run_on_log(seed, None, false).unwrap();
        assert_eq!(run_on_log(seed, None, false).unwrap(), first, "seed {seed}");
    }
    assert_ne!(run_on_log(0, None, false), run_on_log(1, None, false));
}

#[test]
fn every_mutant_is_caught() {
    let survivors: Vec<Mutant> = Mutant::ALL
        .into_iter()
        .filter(|mutant| first_failure(0..SEEDS_PER_MUTANT, Some(*mutant)).is_none())
        .collect();
    assert_eq!(survivors, [], "the simulation is too weak for these");
}
