//! The answers of the genuine engine (Apache Ranger 2.9.0) to random questions.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use moongate_auth::policy::suite::Suites;

const SAMPLES: &str = include_str!("../../tests/samples/ranger/random-paths.json");

/// A policy is named differently in at most this many of a thousand.
const POLICIES_DIFFERENT_PER_MILLE_MAX: usize = 5;

#[test]
fn the_genuine_engine_agrees() {
    let suites: Suites = serde_json::from_str(SAMPLES).unwrap();
    assert_eq!(suites.format, "ranger-oracle/1");
    let report = suites.run();
    for (suite, requires) in &report.skipped {
        println!("not run: {suite} requires {requires:?}");
    }
    for wrong in &report.mismatches {
        println!(
            "{}: {} should be {:?}, is {:?}",
            wrong.case, wrong.field, wrong.expected, wrong.found
        );
    }
    assert_eq!(
        report.failed - report.only_policy,
        0,
        "of {} cases",
        report.passed + report.failed
    );
    assert!(
        report.only_policy * 1000 <= report.policies_compared * POLICIES_DIFFERENT_PER_MILLE_MAX
    );
    assert_eq!(
        (report.passed + report.only_policy, report.skipped.len()),
        (670, 0)
    );
}
