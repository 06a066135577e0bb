//! Writes that are refused, and leave nothing behind.

use crate::api_write::content_md5;

use moongate_tests::http::{Part, Request};
use moongate_tests::{Fid, Gateway, payload};

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
