//! Clients that lie, stall, leave and send junk: the server lives, holds little, and serves others.

use std::time::Duration;

use moongate_tests::archives::{Files as Entries, gzip, tar, zstd_of};
use moongate_tests::files::Files;
use moongate_tests::http::{Connection, Request};
use moongate_tests::{Gateway, payload, wait};
use rand::Rng;

/// Above what an idle gateway takes.
const GROWTH_BYTES_MAX: u64 = 160 << 20;
/// The longest that anything is waited for, on a machine that has much else to do.
const LIMIT: Duration = Duration::from_secs(180);

/// A gauge of `/metrics`.
fn figure(gateway: &Gateway, name: &str) -> u64 {
    let text = gateway.get_admin("/metrics").status(200).text();
    let mut lines = text.lines();
    let line = lines.find(|line| line.starts_with(&format!("{name} ")));
    line.and_then(|line| line.rsplit(' ').next()?.parse().ok())
        .unwrap_or_else(|| panic!("{name}"))
}

#[track_caller]
fn assert_all_given_back(gateway: &mut Gateway, budget: u64) {
    wait::until_true("all shares are given back", LIMIT, || {
        figure(gateway, "moongate_buffer_budget_free_bytes") == budget
    });
    gateway.assert_serving();
    gateway.files().put("/serving", b"yes");
    gateway.files().assert_has("/serving", b"yes");
}

fn images(count: u64, len: usize) -> Entries {
    let image = |n| (format!("{n}.jpg"), payload::bytes(n, len));
    (0..count).map(image).collect()
}

fn open(files: Files<'_>, request: &Request) -> Connection {
    let mut connection = files.connect();
    connection.write(&request.to_bytes()).unwrap();
    connection
}

#[test]
fn who_does_not_read_holds_little_and_is_cut() {
    let budget: u64 = 128 << 20;
    let mut gateway = Gateway::fresh(
        "[limits]\nwrite_stall_timeout = '3s'\nbuffers_bytes_max = '128 MiB'\n[image]\nupload_bytes_max = '64 MiB'",
    );
    let files = gateway.files();
    files.store_all("/d/", &tar(&images(400, 100_000)));
    files.put("/large", &payload::bytes(1, 48 << 20));
    files.put("/hole?offset=1000000000000", b"end");
    let before = gateway.resident_bytes();
    let mut stalled = Vec::new();
    for _ in 0..12 {
        for target in [
            "/d/?archive=tar",
            "/d/?archive=zip",
            "/d/?shards=1",
            "/large",
            "/hole",
        ] {
            stalled.push(open(files, &Request::get(target)));
        }
    }
    wait::until_true("they are cut", LIMIT, || {
        stalled
            .iter_mut()
            .all(|one| one.is_closed_within(Duration::from_millis(500)))
    });
    let grown = gateway.resident_bytes().saturating_sub(before);
    assert!(grown < budget + GROWTH_BYTES_MAX, "{} MiB", grown >> 20);
    assert_all_given_back(&mut gateway, budget);
}

/// Processor time that the gateway has taken, in ticks of the kernel.
fn ticks(gateway: &Gateway) -> u64 {
    let pid = gateway.ready_line()["pid"].as_u64().unwrap();
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = stat
        .rsplit(')')
        .next()
        .unwrap()
        .split_whitespace()
        .collect();
    // Fields 14 and 15 of all, and two stand before the parenthesis.
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

#[test]
fn listings_that_nobody_reads_do_not_hold_up_others() {
    let mut gateway = Gateway::fresh("[limits]\nwrite_stall_timeout = '10m'");
    let files = gateway.files();
    // More than sockets buffer.
    let name = |n: u64| (format!("{n:05}-{}", "n".repeat(240)), Vec::new());
    let entries: Entries = (0..10_000).map(name).collect();
    files.store_all("/d/", &tar(&entries));
    files.put("/small", b"small");
    let before = gateway.resident_bytes();
    let request = Request::get("/d/?limit=1000000").header("Accept", "application/json");
    let _stalled: Vec<Connection> = (0..600).map(|_| open(files, &request)).collect();
    // Once nothing moves any more, all that they hold up is held up.
    let mut last = 0;
    wait::until_true("all of them stall", LIMIT, || {
        std::thread::sleep(Duration::from_millis(300));
        let now = ticks(&gateway);
        // A gateway that does nothing may only not have had its turn: that it refuses says that its places are taken.
        std::mem::replace(&mut last, now) + 2 >= now && files.send(&request).status == 503
    });
    for _ in 0..3 {
        files.assert_has("/small", b"small");
        files.put("/other", b"other");
    }
    let refused = files.send(&request).status(503);
    assert!(refused.header("Retry-After").is_some());
    let grown = gateway.resident_bytes().saturating_sub(before);
    assert!(grown < 2 * GROWTH_BYTES_MAX, "{} MiB", grown >> 20);
    gateway.assert_serving();
}

#[test]
fn who_leaves_takes_nothing_along() {
    let mut gateway = Gateway::fresh("");
    let files = gateway.files();
    let archive = tar(&images(300, 20_000));
    files.store_all("/d/", &archive);
    let uploads = [
        Request::new("POST", "/u/?batch").body(&archive),
        Request::new("POST", "/u/?batch&atomic=true").body(&archive),
        Request::put("/u/file?maxMB=1", "", &archive),
    ];
    for upload in &uploads {
        let wire = upload.to_bytes();
        for part in 1..8 {
            let mut connection = files.connect();
            connection.write(&wire[..wire.len() * part / 8]).unwrap();
        }
    }
    // All of them have ended: what is released once a listing is pinned would be held with it.
    crate::space::assert_only_what_is_named_lives(&gateway);
    for target in [
        "/d/?archive=tar",
        "/d/?archive=zip",
        "/d/?shards=2",
        "/d/?recursive=true",
        "/d/",
    ] {
        for _ in 0..4 {
            drop(open(
                files,
                &Request::get(target).header("Accept", "application/x-ndjson"),
            ));
        }
    }
    files.get("/u/file").status(404);
    assert_all_given_back(&mut gateway, 1 << 30);
    assert_eq!(gateway.files().usage("/d").0, 300);
    crate::space::assert_only_what_is_named_lives_but(&gateway, 1);
}

#[test]
fn half_a_body_stores_no_half_file() {
    let gateway = Gateway::fresh("[limits]\nbody_stall_timeout = '1s'");
    let files = gateway.files();
    files.put("/f", b"before");
    let body = payload::bytes(1, 3 << 20);
    for target in ["/f", "/f?op=append", "/f?offset=2", "/f?maxMB=1"] {
        let wire = Request::put(target, "", &body).to_bytes();
        let mut connection = files.connect();
        connection.write(&wire[..wire.len() - 1]).unwrap();
        // It stalls: told, and nothing was stored.
        let answer = connection.receive("PUT").unwrap();
        assert_eq!(answer.status, 408, "{target}");
        files.assert_has("/f", b"before");
    }
    let chunked = "PUT /f HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n";
    for end in ["", "5\r\nhel", "zz\r\n", "-1\r\n", "ffffffffffffffff\r\n"] {
        let mut connection = files.connect();
        connection.write(chunked.as_bytes()).unwrap();
        let _ = connection.write(end.as_bytes());
        let _ = connection.finish_writing();
        drop(connection.receive_rest());
        files.assert_has("/f", b"before");
    }
}

#[test]
fn random_bodies_are_answered() {
    let mut gateway = Gateway::fresh("");
    let files = gateway.files();
    let mut rng = payload::seeded("random bodies on the file port");
    let good = tar(&images(20, 500));
    for round in 0..150 {
        let mut body = match round % 4 {
            0 => payload::bytes(rng.random(), rng.random_range(0..3000)),
            1 => good.clone(),
            2 => gzip(&good),
            _ => zstd_of(&good),
        };
        for _ in 0..rng.random_range(0..3) {
            if body.is_empty() {
                break;
            }
            let at = rng.random_range(0..body.len());
            body[at] ^= 1 << rng.random_range(0..8);
            if rng.random_bool(0.3) {
                body.truncate(at);
            }
        }
        for target in [
            "/d/?batch",
            "/d/?batch&atomic=true",
            "/batch/get",
            "/batch/delete",
            "/d/f?op=append",
        ] {
            let mut request = Request::new("POST", target).body(&body);
            if rng.random_bool(0.3) {
                request = request.header("Content-Type", "multipart/form-data; boundary=x");
            }
            let response = files.send(&request);
            assert!(response.status < 500, "{target}: {}", response.summary());
        }
    }
    crate::space::assert_only_what_is_named_lives(&gateway);
    gateway.assert_serving();
}

#[test]
fn random_requests_are_answered() {
    // Listings that are asked for on the way hold what is deleted.
    let mut gateway = Gateway::fresh("[file]\nshards_pinned_for = '1s'");
    let mut rng = payload::seeded("random requests on the file port");
    let files = gateway.files();
    let methods = ["GET", "HEAD", "PUT", "POST", "DELETE", "OPTIONS", "PATCH"];
    let paths = [
        "/",
        "/a",
        "/a/",
        "/a/b",
        "/a/b/c.jpg",
        "/x%20y",
        "/%F0%9F%A6%80",
        "//",
        "/batch/get",
        "/healthz",
    ];
    let parameters = [
        "metadata=true",
        "recursive=true",
        "limit=1",
        "limit=99999999999999999999",
        "lastFileName=a",
        "namePattern=*",
        "namePattern=[",
        "archive=tar",
        "archive=zip",
        "shards=2",
        "shard=1",
        "seed=18446744073709551615",
        "at=x",
        "mv.from=/a",
        "mv.from=/a/b",
        "cp.from=/a",
        "cp.from=/",
        "overwrite=true",
        "tagging",
        "tagging=A",
        "op=append",
        "offset=7",
        "maxMB=1",
        "ttl=1m",
        "mode=0",
        "saveInside=true",
        "usage=true",
        "batch",
        "atomic=true",
        "dl=true",
        "collection=c",
        "collection=..%2F..",
        "pretty=1",
        "order=stored",
        "response-content-type=%0d%0ax",
        "=",
        "&",
        "%zz",
    ];
    let headers = [
        ("Accept", "application/json"),
        ("Accept", "application/x-ndjson"),
        ("Accept", "\u{ff}"),
        ("Range", "bytes=0-0"),
        ("Range", "bytes=-0,,5"),
        ("If-Match", "*"),
        ("If-None-Match", "\"\""),
        ("If-Modified-Since", "x"),
        ("Content-Type", "multipart/form-data"),
        ("Content-Encoding", "gzip"),
        ("Content-Encoding", "br"),
        ("Content-MD5", "="),
        ("Seaweed-", "x"),
        ("Seaweed-X", "\u{e9}"),
        ("TE", "trailers"),
        ("Expect", "100-continue"),
    ];
    for round in 0..1500 {
        let pick = |rng: &mut rand::rngs::StdRng, all: &[&str]| {
            all[rng.random_range(0..all.len())].to_owned()
        };
        let query: Vec<String> = (0..rng.random_range(0..4))
            .map(|_| pick(&mut rng, &parameters))
            .collect();
        let target = format!("{}?{}", pick(&mut rng, &paths), query.join("&"));
        let mut request = Request::new(&pick(&mut rng, &methods), &target);
        for _ in 0..rng.random_range(0..3) {
            let (name, value) = headers[rng.random_range(0..headers.len())];
            request = request.header(name, value);
        }
        if rng.random_bool(0.5) {
            request = request.body(&payload::bytes(round, rng.random_range(0..2000)));
        }
        if matches!(
            request.method.as_str(),
            "GET" | "HEAD" | "OPTIONS" | "DELETE"
        ) {
            request.body.clear();
        }
        let answer = files.send(&request);
        assert!(
            answer.status < 500 || answer.status == 507,
            "{} {target}: {}",
            request.method,
            answer.summary()
        );
    }
    assert_eq!(figure(&gateway, "moongate_request_panics"), 0);
    crate::space::assert_only_what_is_named_lives(&gateway);
    gateway.assert_serving();
}

#[test]
fn too_long_heads_and_tags_are_refused() {
    let mut gateway = Gateway::fresh("");
    let files = gateway.files();
    let long = "a".repeat(200_000);
    let mut connection = files.connect();
    let _ = connection.write(&Request::get(&format!("/{long}")).to_bytes());
    assert!(
        connection
            .receive("GET")
            .is_ok_and(|answer| (400..500).contains(&answer.status))
    );
    let mut connection = files.connect();
    let _ = connection.write(&Request::get("/").header("X", &long).to_bytes());
    assert!(
        connection
            .receive("GET")
            .is_ok_and(|answer| (400..500).contains(&answer.status))
    );
    // Tags that add up: what one request may hold is bounded, and so is what a file may.
    files.put("/f", b"x");
    let mut last = 202;
    for n in 0..2000 {
        let tag =
            Request::new("PUT", "/f?tagging").header(&format!("Seaweed-T{n}"), &"v".repeat(30_000));
        last = files.send(&tag).status;
        if last != 202 {
            break;
        }
    }
    assert!(
        (400..500).contains(&last),
        "tags grow without an end: {last}"
    );
    files.assert_has("/f", b"x");
    gateway.assert_serving();
}
