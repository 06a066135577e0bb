//! `kill -9` in the middle, of the client and of the server: the same command goes on, nothing is lost, nothing twice.

use std::time::{Duration, Instant};

use moongate_tests::payload;
use rand::Rng;

use crate::shell::{Shell, read_tree};

const FILES: usize = 3000;

fn wait(duration: Duration) {
    let started = Instant::now();
    while started.elapsed() < duration {
        std::thread::yield_now();
    }
}

fn check(shell: &Shell, files: usize) {
    let usage: serde_json::Value =
        serde_json::from_str(&shell.expect(0, &["du", "--json", "/k"])).unwrap();
    assert_eq!(usage["files"].as_u64(), Some(files as u64));
}

#[test]
fn a_put_that_is_killed_goes_on() {
    let mut rng = payload::seeded("kill -9 of put");
    let shell = Shell::new();
    let files = shell.make("k", FILES).len();
    for _ in 0..3 {
        let mut put = shell.start(&["put", "k", "/k"]);
        wait(Duration::from_millis(rng.random_range(50..400)));
        put.kill().unwrap();
        put.wait().unwrap();
    }
    shell.expect(0, &["put", "k", "/k"]);
    check(&shell, files);
    assert_eq!(
        shell.totals(&["put", "k", "/k"])["same"].as_u64(),
        Some(files as u64)
    );
}

#[test]
fn a_get_that_is_killed_goes_on_and_leaves_no_half_files() {
    let mut rng = payload::seeded("kill -9 of get");
    let shell = Shell::new();
    let files = shell.make("k", FILES);
    shell.expect(0, &["put", "k", "/k"]);
    for _ in 0..3 {
        let mut get = shell.start(&["get", "/k", "out"]);
        wait(Duration::from_millis(rng.random_range(50..400)));
        get.kill().unwrap();
        get.wait().unwrap();
        if !shell.path("out").exists() {
            continue;
        }
        // What has its name is whole.
        for (name, data) in read_tree(&shell.path("out")) {
            assert!(
                name.contains(".moongate-part.") || files[&name] == data,
                "{name}"
            );
        }
    }
    shell.expect(0, &["get", "/k", "out"]);
    let mut got = read_tree(&shell.path("out"));
    // Those of the last seconds may be another's that still runs.
    got.retain(|name, _| !name.contains(".moongate-part."));
    assert!(got == files);
}

#[test]
fn a_put_outlives_its_server() {
    let mut rng = payload::seeded("kill -9 of the server");
    let mut shell = Shell::new();
    let files = shell.make("k", FILES);
    let mut put = shell.start(&["put", "k", "/k"]);
    for _ in 0..3 {
        wait(Duration::from_millis(rng.random_range(100..500)));
        shell.gateway.kill9();
        shell.gateway.restart();
    }
    assert!(put.wait().unwrap().success());
    shell.expect(0, &["put", "k", "/k"]);
    check(&shell, files.len());
    shell.expect(0, &["get", "/k", "out"]);
    assert!(read_tree(&shell.path("out")) == files);
}
