//! Clients that are slow, that leave, or that want too much: what they hold is bounded, and others are served.

use std::time::Duration;

use moongate_tests::http::{Connection, Request};
use moongate_tests::{Gateway, payload, wait};

use moongate_tests::archives::{Files, Lines, many, stored, tar, upload, zstd_of};

/// Above what an idle gateway takes.
const GROWTH_BYTES_MAX: u64 = 160 << 20;

fn images(count: usize, len: usize) -> Files {
    (0..count)
        .map(|n| (format!("{n}.jpg"), payload::bytes(n as u64, len)))
        .collect()
}

#[test]
fn who_sends_all_before_reading_gets_all_lines() {
    let gateway = Gateway::fresh("");
    // Lines for more than a socket buffers: 20 MB would be 200,000 entries, this is enough to fill the usual ones.
    let files = many(60_000);
    let mut connection = Connection::open(gateway.image()).unwrap();
    connection
        .write(&upload("", &tar(&files)).to_bytes())
        .unwrap();
    let response = connection.receive("POST").unwrap();
    assert_eq!(Lines::of(&response).last["stored"], 60_000);
}

#[test]
fn who_does_not_read_a_download_holds_little_and_is_cut() {
    let mut gateway = Gateway::fresh("[limits]\nwrite_stall_timeout = '2s'");
    let files = images(1000, 100_000);
    let mut list = Vec::new();
    for part in files.chunks(100) {
        list.extend(stored(&gateway, part));
    }
    let before = gateway.resident_bytes();
    let list = list.join("\n");
    let mut stalled: Vec<Connection> = (0..8)
        .map(|_| {
            let mut connection = Connection::open(gateway.image()).unwrap();
            let request = Request::new("POST", "/batch/get").body(list.as_bytes());
            connection.write(&request.to_bytes()).unwrap();
            connection
        })
        .collect();
    gateway.assert_serving();
    let free = || figure(&gateway, "moongate_buffer_budget_free_bytes");
    wait::until_true(
        "their shares are given back",
        Duration::from_secs(20),
        || free() == 1 << 30,
    );
    let grown = gateway.resident_bytes().saturating_sub(before);
    assert!(grown < GROWTH_BYTES_MAX, "{} MiB", grown >> 20);
    for connection in &mut stalled {
        // What was in the sockets' buffers is all there is: not a whole body.
        assert!(!connection.receive_rest().ends_with(b"0\r\n\r\n"));
    }
    gateway.assert_serving();
}

/// A gauge of `/metrics`.
fn figure(gateway: &Gateway, name: &str) -> u64 {
    let text = gateway.get_admin("/metrics").status(200).text();
    let line = text
        .lines()
        .find(|line| line.starts_with(&format!("{name} ")));
    line.and_then(|line| line.rsplit(' ').next()?.parse().ok())
        .unwrap_or_else(|| panic!("{name}"))
}

#[test]
fn who_leaves_takes_nothing_along() {
    let mut gateway = Gateway::fresh("");
    let archive = upload("", &tar(&images(300, 20_000))).to_bytes();
    for n in 1..20 {
        let mut connection = Connection::open(gateway.image()).unwrap();
        connection
            .write(&archive[..archive.len() * n / 20])
            .unwrap();
    }
    let list = stored(&gateway, &images(300, 20_000)).join("\n");
    for _ in 0..10 {
        let mut connection = Connection::open(gateway.image()).unwrap();
        let request = Request::new("POST", "/batch/get").body(list.as_bytes());
        connection.write(&request.to_bytes()).unwrap();
    }
    wait::until_true(
        "their shares are given back",
        Duration::from_secs(20),
        || figure(&gateway, "moongate_buffer_budget_free_bytes") == 1 << 30,
    );
    gateway.assert_serving();
}

#[test]
fn a_slow_upload_is_told_entry_by_entry_and_a_stalled_one_ends() {
    let gateway = Gateway::fresh("[limits]\nbody_stall_timeout = '1s'");
    let archive = tar(&images(3, 700));
    let request = upload("", &archive);
    let mut connection = Connection::open(gateway.image()).unwrap();
    connection.write(&request.head_bytes()).unwrap();
    connection.write(&archive[..2500]).unwrap();
    let response = connection.receive("POST").unwrap().status(408);
    let lines = Lines::of(&response);
    assert_eq!(lines.last["stored"], 1, "the first had come");
    assert!(lines.last["error"].as_str().unwrap().contains("stalled"));
}

#[test]
fn a_bomb_costs_no_memory() {
    let mut gateway = Gateway::fresh("[image]\nupload_bytes_max = '8 MiB'");
    let mut header = tar::Header::new_gnu();
    header.set_path("bomb").unwrap();
    header.set_size(1 << 30);
    header.set_cksum();
    let mut plain = header.as_bytes().to_vec();
    plain.resize(plain.len() + (1 << 30) + 1024, 0);
    let packed = zstd_of(&plain);
    drop(plain);
    assert!(packed.len() < 1 << 20);
    let before = gateway.resident_bytes();
    let lines = Lines::of(&gateway.send(&upload("", &packed)).status(207));
    assert!(
        lines.entries[0]["error"]
            .as_str()
            .unwrap()
            .contains("over the limit")
    );
    let grown = gateway.resident_bytes().saturating_sub(before);
    assert!(grown < GROWTH_BYTES_MAX, "{} MiB", grown >> 20);
    gateway.assert_serving();
}

#[test]
fn large_files_are_charged_and_those_beyond_the_budget_wait_or_are_refused() {
    let limits = "[image]\nupload_bytes_max = '16 MiB'\n[limits]\nbuffers_bytes_max = '48 MiB'";
    let mut gateway = Gateway::fresh(limits);
    let files = images(6, 12 << 20);
    let archive = upload("", &tar(&files)).to_bytes();
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let uploads: Vec<_> = (0..3)
            .map(|_| {
                scope.spawn(|| {
                    let mut connection = Connection::open(gateway.image()).unwrap();
                    connection.write(&archive).unwrap();
                    connection.receive("POST").unwrap().status
                })
            })
            .collect();
        uploads
            .into_iter()
            .map(|upload| upload.join().unwrap())
            .collect()
    });
    assert!(
        statuses.iter().all(|status| matches!(status, 200 | 429)),
        "{statuses:?}"
    );
    assert!(statuses.contains(&200), "{statuses:?}");
    // The committer lets go of what it wrote just after it has answered.
    wait::until_true(
        "their shares are given back",
        Duration::from_secs(20),
        || figure(&gateway, "moongate_buffer_budget_free_bytes") == 48 << 20,
    );
    gateway.assert_serving();
}
