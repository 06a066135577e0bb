//! What every answer has in common: JSON, header names, request ids, methods, connections.

use crate::api_write::content_md5;
use moongate_tests::http::{Connection, Request, Response};
use moongate_tests::{Gateway, payload};

/// Go spells header names with a capital after each hyphen and small letters elsewhere; clients rely on nothing less.
#[track_caller]
fn assert_go_spelling(response: &Response) {
    for (name, _) in &response.headers {
        let spelled: Vec<String> = name.split('-').map(capitalised).collect();
        assert_eq!(*name, spelled.join("-"), "in {}", response.summary());
    }
}

fn capitalised(word: &str) -> String {
    let (first, rest) = word.split_at(word.len().min(1));
    first.to_uppercase() + &rest.to_lowercase()
}

#[test]
fn json_is_declared_and_not_sniffed_and_ends_without_a_newline() {
    let gateway = Gateway::fresh("");
    gateway.assign("");
    for target in [
        "/dir/assign",
        "/dir/status",
        "/vol/status",
        "/status",
        "/cluster/status",
        "/dir/lookup?volumeId=77",
    ] {
        let response = gateway.get(target);
        assert_eq!(
            response.expect_header("Content-Type"),
            "application/json",
            "{target}"
        );
        assert_eq!(
            response.expect_header("X-Content-Type-Options"),
            "nosniff",
            "{target}"
        );
        assert_eq!(response.body.last(), Some(&b'}'), "{target}");
        assert!(
            !response.body.contains(&b'\n'),
            "{target} is not on one line"
        );
    }
}

#[test]
fn pretty_indents_by_two_spaces() {
    let gateway = Gateway::fresh("");
    for value in ["y", "true", "1"] {
        let response = gateway
            .get(&format!("/dir/assign?pretty={value}"))
            .status(200);
        assert!(
            response.text().starts_with("{\n  \""),
            "{}",
            response.summary()
        );
        assert_eq!(response.body.last(), Some(&b'}'));
        response.json();
    }
}

#[test]
fn header_names_are_spelled_as_go_spells_them() {
    let gateway = Gateway::fresh("");
    let body = payload::bytes(1, 3000);
    let fid = gateway.assign("");
    let md5 = content_md5(&body);
    let put = Request::put(&fid.path(), "image/png", &body)
        .header("Content-MD5", &md5)
        .header("Seaweed-x-LABEL", "cat");
    let written = gateway.send(&put).status(201);
    let names = |response: &Response| {
        response
            .headers
            .iter()
            .map(|(name, _)| name.clone())
            .collect::<Vec<_>>()
    };
    assert!(
        names(&written).contains(&"Etag".to_owned()),
        "{}",
        written.summary()
    );
    assert!(
        names(&written).contains(&"Content-Md5".to_owned()),
        "{}",
        written.summary()
    );
    assert_go_spelling(&written);
    let read = gateway.send(&Request::get(&fid.path()).header("Origin", "http://a.example"));
    for name in [
        "Etag",
        "Last-Modified",
        "Accept-Ranges",
        "Content-Disposition",
        "Content-Type",
        "X-Label",
    ] {
        assert!(
            names(&read).contains(&name.to_owned()),
            "{name}: {}",
            read.summary()
        );
    }
    assert_go_spelling(&read);
    for target in ["/dir/assign", "/status", "/9999,0112345678", "/nonsense"] {
        assert_go_spelling(&gateway.get(target));
    }
    assert_go_spelling(
        &gateway
            .send(&Request::get(&fid.path()).header("Range", "bytes=0-9"))
            .status(206),
    );
    assert_go_spelling(&gateway.send(&Request::new("OPTIONS", &fid.path())));
    assert_go_spelling(&gateway.delete(&fid.path()).status(202));
}

#[test]
fn every_answer_carries_a_request_id_its_own_or_the_callers() {
    let gateway = Gateway::fresh("");
    let fid = gateway.store("image/jpeg", b"x");
    for target in [
        "/dir/assign",
        "/status",
        &fid.path(),
        "/77,0112345678",
        "/healthz",
    ] {
        let first = gateway
            .get(target)
            .expect_header("X-Amz-Request-Id")
            .to_owned();
        assert!(
            first.len() == 24 && first.bytes().all(|byte| byte.is_ascii_hexdigit()),
            "{target}: {first}"
        );
        assert_ne!(
            gateway.get(target).expect_header("X-Amz-Request-Id"),
            first,
            "{target}"
        );
        let own = gateway.send(&Request::get(target).header("X-Amz-Request-Id", "from-the-caller"));
        assert_eq!(
            own.expect_header("X-Amz-Request-Id"),
            "from-the-caller",
            "{target}"
        );
    }
}

#[test]
fn options_allows_every_method_of_the_api() {
    let gateway = Gateway::fresh("");
    let fid = gateway.store("image/jpeg", b"x");
    let response = gateway
        .send(&Request::new("OPTIONS", &fid.path()).header("Origin", "http://a.example"))
        .status(200);
    let methods = response.expect_header("Access-Control-Allow-Methods");
    for method in ["PUT", "POST", "GET", "DELETE", "OPTIONS"] {
        assert!(methods.contains(method), "{methods}");
    }
    assert_eq!(response.expect_header("Access-Control-Allow-Headers"), "*");
}

#[test]
fn a_browser_of_another_origin_may_read() {
    let gateway = Gateway::fresh("");
    let fid = gateway.store("image/jpeg", b"x");
    let response = gateway
        .send(&Request::get(&fid.path()).header("Origin", "http://a.example"))
        .status(200);
    assert_eq!(response.expect_header("Access-Control-Allow-Origin"), "*");
    assert_eq!(
        response.expect_header("Access-Control-Allow-Credentials"),
        "true"
    );
    assert_eq!(
        gateway
            .get(&fid.path())
            .header("Access-Control-Allow-Origin"),
        None
    );
}

#[test]
fn an_unsupported_method_is_named() {
    let gateway = Gateway::fresh("");
    let fid = gateway.store("image/jpeg", b"x");
    for method in ["PATCH", "TRACE", "BREW"] {
        let response = gateway.send(&Request::new(method, &fid.path())).status(400);
        assert_eq!(response.error(), format!("unsupported method {method}"));
    }
}

#[test]
fn a_connection_serves_many_requests() {
    let gateway = Gateway::fresh("");
    let fid = gateway.store("image/jpeg", b"kept alive");
    let mut connection = Connection::open(gateway.image()).unwrap();
    for n in 0..200 {
        let response = connection
            .send(&Request::get(&fid.path()))
            .unwrap_or_else(|error| panic!("request {n}: {error}"));
        assert_eq!(response.status(200).body, b"kept alive");
        connection
            .send(&Request::get("/77,0112345678"))
            .unwrap()
            .status(404)
            .empty();
        connection
            .send(&Request::new("HEAD", &fid.path()))
            .unwrap()
            .status(200);
        connection
            .send(&Request::put(&fid.path(), "image/jpeg", b"kept alive"))
            .unwrap()
            .status(204);
    }
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let gateway = Gateway::fresh("");
    let fids: Vec<_> = (0..20)
        .map(|seed| gateway.store("image/jpeg", &payload::bytes(seed, 300)))
        .collect();
    let mut connection = Connection::open(gateway.image()).unwrap();
    let wire: Vec<u8> = fids
        .iter()
        .flat_map(|fid| Request::get(&fid.path()).to_bytes())
        .collect();
    connection.write(&wire).unwrap();
    for seed in 0..20 {
        assert_eq!(
            connection.receive("GET").unwrap().status(200).body,
            payload::bytes(seed, 300)
        );
    }
}
