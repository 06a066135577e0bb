//! Text that is stored compressed, by the gateway or by the client.

use std::io::{Read, Write};

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use moongate_tests::http::{Part, Request};
use moongate_tests::{Gateway, payload};

pub fn gzip(data: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

pub fn gunzip(data: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    GzDecoder::new(data).read_to_end(&mut plain).unwrap();
    plain
}

#[test]
fn text_is_stored_compressed_and_images_are_not() {
    let gateway = Gateway::fresh("");
    let text = payload::text(4000);
    for (mime, compressed) in [
        ("text/plain", true),
        ("text/css", true),
        ("application/xml", true),
        ("application/javascript", true),
        ("audio/wav", true),
        ("image/png", false),
        ("application/json", false),
        ("application/pdf", false),
    ] {
        let fid = gateway.assign("");
        let json = gateway.put(&fid.path(), mime, &text).status(201).json();
        assert_eq!(
            json["size"], 4000,
            "the size is the uncompressed one: {json}"
        );
        let plain = gateway.get(&fid.path()).status(200);
        assert_eq!(plain.body, text, "{mime}");
        assert_eq!(plain.header("Content-Encoding"), None, "{mime}");
        let asked = gateway
            .send(&Request::get(&fid.path()).header("Accept-Encoding", "gzip"))
            .status(200);
        assert_eq!(
            asked.header("Content-Encoding") == Some("gzip"),
            compressed,
            "{mime}"
        );
        let stored_etag = format!("\"{}\"", json["eTag"].as_str().unwrap());
        assert_eq!(
            payload::etag(&asked.body),
            stored_etag,
            "the ETag is the CRC of the stored bytes: {mime}"
        );
        assert_eq!(
            if compressed {
                gunzip(&asked.body)
            } else {
                asked.body
            },
            text,
            "{mime}"
        );
    }
}

#[test]
fn text_that_does_not_shrink_is_stored_as_it_is() {
    let gateway = Gateway::fresh("");
    let fid = gateway.store("text/plain", &payload::bytes(1, 3000));
    let asked = gateway
        .send(&Request::get(&fid.path()).header("Accept-Encoding", "gzip"))
        .status(200);
    assert_eq!(
        (asked.header("Content-Encoding"), &asked.body),
        (None, &payload::bytes(1, 3000))
    );
}

#[test]
fn what_the_client_compressed_is_kept_and_undone_for_others() {
    let gateway = Gateway::fresh("");
    let text = payload::text(2520);
    let squeezed = gzip(&text);
    let raw = gateway.assign("");
    let put = Request::put(&raw.path(), "text/plain", &squeezed).header("Content-Encoding", "gzip");
    assert_eq!(gateway.send(&put).status(201).json()["size"], 2520);
    let form = gateway.assign("");
    let part = Part::file("note.txt", "text/plain", &squeezed).header("Content-Encoding", "gzip");
    gateway
        .send(&Request::post_multipart(&form.path(), &[part]))
        .status(201);
    for fid in [raw, form] {
        assert_eq!(gateway.get(&fid.path()).status(200).body, text);
        let asked = gateway
            .send(&Request::get(&fid.path()).header("Accept-Encoding", "br, gzip;q=0.8"))
            .status(200);
        assert_eq!(
            (asked.expect_header("Content-Encoding"), &asked.body),
            ("gzip", &squeezed)
        );
    }
}
