//! B10: a form with several files stores each of them, where SeaweedFS keeps the first.

use moongate_tests::api::assigned;
use moongate_tests::http::{Part, Request};
use moongate_tests::{Gateway, payload};

const FILES: [(&str, &str, &[u8]); 3] = [
    ("a.png", "image/png", b"the first image"),
    ("b.jpg", "image/jpeg", b"the second image, longer"),
    ("c.gif", "image/gif", b"the third"),
];

fn form_of_files() -> Vec<Part> {
    let mut parts = vec![Part::field("comment", b"not a file")];
    parts.extend(FILES.map(|(name, mime, body)| Part::file(name, mime, body)));
    parts
}

#[test]
fn b10_a_form_with_several_files_stores_each_of_them() {
    let mut gateway = Gateway::fresh("");
    let fid = gateway.assign("?count=3");
    let direct = gateway
        .send(&Request::post_multipart(&fid.path(), &form_of_files()))
        .status(201)
        .json();
    assert_eq!(
        direct["name"], "a.png",
        "the first file's fields are the answer's own: {direct}"
    );
    assert_eq!(direct["size"], FILES[0].2.len(), "{direct}");
    assert_eq!(gateway.get(&fid.path()).status(200).body, FILES[0].2);
    let response = gateway
        .send(&Request::post_multipart(
            "/submit?collection=batch",
            &form_of_files(),
        ))
        .status(201);
    let submitted = response.json();
    assert_eq!(
        gateway.get(&assigned(&response).path()).status(200).body,
        FILES[0].2
    );
    let check = |gateway: &Gateway| {
        for json in [&direct, &submitted] {
            assert_files(gateway, json);
        }
    };
    check(&gateway);
    gateway.kill9();
    gateway.restart();
    check(&gateway);
}

#[track_caller]
fn assert_files(gateway: &Gateway, json: &serde_json::Value) {
    let files = json["files"]
        .as_array()
        .unwrap_or_else(|| panic!("no files in {json}"));
    assert_eq!(files.len(), FILES.len(), "{json}");
    let mut fids = std::collections::HashSet::new();
    for (file, (name, mime, body)) in files.iter().zip(FILES) {
        let fid = file["fid"].as_str().unwrap();
        assert!(fids.insert(fid), "one file id for two files: {json}");
        let read = gateway.get(&format!("/{fid}")).status(200);
        assert_eq!(
            (read.body.as_slice(), read.expect_header("Content-Type")),
            (body, mime),
            "{json}"
        );
        assert_eq!(
            read.expect_header("Content-Disposition"),
            format!("inline; filename={name}")
        );
    }
}

#[test]
fn b10_a_form_whose_second_file_is_bad_stores_nothing_unasked() {
    let mut gateway = Gateway::fresh("[image]\nupload_bytes_max = '4KiB'");
    let fid = gateway.assign("?count=2");
    let parts = [
        Part::file("a.png", "image/png", b"fine"),
        Part::file("b.png", "image/png", &payload::bytes(1, 5000)),
    ];
    let response = gateway.send(&Request::post_multipart(&fid.path(), &parts));
    assert_eq!(
        response.status,
        400,
        "a file that was not stored is not a success: {}",
        response.summary()
    );
    gateway.assert_serving();
}
