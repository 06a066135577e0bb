//! Many seeds, and the mistakes that they must notice.

use moongate_disk::sim::seeds::{self, number_from_env, seeds_from_env};

use super::run;
use crate::mutant::Mutant;

const SEEDS_DEFAULT: u64 = 60;
/// Seeds within which each mistake must be noticed.
const SEEDS_PER_MUTANT: u64 = 60;

#[test]
fn what_is_read_was_there() {
    if let Some(seed) = number_from_env("MOONGATE_SIM_SEED") {
        run(seed, None, true).unwrap_or_else(|what| panic!("seed {seed}: {what}"));
        return;
    }
    let seeds = seeds_from_env(SEEDS_DEFAULT);
    if let Some((seed, what)) = seeds::first_failure(seeds, |seed| run(seed, None, false)) {
        panic!(
            "seed {seed}: {what}\nreplay: MOONGATE_SIM_SEED={seed} cargo test -p moongate-cache simulation"
        );
    }
}

#[test]
fn every_mutant_is_caught() {
    let caught = |mutant| {
        let failure =
            seeds::first_failure(0..SEEDS_PER_MUTANT, |seed| run(seed, Some(mutant), false));
        failure.is_some()
    };
    let survivors: Vec<Mutant> = Mutant::ALL.into_iter().filter(|m| !caught(*m)).collect();
    assert_eq!(survivors, [], "the simulation is too weak for these");
}
