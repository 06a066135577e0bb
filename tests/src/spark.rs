//! Spark, run as a program of its own: one version in a virtual environment.

#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::process::Command;

fn python(version: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let output = Command::new(root.join("scripts/spark.sh"))
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
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("cache/spark_job.py");
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
