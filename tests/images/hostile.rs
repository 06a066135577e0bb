//! Clients that mean harm, or are broken: the gateway stays up, small, and serves the others.

use std::net::SocketAddr;
use std::time::Duration;

use moongate_tests::http::{self, Connection, Part, Request, Response};
use moongate_tests::{Fid, Gateway, payload, wait};
use rand::Rng;
use rand::rngs::StdRng;
use rustix::process::{Resource, getrlimit, setrlimit};

/// Enough for 10,000 connections and what the test program has open besides.
const OPEN_FILES_NEEDED: u64 = 12_000;
const RESIDENT_BYTES_MAX: u64 = 600 << 20;

/// Sends bytes, says that nothing more will come, and reads what comes back, if it is an answer.
fn blast(address: SocketAddr, bytes: &[u8]) -> Option<Response> {
    let mut connection = Connection::open(address).expect("the port takes connections");
    // The peer may close before it has read all of it: no error of ours.
    let _ = connection.write(bytes);
    let _ = connection.finish_writing();
    connection.receive("GET").ok()
}

#[track_caller]
fn assert_bounded(gateway: &Gateway) {
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
    let limits = "[limits]\nwrite_stall_timeout = '2s'\nbuffers_bytes_max = '128MiB'";
    let mut gateway = Gateway::fresh(limits);
    let fid = gateway.store("application/octet-stream", &payload::bytes(1, 16 << 20));
    let small = gateway.store("image/jpeg", b"small");
    let request = Request::get(&fid.path()).to_bytes();
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
    for mut connection in held {
        assert!(
            connection.is_closed_within(Duration::from_secs(30)),
            "it is still open"
        );
    }
    gateway.assert_serving();
}

#[test]
fn uploads_at_once_stay_within_the_buffers() {
    let mut gateway = Gateway::fresh("[limits]\nbuffers_bytes_max = '64MiB'");
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
                    _ => assert!(response.status(503).header("Retry-After").is_some()),
                }
                assert_bounded(&gateway);
            });
        }
    });
    gateway.assert_serving();
}

#[test]
fn header_bombs_are_refused() {
    let mut gateway = Gateway::fresh("");
    let long = "a".repeat(4 << 20);
    let many: String = (0..200_000).map(|n| format!("X-{n}: y\r\n")).collect();
    for bomb in [
        format!("GET / HTTP/1.1\r\nHost: x\r\nX-Long: {long}\r\n\r\n"),
        format!("GET / HTTP/1.1\r\nHost: x\r\n{long}: y\r\n\r\n"),
        format!("GET / HTTP/1.1\r\nHost: x\r\n{many}\r\n"),
        format!("GET /{long} HTTP/1.1\r\nHost: x\r\n\r\n"),
        format!("{long} / HTTP/1.1\r\nHost: x\r\n\r\n"),
        long.clone(),
    ] {
        for address in [gateway.image(), gateway.admin()] {
            let response = blast(address, bomb.as_bytes());
            assert!(
                response.is_none_or(|response| (400..500).contains(&response.status)),
                "{}",
                &bomb[..40]
            );
        }
        gateway.assert_serving();
        assert_bounded(&gateway);
    }
}

#[test]
fn a_head_over_header_bytes_max_is_refused_and_one_below_is_not() {
    let gateway = Gateway::fresh("[limits]\nheader_bytes_max = '16KiB'");
    let fid = gateway.store("image/jpeg", b"x");
    let with_header =
        |len_bytes: usize| Request::get(&fid.path()).header("X-Long", &"a".repeat(len_bytes));
    gateway.send(&with_header(8 << 10)).status(200);
    let refused = blast(gateway.image(), &with_header(64 << 10).to_bytes());
    assert!(refused.is_none_or(|response| (400..500).contains(&response.status)));
}

#[test]
fn a_length_that_lies_stores_nothing_false() {
    let mut gateway = Gateway::fresh("");
    let fid = gateway.assign("");
    let put = |headers: &str, body: &str| {
        format!(
            "PUT {} HTTP/1.1\r\nHost: x\r\n{headers}\r\n{body}",
            fid.path()
        )
    };
    for (headers, body) in [
        ("Content-Length: 1000\r\n", "only this"),
        ("Content-Length: 5\r\nContent-Length: 6\r\n", "123456"),
        ("Content-Length: -1\r\n", "x"),
        ("Content-Length: 18446744073709551615\r\n", "x"),
        ("Content-Length: 99999999999999999999999\r\n", "x"),
        ("Content-Length: 9223372036854775807\r\n", "x"),
        ("Content-Length: 0x10\r\n", "0123456789abcdef"),
        ("Content-Length: 5, 5\r\n", "12345"),
        ("Content-Length: \r\n", "x"),
        ("Content-Length: 200000000\r\n", "x"),
    ] {
        let response = blast(gateway.image(), put(headers, body).as_bytes());
        // Equal lengths may be merged into one (RFC 9112 6.3): then the body is right.
        if response
            .as_ref()
            .is_some_and(|response| response.status == 201)
        {
            assert_eq!(headers, "Content-Length: 5, 5\r\n");
            gateway.delete(&fid.path()).status(202);
        }
        gateway.get(&fid.path()).status(404);
        assert_bounded(&gateway);
    }
    gateway.assert_serving();
}

#[test]
fn bytes_beyond_the_length_are_not_part_of_the_body() {
    let mut gateway = Gateway::fresh("");
    let fid = gateway.assign("");
    let wire = format!(
        "PUT {} HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n12345and more of it",
        fid.path()
    );
    let mut connection = Connection::open(gateway.image()).unwrap();
    connection.write(wire.as_bytes()).unwrap();
    connection.receive("PUT").unwrap().status(201);
    assert_eq!(gateway.get(&fid.path()).status(200).body, b"12345");
    gateway.assert_serving();
}

#[test]
fn chunked_garbage_stores_nothing() {
    let mut gateway = Gateway::fresh("");
    let fid = gateway.assign("");
    let long_extension = format!("5;{}\r\nhello\r\n0\r\n\r\n", "e".repeat(2 << 20));
    for body in [
        "zz\r\nhello\r\n0\r\n\r\n",
        "ffffffffffffffff\r\nhello",
        "fffffffffffffffffffff\r\nhello",
        "-5\r\nhello\r\n0\r\n\r\n",
        "5\r\nhelloXX0\r\n\r\n",
        "5\r\nhel",
        "5\r\nhello\r\n",
        "\r\n\r\n",
        "5",
        &long_extension,
    ] {
        let head = format!(
            "PUT {} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n",
            fid.path()
        );
        let response = blast(gateway.image(), (head + body).as_bytes());
        assert!(
            response.is_none_or(|response| response.status >= 400),
            "{:?}",
            &body[..body.len().min(40)]
        );
        gateway.get(&fid.path()).status(404);
    }
    gateway.assert_serving();
    assert_bounded(&gateway);
}

#[test]
fn a_request_with_two_framings_smuggles_nothing() {
    let mut gateway = Gateway::fresh("");
    let victim = gateway.store("image/jpeg", b"kept");
    let fid = gateway.assign("");
    let smuggled = format!(
        "0\r\n\r\nDELETE {} HTTP/1.1\r\nHost: x\r\n\r\n",
        victim.path()
    );
    for coding in [
        "chunked",
        "xchunked",
        "chunked, identity",
        " chunked",
        "chunked\r\nTransfer-Encoding: x",
    ] {
        let length = smuggled.len();
        let head = format!(
            "PUT {} HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\nTransfer-Encoding: {coding}\r\n\r\n",
            fid.path()
        );
        let mut connection = Connection::open(gateway.image()).unwrap();
        let _ = connection.write((head + &smuggled).as_bytes());
        let _ = connection.finish_writing();
        let answers = String::from_utf8_lossy(&connection.receive_rest()).into_owned();
        assert!(
            !answers.contains(" 202 "),
            "{coding}: a hidden DELETE was obeyed: {answers}"
        );
        assert_eq!(
            gateway.get(&victim.path()).status(200).body,
            b"kept",
            "{coding}"
        );
    }
    gateway.assert_serving();
}

#[test]
fn random_bytes_leave_both_ports_standing() {
    let mut gateway = Gateway::fresh("");
    let mut rng = payload::seeded("random bytes");
    for n in 0..300 {
        let mut noise = payload::bytes(rng.random(), rng.random_range(1..3000));
        if n % 3 == 0 {
            noise.splice(0..0, b"PUT /1,0112345678 HTTP/1.1\r\n".iter().copied());
        }
        let address = if n % 2 == 0 {
            gateway.image()
        } else {
            gateway.admin()
        };
        let response = blast(address, &noise);
        assert!(
            response.is_none_or(|response| response.status < 500),
            "round {n}"
        );
    }
    gateway.assert_serving();
    // A client of another protocol altogether: TLS, HTTP/2, SMTP.
    for greeting in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..],
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"EHLO x\r\n\r\n",
        b"\n",
        b"\0",
    ] {
        blast(gateway.image(), greeting);
        blast(gateway.admin(), greeting);
    }
    gateway.assert_serving();
}

const PIECES: [&str; 40] = [
    "/",
    "//",
    ",",
    "_",
    ".",
    "..",
    "%",
    "%00",
    "%2e%2e%2f",
    "%ff",
    "%2C",
    "1",
    "0",
    "-1",
    "4294967296",
    "18446744073709551616",
    "0112345678",
    "ffffffffffffffffffffffff",
    "deadbeef",
    "abc",
    "dir",
    "assign",
    "lookup",
    "vol",
    "status",
    "col",
    "submit",
    "?",
    "&",
    "=",
    "count=",
    "ttl=",
    "replication=",
    "width=",
    "height=",
    "mode=",
    "crop_x1=",
    "volumeId=",
    "é",
    "+",
];

fn random_target(rng: &mut StdRng) -> String {
    let count = rng.random_range(1..12);
    (0..count).fold(String::from("/"), |target, _| {
        target + PIECES[rng.random_range(0..PIECES.len())]
    })
}

#[test]
fn fuzzed_targets_are_answered_and_never_with_a_fault() {
    let mut gateway = Gateway::fresh("");
    let kept = gateway.store("image/jpeg", b"kept");
    let mut rng = payload::seeded("fuzzed targets");
    for _ in 0..1500 {
        let method = ["GET", "HEAD", "PUT", "POST", "DELETE", "OPTIONS"][rng.random_range(0..6)];
        let target = random_target(&mut rng);
        // A growth or an assign of its own kind each time would only fill the disk with volumes.
        if target.contains("assign") || target.contains("grow") {
            continue;
        }
        let request =
            Request::new(method, &target).body(if method == "PUT" { b"fuzz" } else { b"" });
        match http::send(gateway.image(), &request) {
            Ok(response) => assert!(
                response.status < 500,
                "{method} {target}: {}",
                response.summary()
            ),
            Err(error) => panic!("{method} {target}: {error}"),
        }
    }
    assert_eq!(gateway.get(&kept.path()).status(200).body, b"kept");
    gateway.assert_serving();
}

#[test]
fn fuzzed_parameters_are_answered_and_never_with_a_fault() {
    let mut gateway = Gateway::fresh("[haystack]\nvolumes_per_growth = 1");
    let mut rng = payload::seeded("fuzzed parameters");
    let values = [
        "",
        "0",
        "-1",
        "abc",
        "1e9",
        "NaN",
        "99999999999999999999",
        "%00",
        "%ff%fe",
        "1,2,3",
        "000",
        "3d",
        "0.5",
        "inf",
    ];
    let calls = [
        (
            "/dir/assign",
            [
                "count",
                "replication",
                "ttl",
                "dataCenter",
                "dataSize",
                "disk",
            ],
        ),
        (
            "/dir/lookup",
            ["volumeId", "fileId", "collection", "read", "pretty", "jwt"],
        ),
        (
            "/vol/vacuum",
            ["garbageThreshold", "volumeId", "collection", "x", "y", "z"],
        ),
        (
            "/vol/grow",
            ["replication", "dataCenter", "rack", "dataNode", "ttl", "x"],
        ),
        ("/col/delete", ["collection", "x", "y", "z", "v", "w"]),
        (
            "/collection/info",
            ["collection", "detail", "x", "y", "z", "w"],
        ),
    ];
    for _ in 0..400 {
        let (path, names) = calls[rng.random_range(0..calls.len())];
        let query: Vec<String> = (0..rng.random_range(0..4))
            .map(|_| {
                format!(
                    "{}={}",
                    names[rng.random_range(0..6)],
                    values[rng.random_range(0..values.len())]
                )
            })
            .collect();
        let target = format!("{path}?{}", query.join("&"));
        let response = gateway.get(&target);
        assert!(
            response.status < 500 || response.status == 503,
            "{target}: {}",
            response.summary()
        );
    }
    gateway.assert_serving();
}

#[test]
fn fuzzed_headers_of_a_read_give_the_bytes_or_a_clear_no() {
    let mut gateway = Gateway::fresh("");
    let body = payload::bytes(1, 5000);
    let fid = gateway.store("image/jpeg", &body);
    let mut rng = payload::seeded("fuzzed headers");
    let names = [
        "Range",
        "If-Range",
        "If-None-Match",
        "If-Match",
        "If-Modified-Since",
        "Accept-Encoding",
        "Origin",
        "X-Amz-Request-Id",
    ];
    let pieces = [
        "bytes=",
        "0",
        "-",
        ",",
        "9999999999999999999",
        "\"",
        "W/",
        "*",
        ";q=",
        "gzip",
        "Sun, 06 Nov 1994",
        " ",
        "=",
        "1",
        "\t",
        "ü",
    ];
    for _ in 0..600 {
        let name = names[rng.random_range(0..names.len())];
        let value: String = (0..rng.random_range(0..9))
            .map(|_| pieces[rng.random_range(0..pieces.len())])
            .collect();
        let response = gateway.send(&Request::get(&fid.path()).header(name, &value));
        match response.status {
            200 => assert!(response.body == body, "{name}: {value}"),
            206 | 304 | 400 | 412 | 416 => {}
            _ => panic!("{name}: {value}: {}", response.summary()),
        }
    }
    gateway.assert_serving();
}

#[test]
fn fuzzed_forms_are_stored_or_refused() {
    let mut gateway = Gateway::fresh("");
    let mut rng = payload::seeded("fuzzed forms");
    let parts = [
        Part::file("a.png", "image/png", b"first"),
        Part::field("x", b"y"),
        Part::file("b.png", "image/png", b"second"),
    ];
    for _ in 0..400 {
        let fid = gateway.assign("?count=3");
        let mut request = Request::post_multipart(&fid.path(), &parts);
        mutate(&mut request.body, &mut rng);
        let response = gateway.send(&request);
        assert!(
            matches!(response.status, 201 | 400),
            "{}: {:?}",
            response.summary(),
            String::from_utf8_lossy(&request.body)
        );
    }
    gateway.assert_serving();
}

fn mutate(body: &mut Vec<u8>, rng: &mut StdRng) {
    for _ in 0..rng.random_range(1..6) {
        let at = rng.random_range(0..body.len());
        match rng.random_range(0..4) {
            0 => body[at] = rng.random(),
            1 => body.truncate(at.max(1)),
            2 => drop(body.drain(at..(at + 10).min(body.len()))),
            _ => body
                .splice(at..at, b"\r\n--".iter().copied())
                .for_each(drop),
        }
        if body.is_empty() {
            body.push(b'-');
        }
    }
}

#[test]
fn huge_counts_are_bounded() {
    let mut gateway = Gateway::fresh("");
    for target in [
        "/dir/assign?count=4294967295",
        "/dir/assign?count=18446744073709551615",
        "/dir/assign?writableVolumeCount=1000000000",
        "/dir/assign?dataSize=18446744073709551615",
        "/vol/grow?count=18446744073709551615",
        "/vol/grow?count=1000000",
        "/submit?count=1000000000",
    ] {
        let response = gateway.get(target);
        assert!(
            response.status < 500 || matches!(response.status, 503 | 507),
            "{target}: {}",
            response.summary()
        );
        assert_bounded(&gateway);
    }
    assert!(
        gateway.volumes().len() < 100,
        "{} volumes were made",
        gateway.volumes().len()
    );
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
