//! Ranges as RFC 9110 section 14 has them.

use crate::rfc9110_conditions::{LONG_AGO, stored};
use moongate_tests::http::Request;
use moongate_tests::{Gateway, payload};

#[test]
fn a_single_range_is_206_with_its_content_range() {
    let stored = stored(5120);
    for (range, content_range, from, to) in [
        ("bytes=0-9", "bytes 0-9/5120", 0, 10),
        ("bytes=-10", "bytes 5110-5119/5120", 5110, 5120),
        ("bytes=5000-", "bytes 5000-5119/5120", 5000, 5120),
        ("bytes=5000-999999", "bytes 5000-5119/5120", 5000, 5120),
        ("bytes=-999999", "bytes 0-5119/5120", 0, 5120),
        ("bytes=5119-5119", "bytes 5119-5119/5120", 5119, 5120),
        ("bytes=0-", "bytes 0-5119/5120", 0, 5120),
    ] {
        let response = stored.with(&[("Range", range)]).status(206);
        assert_eq!(
            response.expect_header("Content-Range"),
            content_range,
            "{range}"
        );
        assert_eq!(
            response.expect_header("Content-Length"),
            (to - from).to_string(),
            "{range}"
        );
        assert_eq!(response.expect_header("Etag"), stored.etag, "{range}");
        assert_eq!(response.body, stored.body[from..to], "{range}");
    }
}

#[test]
fn a_range_beyond_the_end_is_416_and_tells_the_length() {
    let stored = stored(5120);
    for range in [
        "bytes=5120-",
        "bytes=9999-10000",
        "bytes=-0",
        "bytes=6000-,7000-8000",
    ] {
        let response = stored.with(&[("Range", range)]).status(416);
        assert_eq!(
            response.expect_header("Content-Range"),
            "bytes */5120",
            "{range}"
        );
    }
}

#[test]
fn a_range_of_an_unknown_unit_is_ignored() {
    let stored = stored(5120);
    for range in ["items=0-5", "lines=1-2"] {
        assert_eq!(
            stored.with(&[("Range", range)]).status(200).body,
            stored.body,
            "{range}"
        );
    }
}

#[test]
fn a_malformed_range_never_gives_wrong_bytes() {
    let stored = stored(5120);
    for range in [
        "bytes=",
        "bytes=9-2",
        "bytes=a-b",
        "bytes=--5",
        "bytes=1-2-3",
        "bytes",
        "bytes=5",
        "bytes=99999999999999999999-",
    ] {
        let response = stored.with(&[("Range", range)]);
        match response.status {
            200 => assert_eq!(response.body, stored.body, "{range}"),
            _ => drop(response.status(416)),
        }
    }
}

#[test]
fn several_ranges_come_as_multipart_byteranges() {
    let stored = stored(5120);
    let response = stored
        .with(&[("Range", "bytes=0-9,100-109,-5")])
        .status(206);
    let kind = response.expect_header("Content-Type").to_owned();
    let boundary = kind
        .strip_prefix("multipart/byteranges; boundary=")
        .unwrap_or_else(|| panic!("{kind}"));
    let parts = byteranges(&response.body, boundary.trim_matches('"'));
    let expected = [
        ("bytes 0-9/5120", 0..10),
        ("bytes 100-109/5120", 100..110),
        ("bytes 5115-5119/5120", 5115..5120),
    ];
    assert_eq!(parts.len(), expected.len(), "{}", response.summary());
    for ((head, body), (content_range, range)) in parts.iter().zip(expected) {
        assert!(
            head.to_lowercase()
                .contains(&format!("content-range: {content_range}")),
            "{head}"
        );
        assert!(
            head.to_lowercase().contains("content-type: image/jpeg"),
            "{head}"
        );
        assert_eq!(*body, stored.body[range]);
    }
    assert_eq!(
        response.expect_header("Content-Length"),
        response.body.len().to_string()
    );
}

fn byteranges(body: &[u8], boundary: &str) -> Vec<(String, Vec<u8>)> {
    let mark = format!("--{boundary}").into_bytes();
    let mut starts: Vec<usize> = Vec::new();
    for at in 0..body.len().saturating_sub(mark.len() - 1) {
        if body[at..].starts_with(&mark) {
            starts.push(at);
        }
    }
    let part = |window: &[usize]| {
        let part = &body[window[0] + mark.len() + 2..window[1] - 2];
        let split = part
            .windows(4)
            .position(|bytes| bytes == b"\r\n\r\n")
            .unwrap();
        (
            String::from_utf8_lossy(&part[..split]).into_owned(),
            part[split + 4..].to_vec(),
        )
    };
    starts.windows(2).map(part).collect()
}

#[test]
fn overlapping_ranges_give_the_bytes_and_never_an_empty_200() {
    let stored = stored(5120);
    for range in [
        "bytes=0-,0-",
        "bytes=0-5000,100-5100",
        "bytes=-5120,-5120,-5120",
    ] {
        let response = stored.with(&[("Range", range)]);
        match response.status {
            // RFC 9110 14.2: a server may ignore, coalesce or serve overlapping ranges.
            200 => assert_eq!(response.body, stored.body, "{range}"),
            206 => assert!(!response.body.is_empty(), "{range}"),
            416 => assert_eq!(response.expect_header("Content-Range"), "bytes */5120"),
            _ => panic!("{range}: {}", response.summary()),
        }
    }
}

#[test]
fn hundreds_of_ranges_cost_no_more_than_the_whole() {
    let stored = stored(100_000);
    let mut range = String::from("bytes=0-");
    (0..900).for_each(|_| range.push_str(",0-"));
    let response = stored.with(&[("Range", &range)]);
    assert!(
        response.body.len() < 300_000,
        "{} bytes for {} stored",
        response.body.len(),
        stored.body.len()
    );
    assert!(response.status < 500, "{}", response.summary());
}

#[test]
fn a_range_holds_only_if_if_range_names_what_is_there() {
    let stored = stored(5120);
    let range = ("Range", "bytes=0-9");
    for value in [stored.etag.clone(), stored.last_modified.clone()] {
        let response = stored.with(&[range, ("If-Range", &value)]);
        // A date is a strong validator only when it is old enough (RFC 9110 8.8.2.2): both answers are right for it.
        let acceptable = if value == stored.etag {
            vec![206]
        } else {
            vec![200, 206]
        };
        assert!(
            acceptable.contains(&response.status),
            "If-Range {value}: {}",
            response.summary()
        );
    }
    for value in [
        "\"other\"".to_owned(),
        format!("W/{}", stored.etag),
        LONG_AGO.to_owned(),
    ] {
        let response = stored.with(&[range, ("If-Range", &value)]).status(200);
        assert_eq!(response.body, stored.body, "If-Range {value}");
    }
}

#[test]
fn a_condition_is_judged_before_the_range() {
    let stored = stored(5120);
    stored
        .with(&[("Range", "bytes=0-9"), ("If-None-Match", &stored.etag)])
        .status(304);
    stored
        .with(&[("Range", "bytes=0-9"), ("If-Match", "\"other\"")])
        .status(412);
    stored
        .with(&[("Range", "bytes=0-9"), ("If-Match", &stored.etag)])
        .status(206);
    stored
        .with(&[("Range", "bytes=9999-"), ("If-None-Match", &stored.etag)])
        .status(304);
}

#[test]
fn head_ignores_a_range() {
    let stored = stored(5120);
    let response = stored.send("HEAD", &[("Range", "bytes=0-9")]).status(200);
    assert_eq!(response.expect_header("Content-Length"), "5120");
}

#[test]
fn an_empty_object_has_no_satisfiable_range() {
    let gateway = Gateway::fresh("");
    let fid = gateway.store("image/jpeg", b"");
    let response = gateway.send(&Request::get(&fid.path()).header("Range", "bytes=0-9"));
    assert!(
        matches!(response.status, 200 | 416),
        "{}",
        response.summary()
    );
    gateway.get(&fid.path()).status(200);
}

#[test]
fn a_range_of_compressed_text_is_a_range_of_what_is_sent() {
    let gateway = Gateway::fresh("");
    let text = payload::text(4000);
    let path = gateway.store("text/plain", &text).path();
    for accepted in ["gzip", "identity"] {
        let ask = |range: Option<&str>| {
            let request = Request::get(&path).header("Accept-Encoding", accepted);
            gateway.send(&range.map_or(request.clone(), |range| {
                request.clone().header("Range", range)
            }))
        };
        let whole = ask(None).status(200).body;
        let part = ask(Some("bytes=10-29")).status(206);
        assert_eq!(part.body, whole[10..30], "{accepted}");
        assert_eq!(
            part.expect_header("Content-Range"),
            format!("bytes 10-29/{}", whole.len()),
            "{accepted}"
        );
    }
}
