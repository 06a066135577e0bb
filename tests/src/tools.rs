//! Other people's programs: what they make is taken, and what we make they read.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::archives::Files;

/// The repository, by where cargo runs the tests: clones that share a folder of what is built share its programs, so where they were compiled says nothing.
pub fn repository() -> PathBuf {
    std::path::absolute("..").unwrap()
}

/// Runs a program in a folder; it must succeed and have nothing to complain of.
#[track_caller]
pub fn run(folder: &Path, program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program)
        .args(arguments)
        .current_dir(folder)
        .env("LC_ALL", "C.UTF-8")
        .env("TZ", "UTC")
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|error| {
            panic!("{program}: {error}: scripts/install.sh python3 tar unzip libarchive-tools installs what is missing")
        });
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && stderr.is_empty(),
        "{program} {arguments:?}: {stderr}"
    );
    String::from_utf8(output.stdout).unwrap()
}

/// Runs a Python script with these arguments.
#[track_caller]
pub fn python(folder: &Path, script: &str, arguments: &[&str]) -> String {
    let mut all = vec!["-c", script];
    all.extend_from_slice(arguments);
    run(folder, "python3", &all)
}

/// Writes files below a folder.
pub fn lay_out(folder: &Path, files: &Files) {
    for (name, data) in files {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, data).unwrap();
    }
}

/// A folder has these files, and each is the very bytes.
#[track_caller]
pub fn assert_laid_out(folder: &Path, files: &Files, by: &str) {
    for (name, data) in files {
        let got =
            fs::read(folder.join(name)).unwrap_or_else(|error| panic!("{by}: {name}: {error}"));
        assert!(got == *data, "{by}: {name}");
    }
}
