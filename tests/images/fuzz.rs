//! Random bytes, targets, parameters, headers and forms: answered, and never with a fault.

use crate::hostile_connections::assert_bounded;
use crate::hostile_framing::blast;

use moongate_tests::http::{self, Part, Request};
use moongate_tests::{Gateway, payload};
use rand::Rng;
use rand::rngs::StdRng;

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
        let response = http::send(gateway.image(), &request)
            .unwrap_or_else(|error| panic!("{method} {target}: {error}"));
        // A guess may hit a key that exists: that its cookie is wrong is a 500 by contract.
        let is_wrong_cookie = response.text().contains("mismatching cookie");
        assert!(
            response.status < 500 || is_wrong_cookie,
            "{method} {target}: {}",
            response.summary()
        );
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
