//! Names changed: folders made, deleted, moved, copied and tagged.

use moongate_tests::files::Files;
use moongate_tests::http::Request;
use moongate_tests::{Gateway, payload};

fn tree(files: Files<'_>, root: &str) {
    for name in ["a.jpg", "sub/b.jpg", "sub/deep/c.jpg"] {
        files.put(&format!("{root}/{name}"), name.as_bytes());
    }
}

#[track_caller]
fn assert_tree(files: Files<'_>, root: &str) {
    for name in ["a.jpg", "sub/b.jpg", "sub/deep/c.jpg"] {
        files.assert_has(&format!("{root}/{name}"), name.as_bytes());
    }
    assert_eq!(files.usage(root).0, 3);
}

#[test]
fn folders_are_made_once() {
    let gateway = Gateway::fresh("");
    let files = gateway.files();
    assert_eq!(
        files.post("/t/newdir/").status(201).json()["name"],
        "newdir"
    );
    let error = files.post("/t/newdir/").status(409).error();
    assert_eq!(error, "dir /t/newdir already exists");
    let said = files.metadata("/t/newdir");
    assert_eq!(said["Mode"], 2_147_484_153_u64);
    assert_eq!(said["FullPath"], "/t/newdir");
    assert_eq!(files.list("/t/newdir/")["EmptyFolder"], true);
    assert!(matches!(files.post("/").status, 403 | 409));
}

#[test]
fn deletes_say_what_they_did() {
    let gateway = Gateway::fresh("");
    let files = gateway.files();
    files.put("/f", b"x");
    files.delete("/f").status(204).empty();
    files.delete("/f").status(404);
    files.get("/f").status(404);
    tree(files, "/t");
    files.delete("/t").status(409);
    assert_tree(files, "/t");
    files.delete("/t?recursive=true").status(204);
    files.get("/t/sub/deep/c.jpg").status(404);
    files.get("/t/").status(404);
    files.post("/empty/").status(201);
    files.delete("/empty/").status(204);
    // The root stays.
    files.put("/stays", b"x");
    assert!(files.delete("/").status >= 400);
    assert!(files.delete("/?recursive=true").status >= 400);
    files.assert_has("/stays", b"x");
}

#[test]
fn a_move_takes_the_whole_subtree() {
    let gateway = Gateway::fresh("");
    let files = gateway.files();
    tree(files, "/old");
    files.post("/x/y/new?mv.from=/old").status(204).empty();
    assert_tree(files, "/x/y/new");
    files.get("/old/").status(404);
    files.get("/old/a.jpg").status(404);
    // Into a folder: with a slash.
    files.post("/into/").status(201);
    files.post("/into/?mv.from=/x/y/new").status(204);
    assert_tree(files, "/into/new");
    // A file over a file.
    files.put("/one", b"1");
    files.put("/two", b"2");
    files
        .send(&Request::new("PUT", "/two?mv.from=/one"))
        .status(204);
    files.assert_has("/two", b"1");
    files.get("/one").status(404);
    // With characters that a parameter needs escaped.
    files.put("/a%20b%26c", b"3");
    files.post("/plain?mv.from=/a%20b%26c").status(204);
    files.assert_has("/plain", b"3");
}

#[test]
fn moves_that_make_no_sense_change_nothing() {
    let gateway = Gateway::fresh("");
    let files = gateway.files();
    tree(files, "/t");
    files.put("/file", b"file");
    let error = files.post("/new?mv.from=/zzz").status(400).error();
    assert!(error.contains("/zzz"), "{error}");
    assert_eq!(
        files.post("/t/sub/deep/in?mv.from=/t").status,
        409,
        "into itself"
    );
    assert!(files.post("/t/sub?mv.from=/t").status >= 400);
    assert!(files.post("/?mv.from=/").status >= 400);
    assert!(files.post("/x?mv.from=/").status >= 400);
    assert_eq!(
        files.post("/t?mv.from=/file").status,
        409,
        "a file over a folder"
    );
    assert_eq!(
        files.post("/file?mv.from=/t").status,
        409,
        "a folder over a file"
    );
    files.put("/full/x", b"x");
    assert_eq!(
        files.post("/full?mv.from=/t").status,
        409,
        "over a folder that is not empty"
    );
    for from in ["relative", "/a/../b", "", "/.moongate-x"] {
        assert!(
            files.post(&format!("/n?mv.from={from}")).status >= 400,
            "{from:?}"
        );
    }
    files.get("/n").status(404);
    // To itself: nothing is lost, whatever the answer.
    files.post("/file?mv.from=/file");
    files.post("/t?mv.from=/t");
    assert_tree(files, "/t");
    files.assert_has("/file", b"file");
    files.assert_has("/full/x", b"x");
}

#[test]
fn copies_live_by_themselves() {
    let gateway = Gateway::fresh("");
    let files = gateway.files();
    let body = payload::bytes(1, (1 << 20) + 77);
    let put = Request::put("/a.bin?maxMB=1", "image/x", &body).header("Seaweed-Label", "cat");
    files.send(&put).status(201);
    let copied = files.post("/p/copy.bin?cp.from=/a.bin").status(204);
    assert_eq!(copied.expect_header("X-Seaweedfs-Copy-Committed"), "true");
    let error = files.post("/p/copy.bin?cp.from=/a.bin").status(409).error();
    assert_eq!(error, "destination file /p/copy.bin already exists");
    files
        .post("/p/copy.bin?cp.from=/a.bin&overwrite=true")
        .status(204);
    let before = files.get("/a.bin");
    files.delete("/a.bin").status(204);
    let copy = files.get("/p/copy.bin").status(200);
    assert!(copy.body == body);
    for name in ["Etag", "Content-Type", "Seaweed-Label", "X-Moongate-Crc32c"] {
        assert_eq!(copy.header(name), before.header(name), "{name}");
    }
    // Holes and what stands in the row are copied as they are.
    files.put("/h?offset=50", b"x");
    files.put("/h?offset=500", b"y");
    files.post("/h2?cp.from=/h").status(204);
    assert_eq!(files.get("/h2").body, files.get("/h").body);
    files.put("/e", b"");
    files.post("/e2?cp.from=/e").status(204);
    files.assert_has("/e2", b"");
    // What was covered partly.
    files.put("/c", b"0123456789");
    files.put("/c?offset=2", b"ab");
    files.put("/c?offset=5", b"cdefghijk");
    files.post("/c2?cp.from=/c").status(204);
    files.assert_has("/c2", b"01ab4cdefghijk");
    files.delete("/c").status(204);
    gateway
        .get("/vol/vacuum?garbageThreshold=0.0001")
        .status(200);
    files.assert_has("/c2", b"01ab4cdefghijk");
}

#[test]
fn copies_of_folders_and_into_folders() {
    let gateway = Gateway::fresh("");
    let files = gateway.files();
    tree(files, "/t");
    files.post("/u?cp.from=/t").status(204);
    assert_tree(files, "/u");
    files.put("/f", b"file");
    files.post("/t?cp.from=/f").status(204);
    files.assert_has("/t/f", b"file");
    for target in ["/t/sub/in", "/t", "/t/"] {
        let copied = files.post(&format!("{target}?cp.from=/t"));
        assert!(matches!(copied.status, 400 | 409), "{}", copied.summary());
    }
    files.post("/f?cp.from=/f").status(400);
    files.post("/n?cp.from=/zzz").status(400);
    files.get("/n").status(404);
    assert_eq!(files.usage("/t").0, 4, "nothing was added");
    assert_tree(files, "/u");
}

#[test]
fn tags_come_and_go() {
    let gateway = Gateway::fresh("");
    let files = gateway.files();
    files.put("/f", b"bytes");
    let tag = |target: &str, tags: &[(&str, &str)]| {
        let add = |request: Request, (name, value): &(&str, &str)| request.header(name, value);
        files.send(&tags.iter().fold(Request::new("PUT", target), add))
    };
    tag(
        "/f?tagging",
        &[
            ("Seaweed-Name", "John"),
            ("Seaweed-Age", "7"),
            ("X-No", "1"),
        ],
    )
    .status(202)
    .empty();
    tag("/f?tagging", &[("Seaweed-Age", "8")]).status(202);
    let got = files.get("/f").status(200);
    assert_eq!(got.body, b"bytes");
    assert_eq!(got.expect_header("Seaweed-Name"), "John");
    assert_eq!(got.expect_header("Seaweed-Age"), "8");
    assert_eq!(got.header("X-No"), None);
    files.delete("/f?tagging=Name").status(202);
    let got = files.get("/f").status(200);
    assert_eq!(got.header("Seaweed-Name"), None);
    assert_eq!(got.expect_header("Seaweed-Age"), "8");
    files.delete("/f?tagging").status(202);
    assert_eq!(files.get("/f").status(200).header("Seaweed-Age"), None);
    files.delete("/f?tagging").status(200);
    files.assert_has("/f", b"bytes");
    assert_eq!(tag("/zzz?tagging", &[("Seaweed-A", "1")]).status, 404);
    files.get("/zzz").status(404);
}
