//! Spark, run as a program of its own: one version in a virtual environment.

#![allow(clippy::unwrap_used)]

use std::path::PathBuf;
use std::process::Command;

use crate::tools::repository;

/// The Python of a virtual environment with this version of Spark.
pub fn python(version: &str) -> PathBuf {
    let output = Command::new(repository().join("scripts/spark.sh"))
        .arg(version)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap().trim().into()
}

/// What the job of the tests (`tests/cache/spark_job.py`) says of a folder.
pub fn job(version: &str, url: &str) -> String {
    let script = repository().join("tests/cache/spark_job.py");
    let mut command = Command::new(python(version));
    command.arg(script).arg(url).env("HADOOP_USER_NAME", "root");
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let result = text.lines().find_map(|line| line.strip_prefix("RESULT "));
    let errors = String::from_utf8_lossy(&output.stderr);
    result
        .unwrap_or_else(|| panic!("{url}: {text}\n{errors}"))
        .to_owned()
}
