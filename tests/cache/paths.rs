//! Plain paths on the file port, over a mount.

use moongate_tests::{Request, Response};

use crate::door::Door;

fn get(door: &Door, target: &str, headers: &[(&str, &str)]) -> Response {
    let mut request = Request::get(target);
    for (name, value) in headers {
        request = request.header(name, value);
    }
    door.gateway.files().send(&request)
}

#[test]
fn files_have_ranges_and_conditions() {
    let door = Door::open();
    door.file("a b.txt", b"hello moon");
    let target = "/m/a%20b.txt";
    let whole = get(&door, target, &[]).status(200);
    assert_eq!(whole.body, b"hello moon");
    assert_eq!(whole.header("content-type"), Some("text/plain"));
    let tag = whole.header("etag").unwrap().to_owned();
    let date = whole.header("last-modified").unwrap().to_owned();
    let part = get(&door, target, &[("Range", "bytes=-4")]).status(206);
    assert_eq!(
        (part.body.as_slice(), part.header("content-range")),
        (&b"moon"[..], Some("bytes 6-9/10"))
    );
    assert_eq!(
        get(&door, target, &[("Range", "bytes=10-")])
            .status(416)
            .header("content-range"),
        Some("bytes */10")
    );
    assert_eq!(
        get(&door, target, &[("Range", "bytes=0-1,4-5")])
            .status(200)
            .body,
        b"hello moon"
    );
    get(&door, target, &[("If-None-Match", &tag)]).status(304);
    get(&door, target, &[("If-Modified-Since", &date)]).status(304);
    get(&door, target, &[("If-Match", "\"other\"")]).status(412);
    get(
        &door,
        target,
        &[("Range", "bytes=0-0"), ("If-Range", "\"other\"")],
    )
    .status(200);
    let head = door.gateway.files().head(target).status(200);
    assert_eq!(
        (head.header("content-length"), head.body.len()),
        (Some("10"), 0)
    );
    assert_eq!(get(&door, "/m/nope", &[]).status(404).body, b"");
}

#[test]
fn no_cache_asks_the_store() {
    let door = Door::open();
    door.file("f", b"one");
    assert_eq!(get(&door, "/m/f", &[]).body, b"one");
    door.file("f", b"three");
    assert_eq!(
        get(&door, "/m/f", &[("Cache-Control", "no-cache")]).body,
        b"three"
    );
}

#[test]
fn folders_are_listed_in_the_filers_shapes() {
    let door = Door::open();
    for name in ["d/x/1", "d/x/2", "d/y", "d/z.txt"] {
        door.file(name, b"abc");
    }
    let files = door.gateway.files();
    assert_eq!(files.names("/m/d"), ["x", "y", "z.txt"]);
    assert_eq!(files.names("/m/d?limit=1&lastFileName=x"), ["y"]);
    assert_eq!(files.names("/m/d?namePattern=*.txt"), ["z.txt"]);
    let listed = files.list("/m/d?limit=2");
    assert_eq!(
        (&listed["ShouldDisplayLoadMore"], &listed["LastFileName"]),
        (&true.into(), &"y".into())
    );
    assert_eq!(listed["Entries"][1]["FileSize"], 3);
    let lines = get(
        &door,
        "/m/d?recursive=true",
        &[("Accept", "application/x-ndjson")],
    )
    .status(200);
    let text = String::from_utf8(lines.body).unwrap();
    let paths: Vec<String> = text
        .lines()
        .filter_map(|line| {
            serde_json::from_str::<serde_json::Value>(line).unwrap()["FullPath"]
                .as_str()
                .map(str::to_owned)
        })
        .collect();
    assert_eq!(
        paths,
        ["/m/d/x", "/m/d/x/1", "/m/d/x/2", "/m/d/y", "/m/d/z.txt"]
    );
    assert!(text.ends_with("{\"end\":true,\"entries\":5}\n"));
    let page = get(&door, "/m/d/", &[("Accept", "text/html")]).status(200);
    assert!(String::from_utf8_lossy(&page.body).contains("href=\"/m/d/z.txt\""));
    assert_eq!(files.usage("/m/d"), (4, 1, 12));
    assert_eq!(files.metadata("/m/d/y")["FileSize"], 3);
}

#[test]
fn files_are_stored_moved_copied_and_deleted() {
    let door = Door::open();
    let files = door.gateway.files();
    let stored = files.put("/m/new/f", b"bytes").json();
    assert_eq!((&stored["name"], &stored["size"]), (&"f".into(), &5.into()));
    assert_eq!(
        std::fs::read(door.folder.path().join("new/f")).unwrap(),
        b"bytes"
    );
    files.post("/m/empty/").status(201);
    assert!(door.folder.path().join("empty").is_dir());
    files.post("/m/other/g?mv.from=/m/new/f").status(204);
    files.assert_has("/m/other/g", b"bytes");
    files.put("/own/image", b"pixels");
    files.post("/m/copied?cp.from=/own/image").status(204);
    files.assert_has("/m/copied", b"pixels");
    files.post("/own/back?cp.from=/m/other/g").status(204);
    files.assert_has("/own/back", b"bytes");
    files.post("/own/moved?mv.from=/m/other/g").status(501);
    files.delete("/m/other").status(409);
    files.delete("/m/other?recursive=true").status(204);
    files.delete("/m/other").status(404);
    let once = Request::put("/m/copied", "", b"again").header("If-None-Match", "*");
    files.send(&once).status(412);
    files.assert_has("/m/copied", b"pixels");
    files.assert_has("/own/image", b"pixels");
}

#[test]
fn what_mounts_lack_is_said() {
    let door = Door::open();
    door.file("d/f", b"x");
    get(&door, "/m/d/f?tagging", &[]).status(501);
    for target in ["/m/d/f?op=append", "/m/d/f?offset=1"] {
        let files = door.gateway.files();
        files.send(&Request::put(target, "", b"y")).status(501);
    }
    door.gateway.files().assert_has("/m/d/f", b"x");
}
