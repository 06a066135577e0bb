//! PUT and POST: raw bodies and forms, names, types, times, pairs, checksums, refusals.

use std::io::{Read, Write};

use base64::Engine;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use md5::{Digest, Md5};
use moongate_tests::http::{Connection, Part, Request};
use moongate_tests::{Fid, Gateway, payload};

/// Base64 of a body's MD5, as RFC 1864 has it.
pub fn content_md5(body: &[u8]) -> String {
    base64::engine::general_purpose::STANDARD.encode(Md5::digest(body))
}

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
fn a_raw_put_answers_name_size_etag_and_mime() {
    let gateway = Gateway::fresh("");
    let body = payload::bytes(1, 5120);
    let fid = gateway.assign("");
    let response = gateway.put(&fid.path(), "image/jpeg", &body).status(201);
    let json = response.json();
    assert_eq!(
        json["name"],
        fid.to_string(),
        "the last segment of the URL is the name: {json}"
    );
    assert_eq!(
        (&json["size"], &json["mime"]),
        (&5120.into(), &"image/jpeg".into()),
        "{json}"
    );
    assert_eq!(
        format!("\"{}\"", json["eTag"].as_str().unwrap()),
        payload::etag(&body)
    );
    assert_eq!(response.expect_header("Etag"), payload::etag(&body));
    assert_eq!(
        response.header("Content-Md5").unwrap_or(""),
        "",
        "none was sent"
    );
    assert!(json.get("contentMd5").is_none(), "{json}");
    assert_eq!(gateway.get(&fid.path()).status(200).body, body);
}

#[test]
fn a_raw_post_with_a_type_is_stored_as_a_put_is() {
    let gateway = Gateway::fresh("");
    let fid = gateway.assign("");
    let request = Request::put(&fid.path(), "image/jpeg", b"posted");
    gateway
        .send(&Request {
            method: "POST".into(),
            ..request
        })
        .status(201);
    let response = gateway.get(&fid.path()).status(200);
    assert_eq!(
        (
            response.body.as_slice(),
            response.expect_header("Content-Type")
        ),
        (&b"posted"[..], "image/jpeg")
    );
}

#[test]
fn a_name_comes_from_the_content_disposition_or_the_url() {
    let gateway = Gateway::fresh("");
    for (disposition, expected) in [
        ("inline; filename=\"cat 1.jpg\"", "cat 1.jpg"),
        ("attachment; filename=cat.jpg", "cat.jpg"),
        ("form-data; name=\"field.jpg\"", "field.jpg"),
    ] {
        let fid = gateway.assign("");
        let request = Request::put(&fid.path(), "image/jpeg", b"x")
            .header("Content-Disposition", disposition);
        assert_eq!(
            gateway.send(&request).status(201).json()["name"],
            expected,
            "{disposition}"
        );
    }
    let fid = gateway.assign("");
    let url = format!(
        "/{}/{}/from the url.png",
        fid.volume,
        fid.to_string().split_once(',').unwrap().1
    );
    let json = gateway
        .put(&url.replace(' ', "%20"), "", b"png bytes")
        .status(201)
        .json();
    assert_eq!(json["name"], "from the url.png", "{json}");
    assert_eq!(
        gateway.get(&fid.path()).expect_header("Content-Type"),
        "image/png",
        "the type comes from the name"
    );
}

#[test]
fn a_form_stores_its_file_with_name_and_type() {
    let gateway = Gateway::fresh("");
    let body = payload::bytes(2, 56_598);
    let fid = gateway.assign("");
    let response = gateway.send(&Request::post_multipart(
        &fid.path(),
        &[Part::file("t.png", "image/png", &body)],
    ));
    let json = response.status(201).json();
    assert_eq!(
        (&json["name"], &json["size"], &json["mime"]),
        (&"t.png".into(), &56_598.into(), &"image/png".into())
    );
    let read = gateway.get(&fid.path()).status(200);
    assert_eq!(read.body, body);
    assert_eq!(
        read.expect_header("Content-Disposition"),
        "inline; filename=t.png"
    );
}

#[test]
fn a_put_never_looks_into_a_form() {
    let gateway = Gateway::fresh("");
    let fid = gateway.assign("");
    let form = Request::post_multipart(&fid.path(), &[Part::file("t.png", "image/png", b"png")]);
    gateway
        .send(&Request {
            method: "PUT".into(),
            ..form.clone()
        })
        .status(201);
    assert_eq!(gateway.get(&fid.path()).status(200).body, form.body);
}

#[test]
fn a_forms_path_is_stripped_from_its_name() {
    let gateway = Gateway::fresh("");
    for sent in ["/home/me/t.png", "C:\\pictures\\t.png", "../../t.png"] {
        let fid = gateway.assign("");
        let request = Request::post_multipart(&fid.path(), &[Part::file(sent, "image/png", b"x")]);
        assert_eq!(
            gateway.send(&request).status(201).json()["name"],
            "t.png",
            "{sent}"
        );
    }
}

#[test]
fn a_later_part_with_a_name_wins_over_a_first_part_without() {
    let gateway = Gateway::fresh("");
    let fid = gateway.assign("");
    let parts = [
        Part::field("comment", b"not this"),
        Part::file("t.png", "image/png", b"but this"),
    ];
    gateway
        .send(&Request::post_multipart(&fid.path(), &parts))
        .status(201);
    assert_eq!(gateway.get(&fid.path()).status(200).body, b"but this");
}

#[test]
fn a_single_part_without_a_name_is_stored() {
    let gateway = Gateway::fresh("");
    let fid = gateway.assign("");
    gateway
        .send(&Request::post_multipart(
            &fid.path(),
            &[Part::field("file", b"nameless")],
        ))
        .status(201);
    assert_eq!(gateway.get(&fid.path()).status(200).body, b"nameless");
}

#[test]
fn a_name_of_256_bytes_or_more_is_dropped_and_the_image_kept() {
    let gateway = Gateway::fresh("");
    for (length, kept) in [(255, true), (256, false), (300, false)] {
        let name = "n".repeat(length - 4) + ".png";
        let fid = gateway.assign("");
        let parts = [Part::file(&name, "image/png", b"x")];
        gateway
            .send(&Request::post_multipart(&fid.path(), &parts))
            .status(201);
        let disposition = gateway
            .get(&fid.path())
            .status(200)
            .header("Content-Disposition")
            .map(str::to_owned);
        assert_eq!(
            disposition,
            kept.then(|| format!("inline; filename={name}")),
            "{length} bytes"
        );
    }
}

#[test]
fn a_post_without_a_form_is_400_and_says_why() {
    let gateway = Gateway::fresh("");
    let fid = gateway.assign("");
    let untyped = gateway
        .send(&Request::new("POST", &fid.path()).body(b"x"))
        .status(400);
    assert_eq!(
        untyped.error(),
        "request Content-Type isn't multipart/form-data"
    );
    let curl_default = Request::put(
        &fid.path(),
        "application/x-www-form-urlencoded",
        b"\x89PNG;;%zz",
    );
    let refused = gateway
        .send(&Request {
            method: "POST".into(),
            ..curl_default
        })
        .status(400);
    assert!(!refused.error().is_empty());
    let no_boundary = Request::put(&fid.path(), "multipart/form-data", b"x");
    gateway
        .send(&Request {
            method: "POST".into(),
            ..no_boundary
        })
        .status(400);
    gateway.get(&fid.path()).status(404);
}

#[test]
fn an_empty_body_is_stored_and_its_size_left_out() {
    let gateway = Gateway::fresh("");
    let fid = gateway.assign("");
    let json = gateway
        .put(&fid.path(), "image/jpeg", b"")
        .status(201)
        .json();
    assert_eq!(json["eTag"], "00000000", "{json}");
    assert!(json.get("size").is_none(), "{json}");
    let read = gateway.get(&fid.path()).status(200).empty();
    assert_eq!(read.expect_header("Content-Length"), "0");
    assert_eq!(read.expect_header("Etag"), "\"00000000\"");
}

#[test]
fn a_given_time_is_the_last_modified_time() {
    let gateway = Gateway::fresh("");
    let fid = gateway.assign("");
    gateway
        .put(&format!("{}?ts=1700000000", fid.path()), "image/jpeg", b"x")
        .status(201);
    assert_eq!(
        gateway.get(&fid.path()).expect_header("Last-Modified"),
        "Tue, 14 Nov 2023 22:13:20 GMT"
    );
}

#[test]
fn without_a_given_time_now_is_the_last_modified_time() {
    let gateway = Gateway::fresh("");
    let before = std::time::SystemTime::now() - std::time::Duration::from_secs(1);
    let fid = gateway.store("image/jpeg", b"x");
    let modified =
        httpdate::parse_http_date(gateway.get(&fid.path()).expect_header("Last-Modified")).unwrap();
    assert!(
        modified >= before && modified <= std::time::SystemTime::now(),
        "{modified:?}"
    );
}

#[test]
fn ttl_and_fsync_are_taken() {
    let gateway = Gateway::fresh("");
    for query in [
        "ttl=10y",
        "ttl=5m",
        "fsync=true",
        "ttl=3M&fsync=true&ts=1700000000",
    ] {
        let fid = gateway.assign("");
        gateway
            .put(&format!("{}?{query}", fid.path()), "image/jpeg", b"x")
            .status(201);
        gateway.get(&fid.path()).status(200);
    }
}

#[test]
fn pairs_are_stored_and_come_back_without_their_prefix() {
    let mut gateway = Gateway::fresh("");
    let fid = gateway.assign("");
    let request = Request::put(&fid.path(), "image/jpeg", b"x")
        .header("Seaweed-Label", "cat")
        .header("seaweed-split-id", "7")
        .header("Other", "dropped");
    gateway.send(&request).status(201);
    let check = |gateway: &Gateway| {
        let response = gateway.get(&fid.path()).status(200);
        assert_eq!(
            (
                response.expect_header("Label"),
                response.expect_header("Split-Id")
            ),
            ("cat", "7")
        );
        assert_eq!(response.header("Other"), None);
        assert_eq!(response.header("Seaweed-Label"), None);
    };
    check(&gateway);
    gateway.terminate();
    gateway.restart();
    check(&gateway);
}

#[test]
fn a_correct_md5_is_echoed() {
    let gateway = Gateway::fresh("");
    let body = payload::bytes(1, 5120);
    let fid = gateway.assign("");
    let md5 = content_md5(&body);
    let response = gateway
        .send(&Request::put(&fid.path(), "image/jpeg", &body).header("Content-MD5", &md5))
        .status(201);
    assert_eq!(response.expect_header("Content-Md5"), md5);
    assert_eq!(response.json()["contentMd5"], md5);
    let fid = gateway.assign("");
    let part = Part::file("t.jpg", "image/jpeg", &body).header("Content-MD5", &md5);
    gateway
        .send(&Request::post_multipart(&fid.path(), &[part]))
        .status(201);
}

#[test]
fn a_wrong_md5_is_refused_and_nothing_is_stored() {
    let gateway = Gateway::fresh("");
    let body = payload::bytes(1, 5120);
    let wrong = content_md5(b"something else");
    let fid = gateway.assign("");
    let part = Part::file("t.jpg", "image/jpeg", &body).header("Content-MD5", &wrong);
    for request in [
        Request::put(&fid.path(), "image/jpeg", &body).header("Content-MD5", &wrong),
        Request::post_multipart(&fid.path(), &[part]),
    ] {
        let error = gateway.send(&request).status(400).error();
        assert!(
            error.starts_with("Content-MD5 did not match md5 of file data expected ["),
            "{error}"
        );
        assert!(
            error.contains(&content_md5(&body))
                && error.contains(&wrong)
                && error.ends_with("size 5120"),
            "{error}"
        );
    }
    gateway.get(&fid.path()).status(404);
}

#[test]
fn the_same_bytes_again_are_204_and_append_nothing() {
    let gateway = Gateway::fresh("");
    let body = payload::bytes(1, 5120);
    let fid = gateway.store("image/jpeg", &body);
    let before = gateway.volume(fid.volume)["Size"].clone();
    let response = gateway
        .put(&fid.path(), "image/jpeg", &body)
        .status(204)
        .empty();
    assert_eq!(response.expect_header("Etag"), payload::etag(&body));
    assert_eq!(gateway.volume(fid.volume)["Size"], before);
}

#[test]
fn in_a_volume_with_a_ttl_the_same_bytes_are_stored_again() {
    let gateway = Gateway::fresh("");
    let fid = gateway.assign("?ttl=3d");
    for _ in 0..2 {
        gateway
            .put(&format!("{}?ttl=3d", fid.path()), "image/jpeg", b"renewed")
            .status(201);
    }
}

#[test]
fn other_bytes_overwrite() {
    let mut gateway = Gateway::fresh("");
    let fid = gateway.store("image/jpeg", b"first");
    gateway.put(&fid.path(), "image/png", b"second").status(201);
    for _ in 0..2 {
        let response = gateway.get(&fid.path()).status(200);
        assert_eq!(
            (
                response.body.as_slice(),
                response.expect_header("Content-Type")
            ),
            (&b"second"[..], "image/png")
        );
        gateway.terminate();
        gateway.restart();
    }
}

#[test]
fn a_write_with_another_cookie_is_refused() {
    let gateway = Gateway::fresh("");
    let fid = gateway.store("image/jpeg", b"kept");
    let forged = Fid {
        cookie: 0xdead_beef,
        ..fid
    };
    let error = gateway
        .put(&forged.path(), "image/jpeg", b"forged")
        .status(500)
        .error();
    assert_eq!(
        error,
        "failed to write to local disk: mismatching cookie deadbeef"
    );
    assert_eq!(gateway.get(&fid.path()).status(200).body, b"kept");
}

#[test]
fn a_malformed_id_is_named_in_a_400() {
    let gateway = Gateway::fresh("");
    let fid = gateway.assign("");
    assert_eq!(
        gateway.put("/1,12", "image/jpeg", b"x").status(400).error(),
        "Invalid fid: 12"
    );
    let error = gateway
        .put("/abc,0112345678", "image/jpeg", b"x")
        .status(400)
        .error();
    assert_eq!(error, "strconv.ParseUint: parsing \"abc\": invalid syntax");
    for path in [
        "/1,zz12345678",
        "/1,0102030405060708091011121314",
        "/1",
        "/,0112345678",
        "/99999999999,0112345678",
    ] {
        gateway.put(path, "image/jpeg", b"x").status(400);
    }
    gateway.get(&fid.path()).status(404);
}

#[test]
fn a_body_over_the_limit_is_refused_and_nothing_is_stored() {
    let mut gateway = Gateway::fresh("[image]\nupload_bytes_max = '64KiB'");
    let fid = gateway.assign("");
    gateway
        .put(&fid.path(), "image/jpeg", &payload::bytes(1, 64 << 10))
        .status(201);
    let other = gateway.assign("");
    let large = payload::bytes(2, (64 << 10) + 1);
    for request in [
        Request::put(&other.path(), "image/jpeg", &large),
        Request::post_multipart(&other.path(), &[Part::file("t.jpg", "image/jpeg", &large)]),
    ] {
        let error = gateway.send(&request).status(400).error();
        assert!(
            error.starts_with("file over the limited 65536 bytes"),
            "{error}"
        );
    }
    gateway.get(&other.path()).status(404);
    gateway.assert_serving();
}

#[test]
fn a_body_may_come_in_chunks() {
    let gateway = Gateway::fresh("");
    let body = payload::bytes(1, 70_000);
    let fid = gateway.assign("");
    let mut wire = Vec::new();
    for chunk in body.chunks(7001) {
        wire.extend(format!("{:x};ext=1\r\n", chunk.len()).into_bytes());
        wire.extend_from_slice(chunk);
        wire.extend_from_slice(b"\r\n");
    }
    wire.extend_from_slice(b"0\r\n\r\n");
    let request =
        Request::put(&fid.path(), "image/jpeg", &wire).header("Transfer-Encoding", "chunked");
    gateway.send(&request).status(201);
    assert_eq!(gateway.get(&fid.path()).status(200).body, body);
}

#[test]
fn a_client_that_expects_100_continue_gets_it() {
    let gateway = Gateway::fresh("");
    let fid = gateway.assign("");
    let request =
        Request::put(&fid.path(), "image/jpeg", b"patient").header("Expect", "100-continue");
    let mut connection = Connection::open(gateway.image()).unwrap();
    connection.write(&request.head_bytes()).unwrap();
    assert_eq!(connection.receive_any("PUT").unwrap().status, 100);
    connection.write(&request.body).unwrap();
    connection.receive("PUT").unwrap().status(201);
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
