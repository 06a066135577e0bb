//! Connections that are slow, stalled or too many: the gateway stays small and serves the others.

use std::time::Duration;

use moongate_tests::http::{self, Connection, Part, Request};
use moongate_tests::{Fid, Gateway, payload, wait};
use rustix::process::{Resource, getrlimit, setrlimit};

/// Enough for 10,000 connections and what the test program has open besides.
const OPEN_FILES_NEEDED: u64 = 12_000;

const RESIDENT_BYTES_MAX: u64 = 600 << 20;

#[track_caller]
pub fn assert_bounded(gateway: &Gateway) {
    let resident = gateway.resident_bytes();
    assert!(
        resident < RESIDENT_BYTES_MAX,
        "{} MiB resident",
        resident >> 20
    );
}

fn allow_many_open_files() {
    let mut limit = getrlimit(Resource::Nofile);
    if limit
        .current
        .is_some_and(|current| current < OPEN_FILES_NEEDED)
    {
        limit.current = limit.maximum;
        setrlimit(Resource::Nofile, limit).expect("the soft limit may rise to the hard one");
    }
    let enough = limit
        .current
        .is_none_or(|current| current >= OPEN_FILES_NEEDED);
    assert!(
        enough,
        "this test opens 10,000 connections: raise the limit of open files (`ulimit -Hn`), now {limit:?}"
    );
}

#[test]
fn ten_thousand_slow_connections_are_held_and_others_are_served() {
    allow_many_open_files();
    let limits =
        "[limits]\nconnections_max = 15000\nheader_timeout = '120s'\nbody_stall_timeout = '120s'";
    let mut gateway = Gateway::fresh(limits);
    let upload = Request::put(
        &gateway.assign("").path(),
        "image/jpeg",
        &payload::bytes(1, 20_000),
    )
    .to_bytes();
    let half_head = b"GET /dir/status HTTP/1.1\r\nHost: slow\r\nX-Slow: ".to_vec();
    let mut held = Vec::new();
    for n in 0..10_000 {
        let mut connection = Connection::open(gateway.image())
            .unwrap_or_else(|error| panic!("connection {n}: {error}"));
        match n % 4 {
            0 => {}
            1 => connection.write(&half_head).unwrap(),
            2 => connection.write(&upload[..upload.len() / 2]).unwrap(),
            _ => {
                connection.write(&half_head).unwrap();
                connection.finish_writing().unwrap();
            }
        }
        held.push(connection);
        if n % 1000 == 999 {
            gateway.assert_serving();
            assert_bounded(&gateway);
        }
    }
    for _ in 0..100 {
        gateway.assert_serving();
    }
    assert_bounded(&gateway);
    // The slow ones are no dead weight: each that finishes is answered.
    for connection in held.iter_mut().skip(2).step_by(4).take(20) {
        connection.write(&upload[upload.len() / 2..]).unwrap();
        let response = connection.receive("PUT").unwrap();
        assert!(
            matches!(response.status, 201 | 204),
            "{}",
            response.summary()
        );
    }
    drop(held);
    gateway.assert_serving();
    gateway.terminate();
}

#[test]
fn connections_over_the_limit_do_not_shut_the_door_for_good() {
    let mut gateway = Gateway::fresh("[limits]\nconnections_max = 50\nheader_timeout = '1s'");
    let mut held = Vec::new();
    for _ in 0..200 {
        if let Ok(mut connection) = Connection::open(gateway.image()) {
            let _ = connection.write(b"GET / HTTP/1.1\r\nX: ");
            held.push(connection);
        }
    }
    wait::until_true("a newcomer is served", Duration::from_secs(30), || {
        http::send(gateway.image(), &Request::get("/dir/assign"))
            .is_ok_and(|response| response.status == 200)
    });
    drop(held);
    gateway.assert_serving();
}

#[test]
fn a_head_that_never_ends_is_given_up() {
    let mut gateway = Gateway::fresh("[limits]\nheader_timeout = '1s'");
    let mut connection = Connection::open(gateway.image()).unwrap();
    connection
        .write(b"GET /dir/status HTTP/1.1\r\nHost: slow\r\n")
        .unwrap();
    assert!(
        connection.is_closed_within(Duration::from_secs(20)),
        "it is still open"
    );
    gateway.assert_serving();
}

#[test]
fn a_body_that_stops_is_given_up_and_nothing_is_stored() {
    let mut gateway = Gateway::fresh("[limits]\nbody_stall_timeout = '1s'");
    let fid = gateway.assign("");
    let form = Request::post_multipart(
        &fid.path(),
        &[Part::file("t.png", "image/png", &payload::bytes(1, 50_000))],
    );
    for request in [
        Request::put(&fid.path(), "image/jpeg", &payload::bytes(1, 50_000)),
        form,
    ] {
        let wire = request.to_bytes();
        let mut connection = Connection::open(gateway.image()).unwrap();
        connection.write(&wire[..wire.len() - 1000]).unwrap();
        assert!(
            connection.is_closed_within(Duration::from_secs(20)),
            "it is still open"
        );
        gateway.get(&fid.path()).status(404);
    }
    gateway.assert_serving();
}

#[test]
fn a_client_that_does_not_read_is_given_up() {
    let limits = "[limits]\nwrite_stall_timeout = '2s'\nbuffers_bytes_max = '128MiB'\n[image]\nupload_bytes_max = '64MiB'";
    let mut gateway = Gateway::fresh(limits);
    let fid = gateway.store("application/octet-stream", &payload::bytes(1, 16 << 20));
    let small = gateway.store("image/jpeg", b"small");
    let request = Request::get(&fid.path()).to_bytes();
    let before = gateway.open_files();
    let held: Vec<Connection> = (0..100)
        .map(|_| {
            let mut connection = Connection::open(gateway.image()).unwrap();
            connection.write(&request).unwrap();
            connection
        })
        .collect();
    for _ in 0..50 {
        assert_bounded(&gateway);
        // While the buffers are taken an honest client may be told to come back, but not for long.
        wait::until_true("a small image is served", Duration::from_secs(20), || {
            gateway.get(&small.path()).status == 200
        });
    }
    // Reading would help them on, so whether they are closed is seen from the other side.
    wait::until_true("they are closed", Duration::from_secs(40), || {
        gateway.open_files() < before + 20
    });
    drop(held);
    gateway.assert_serving();
}

#[test]
fn uploads_at_once_stay_within_the_buffers() {
    let mut gateway = Gateway::fresh(
        "[limits]\nbuffers_bytes_max = '64MiB'\n[image]\nupload_bytes_max = '32MiB'",
    );
    let body = payload::bytes(1, 12 << 20);
    std::thread::scope(|scope| {
        for _ in 0..24 {
            scope.spawn(|| {
                let fid = gateway.assign("");
                let response = gateway.put(&fid.path(), "application/octet-stream", &body);
                match response.status {
                    201 => assert!(
                        gateway.get(&fid.path()).status(200).body == body,
                        "{fid} has other bytes"
                    ),
                    // No buffer for the body, or no room in the queue of the committer.
                    503 | 429 => assert!(response.header("Retry-After").is_some()),
                    other => panic!("{other} {}", response.text()),
                }
                assert_bounded(&gateway);
            });
        }
    });
    gateway.assert_serving();
}

#[test]
fn a_client_that_vanishes_in_the_middle_leaves_nothing_behind() {
    let mut gateway = Gateway::fresh("");
    let body = payload::bytes(1, 300_000);
    let kept = gateway.store("image/jpeg", &body);
    let mut fids: Vec<Fid> = Vec::new();
    for n in 0..60 {
        let fid = gateway.assign("");
        let wire = Request::put(&fid.path(), "image/jpeg", &body).to_bytes();
        Connection::open(gateway.image())
            .unwrap()
            .write(&wire[..wire.len() * n / 60])
            .unwrap();
        fids.push(fid);
        Connection::open(gateway.image())
            .unwrap()
            .write(&Request::get(&kept.path()).to_bytes())
            .unwrap();
    }
    for fid in fids {
        gateway.get(&fid.path()).status(404);
    }
    gateway.assert_serving();
    gateway.terminate();
}
