//! `moongate policy test`: runs suites, and tells each difference.

use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use moongate_auth::policy::suite::{Prepared, Report, Suites};

use super::args::TestArgs;
use crate::cli::EXIT_PROBLEMS;

/// The format of the files.
const FORMAT: &str = "ranger-oracle/1";

/// Runs all files; differences and the sum go to standard output.
#[allow(clippy::print_stdout)]
pub(super) fn run(args: &TestArgs) -> anyhow::Result<ExitCode> {
    let (mut passed, mut failed) = (0, 0);
    for file in &args.files {
        let suites = read(file)?;
        let report = suites.run();
        tell(&report);
        if let Some(secs) = args.time {
            println!("{} ns of CPU a decision", timed(&suites, secs)?);
        }
        passed += report.passed;
        failed += report.failed;
    }
    println!("{passed} passed, {failed} failed");
    Ok(if failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(EXIT_PROBLEMS)
    })
}

fn read(file: &Path) -> anyhow::Result<Suites> {
    let name = file.display();
    let text = std::fs::read(file).with_context(|| format!("{name}: cannot be read"))?;
    let suites: Suites = serde_json::from_slice(&text)
        .with_context(|| format!("{name}: this is not a file of suites ({FORMAT})"))?;
    anyhow::ensure!(
        suites.format == FORMAT,
        "{name}: its format is {:?}; this runs {FORMAT}",
        suites.format
    );
    Ok(suites)
}

/// Nanoseconds of this thread's CPU for one question, that of reading it included.
fn timed(suites: &Suites, secs: u64) -> anyhow::Result<u64> {
    let prepared = suites.prepared();
    let ask = || prepared.iter().map(Prepared::ask_all).sum::<usize>() as u64;
    ask();
    let (begun, end) = (cpu_ns()?, Instant::now() + Duration::from_secs(secs));
    let mut asked = 0;
    while Instant::now() < end {
        asked += ask();
    }
    anyhow::ensure!(asked > 0, "there is no case to ask");
    Ok((cpu_ns()? - begun) / asked)
}

/// CPU time of this thread since its start.
fn cpu_ns() -> anyhow::Result<u64> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat")?;
    let first = text.split_whitespace().next().unwrap_or("");
    Ok(first.parse()?)
}

#[allow(clippy::print_stdout)]
fn tell(report: &Report) {
    for wrong in &report.mismatches {
        println!(
            "{}: {}: expected {}, found {}",
            wrong.case, wrong.field, wrong.expected, wrong.found
        );
    }
    for (suite, requires) in &report.skipped {
        println!("{suite}: not run, it requires {}", requires.join(", "));
    }
    if !report.skipped.is_empty() {
        println!("{} suites not run", report.skipped.len());
    }
}
