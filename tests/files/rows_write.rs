//! Files written and read: each row of SeaweedFS's filer API that is about content, and what Moongate does otherwise.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use md5::{Digest as _, Md5};
use moongate_tests::http::{Part, Request};
use moongate_tests::{Gateway, payload};

fn md5_hex(data: &[u8]) -> String {
    payload::hex(&Md5::digest(data))
}

#[test]
fn put_stores_a_file_and_says_what_it_stored() {
    let gateway = Gateway::fresh("");
    let files = gateway.files();
    let body = payload::bytes(1, 5120);
    let put = files.send(&Request::put("/p/q/a.jpg", "image/jpeg", &body));
    let put = put.status(201);
    let said = put.json();
    assert_eq!(said["name"], "a.jpg");
    assert_eq!(said["size"], 5120);
    assert_eq!(said["eTag"], md5_hex(&body));
    assert_eq!(said["crc32c"], format!("{:08x}", crc32c::crc32c(&body)));
    assert_eq!(
        put.expect_header("Content-Md5"),
        BASE64.encode(Md5::digest(&body))
    );
    let got = files.get("/p/q/a.jpg").status(200);
    assert_eq!(got.body, body);
    for (name, value) in [
        ("Content-Type", "image/jpeg"),
        ("Content-Length", "5120"),
        ("Accept-Ranges", "bytes"),
        ("Content-Disposition", "inline; filename=a.jpg"),
        ("Access-Control-Expose-Headers", "Content-Disposition"),
        ("Etag", &format!("\"{}\"", md5_hex(&body))),
        (
            "X-Moongate-Crc32c",
            &format!("{:08x}", crc32c::crc32c(&body)),
        ),
    ] {
        assert_eq!(got.expect_header(name), value, "{name}");
    }
    assert!(httpdate::parse_http_date(got.expect_header("Last-Modified")).is_ok());
    // Again: always 201, the new bytes.
    files.put("/p/q/a.jpg", b"other");
    files.assert_has("/p/q/a.jpg", b"other");
}

#[test]
fn an_empty_file_keeps_name_type_and_time() {
    let gateway = Gateway::fresh("");
    let files = gateway.files();
    let put = files.send(&Request::put("/e.png", "image/png", b""));
    assert_eq!(put.status(201).json().get("size"), None);
    let got = files.get("/e.png").status(200).empty();
    assert_eq!(got.expect_header("Content-Type"), "image/png");
    assert_eq!(got.expect_header("Content-Length"), "0");
    assert!(got.header("Last-Modified").is_some());
    assert_eq!(files.metadata("/e.png")["FileSize"], 0);
}

#[test]
fn head_has_the_headers_of_get_and_no_body() {
    let gateway = Gateway::fresh("[file]\nchunk_bytes = '1 MiB'");
    let files = gateway.files();
    for (path, len) in [("/s", 10), ("/l", 3 << 20), ("/e", 0)] {
        files.put(path, &payload::bytes(3, len));
        let get = files.get(path).status(200);
        let mut connection = files.connect();
        for _ in 0..2 {
            // Twice on one connection: a body would be taken for the next answer.
            let head = connection.send(&Request::new("HEAD", path)).unwrap();
            assert_eq!(head.status, 200);
            assert_eq!(head.expect_header("Content-Length"), len.to_string());
            for name in ["Etag", "Last-Modified", "Content-Type", "Accept-Ranges"] {
                assert_eq!(head.header(name), get.header(name), "{path} {name}");
            }
        }
    }
    let mut connection = files.connect();
    for target in ["/missing", "/", "/?metadata=true", "/?archive=tar", "/s"] {
        let head = connection.send(&Request::new("HEAD", target)).unwrap();
        let status = if target == "/missing" { 404 } else { 200 };
        assert_eq!(head.status, status, "{target}");
    }
}

#[test]
fn what_is_missing_is_404_without_a_body() {
    let gateway = Gateway::fresh("");
    for target in [
        "/no",
        "/no/",
        "/no/no",
        "/no?metadata=true",
        "/no/?archive=tar",
    ] {
        gateway.files().get(target).status(404).empty();
    }
    gateway.files().delete("/no").status(404);
}

#[test]
fn every_file_of_a_form_is_stored() {
    let gateway = Gateway::fresh("");
    let files = gateway.files();
    let parts = [
        Part::file("a.jpg", "image/jpeg", b"first"),
        Part::file("b.txt", "text/plain", b"second"),
        Part::field("note", b"no file"),
    ];
    let said = files.send(&Request::post_multipart("/d/", &parts));
    let said = said.status(201).json();
    assert_eq!(said["name"], "a.jpg");
    assert_eq!(said["files"].as_array().unwrap().len(), 2);
    files.assert_has("/d/a.jpg", b"first");
    files.assert_has("/d/b.txt", b"second");
    assert_eq!(
        files.get("/d/a.jpg").expect_header("Content-Type"),
        "image/jpeg"
    );
    // One file to a path: stored as that path, whatever the part is called; in a folder under the part's name.
    let one = [Part::file("x.png", "image/png", b"third")];
    files
        .send(&Request::post_multipart("/d/c.png", &one))
        .status(201);
    files.assert_has("/d/c.png", b"third");
    files.send(&Request::post_multipart("/d", &one)).status(201);
    files.assert_has("/d/x.png", b"third");
    assert_eq!(
        files.names("/d/"),
        ["a.jpg", "b.txt", "c.png", "x.png"],
        "nothing else"
    );
}

#[test]
fn a_name_in_a_form_cannot_leave_the_folder() {
    let gateway = Gateway::fresh("");
    let files = gateway.files();
    for name in ["../../out", "..\\out", "/etc/out"] {
        let parts = [Part::file(name, "", b"x")];
        files
            .send(&Request::post_multipart("/d/", &parts))
            .status(201);
        files.assert_has("/d/out", b"x");
    }
    for name in ["..", ".", &"n".repeat(256)] {
        let parts = [Part::file(name, "", b"x")];
        let refused = files.send(&Request::post_multipart("/d/", &parts));
        assert!(matches!(refused.status, 400 | 414), "{}", refused.summary());
    }
    assert_eq!(files.names("/d/"), ["out"]);
    assert_eq!(files.names("/"), ["d"]);
}

#[test]
fn a_wrong_content_md5_stores_nothing() {
    let gateway = Gateway::fresh("");
    let files = gateway.files();
    files.put("/a", b"before");
    for sum in [BASE64.encode(Md5::digest(b"other")), "junk".into()] {
        let put = Request::put("/a", "", b"after").header("Content-MD5", &sum);
        let error = files.send(&put).status(400).error();
        assert!(error.contains("Content-Md5"), "{error}");
    }
    files.assert_has("/a", b"before");
    let sum = BASE64.encode(Md5::digest(b"after"));
    let put = Request::put("/a", "", b"after").header("Content-MD5", &sum);
    files.send(&put).status(201);
    files.assert_has("/a", b"after");
}

#[test]
fn headers_to_keep_come_back() {
    let gateway = Gateway::fresh("");
    let files = gateway.files();
    let kept = [
        ("Seaweed-Label", "cat"),
        ("Cache-Control", "max-age=60"),
        ("Expires", "Thu, 01 Dec 2033 16:00:00 GMT"),
        ("Content-Disposition", "attachment; filename=other.txt"),
    ];
    let mut put = Request::put("/h.txt", "text/plain", b"text");
    for (name, value) in kept {
        put = put.header(name, value);
    }
    files.send(&put.header("X-Other", "no")).status(201);
    let got = files.get("/h.txt").status(200);
    for (name, value) in kept {
        assert_eq!(got.expect_header(name), value);
    }
    assert_eq!(got.header("X-Other"), None);
    let got = files.get("/h.txt?response-cache-control=no-store&response-content-type=a/b");
    assert_eq!(got.expect_header("Cache-Control"), "no-store");
    assert_eq!(got.expect_header("Content-Type"), "a/b");
    files.put("/n.jpg", b"x");
    assert_eq!(
        files
            .get("/n.jpg?dl=true")
            .expect_header("Content-Disposition"),
        "attachment; filename=n.jpg"
    );
}

#[test]
fn a_folder_takes_what_is_put_on_it_inside() {
    let gateway = Gateway::fresh("");
    let files = gateway.files();
    files.post("/d/").status(201);
    files.put("/d", b"in");
    files.assert_has("/d/d", b"in");
    files.put("/f/", b"in");
    files.assert_has("/f/f", b"in");
    assert_eq!(files.send(&Request::put("/", "", b"x")).status, 400);
}

#[test]
fn a_file_never_turns_into_a_folder() {
    let gateway = Gateway::fresh("");
    let files = gateway.files();
    files.put("/file1", b"precious");
    for target in ["/file1/sub.txt", "/file1/a/b/c.txt"] {
        files.send(&Request::put(target, "", b"x")).status(409);
        files.post(&format!("{target}/")).status(409);
    }
    files.post("/file1/").status(409);
    files.put("/other", b"o");
    files.post("/file1/x?mv.from=/other").status(409);
    files.post("/file1/x?cp.from=/other").status(409);
    files.assert_has("/file1", b"precious");
    files.assert_has("/other", b"o");
    // Read as a folder it is a mistake that is told, not its bytes.
    assert_eq!(files.get("/file1/").status, 409);
}

#[test]
fn appends_add_at_the_end() {
    let gateway = Gateway::fresh("");
    let files = gateway.files();
    let mut want = Vec::new();
    for n in 0..6u64 {
        let more = payload::bytes(n, 1000 + 77 * n as usize);
        want.extend_from_slice(&more);
        let said = if n % 2 == 0 {
            files.send(&Request::put("/log?op=append", "", &more))
        } else {
            let parts = [Part::file("log", "", &more)];
            files.send(&Request::post_multipart("/log?op=append", &parts))
        };
        assert_eq!(said.status(201).json()["size"], want.len());
        files.assert_has("/log", &want);
    }
    let crc = format!("{:08x}", crc32c::crc32c(&want));
    let got = files.get("/log");
    assert_eq!(got.expect_header("X-Moongate-Crc32c"), crc);
    // To a file that is in its row too.
    let inside = [Part::file("in", "", b"inside")];
    files
        .send(&Request::post_multipart("/in?saveInside=true", &inside))
        .status(201);
    assert_eq!(
        files.metadata("/in")["Content"],
        BASE64.encode(b"inside"),
        "kept in the row"
    );
    files.put("/in?op=append", b" and out");
    files.assert_has("/in", b"inside and out");
    assert_eq!(
        files
            .send(&Request::put("/log?op=prepend", "", b"x"))
            .status,
        400
    );
}

#[test]
fn appends_side_by_side_lose_nothing() {
    let gateway = Gateway::fresh("");
    let files = gateway.files();
    std::thread::scope(|scope| {
        for writer in 0..4u8 {
            scope.spawn(move || {
                for _ in 0..10 {
                    files.put("/log?op=append", &[b'a' + writer; 100]);
                }
            });
        }
    });
    let got = files.get("/log").status(200).body;
    assert_eq!(got.len(), 4000);
    for writer in 0..4u8 {
        let count = got.iter().filter(|byte| **byte == b'a' + writer).count();
        assert_eq!(count, 1000);
    }
    assert!(
        got.chunks(100)
            .all(|piece| piece.iter().all(|b| *b == piece[0]))
    );
}

#[test]
fn bytes_in_place_and_holes() {
    let gateway = Gateway::fresh("");
    let files = gateway.files();
    files.put("/f", b"0123456789");
    files.put("/f?offset=3", b"abc");
    files.assert_has("/f", b"012abc6789");
    files.put("/f?offset=8", b"WXYZ");
    files.assert_has("/f", b"012abc67WXYZ");
    files.put("/f?offset=2000000", b"end");
    let mut want = b"012abc67WXYZ".to_vec();
    want.resize(2_000_000, 0);
    want.extend_from_slice(b"end");
    files.assert_has("/f", &want);
    let part = files.send(&Request::get("/f").header("Range", "bytes=8-20"));
    assert_eq!(part.status(206).body, want[8..21]);
    // A new file that begins with a hole.
    files.put("/g?offset=5", b"x");
    files.assert_has("/g", b"\0\0\0\0\0x");
    for offset in ["-1", "x", "18446744073709551615", "9223372036854775807"] {
        let refused = files.send(&Request::put(&format!("/g?offset={offset}"), "", b"y"));
        assert_eq!(refused.status, 400, "{}", refused.summary());
    }
    files.assert_has("/g", b"\0\0\0\0\0x");
}

/// Random writes in place and appends against a plain buffer: chunks cover each other in all ways.
#[test]
fn random_writes_in_place_are_as_on_a_disk() {
    use rand::Rng;
    let mut rng = payload::seeded("writes in place");
    let gateway = Gateway::fresh("");
    let files = gateway.files();
    let mut want: Vec<u8> = Vec::new();
    for round in 0..60u64 {
        let data = payload::bytes(round, rng.random_range(1..3000));
        let at = rng.random_range(0..=want.len() + 500);
        files.put(&format!("/f?offset={at}"), &data);
        want.resize(want.len().max(at + data.len()), 0);
        want[at..at + data.len()].copy_from_slice(&data);
        files.assert_has("/f", &want);
        let from = rng.random_range(0..want.len());
        let to = rng.random_range(from..want.len());
        let range = format!("bytes={from}-{to}");
        let part = files.send(&Request::get("/f").header("Range", &range));
        assert!(
            part.status(206).body == want[from..=to],
            "round {round} {range}"
        );
    }
}

#[test]
fn a_life_has_an_end() {
    let gateway = Gateway::fresh("");
    let files = gateway.files();
    let put = |target: &str| files.send(&Request::put(target, "", b"x"));
    put("/t?ttl=3d").status(201);
    assert_eq!(files.metadata("/t")["TtlSec"], 3 * 24 * 3600);
    files.assert_has("/t", b"x");
    assert!(matches!(put("/t?ttl=abc").status, 400 | 406));
    files.put("/mode?mode=0644", b"x");
    assert_eq!(files.metadata("/mode")["Mode"], 0o644);
    files.put("/default", b"x");
    assert_eq!(files.metadata("/default")["Mode"], 0o660);
    for mode in ["9", "x", "77777"] {
        assert_eq!(put(&format!("/mode?mode={mode}")).status, 400);
    }
}

#[test]
fn max_mb_makes_shorter_chunks() {
    let gateway = Gateway::fresh("");
    let files = gateway.files();
    let body = payload::bytes(5, (2 << 20) + 100);
    files.put("/c?maxMB=1", &body);
    let chunks = files.metadata("/c")["chunks"].as_array().unwrap().clone();
    let sizes: Vec<u64> = chunks
        .iter()
        .map(|chunk| chunk["size"].as_u64().unwrap())
        .collect();
    assert_eq!(sizes, [1 << 20, 1 << 20, 100]);
    files.assert_has("/c", &body);
    // A chunk is a needle like any other.
    let fid = chunks[2]["file_id"].as_str().unwrap();
    let needle = gateway.get(&format!("/{fid}")).status(200);
    assert_eq!(needle.body, body[2 << 20..]);
    let tag = files.get("/c").expect_header("Etag").to_owned();
    assert_eq!(tag, files.head("/c").expect_header("Etag"));
    for wrong in ["0", "x", "-1", "99999999"] {
        let put = files.send(&Request::put(&format!("/d?maxMB={wrong}"), "", b"x"));
        assert_eq!(put.status, 400, "{wrong}");
    }
}

#[test]
fn other_methods_are_refused_and_options_answers() {
    let gateway = Gateway::fresh("");
    let files = gateway.files();
    for method in ["PATCH", "PROPFIND", "TRACE"] {
        files.send(&Request::new(method, "/a")).status(405).empty();
    }
    let options = files.send(&Request::new("OPTIONS", "/a")).status(200);
    assert!(options.header("Access-Control-Allow-Methods").is_some());
    files.get("/healthz").status(200);
    files.get("/readyz").status(200);
    let echoed = files.send(&Request::get("/healthz").header("X-Amz-Request-Id", "abc123"));
    assert_eq!(echoed.expect_header("X-Amz-Request-Id"), "abc123");
}
