//! Running a simulation for many seeds.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

const THREADS: u64 = 2;

/// A number that the environment gives, as `MOONGATE_SIM_SEED` and `MOONGATE_SIM_SEEDS` do.
///
/// # Panics
/// It is there and no number: a run of other seeds than were asked for would prove nothing.
pub fn number_from_env(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    match text.parse() {
        Ok(number) => Some(number),
        Err(error) => panic!("{name}={text}: {error}"),
    }
}

/// The seeds that a run is asked for: `MOONGATE_SIM_SEEDS` of them (or so many as are usual), from `MOONGATE_SIM_FROM` on (or 0).
///
/// # Panics
/// As [`number_from_env`].
pub fn seeds_from_env(usual: u64) -> Range<u64> {
    let from = number_from_env("MOONGATE_SIM_FROM").unwrap_or(0);
    let seeds = number_from_env("MOONGATE_SIM_SEEDS").unwrap_or(usual);
    from..from.saturating_add(seeds)
}

/// Runs these seeds on several threads; the smallest that fails, with what failed.
///
/// # Panics
/// A run panics.
pub fn first_failure(
    seeds: Range<u64>,
    run: impl Fn(u64) -> Result<u64, String> + Sync,
) -> Option<(u64, String)> {
    let (next, stop) = (AtomicU64::new(seeds.start), AtomicU64::new(seeds.end));
    let work = || loop {
        let seed = next.fetch_add(1, Ordering::Relaxed);
        if seed >= stop.load(Ordering::Relaxed) {
            return None;
        }
        if let Err(what) = run(seed) {
            stop.fetch_min(seed, Ordering::Relaxed);
            return Some((seed, what));
        }
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(work)).collect();
        let failures = threads
            .into_iter()
            .filter_map(|thread| match thread.join() {
                Ok(failure) => failure,
                Err(panic) => std::panic::resume_unwind(panic),
            });
        failures.min_by_key(|(seed, _)| *seed)
    })
}
