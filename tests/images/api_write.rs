//! PUT and POST of raw bodies: names, types, times, pairs, checksums, overwrites.

use base64::Engine;
use md5::{Digest, Md5};
use moongate_tests::http::{Connection, Part, Request};
use moongate_tests::{Gateway, payload};

/// Base64 of a body's MD5, as RFC 1864 has it.
pub fn content_md5(body: &[u8]) -> String {
    base64::engine::general_purpose::STANDARD.encode(Md5::digest(body))
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
