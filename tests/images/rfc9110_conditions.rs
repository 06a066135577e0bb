//! Conditions as RFC 9110 section 13 has them.

use moongate_tests::http::{Request, Response};
use moongate_tests::{Gateway, payload};

pub struct Stored {
    pub gateway: Gateway,
    pub path: String,
    pub body: Vec<u8>,
    pub etag: String,
    pub last_modified: String,
}

pub fn stored(len_bytes: usize) -> Stored {
    let gateway = Gateway::fresh("");
    let body = payload::bytes(1, len_bytes);
    let path = gateway.store("image/jpeg", &body).path();
    let response = gateway.get(&path).status(200);
    let field = |name| response.expect_header(name).to_owned();
    Stored {
        etag: field("Etag"),
        last_modified: field("Last-Modified"),
        gateway,
        path,
        body,
    }
}

impl Stored {
    #[track_caller]
    pub fn with(&self, headers: &[(&str, &str)]) -> Response {
        self.send("GET", headers)
    }

    #[track_caller]
    pub fn send(&self, method: &str, headers: &[(&str, &str)]) -> Response {
        let request = Request::new(method, &self.path);
        self.gateway
            .send(&headers.iter().fold(request, |request, (name, value)| {
                request.header(name, value)
            }))
    }
}

pub const LONG_AGO: &str = "Sun, 06 Nov 1994 08:49:37 GMT";

pub const FAR_AHEAD: &str = "Fri, 06 Nov 2093 08:49:37 GMT";

#[test]
fn if_none_match_understands_one_tag_lists_weak_tags_and_the_star() {
    let stored = stored(1000);
    let etag = &stored.etag;
    for value in [
        etag.clone(),
        format!("\"other\", {etag}"),
        format!("{etag},\"other\""),
        format!("W/{etag}"),
        format!("\"a,b\" , W/\"x\",  {etag} "),
        "*".into(),
    ] {
        let response = stored
            .with(&[("If-None-Match", &value)])
            .status(304)
            .empty();
        assert_eq!(
            response.expect_header("Etag"),
            etag,
            "If-None-Match: {value}"
        );
        assert_eq!(
            response.expect_header("Last-Modified"),
            stored.last_modified,
            "If-None-Match: {value}"
        );
        stored
            .send("HEAD", &[("If-None-Match", &value)])
            .status(304);
    }
    for value in [
        "\"other\"",
        "\"other\", W/\"another\"",
        etag.trim_matches('"'),
        "\"*\"",
        "",
    ] {
        assert_eq!(
            stored.with(&[("If-None-Match", value)]).status(200).body,
            stored.body,
            "If-None-Match: {value}"
        );
    }
}

#[test]
fn if_none_match_over_several_lines_is_one_list() {
    let stored = stored(1000);
    stored
        .with(&[
            ("If-None-Match", "\"other\""),
            ("If-None-Match", &stored.etag),
        ])
        .status(304);
}

#[test]
fn if_modified_since_compares_seconds() {
    let stored = stored(1000);
    stored
        .with(&[("If-Modified-Since", &stored.last_modified)])
        .status(304)
        .empty();
    stored.with(&[("If-Modified-Since", FAR_AHEAD)]).status(304);
    stored.with(&[("If-Modified-Since", LONG_AGO)]).status(200);
    stored
        .with(&[("If-Modified-Since", "nonsense")])
        .status(200);
}

#[test]
fn if_none_match_outranks_if_modified_since() {
    let stored = stored(1000);
    let since = ("If-Modified-Since", stored.last_modified.as_str());
    stored
        .with(&[("If-None-Match", "\"other\""), since])
        .status(200);
    stored
        .with(&[
            ("If-None-Match", &stored.etag),
            ("If-Modified-Since", LONG_AGO),
        ])
        .status(304);
}

#[test]
fn if_match_is_412_unless_the_strong_tag_is_among_them() {
    let stored = stored(1000);
    let etag = &stored.etag;
    for value in [etag.clone(), format!("\"other\", {etag}"), "*".into()] {
        stored.with(&[("If-Match", &value)]).status(200);
    }
    for value in [
        "\"other\"".to_owned(),
        format!("W/{etag}"),
        "\"a\", \"b\"".into(),
    ] {
        stored.with(&[("If-Match", &value)]).status(412);
    }
}

#[test]
fn if_unmodified_since_is_412_after_a_change() {
    let stored = stored(1000);
    stored
        .with(&[("If-Unmodified-Since", &stored.last_modified)])
        .status(200);
    stored
        .with(&[("If-Unmodified-Since", FAR_AHEAD)])
        .status(200);
    stored
        .with(&[("If-Unmodified-Since", LONG_AGO)])
        .status(412);
    stored
        .with(&[
            ("If-Unmodified-Since", LONG_AGO),
            ("If-Match", &stored.etag),
        ])
        .status(200);
}

#[test]
fn a_missing_image_is_404_whatever_the_conditions() {
    let stored = stored(10);
    for (name, value) in [
        ("If-None-Match", "*"),
        ("Range", "bytes=0-9"),
        ("If-Modified-Since", FAR_AHEAD),
    ] {
        stored
            .gateway
            .send(&Request::get("/9999,0112345678").header(name, value))
            .status(404)
            .empty();
    }
}
