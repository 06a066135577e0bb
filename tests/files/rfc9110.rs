//! Conditions and ranges of RFC 9110 on files: of one needle, of several, with holes, and in the row.

use moongate_tests::files::Files;
use moongate_tests::http::{Part, Request};
use moongate_tests::{Gateway, payload};

/// Files of each kind, with their bytes.
fn kinds(files: Files<'_>) -> Vec<(&'static str, Vec<u8>)> {
    let whole = payload::bytes(1, 5000);
    files.put("/one", &whole);
    let long = payload::bytes(2, (2 << 20) + 5);
    files.put("/several?maxMB=1", &long);
    let inside = [Part::file("in", "", b"kept in the row")];
    files
        .send(&Request::post_multipart("/inside?saveInside=true", &inside))
        .status(201);
    files.put("/holes?offset=100", b"head");
    files.put("/holes?offset=4000", b"tail");
    let mut holes = vec![0; 4004];
    holes[100..104].copy_from_slice(b"head");
    holes[4000..].copy_from_slice(b"tail");
    vec![
        ("/one", whole),
        ("/several", long),
        ("/inside", b"kept in the row".to_vec()),
        ("/holes", holes),
    ]
}

fn with(path: &str, headers: &[(&str, &str)]) -> Request {
    let add = |request: Request, (name, value): &(&str, &str)| request.header(name, value);
    headers.iter().fold(Request::get(path), add)
}

#[test]
fn one_range_gives_that_part() {
    let gateway = Gateway::fresh("");
    let files = gateway.files();
    for (path, body) in kinds(files) {
        let len = body.len();
        for (range, from, to) in [
            ("bytes=0-0".to_owned(), 0, 1),
            ("bytes=3-9".to_owned(), 3, 10),
            ("bytes=-4".to_owned(), len - 4, len),
            ("bytes=5-".to_owned(), 5, len),
            (format!("bytes=2-{}", len + 100), 2, len),
            (format!("bytes={}-", len - 1), len - 1, len),
            (format!("bytes=-{}", len * 2), 0, len),
            // Over the edge of a chunk, where there is one.
            (
                format!("bytes={}-{}", len / 2 - 3, len / 2 + 3),
                len / 2 - 3,
                len / 2 + 4,
            ),
        ] {
            let got = files.send(&with(path, &[("Range", &range)])).status(206);
            assert!(got.body == body[from..to], "{path} {range}");
            assert_eq!(
                got.expect_header("Content-Range"),
                format!("bytes {from}-{}/{len}", to - 1)
            );
            assert_eq!(got.expect_header("Content-Length"), (to - from).to_string());
        }
        for range in [format!("bytes={len}-"), "bytes=-0".to_owned()] {
            let got = files.send(&with(path, &[("Range", &range)])).status(416);
            assert_eq!(got.expect_header("Content-Range"), format!("bytes */{len}"));
        }
        // What is no range of bytes is as if it were not there.
        for range in ["items=0-1", "bytes", "bytes=9-3", "bytes=x-y"] {
            let got = files.send(&with(path, &[("Range", range)])).status(200);
            assert!(got.body == body, "{path} {range}");
        }
    }
}

#[test]
fn several_ranges_give_all_of_them_or_the_whole() {
    let gateway = Gateway::fresh("");
    let files = gateway.files();
    for (path, body) in kinds(files) {
        let got = files.send(&with(path, &[("Range", "bytes=0-1,5-6,-2")]));
        if got.status == 200 {
            assert!(got.body == body, "{path}");
            continue;
        }
        assert_eq!(got.status, 206, "{path}");
        let kind = got.expect_header("Content-Type");
        assert!(
            kind.starts_with("multipart/byteranges; boundary="),
            "{kind}"
        );
        let len = body.len();
        for (from, to) in [(0, 2), (5, 7), (len - 2, len)] {
            let mut part = format!("bytes {from}-{}/{len}\r\n\r\n", to - 1).into_bytes();
            part.extend_from_slice(&body[from..to]);
            let found = got.body.windows(part.len()).any(|window| window == part);
            assert!(found, "{path} {from}");
        }
    }
}

#[test]
fn an_empty_file_has_no_range() {
    let gateway = Gateway::fresh("");
    let files = gateway.files();
    files.put("/e", b"");
    let got = files.send(&with("/e", &[("Range", "bytes=0-")]));
    assert_eq!(got.status, 416);
    assert_eq!(got.expect_header("Content-Range"), "bytes */0");
}

#[test]
fn conditions_of_reads() {
    let gateway = Gateway::fresh("");
    let files = gateway.files();
    for (path, _) in kinds(files) {
        let first = files.get(path).status(200);
        let tag = first.expect_header("Etag").to_owned();
        let date = first.expect_header("Last-Modified").to_owned();
        let list = format!("\"x\", {tag}");
        let weak = format!("W/{tag}");
        let old = "Mon, 01 Jan 2001 00:00:00 GMT";
        for (headers, status) in [
            (vec![("If-None-Match", tag.as_str())], 304),
            (vec![("If-None-Match", &list)], 304),
            (vec![("If-None-Match", &weak)], 304),
            (vec![("If-None-Match", "*")], 304),
            (vec![("If-None-Match", "\"other\"")], 200),
            // The very date that was sent: SeaweedFS compares nanoseconds with it and never says 304.
            (vec![("If-Modified-Since", &date)], 304),
            (vec![("If-Modified-Since", old)], 200),
            (vec![("If-Modified-Since", "junk")], 200),
            (
                vec![("If-None-Match", "\"other\""), ("If-Modified-Since", &date)],
                200,
            ),
            (vec![("If-Match", &tag)], 200),
            (vec![("If-Match", "*")], 200),
            (vec![("If-Match", "\"other\"")], 412),
            (vec![("If-Match", &weak)], 412),
            (vec![("If-Unmodified-Since", &date)], 200),
            (vec![("If-Unmodified-Since", old)], 412),
            (vec![("Range", "bytes=1-2"), ("If-Range", &tag)], 206),
            (vec![("Range", "bytes=1-2"), ("If-Range", "\"other\"")], 200),
            (vec![("Range", "bytes=1-2"), ("If-None-Match", &tag)], 304),
        ] {
            let got = files.send(&with(path, &headers));
            assert_eq!(got.status, status, "{path} {headers:?}");
            if status == 304 {
                assert_eq!(got.expect_header("Etag"), tag);
                assert!(got.body.is_empty());
            }
        }
    }
}

#[test]
fn equal_tags_mean_equal_bytes() {
    let gateway = Gateway::fresh("");
    let files = gateway.files();
    let mut seen = std::collections::BTreeMap::new();
    let mut look = |what: &str| {
        let got = files.get("/f").status(200);
        let tag = got.expect_header("Etag").to_owned();
        if let Some(before) = seen.insert(tag.clone(), got.body.clone()) {
            assert!(before == got.body, "{what}: {tag}");
        }
    };
    files.put("/f", &payload::bytes(1, 3000));
    look("whole");
    files.put("/f?op=append", b"more");
    look("appended");
    files.put("/f?offset=10", b"place");
    look("in place");
    files.put("/f?offset=10", b"PLACE");
    look("in place again");
    files.put("/f?offset=9000", b"PLACE");
    look("with a hole");
    files.put("/f?offset=9001", b"PLACE");
    look("one further");
    files.put("/f", &payload::bytes(2, 3000));
    look("another");
}

#[test]
fn conditions_of_writes() {
    let gateway = Gateway::fresh("");
    let files = gateway.files();
    let put = |headers: &[(&str, &str)]| {
        let request = Request::put("/f", "", b"new");
        let request = headers.iter().fold(request, |request, (name, value)| {
            request.header(name, value)
        });
        files.send(&request).status
    };
    assert_eq!(put(&[("If-Match", "*")]), 412);
    files.get("/f").status(404);
    assert_eq!(put(&[("If-None-Match", "*")]), 201);
    assert_eq!(put(&[("If-None-Match", "*")]), 412);
    let tag = files.get("/f").expect_header("Etag").to_owned();
    assert_eq!(put(&[("If-Match", "\"other\"")]), 412);
    assert_eq!(put(&[("If-Match", &tag)]), 201);
    assert_eq!(
        put(&[("If-Unmodified-Since", "Mon, 01 Jan 2001 00:00:00 GMT")]),
        412
    );
}

#[test]
fn of_many_writers_that_want_to_be_first_one_is() {
    let gateway = Gateway::fresh("");
    let files = gateway.files();
    for round in 0..5 {
        let path = format!("/first-{round}");
        let path = &path;
        let won: usize = std::thread::scope(|scope| {
            let writers: Vec<_> = (0..8u8)
                .map(|n| {
                    scope.spawn(move || {
                        let put = Request::put(path, "", &[n; 100]).header("If-None-Match", "*");
                        let status = files.send(&put).status;
                        assert!(matches!(status, 201 | 412), "{status}");
                        usize::from(status == 201)
                    })
                })
                .collect();
            writers.into_iter().map(|one| one.join().unwrap()).sum()
        });
        assert_eq!(won, 1);
    }
}
