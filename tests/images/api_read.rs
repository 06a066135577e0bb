//! GET and HEAD: URL forms, headers, overrides.

use moongate_tests::http::{Part, Request};
use moongate_tests::{Fid, Gateway, payload};

fn store_named(gateway: &Gateway, name: &str, mime: &str, body: &[u8]) -> Fid {
    let fid = gateway.assign("");
    gateway
        .send(&Request::post_multipart(
            &fid.path(),
            &[Part::file(name, mime, body)],
        ))
        .status(201);
    fid
}

#[test]
fn a_read_carries_every_header_of_the_contract() {
    let gateway = Gateway::fresh("");
    let body = payload::bytes(1, 5120);
    let fid = store_named(&gateway, "t.png", "image/png", &body);
    let response = gateway.get(&fid.path()).status(200);
    for (name, value) in [
        ("Accept-Ranges", "bytes"),
        ("Content-Disposition", "inline; filename=t.png"),
        ("Content-Length", "5120"),
        ("Content-Type", "image/png"),
        ("Etag", &payload::etag(&body)),
    ] {
        assert_eq!(response.expect_header(name), value, "{name}");
    }
    httpdate::parse_http_date(response.expect_header("Last-Modified")).unwrap();
    assert_eq!(response.body, body);
}

#[test]
fn head_has_the_headers_of_get_and_no_body() {
    let gateway = Gateway::fresh("");
    let named = store_named(&gateway, "t.png", "image/png", &payload::bytes(1, 5120));
    let text = store_named(&gateway, "note.txt", "text/plain", &payload::text(3000));
    for path in [
        named.path(),
        text.path(),
        "/9999,0112345678".into(),
        "/1,xyz".into(),
    ] {
        let (get, head) = (gateway.get(&path), gateway.head(&path));
        assert_eq!(get.status, head.status, "{path}");
        let mut differing = Vec::new();
        for (name, value) in &get.headers {
            let own = ["date", "x-amz-request-id"]
                .iter()
                .any(|own| name.eq_ignore_ascii_case(own));
            if !own && head.header(name) != Some(value) {
                differing.push(name);
            }
        }
        assert!(
            differing.is_empty(),
            "{path}: HEAD differs in {differing:?}: {}",
            head.summary()
        );
    }
}

#[test]
fn an_image_is_found_under_each_form_of_its_url() {
    let gateway = Gateway::fresh("");
    let fid = store_named(&gateway, "stored.png", "image/png", b"png");
    let (volume, rest) = (
        fid.volume,
        fid.to_string().split_once(',').unwrap().1.to_owned(),
    );
    for path in [
        format!("/{volume},{rest}"),
        format!("/{volume},{rest}.png"),
        format!("/{volume}/{rest}"),
        format!("/{volume}/{rest}.jpg"),
        format!("/{volume}/{rest}/other.png"),
        format!("/{volume},{}", rest.to_uppercase()),
        format!("/{volume},{}", rest.trim_start_matches('0')),
        format!("/{volume},{rest}_0"),
    ] {
        assert_eq!(gateway.get(&path).status(200).body, b"png", "{path}");
    }
}

#[test]
fn a_name_in_the_url_overrides_the_stored_one() {
    let gateway = Gateway::fresh("");
    let fid = store_named(&gateway, "stored.png", "image/png", b"png");
    let rest = fid.to_string().split_once(',').unwrap().1.to_owned();
    let response = gateway
        .get(&format!("/{}/{rest}/other.png", fid.volume))
        .status(200);
    assert_eq!(
        response.expect_header("Content-Disposition"),
        "inline; filename=other.png"
    );
}

#[test]
fn a_name_is_quoted_or_encoded_when_it_has_to_be() {
    let gateway = Gateway::fresh("");
    for (name, expected) in [
        ("t.png", "inline; filename=t.png"),
        ("cat 1.jpg", "inline; filename=\"cat 1.jpg\""),
        ("a,b.jpg", "inline; filename=\"a,b.jpg\""),
        (
            "图片-é.png",
            "inline; filename*=utf-8''%E5%9B%BE%E7%89%87-%C3%A9.png",
        ),
    ] {
        let fid = store_named(&gateway, name, "image/png", b"x");
        assert_eq!(
            gateway
                .get(&fid.path())
                .expect_header("Content-Disposition"),
            expected
        );
    }
}

#[test]
fn a_stored_name_cannot_split_the_header() {
    let gateway = Gateway::fresh("");
    let fid = gateway.assign("");
    let (volume, rest) = (
        fid.volume,
        fid.to_string().split_once(',').unwrap().1.to_owned(),
    );
    let written = gateway.put(
        &format!("/{volume}/{rest}/a%0d%0aInjected:%20yes%0d%0a.png"),
        "image/png",
        b"x",
    );
    if written.status == 201 {
        let response = gateway.get(&fid.path());
        assert_eq!(response.header("Injected"), None, "{}", response.summary());
        assert_eq!(response.status(200).body, b"x");
    } else {
        written.status(400);
    }
}

#[test]
fn dl_asks_for_an_attachment() {
    let gateway = Gateway::fresh("");
    let fid = store_named(&gateway, "t.png", "image/png", b"x");
    let response = gateway.get(&format!("{}?dl=true", fid.path())).status(200);
    assert_eq!(
        response.expect_header("Content-Disposition"),
        "attachment; filename=t.png"
    );
}

#[test]
fn response_parameters_override_headers() {
    let gateway = Gateway::fresh("");
    let fid = store_named(&gateway, "t.png", "image/png", b"x");
    for (parameter, header, value) in [
        ("response-content-type", "Content-Type", "text/x-test"),
        ("response-cache-control", "Cache-Control", "max-age=60"),
        (
            "response-content-disposition",
            "Content-Disposition",
            "attachment; filename=other",
        ),
        ("response-content-language", "Content-Language", "mi"),
        (
            "response-expires",
            "Expires",
            "Thu, 01 Dec 1994 16:00:00 GMT",
        ),
    ] {
        let encoded: String = value.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let response = gateway
            .get(&format!("{}?{parameter}={encoded}", fid.path()))
            .status(200);
        assert_eq!(response.expect_header(header), value, "{parameter}");
        assert_eq!(response.body, b"x");
    }
}

#[test]
fn a_response_parameter_cannot_split_the_header() {
    let gateway = Gateway::fresh("");
    let fid = gateway.store("image/jpeg", b"x");
    let target = format!(
        "{}?response-cache-control=a%0d%0aInjected:%20yes",
        fid.path()
    );
    let response = gateway.get(&target);
    assert_eq!(response.header("Injected"), None, "{}", response.summary());
    assert!(
        response.status == 200 || response.status == 400,
        "{}",
        response.summary()
    );
}

#[test]
fn an_octet_stream_or_nothing_is_sniffed_on_get() {
    let gateway = Gateway::fresh("");
    for mime in ["application/octet-stream", ""] {
        let fid = gateway.store(mime, &payload::bytes(1, 2000));
        assert_eq!(
            gateway
                .get(&fid.path())
                .status(200)
                .expect_header("Content-Type"),
            "application/octet-stream"
        );
    }
}

#[test]
fn what_is_not_there_is_an_empty_404() {
    let gateway = Gateway::fresh("");
    let fid = gateway.store("image/jpeg", b"x");
    let never_written = gateway.assign("");
    let wrong_cookie = Fid {
        cookie: fid.cookie ^ 0x8000_0000,
        ..fid
    };
    for path in [
        never_written.path(),
        wrong_cookie.path(),
        fid.plus(5000).path(),
        "/9999,0112345678".into(),
    ] {
        let response = gateway.get(&path).status(404).empty();
        assert_eq!(response.expect_header("Content-Length"), "0", "{path}");
    }
}

#[test]
fn a_malformed_id_is_an_empty_400() {
    let gateway = Gateway::fresh("");
    gateway.assign("");
    for path in [
        "/1,12",
        "/1,xyz4567890",
        "/abc,0112345678",
        "/1,0102030405060708091011121314",
        "/99999999999,0112345678",
    ] {
        let response = gateway.get(path).status(400).empty();
        assert_eq!(response.expect_header("Content-Length"), "0", "{path}");
    }
}

#[test]
fn the_cookie_is_checked_after_a_restart_too() {
    let mut gateway = Gateway::fresh("");
    let fid = gateway.store("image/jpeg", b"x");
    gateway.kill9();
    gateway.restart();
    gateway
        .get(
            &Fid {
                cookie: fid.cookie ^ 1,
                ..fid
            }
            .path(),
        )
        .status(404)
        .empty();
    gateway.get(&fid.path()).status(200);
}

#[test]
fn many_readers_and_a_large_object_get_every_byte() {
    let gateway = Gateway::fresh("");
    let body = payload::bytes(1, 20 << 20);
    let fid = gateway.store("application/octet-stream", &body);
    let path = fid.path();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| assert!(gateway.get(&path).status(200).body == body, "bytes differ"));
        }
    });
}
