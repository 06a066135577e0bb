use http_body_util::BodyExt;
use proptest::prelude::*;

use super::RangeOutcome::{Full, Partial, Unsatisfiable};
use super::*;
use crate::http::multipart;

fn partial(ranges: &[(u64, u64)]) -> RangeOutcome {
    Partial(
        ranges
            .iter()
            .map(|&(start, len)| ByteRange { start, len })
            .collect(),
    )
}

#[test]
fn one_range() {
    let cases = [
        ("bytes=0-9", (0, 10)),
        ("bytes=-10", (90, 10)),
        ("bytes=-1000", (0, 100)),
        ("bytes=50-", (50, 50)),
        ("bytes=90-500", (90, 10)),
        ("bytes=99-99", (99, 1)),
        ("Bytes= 0-0 ", (0, 1)),
        ("bytes=0-99999999999999999999999", (0, 100)),
        ("bytes=,, 5-6 ,", (5, 2)),
        ("bytes=-18446744073709551615", (0, 100)),
    ];
    for (value, range) in cases {
        assert_eq!(parse(value, 100), partial(&[range]), "{value}");
    }
}

#[test]
fn what_is_not_understood_is_ignored() {
    let cases = [
        "items=0-9",
        "bytes",
        "bytes=",
        "bytes=,",
        "bytes=-",
        "bytes=9-0",
        "bytes=a-b",
        "bytes=0-9;",
        "bytes=+1-2",
        "bytes=1 -2",
        "bytes=0x1-2",
        "bytes=0-1,junk",
        "0-9",
        "",
        "bytes=1-2-3",
        "bytes=--5",
        "bytes=٣-٤",
    ];
    for value in cases {
        assert_eq!(parse(value, 100), Full, "{value}");
    }
}

#[test]
fn what_is_not_there_is_unsatisfiable() {
    for value in [
        "bytes=100-",
        "bytes=100-200",
        "bytes=-0",
        "bytes=99999999999999999999999-",
    ] {
        assert_eq!(parse(value, 100), Unsatisfiable, "{value}");
    }
    assert_eq!(parse("bytes=0-", 0), Unsatisfiable);
    assert_eq!(parse("bytes=-0", 0), Unsatisfiable);
    assert_eq!(parse("bytes=-5", 0), Full);
}

#[test]
fn the_satisfiable_ones_of_several_are_sent() {
    assert_eq!(parse("bytes=500-,0-0,-0", 100), partial(&[(0, 1)]));
}

#[test]
fn ranges_apart_keep_their_order() {
    assert_eq!(parse("bytes=50-59,0-9", 100), partial(&[(50, 10), (0, 10)]));
}

#[test]
fn ranges_that_touch_are_joined() {
    assert_eq!(parse("bytes=0-,0-", 100), partial(&[(0, 100)]));
    assert_eq!(parse("bytes=10-19,0-9", 100), partial(&[(0, 20)]));
    assert_eq!(
        parse("bytes=0-50,10-20,90-", 100),
        partial(&[(0, 51), (90, 10)])
    );
}

#[test]
fn too_many_ranges_are_ignored() {
    let ranges = |count: usize| {
        let specs: Vec<String> = (0..count).map(|at| format!("{0}-{0}", 2 * at)).collect();
        parse(&format!("bytes={}", specs.join(",")), 1_000)
    };
    assert!(matches!(ranges(RANGES_MAX), Partial(all) if all.len() == RANGES_MAX));
    assert_eq!(ranges(RANGES_MAX + 1), Full);
    assert_eq!(ranges(100 * RANGES_MAX), Full);
}

const PNG: HeaderValue = HeaderValue::from_static("image/png");
const TEXT: &str = "0123456789abcdefghij";

async fn answer(value: &str) -> (http::response::Parts, Bytes) {
    let content = Bytes::from_static(TEXT.as_bytes());
    let outcome = parse(value, content.len() as u64);
    let (parts, body) = respond_range(HeaderMap::new(), content, Some(PNG), &outcome).into_parts();
    let announced = body.len_bytes().unwrap();
    let bytes = body.collect().await.unwrap().to_bytes();
    assert_eq!(announced, bytes.len() as u64);
    (parts, bytes)
}

#[tokio::test]
async fn one_range_answers_206_with_content_range() {
    let (parts, body) = answer("bytes=2-4").await;
    assert_eq!(parts.status, 206);
    assert_eq!(parts.headers["content-range"], "bytes 2-4/20");
    assert_eq!(parts.headers["content-type"], "image/png");
    assert_eq!(body, "234");
}

#[tokio::test]
async fn an_ignored_range_answers_200() {
    let (parts, body) = answer("items=2-4").await;
    assert_eq!(parts.status, 200);
    assert!(!parts.headers.contains_key("content-range"));
    assert_eq!(body, TEXT);
}

#[tokio::test]
async fn no_range_there_answers_416_with_the_length() {
    let (parts, body) = answer("bytes=20-").await;
    assert_eq!(parts.status, 416);
    assert_eq!(parts.headers["content-range"], "bytes */20");
    assert!(!parts.headers.contains_key("content-type"));
    assert!(body.is_empty());
}

#[tokio::test]
async fn several_ranges_answer_a_multipart() {
    let (parts, body) = answer("bytes=-1,0-1").await;
    assert_eq!(parts.status, 206);
    assert!(!parts.headers.contains_key("content-range"));
    let whole_type = parts.headers["content-type"].to_str().unwrap();
    let boundary = whole_type
        .strip_prefix("multipart/byteranges; boundary=")
        .unwrap();
    let wanted = format!(
        "--{boundary}\r\nContent-Type: image/png\r\nContent-Range: bytes 19-19/20\r\n\r\nj\r\n\
         --{boundary}\r\nContent-Type: image/png\r\nContent-Range: bytes 0-1/20\r\n\r\n01\r\n--{boundary}--\r\n"
    );
    assert_eq!(body, wanted);
}

#[tokio::test]
async fn a_multipart_answer_reads_as_one() {
    let (parts, body) = answer("bytes=3-5,10-").await;
    let form = parts.headers["content-type"]
        .to_str()
        .unwrap()
        .replace("byteranges", "form-data");
    let read = multipart::parse(Some(&form), body, 10).unwrap();
    let data: Vec<&[u8]> = read.iter().map(|part| &part.data[..]).collect();
    assert_eq!(data, [&b"345"[..], b"abcdefghij"]);
}

#[test]
fn ranges_of_something_longer_do_not_panic() {
    let outcome = partial(&[(10, 500), (900, 5)]);
    respond_range(
        HeaderMap::new(),
        Bytes::from_static(b"short"),
        None,
        &outcome,
    );
}

proptest! {
    #[test]
    fn any_text_is_survived(value in ".{0,60}", len: u64) {
        parse(&value, len);
    }

    #[test]
    fn near_misses_are_survived(value in "bytes=[0-9, -]{0,40}", len in 0u64..50) {
        if let Partial(ranges) = parse(&value, len) {
            let sum: u64 = ranges.iter().map(|range| range.len).sum();
            prop_assert!(!ranges.is_empty() && sum <= len);
        }
    }

    /// What is sent is exactly the set of bytes that was asked for and is there, each once.
    #[test]
    fn the_ranges_are_the_bytes_asked_for(pairs in prop::collection::vec((0u64..40, 0u64..8), 1..8), len in 1u64..30) {
        let specs: Vec<String> = pairs.iter().map(|(first, more)| format!("{first}-{}", first + more)).collect();
        let asked = |at: &u64| pairs.iter().any(|(first, more)| (*first..=first + more).contains(at));
        let wanted: Vec<u64> = (0..len).filter(asked).collect();
        let mut sent = match parse(&format!("bytes={}", specs.join(",")), len) {
            Partial(ranges) => ranges.iter().flat_map(|range| range.start..range.end()).collect(),
            Unsatisfiable => vec![],
            Full => return Err(TestCaseError::fail("ignored")),
        };
        sent.sort_unstable();
        prop_assert_eq!(sent, wanted);
    }
}
