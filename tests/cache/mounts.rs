//! Mounts: nested, added and removed while the gateway runs, kept over a crash.

use std::process::Output;

use moongate_tests::{Gateway, Request, gateway, http};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::door::{Door, WebHdfs, mount};

fn cli(gateway: &Gateway, arguments: &[&str]) -> Output {
    let admin = gateway.admin().to_string();
    let mut all = vec!["mount", "--admin", &admin];
    all.extend(arguments);
    gateway::run(&all)
}

fn added(gateway: &Gateway, body: &Value) -> http::Response {
    let request = Request::new("POST", "/mounts").body(body.to_string().as_bytes());
    http::send(gateway.admin(), &request).unwrap()
}

fn paths(gateway: &Gateway) -> Vec<String> {
    let said = http::send(gateway.admin(), &Request::get("/mounts"))
        .unwrap()
        .status(200)
        .json();
    let path = |mount: &Value| mount["path"].as_str().unwrap().to_owned();
    said["mounts"]
        .as_array()
        .unwrap()
        .iter()
        .map(path)
        .collect()
}

#[test]
fn the_longest_path_wins_and_parents_show_mounts_as_folders() {
    let (outer, inner) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    std::fs::create_dir_all(outer.path().join("a/b")).unwrap();
    std::fs::write(outer.path().join("a/b/hidden"), b"").unwrap();
    std::fs::write(outer.path().join("a/c"), b"outer").unwrap();
    std::fs::write(inner.path().join("f"), b"inner").unwrap();
    let config = [
        mount("/x/y", outer.path()),
        mount("/x/y/a/b", inner.path()),
        mount("/x/y/a/new", inner.path()),
    ];
    let gateway = Gateway::fresh(&config.concat());
    let hdfs = WebHdfs(gateway.file());
    assert_eq!(hdfs.names("/"), ["x"]);
    assert_eq!(hdfs.names("/x"), ["y"]);
    assert_eq!(hdfs.names("/x/y/a"), ["b", "c", "new"]);
    assert_eq!(hdfs.names("/x/y/a/b"), ["f"]);
    assert_eq!(hdfs.get("/x/y/a/b/f", "op=OPEN").body, b"inner");
    assert_eq!(
        hdfs.json("/x", "op=GETFILESTATUS")["FileStatus"]["type"],
        "DIRECTORY"
    );
    let names = gateway.files().names("/");
    assert_eq!(names, ["x"], "the file port shows them too");
    assert_eq!(gateway.files().names("/x"), ["y"]);
    let sum = hdfs.json("/x", "op=GETCONTENTSUMMARY")["ContentSummary"].clone();
    assert!(sum["fileCount"].as_u64() >= Some(3), "{sum}");
}

#[test]
fn a_mount_is_neither_moved_over_nor_deleted() {
    let door = Door::open();
    door.file("f", b"x");
    door.gateway.files().put("/own", b"own");
    let hdfs = door.hdfs();
    for (method, path, query) in [
        ("DELETE", "/m", "op=DELETE&recursive=true"),
        ("PUT", "/m", "op=RENAME&destination=/n"),
    ] {
        let (status, _, message) = hdfs.refusal(method, path, query);
        assert!(
            status == 403 && message.contains("moongate mount rm /m"),
            "{message}"
        );
    }
    let (status, class, message) = hdfs.refusal("PUT", "/own", "op=RENAME&destination=/m/own");
    assert_eq!((status, class.as_str()), (403, "java.io.IOException"));
    assert!(message.contains("across Mount points"), "{message}");
    assert_eq!(hdfs.get("/m/f", "op=OPEN").body, b"x");
}

#[test]
fn mounts_come_and_go_and_are_kept_over_a_crash() {
    let (folder, data) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    std::fs::write(folder.path().join("f"), b"kept").unwrap();
    let store = format!("file://{}", folder.path().display());
    let mut gateway = Gateway::start(&[data.path()], "");
    let output = cli(&gateway, &["add", "/k", &store, "-o", "ttl=5s"]);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(paths(&gateway), ["/k"]);
    gateway.kill9();
    gateway.restart();
    assert_eq!(
        WebHdfs(gateway.file())
            .get("/k/f", "op=OPEN")
            .status(200)
            .body,
        b"kept"
    );
    let listed = cli(&gateway, &["ls"]);
    let text = String::from_utf8(listed.stdout).unwrap();
    assert!(
        text.contains("/k") && text.contains(&store) && text.contains("admin"),
        "{text}"
    );
    assert!(cli(&gateway, &["rm", "/k"]).status.success());
    assert_eq!(WebHdfs(gateway.file()).get("/k/f", "op=OPEN").status, 404);
    gateway.terminate();
    gateway.restart();
    assert_eq!(paths(&gateway), Vec::<String>::new());
}

#[test]
fn what_cannot_be_mounted_is_told() {
    let door = Door::open();
    let folder = door.folder.path().display().to_string();
    let store = format!("file://{folder}");
    for (body, status, words) in [
        (
            json!({ "path": "/m", "store": store }),
            409,
            "mounted there already",
        ),
        (
            json!({ "path": "x", "store": store }),
            400,
            "begins with a slash",
        ),
        (
            json!({ "path": "/x", "store": "ftp://h/x" }),
            400,
            "hdfs://",
        ),
        (
            json!({ "path": "/x", "store": store, "region": "eu" }),
            400,
            "s3:// only",
        ),
        (
            json!({ "path": "/x", "store": store, "tl": "1s" }),
            400,
            "unknown field",
        ),
        (
            json!({ "path": "/x", "store": "file:///nothing/here" }),
            404,
            "/nothing/here",
        ),
    ] {
        let answer = added(&door.gateway, &body);
        assert_eq!(answer.status, status, "{body}: {}", answer.summary());
        let text = answer.json()["error"].as_str().unwrap().to_owned();
        assert!(text.contains(words), "{text}");
    }
    let removed = cli(&door.gateway, &["rm", "/m"]);
    assert_eq!(removed.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&removed.stderr).contains("configuration file"));
    assert_eq!(cli(&door.gateway, &["rm", "/nope"]).status.code(), Some(1));
    assert_eq!(paths(&door.gateway), ["/m"]);
}

#[test]
fn a_store_that_cannot_be_opened_holds_up_no_other() {
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("f"), b"x").unwrap();
    let config = format!(
        "[[mount]]\npath = '/gone'\nstore = 'file:///nothing/here'\n{}",
        mount("/m", folder.path())
    );
    let gateway = Gateway::fresh(&config);
    let hdfs = WebHdfs(gateway.file());
    assert_eq!(hdfs.get("/m/f", "op=OPEN").status(200).body, b"x");
    assert_eq!(hdfs.names("/"), ["gone", "m"]);
    let (status, _, message) = hdfs.refusal("GET", "/gone/f", "op=OPEN");
    assert!(
        status == 503 && message.contains("/nothing/here"),
        "{message}"
    );
}
