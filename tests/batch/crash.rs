//! `kill -9` in the middle of an upload: every line that the client has read is durable.

use std::time::{Duration, Instant};

use moongate_tests::{Gateway, payload};
use rand::Rng;
use serde_json::Value;

use moongate_tests::archives::{dechunk, many, split_head, tar, upload};

#[test]
fn every_line_that_was_received_is_durable() {
    let mut rng = payload::seeded("kill -9 during a batch");
    let files = many(40_000);
    let request = upload("", &tar(&files)).to_bytes();
    let mut told = 0;
    for round in 0..4 {
        let mut gateway = Gateway::fresh("");
        let mut writer = std::net::TcpStream::connect(gateway.image()).unwrap();
        let mut reader = writer.try_clone().unwrap();
        let sent = request.clone();
        let sending = std::thread::spawn(move || {
            // Broken off by the kill.
            let _ = std::io::Write::write_all(&mut writer, &sent);
        });
        let reading = std::thread::spawn(move || {
            let mut raw = Vec::new();
            let _ = std::io::Read::read_to_end(&mut reader, &mut raw);
            raw
        });
        // Somewhere between the first commit and the last.
        let wait = Duration::from_millis(rng.random_range(200..1500));
        let started = Instant::now();
        while started.elapsed() < wait {
            std::thread::yield_now();
        }
        gateway.kill9();
        sending.join().unwrap();
        let raw = reading.join().unwrap();
        gateway.restart();
        if raw.is_empty() {
            continue;
        }
        let (text, _) = dechunk(split_head(&raw).1);
        let lines = text
            .split(|byte| *byte == b'\n')
            .filter_map(|line| serde_json::from_slice::<Value>(line).ok());
        let stored: Vec<Value> = lines.filter(|line| line["fid"].is_string()).collect();
        told += stored.len();
        // Of many, a sample and the very last, which were the freshest.
        let last = stored.len().saturating_sub(50);
        for line in stored.iter().step_by(97).chain(&stored[last..]) {
            let n: usize = line["name"].as_str().unwrap()[..6].parse().unwrap();
            let got = gateway
                .get(&format!("/{}", line["fid"].as_str().unwrap()))
                .status(200);
            assert!(got.body == files[n].1, "round {round}: {line}");
        }
    }
    assert!(told > 0, "no round was killed after the first line");
}
