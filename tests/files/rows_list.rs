//! Folders listed: by page and pattern, as JSON, JSON lines and as a page for people.

use moongate_tests::files::{Files, names_of};
use moongate_tests::http::Request;
use moongate_tests::{Gateway, Response};
use serde_json::Value;

const NAMES: [&str; 7] = ["B.jpg", "a.jpg", "a.json", "b.jpg", "c", "z.txt", "é.jpg"];

fn folder(files: Files<'_>) {
    for name in NAMES {
        let encoded = name.replace('é', "%C3%A9");
        files.put(&format!("/d/{encoded}"), name.as_bytes());
    }
    files.put("/d/b.folder/inside", b"x");
}

fn lines(response: &Response) -> Vec<Value> {
    let kind = response.expect_header("Content-Type");
    assert_eq!(kind, "application/x-ndjson");
    let text = response.text();
    assert!(text.ends_with('\n'));
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn as_lines(target: &str) -> Request {
    Request::get(target).header("Accept", "application/x-ndjson")
}

#[test]
fn json_has_seaweedfs_shape_and_the_order_of_bytes() {
    let gateway = Gateway::fresh("");
    let files = gateway.files();
    folder(files);
    for target in ["/d", "/d/"] {
        let said = files.list(target);
        let mut sorted: Vec<String> = NAMES.iter().map(ToString::to_string).collect();
        sorted.push("b.folder".into());
        sorted.sort_by(|a, b| a.as_bytes().cmp(b.as_bytes()));
        assert_eq!(names_of(&said), sorted);
        assert_eq!(said["Path"], "/d");
        assert_eq!(said["Limit"], 100_000);
        assert_eq!(said["LastFileName"], "é.jpg");
        assert_eq!(said["ShouldDisplayLoadMore"], false);
        assert_eq!(said["EmptyFolder"], false);
        let entry = &said["Entries"][1];
        assert_eq!(entry["FullPath"], "/d/a.jpg");
        assert_eq!(entry["FileSize"], 5);
        assert_eq!(entry["Mode"], 432);
        assert_eq!(entry["chunks"][0]["size"], 5);
    }
    // Any header that takes JSON will do.
    let request = Request::get("/d/").header("Accept", "application/json, text/plain, */*");
    files.send(&request).status(200).json();
    files.post("/empty/").status(201);
    let said = files.list("/empty/");
    assert_eq!(said["Entries"], Value::Null);
    assert_eq!(said["EmptyFolder"], true);
    assert_eq!(said["LastFileName"], "");
}

#[test]
fn pages_follow_each_other() {
    let gateway = Gateway::fresh("");
    let files = gateway.files();
    folder(files);
    let all = files.names("/d/");
    for limit in 1..=9 {
        let (mut got, mut last) = (Vec::new(), String::new());
        loop {
            let said = files.list(&format!("/d/?limit={limit}&lastFileName={last}"));
            let page = names_of(&said);
            assert!(page.len() <= limit);
            got.extend(page);
            assert_eq!(said["Limit"], limit);
            let more = said["ShouldDisplayLoadMore"].as_bool().unwrap();
            assert_eq!(
                more,
                got.len() < all.len(),
                "limit {limit} at {}",
                got.len()
            );
            if !more {
                break;
            }
            last = said["LastFileName"]
                .as_str()
                .unwrap()
                .replace('é', "%C3%A9");
        }
        assert_eq!(got, all);
    }
    // After a name that is not there, too.
    assert_eq!(files.names("/d/?lastFileName=bb")[0], "c");
    assert_eq!(
        files.list("/d/?lastFileName=%C3%BF")["Entries"],
        Value::Null
    );
    for wrong in ["limit=x", "limit=-1", "lastFileName=a%2Fb"] {
        let request = Request::get(&format!("/d/?{wrong}")).header("Accept", "application/json");
        assert_eq!(files.send(&request).status, 400, "{wrong}");
    }
}

#[test]
fn patterns_choose() {
    let gateway = Gateway::fresh("");
    let files = gateway.files();
    folder(files);
    for (query, want) in [
        (
            "namePattern=*.jpg",
            vec!["B.jpg", "a.jpg", "b.jpg", "é.jpg"],
        ),
        ("namePattern=a.*", vec!["a.jpg", "a.json"]),
        (
            "namePattern=?.jpg",
            vec!["B.jpg", "a.jpg", "b.jpg", "é.jpg"],
        ),
        ("namePattern=c", vec!["c"]),
        (
            "namePattern=*.jpg&namePatternExclude=b*",
            vec!["B.jpg", "a.jpg", "é.jpg"],
        ),
        ("namePatternExclude=*.*", vec!["c"]),
        (
            "namePattern=*.jpg&lastFileName=a.jpg",
            vec!["b.jpg", "é.jpg"],
        ),
        ("namePattern=*.jpg&limit=2", vec!["B.jpg", "a.jpg"]),
        ("namePattern=nothing*", vec![]),
    ] {
        assert_eq!(files.names(&format!("/d/?{query}")), want, "{query}");
    }
    // What would take a backtracking matcher for ever.
    files.put(&format!("/e/{}", "a".repeat(200)), b"x");
    let stars = "*a".repeat(60);
    assert!(
        files
            .names(&format!("/e/?namePattern={stars}*b"))
            .is_empty()
    );
}

#[test]
fn json_lines_end_with_a_count() {
    let gateway = Gateway::fresh("");
    let files = gateway.files();
    folder(files);
    let mut entries = lines(&files.send(&as_lines("/d/")).status(200));
    let end = entries.pop().unwrap();
    assert_eq!(end, serde_json::json!({"end": true, "entries": 8}));
    assert_eq!(entries.len(), 8);
    assert_eq!(entries[0]["FullPath"], "/d/B.jpg");
    let whole = lines(&files.send(&as_lines("/?recursive=true")).status(200));
    let paths: Vec<&str> = whole
        .iter()
        .filter_map(|line| line["FullPath"].as_str())
        .collect();
    assert_eq!(paths.len(), 10);
    assert_eq!(whole.last().unwrap()["entries"], 10);
    // In the order of paths: a folder right before what is in it.
    let at = |path: &str| paths.iter().position(|known| *known == path).unwrap();
    assert_eq!(at("/d/b.folder") + 1, at("/d/b.folder/inside"));
    assert_eq!(at("/d"), 0);
    let json = Request::get("/?recursive=true").header("Accept", "application/json");
    assert_eq!(files.send(&json).status, 400);
}

#[test]
fn usage_counts_the_subtree() {
    let gateway = Gateway::fresh("");
    let files = gateway.files();
    folder(files);
    let bytes: usize = NAMES.iter().map(|name| name.len()).sum();
    assert_eq!(files.usage("/d/"), (8, 1, bytes as u64 + 1));
    assert_eq!(files.usage("/"), (8, 2, bytes as u64 + 1));
}

#[test]
fn the_page_for_people_escapes_every_name() {
    let gateway = Gateway::fresh("");
    let files = gateway.files();
    files.put("/%3Cscript%3Ealert(1)%3C%2Fscript%3E", b"x");
    let evil = "/e/%22%3E%3Cimg%20src=x%20onerror='alert(1)'%3E%26amp;%25%23%3F.jpg";
    files.put(evil, b"evil");
    let page = files.get("/e/").status(200);
    assert!(page.expect_header("Content-Type").starts_with("text/html"));
    assert_eq!(page.expect_header("X-Content-Type-Options"), "nosniff");
    let html = page.text();
    assert!(!html.contains("<img"), "{html}");
    assert!(!html.contains("<script"), "{html}");
    assert!(html.contains("&lt;img"), "{html}");
    // The link leads to the file.
    let link = html
        .split("href=\"")
        .filter_map(|rest| rest.split('"').next())
        .find(|link| link.contains("img"))
        .unwrap();
    files.assert_has(link, b"evil");
    // A folder's name in title and crumbs.
    files.put("/%3Cb%3E/x", b"x");
    let html = files.get("/%3Cb%3E/").status(200).text();
    assert!(!html.contains("<b>"), "{html}");
    // Long folders go on.
    let html = files.get("/?limit=1").status(200).text();
    let more = html
        .split("href=\"")
        .find(|rest| rest.starts_with('?'))
        .unwrap();
    let more = more.split('"').next().unwrap();
    files.get(&format!("/{more}")).status(200);
}
