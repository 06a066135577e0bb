//! Thousands of seeds, and the mistakes that they must notice.

use std::ops::Range;

use moongate_disk::sim::seeds::{self, number_from_env, seeds_from_env};

use super::run;
use crate::mutant::Mutant;

const SEEDS_DEFAULT: u64 = 2000;
const SEEDS_WITH_SHORT_SEALS: u64 = 1000;

/// The smallest seed that fails, with what failed.
fn first_failure(seeds: Range<u64>, mutant: Option<Mutant>) -> Option<(u64, String)> {
    seeds::first_failure(seeds, |seed| run(seed, mutant, false))
}

#[test]
fn what_was_acknowledged_survives() {
    if let Some(seed) = number_from_env("MOONGATE_SIM_SEED") {
        run(seed, None, true).unwrap_or_else(|what| panic!("seed {seed}: {what}"));
        return;
    }
    let seeds = seeds_from_env(SEEDS_DEFAULT);
    if let Some((seed, what)) = first_failure(seeds, None) {
        panic!(
            "seed {seed}: {what}\nreplay: MOONGATE_SIM_SEED={seed} cargo test --release -p moongate-haystack simulation"
        );
    }
}

/// Volumes of earlier versions, which made do with one byte of seal.
#[test]
fn volumes_with_short_seals_survive() {
    if let Some((seed, what)) = first_failure(0..SEEDS_WITH_SHORT_SEALS, Some(Mutant::ShortSeals)) {
        panic!("seed {seed}: {what}");
    }
}

/// Seeds that failed once, after so many others had not.
#[test]
fn what_failed_once_does_not_fail_again() {
    for seed in [
        67_292, 70_198, 182_636, 188_641, 204_114, 325_136, 509_571, 551_376, 1_163_114, 1_235_730,
    ] {
        run(seed, None, true).unwrap_or_else(|what| panic!("seed {seed}: {what}"));
    }
}

#[test]
fn a_seed_replays_exactly() {
    for seed in 0..40 {
        let first = run(seed, None, false).unwrap();
        assert_eq!(run(seed, None, false).unwrap(), first, "seed {seed}");
    }
    assert_ne!(run(0, None, false).unwrap(), run(1, None, false).unwrap());
}

/// Seeds within which each mistake must be noticed.
const SEEDS_PER_MUTANT: u64 = 4000;

#[test]
fn every_mutant_is_caught() {
    let survivors: Vec<Mutant> = Mutant::ALL
        .into_iter()
        .filter(|mutant| first_failure(0..SEEDS_PER_MUTANT, Some(*mutant)).is_none())
        .collect();
    assert_eq!(survivors, [], "the simulation is too weak for these");
}
