//! POST of a form: which part is stored, and under which name.

use moongate_tests::http::{Part, Request};
use moongate_tests::{Gateway, payload};

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
