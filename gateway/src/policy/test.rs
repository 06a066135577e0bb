//! `moongate policy test`: runs suites, and tells each difference.

use std::path::Path;
use std::process::ExitCode;

use anyhow::Context as _;
use moongate_auth::policy::suite::{Report, Suites};

use super::args::TestArgs;
use crate::cli::EXIT_PROBLEMS;

/// The format of the files.
const FORMAT: &str = "ranger-oracle/1";

/// Runs all files; differences and the sum go to standard output.
#[allow(clippy::print_stdout)]
pub(super) fn run(args: &TestArgs) -> anyhow::Result<ExitCode> {
    let (mut passed, mut failed) = (0, 0);
    for file in &args.files {
        let report = run_file(file)?;
        tell(&report);
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

fn run_file(file: &Path) -> anyhow::Result<Report> {
    let name = file.display();
    let text = std::fs::read(file).with_context(|| format!("{name}: cannot be read"))?;
    let suites: Suites = serde_json::from_slice(&text)
        .with_context(|| format!("{name}: this is not a file of suites ({FORMAT})"))?;
    anyhow::ensure!(
        suites.format == FORMAT,
        "{name}: its format is {:?}; this runs {FORMAT}",
        suites.format
    );
    Ok(suites.run())
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
