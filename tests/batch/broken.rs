//! Archives that are cut or damaged: what came before is kept and told, and nothing looks like a success.

use moongate_tests::http::{Connection, Part, Request, multipart_body};
use moongate_tests::{Gateway, payload};
use rand::Rng;

use moongate_tests::archives::{
    self, Files, Lines, assert_stored, dechunk, gzip, many, samples, split_head, tar, zstd_of,
};

fn small() -> Files {
    samples()
        .into_iter()
        .filter(|(_, data)| data.len() < 10_000)
        .collect()
}

/// Sends what is left of an archive: 400, and the entries that are told are there and a beginning of the whole.
#[track_caller]
fn assert_broken(gateway: &Gateway, archive: &[u8], files: &Files) -> Lines {
    let lines = Lines::of(&gateway.send(&archives::upload("", archive)).status(400));
    let stored = lines.entries.len();
    assert_eq!(lines.last["stored"], stored);
    assert!(
        lines.last["error"].is_string() && lines.last["offset"].is_u64(),
        "{}",
        lines.last
    );
    assert_stored(gateway, &lines, &files[..stored]);
    lines
}

#[test]
fn a_cut_archive_keeps_what_came_before_and_says_where_it_broke() {
    let gateway = Gateway::fresh("");
    let (files, mut rng) = (small(), payload::seeded("cut archives"));
    let plain = tar(&files);
    for _ in 0..60 {
        let end = rng.random_range(0..plain.len());
        let lines = assert_broken(&gateway, &plain[..end], &files);
        assert_eq!(lines.last["offset"], end);
    }
    for packed in [gzip(&plain), zstd_of(&plain)] {
        for _ in 0..40 {
            let end = rng.random_range(0..packed.len());
            assert_broken(&gateway, &packed[..end], &files);
        }
    }
    // All of the data, but not the end marker.
    let without_end = plain.len() - 1024;
    let lines = assert_broken(&gateway, &plain[..without_end], &files);
    assert_eq!(lines.entries.len(), files.len());
    assert!(lines.last["error"].as_str().unwrap().contains("end marker"));
}

#[test]
fn a_damaged_header_ends_it_there() {
    let gateway = Gateway::fresh("");
    let files = small();
    let plain = tar(&files);
    let third = plain
        .windows(13)
        .position(|it| it == b"train/511.jpg")
        .unwrap();
    for at in [0, 100, 124, 148, 156, 257] {
        let mut damaged = plain.clone();
        damaged[third + at] ^= 0x15;
        let lines = assert_broken(&gateway, &damaged, &files);
        assert_eq!(
            (lines.entries.len(), &lines.last["offset"]),
            (2, &third.into())
        );
    }
}

#[test]
fn damage_in_a_packed_archive_is_told() {
    let gateway = Gateway::fresh("");
    let files = small();
    let plain = tar(&files);
    // gzip's checksum stands behind its data: all came out, and then it turns out to be wrong.
    let mut packed = gzip(&plain);
    let checksum = packed.len() - 8;
    packed[checksum] ^= 1;
    let lines = Lines::of(&gateway.send(&archives::upload("", &packed)).status(400));
    assert_eq!(lines.last["stored"], files.len());
    let text = lines.last["error"].as_str().unwrap();
    assert!(text.contains("damaged") && text.contains("gzip"), "{text}");
}

#[test]
fn a_cut_form_is_told_too() {
    let gateway = Gateway::fresh("");
    let files = small();
    let parts: Vec<Part> = files
        .iter()
        .map(|(name, data)| Part::file(name, "image/jpeg", data))
        .collect();
    let body = multipart_body(&parts);
    let whole = Request::post_multipart("/batch", &parts);
    for end in [0, 10, 300, body.len() / 2, body.len() - 10] {
        let mut request = whole.clone();
        request.body.truncate(end);
        let lines = Lines::of(&gateway.send(&request).status(400));
        let stored = lines.entries.len();
        assert_stored(&gateway, &lines, &files[..stored]);
        assert!(lines.last["error"].is_string());
    }
}

/// Sends a request and gives the raw answer until the connection closes.
fn raw(gateway: &Gateway, request: &Request) -> Vec<u8> {
    let mut connection = Connection::open(gateway.image()).unwrap();
    connection.write(&request.to_bytes()).unwrap();
    connection.receive_rest()
}

#[test]
fn where_200_has_gone_out_a_broken_batch_is_cut_and_a_whole_one_confirmed() {
    let gateway = Gateway::fresh("[image]\nupload_bytes_max = '1 MiB'");
    let files = many(8000);
    let whole = tar(&files);
    let te = |archive: &[u8]| {
        archives::upload("", archive)
            .header("TE", "trailers")
            .header("Connection", "close, TE")
    };
    let answer = raw(&gateway, &te(&whole[..whole.len() - 5000]));
    let (head, body) = split_head(&answer);
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    let (text, end) = dechunk(body);
    assert_eq!(end, None, "no client can take it for whole");
    let lines = Lines::parse(&text);
    assert!(lines.last["error"].as_str().unwrap().contains("truncated"));
    assert_eq!(lines.last["stored"], lines.entries.len());
    assert!(lines.entries.len() > 7000);
    assert_stored(&gateway, &lines, &files[7000..7010]);

    let answer = raw(&gateway, &te(&whole));
    let (text, end) = dechunk(split_head(&answer).1);
    let trailers = end.expect("a whole body").to_lowercase();
    assert!(trailers.contains("moongate-status: 200"), "{trailers}");
    assert_eq!(Lines::parse(&text).last["stored"], files.len());
}

#[test]
fn an_archive_that_is_none_is_refused() {
    let gateway = Gateway::fresh("");
    for (body, says) in [
        (&b""[..], "empty"),
        (b"hello", "truncated"),
        (&[7; 4000], "no tar"),
        (&[0; 700], "end marker"),
    ] {
        let lines = Lines::of(&gateway.send(&archives::upload("", body)).status(400));
        let text = lines.last["error"].as_str().unwrap();
        assert!(text.contains(says), "{text}");
    }
    let behind = [tar(&small()), b"x".to_vec()].concat();
    let lines = Lines::of(&gateway.send(&archives::upload("", &behind)).status(400));
    assert!(
        lines.last["error"]
            .as_str()
            .unwrap()
            .contains("behind the end")
    );
}
