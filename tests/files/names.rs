//! Names: what is taken comes back as it was, and what is not is refused with a reason.

use moongate_tests::Gateway;
use moongate_tests::http::Request;

/// Every byte of a path but the slash, escaped.
fn encoded(path: &str) -> String {
    path.bytes()
        .map(|byte| match byte {
            b'/' => "/".to_owned(),
            byte => format!("%{byte:02X}"),
        })
        .collect()
}

#[test]
fn any_utf8_name_comes_back_as_it_was() {
    let gateway = Gateway::fresh("");
    let files = gateway.files();
    let longest = "n".repeat(255);
    let wide = "図".repeat(85);
    let names = [
        "plain.jpg",
        "with space",
        "図 猫.jpg",
        "é",
        "e\u{301}",
        "%",
        "%41",
        "a+b",
        "a?b#c",
        "a&b=c",
        "'\"<>",
        "back\\slash",
        "~",
        "..a",
        "a..",
        "...",
        ".hidden",
        "-rf",
        "*",
        "?",
        "healthz",
        "🦀",
        "a;b:c,d",
        &longest,
        &wide,
    ];
    for name in names {
        let target = encoded(&format!("/d/{name}"));
        files.put(&target, name.as_bytes());
        files.assert_has(&target, name.as_bytes());
        assert_eq!(files.metadata(&target)["FullPath"], format!("/d/{name}"));
        let disposition = files
            .get(&target)
            .expect_header("Content-Disposition")
            .to_owned();
        assert!(disposition.is_ascii(), "{disposition}");
    }
    let mut sorted: Vec<&str> = names.to_vec();
    sorted.sort_by(|a, b| a.as_bytes().cmp(b.as_bytes()));
    assert_eq!(files.names("/d/"), sorted);
    for name in names {
        files.delete(&encoded(&format!("/d/{name}"))).status(204);
    }
    assert!(files.names("/d/").is_empty());
}

#[test]
fn what_is_no_name_is_refused_with_a_reason() {
    let gateway = Gateway::fresh("");
    let files = gateway.files();
    let long = "n".repeat(256);
    let deep = "/d".repeat(200);
    let far = format!("/{}", "n".repeat(250)).repeat(20);
    for (target, status) in [
        ("/a/../b", 400),
        ("/%2e%2e/b", 400),
        ("/a/.%2E/b", 400),
        ("/a/./b", 400),
        ("/..", 400),
        ("/nul%00", 400),
        ("/tab%09", 400),
        ("/line%0Abreak", 400),
        ("/del%7F", 400),
        ("/c1%C2%85", 400),
        ("/%FF", 400),
        ("/%C3", 400),
        ("/%ED%A0%80", 400),
        ("/.moongate-x", 400),
        ("/.moongate-x/y", 400),
        (&format!("/{long}"), 414),
        (&format!("/a/{long}/b"), 414),
        (&deep, 400),
        (&far, 414),
    ] {
        for request in [
            Request::put(target, "", b"x"),
            Request::get(target),
            Request::new("DELETE", target),
            Request::new("POST", &format!("{target}/")),
            Request::new("POST", &format!("{target}?mv.from=/x")),
        ] {
            let got = files.send(&request);
            assert_eq!(got.status, status, "{} {target:.60}", request.method);
            assert!(!got.error().is_empty());
        }
    }
    assert!(files.names("/").is_empty());
}

#[test]
fn slashes_that_repeat_count_as_one() {
    let gateway = Gateway::fresh("");
    let files = gateway.files();
    files.put("//a///b", b"x");
    files.assert_has("/a/b", b"x");
    files.assert_has("//a//b", b"x");
    // An escaped slash is a slash: there is one way to read a path.
    files.assert_has("/a%2Fb", b"x");
}

#[test]
fn names_of_health_checks_are_names_like_others() {
    let gateway = Gateway::fresh("");
    let files = gateway.files();
    for path in ["/healthz", "/readyz"] {
        files.get(path).status(200).empty();
        files.put(path, b"mine");
        files.assert_has(path, b"mine");
        files.delete(path).status(204);
        files.get(path).status(200).empty();
    }
}

#[test]
fn lists_refuse_what_paths_refuse() {
    let gateway = Gateway::fresh("");
    let files = gateway.files();
    files.put("/a", b"x");
    for line in [
        r#""/../etc""#,
        r#""a""#,
        r#"{"path":"/a","name":"../x"}"#,
        r#"{"path":"/a","name":"/x"}"#,
        "{}",
        "1",
        "\"/a\u{0}\"",
    ] {
        for call in ["get", "delete"] {
            let list = format!("\"/a\"\n{line}\n");
            let request = Request::new("POST", &format!("/batch/{call}")).body(list.as_bytes());
            let error = files.send(&request).status(400).error();
            assert!(error.contains("line 2"), "{error}");
        }
    }
    files.assert_has("/a", b"x");
}
