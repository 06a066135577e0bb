//! csi-sanity v5.6: all specs for the capabilities that are advertised.

use std::path::PathBuf;

use crate::driver::Driver;

/// As of the capabilities that are advertised now.
const PASSED_MIN: usize = 44;

#[test]
fn csi_sanity_finds_nothing_wrong_and_leaves_nothing() {
    let driver = Driver::start();
    let folder = |name: &str| driver.path(name).display().to_string();
    let arguments = [
        format!("--csi.endpoint=unix://{}", driver.socket(0).display()),
        format!("--csi.mountdir={}", folder("mnt")),
        format!("--csi.stagingdir={}", folder("stg")),
        "--csi.testvolumesize=67108864".to_owned(),
        "--csi.testvolumeexpandsize=134217728".to_owned(),
        "--ginkgo.no-color".to_owned(),
    ];
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let output = driver
        .gluster
        .client_output(program().to_str().unwrap(), &arguments);
    let text = String::from_utf8_lossy(&output.stdout);
    let counts = text
        .lines()
        .rev()
        .find(|line| line.contains(" Passed |"))
        .unwrap_or_else(|| panic!("{text}"));
    println!("csi-sanity: {counts}");
    assert!(output.status.success(), "{text}");
    assert!(
        number(counts, "Passed") >= PASSED_MIN && number(counts, "Failed") == 0,
        "{counts}"
    );
    driver.nothing_is_left();
}

/// The number before a word.
fn number(counts: &str, word: &str) -> usize {
    let words: Vec<&str> = counts.split_whitespace().collect();
    let at = words.iter().position(|other| *other == word).unwrap();
    words[at - 1].parse().unwrap()
}

fn program() -> PathBuf {
    let cache = std::env::var_os("MOONGATE_CACHE").map(PathBuf::from);
    let cache = cache.unwrap_or_else(|| {
        PathBuf::from(std::env::var_os("HOME").unwrap()).join(".cache/moongate")
    });
    let program = cache.join("csi-sanity-5.6.0/csi-sanity");
    assert!(
        program.exists(),
        "{} is missing: scripts/csi-sanity.sh",
        program.display()
    );
    program
}
