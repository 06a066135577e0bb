//! Content negotiation as RFC 9110 section 12 has it.

use moongate_tests::http::{Part, Request};
use moongate_tests::{Gateway, payload};

#[test]
fn what_depends_on_accept_encoding_says_so() {
    let gateway = Gateway::fresh("");
    let text = payload::text(4000);
    let fid = gateway.assign("");
    gateway
        .send(&Request::post_multipart(
            &fid.path(),
            &[Part::file("n.txt", "text/plain", &text)],
        ))
        .status(201);
    for accepted in ["gzip", "identity", ""] {
        let response = gateway
            .send(&Request::get(&fid.path()).header("Accept-Encoding", accepted))
            .status(200);
        let vary = response.expect_header("Vary").to_lowercase();
        assert!(
            vary.contains("accept-encoding"),
            "Accept-Encoding {accepted}: Vary: {vary}"
        );
        let etag = response.expect_header("Etag").to_owned();
        let again = Request::get(&fid.path())
            .header("Accept-Encoding", accepted)
            .header("If-None-Match", &etag);
        let again = gateway.send(&again).status(304);
        assert!(
            again
                .expect_header("Vary")
                .to_lowercase()
                .contains("accept-encoding"),
            "a 304 varies as well"
        );
    }
}

#[test]
fn a_quality_of_zero_refuses_gzip() {
    let gateway = Gateway::fresh("");
    let text = payload::text(4000);
    let path = gateway.store("text/plain", &text).path();
    for refusing in ["gzip;q=0", "gzip; q=0.0, identity", "br", "identity"] {
        let response = gateway
            .send(&Request::get(&path).header("Accept-Encoding", refusing))
            .status(200);
        assert_eq!(
            (response.header("Content-Encoding"), &response.body),
            (None, &text),
            "{refusing}"
        );
    }
    for accepting in ["gzip", "GZIP", "br;q=1.0, gzip;q=0.5", "*"] {
        let response = gateway
            .send(&Request::get(&path).header("Accept-Encoding", accepting))
            .status(200);
        let body = match response.header("Content-Encoding") {
            Some("gzip") => crate::api_encoding::gunzip(&response.body),
            _ => response.body,
        };
        assert_eq!(body, text, "{accepting}");
    }
}

#[test]
fn both_encodings_of_a_text_do_not_share_a_strong_tag() {
    let gateway = Gateway::fresh("");
    let path = gateway.store("text/plain", &payload::text(4000)).path();
    let tag = |accepted| {
        let response = gateway
            .send(&Request::get(&path).header("Accept-Encoding", accepted))
            .status(200);
        (
            response.expect_header("Etag").to_owned(),
            response.header("Content-Encoding").map(str::to_owned),
        )
    };
    let (squeezed, plain) = (tag("gzip"), tag("identity"));
    assert_eq!(
        (squeezed.1.as_deref(), plain.1.as_deref()),
        (Some("gzip"), None)
    );
    let weak = squeezed.0.starts_with("W/") || plain.0.starts_with("W/");
    assert!(
        weak || squeezed.0 != plain.0,
        "RFC 9110 8.8.3: {squeezed:?} and {plain:?} differ in bytes"
    );
}
