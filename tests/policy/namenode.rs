//! `authz = "both"` over an HDFS that is asked in the caller's name: policies may refuse, and what they do not refuse the NameNode decides.

use std::path::Path;

use moongate_tests::{Gateway, wait};
use serde_json::Value;
use tempfile::TempDir;

use crate::cluster::{Door, cluster};
use crate::state::{allow, ask, deny, download};

const LIMIT: std::time::Duration = std::time::Duration::from_secs(10);
const FOLDER: &str = "/both";

/// `etl.txt` is for the group etl, of which only the NameNode knows who is in it; `alice.txt` is for alice.
fn fill(namenode: Door) {
    for (name, owner, group, mode) in [
        ("etl.txt", "nobody", "etl", "640"),
        ("alice.txt", "alice", "staff", "600"),
        ("shut.txt", "nobody", "etl", "644"),
    ] {
        let path = format!("{FOLDER}/{name}");
        namenode.must("PUT", &path, "CREATE&overwrite=true");
        namenode.must("PUT", &path, &format!("SETPERMISSION&permission={mode}"));
        namenode.must(
            "PUT",
            &path,
            &format!("SETOWNER&owner={owner}&group={group}"),
        );
    }
    namenode.must("PUT", FOLDER, "SETPERMISSION&permission=775");
    namenode.must("PUT", FOLDER, "SETOWNER&owner=nobody&group=etl");
}

fn gateway(dir: &Path) -> Gateway {
    let file = dir.join("policies.json");
    let policies = [
        deny(1, "/h/shut.txt", "carol"),
        allow(2, "/h/alice.txt", "dave"),
        allow(3, "/h/etl.txt", "zoe"),
    ];
    std::fs::write(&file, download(1, &policies).to_string()).unwrap();
    Gateway::fresh(&format!(
        "[auth]\nmethods = ['simple']\n[policy]\nfile = '{}'\nservice = 'hdfsdev'\n[audit]\ndir = '{}'\n\
         [[mount]]\npath = '/h'\nstore = '{}{FOLDER}'\nttl = '0s'\nauthz = 'both'\n",
        file.display(),
        dir.join("audit").display(),
        cluster().url()
    ))
}

/// Result and enforcer of somebody's records of a file.
fn audited(dir: &Path, user: &str, path: &str) -> Vec<(i64, String)> {
    let text = std::fs::read_to_string(dir.join("audit/audit.jsonl")).unwrap_or_default();
    let lines = text
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    let of = lines.filter(|line| line["reqUser"] == user && line["resource"] == path);
    of.map(|line| {
        (
            line["result"].as_i64().unwrap(),
            line["enforcer"].as_str().unwrap().to_owned(),
        )
    })
    .collect()
}

#[test]
fn policies_refuse_and_the_namenode_decides_the_rest() {
    fill(Door::of_namenode());
    let dir = TempDir::new().unwrap();
    let gateway = gateway(dir.path());
    let door = Door(gateway.file());
    let reads =
        |user: &str, name: &str| door.ask(user, "GET", &format!("/h/{name}"), "OPEN").status;
    // No policy speaks of these, and the gateway knows nobody's groups: the NameNode does.
    assert_eq!(
        (reads("bob", "etl.txt"), reads("dave", "etl.txt")),
        (200, 403)
    );
    assert_eq!(
        (reads("alice", "alice.txt"), reads("bob", "alice.txt")),
        (200, 403)
    );
    // What a policy denies is refused, whatever the NameNode would say; what it allows, the NameNode may refuse.
    assert_eq!(
        (reads("carol", "shut.txt"), reads("bob", "shut.txt")),
        (403, 200)
    );
    assert_eq!(
        (reads("dave", "alice.txt"), reads("zoe", "etl.txt")),
        (403, 403)
    );
    let plain = |user: &str| {
        ask(
            gateway.file(),
            "GET",
            &format!("/h/etl.txt?user.name={user}"),
            b"",
        )
        .status
    };
    assert_eq!((plain("carol"), plain("dave")), (200, 403));
    // Changes too, and who made a file owns it.
    let put = |user: &str, path: &str, op: &str| door.ask(user, "PUT", path, op).status;
    assert_eq!(
        (
            put("bob", "/h/new", "CREATE"),
            put("dave", "/h/other", "CREATE")
        ),
        (201, 403)
    );
    assert_eq!(
        (
            put("dave", "/h/new", "SETPERMISSION&permission=777"),
            put("bob", "/h/new", "SETPERMISSION&permission=700")
        ),
        (403, 200)
    );
    // An archive is refused before its first byte.
    let archive = |user: &str| {
        ask(
            gateway.file(),
            "GET",
            &format!("/h/?archive=tar&user.name={user}"),
            b"",
        )
        .status
    };
    assert_eq!(archive("bob"), 403, "alice.txt is in it");
    wait::until_true("the records are written", LIMIT, || {
        !audited(dir.path(), "zoe", "/h/etl.txt").is_empty()
    });
    let of = |user: &str, path: &str| audited(dir.path(), user, path);
    let native = |result: i64| (result, "hadoop-acl".to_owned());
    assert_eq!(
        of("zoe", "/h/etl.txt"),
        [native(0)],
        "a policy allowed it, the NameNode did not"
    );
    assert_eq!(of("bob", "/h/etl.txt"), [native(1)]);
    assert_eq!(of("carol", "/h/shut.txt"), [(0, "ranger-acl".to_owned())]);
}

/// Ownership and modes are the NameNode's as they are now, also for what the cache holds.
#[test]
fn a_change_of_modes_reaches_cached_bytes() {
    let namenode = Door::of_namenode();
    let path = "/both-changed/f";
    namenode.must("PUT", path, "CREATE&overwrite=true");
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("policies.json");
    std::fs::write(
        &file,
        download(1, &[deny(1, "/elsewhere", "x")]).to_string(),
    )
    .unwrap();
    let gateway = Gateway::fresh(&format!(
        "[auth]\nmethods = ['simple']\n[policy]\nfile = '{}'\nservice = 'hdfsdev'\n\
         [[mount]]\npath = '/h'\nstore = '{}'\nttl = '0s'\n",
        file.display(),
        cluster().url()
    ));
    let reads = || {
        Door(gateway.file())
            .ask("dave", "GET", &format!("/h{path}"), "OPEN")
            .status
    };
    assert_eq!(reads(), 200);
    namenode.must("PUT", path, "SETPERMISSION&permission=600");
    assert_eq!(reads(), 403);
}
