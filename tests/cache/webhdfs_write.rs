//! Writing over WebHDFS.

use moongate_tests::{Connection, Request};

use crate::door::Door;

#[test]
fn a_file_is_created_after_a_redirect_to_the_gateway_itself() {
    let door = Door::open();
    let hdfs = door.hdfs();
    let first = hdfs
        .once("PUT", "/m/d/f", "op=CREATE&user.name=root", &[])
        .status(307);
    let want = "http://moongate.test/webhdfs/v1/m/d/f?op=CREATE&user.name=root&data=true";
    assert_eq!(first.header("location"), Some(want));
    assert_eq!(first.body, b"");
    assert!(
        !door.folder.path().join("d").exists(),
        "nothing is made before the bytes come"
    );
    hdfs.create("/m/d/f", b"bytes");
    assert_eq!(
        std::fs::read(door.folder.path().join("d/f")).unwrap(),
        b"bytes"
    );
    hdfs.put("/m/d/f", "op=CREATE&overwrite=True", b"other")
        .status(201);
    hdfs.ask("POST", "/m/d/f", "op=APPEND&user.name=root", b" bytes")
        .status(200);
    assert_eq!(hdfs.get("/m/d/f", "op=OPEN").body, b"other bytes");
}

#[test]
fn names_keep_their_bytes_through_the_redirect() {
    let door = Door::open();
    // A combining accent: the NameNode would compose it.
    let name = "e\u{301} a+b;c";
    let sent = "/m/e\u{301}%20a+b;c";
    door.hdfs().create(sent, b"x");
    assert!(door.folder.path().join(name).is_file());
    assert_eq!(door.hdfs().get(sent, "op=OPEN").status(200).body, b"x");
}

#[test]
fn a_client_may_wait_for_leave_to_send() {
    let door = Door::open();
    let mut connection = Connection::open(door.gateway.file()).unwrap();
    let head = Request::new("PUT", "/webhdfs/v1/m/f?op=CREATE&data=true")
        .header("Expect", "100-continue")
        .header("Content-Length", "5");
    connection.write(&head.head_bytes()).unwrap();
    assert_eq!(connection.receive_any("PUT").unwrap().status, 100);
    connection.write(b"bytes").unwrap();
    assert_eq!(connection.receive("PUT").unwrap().status, 201);
    assert_eq!(
        std::fs::read(door.folder.path().join("f")).unwrap(),
        b"bytes"
    );
}

#[test]
fn an_upload_that_breaks_off_leaves_no_file() {
    let door = Door::open();
    let mut connection = Connection::open(door.gateway.file()).unwrap();
    let head = Request::new("PUT", "/webhdfs/v1/m/f?op=CREATE&data=true")
        .header("Content-Length", "1000000");
    connection.write(&head.head_bytes()).unwrap();
    connection.write(b"some bytes").unwrap();
    drop(connection);
    moongate_tests::wait::until_true(
        "what was begun goes",
        std::time::Duration::from_secs(120),
        || {
            door.hdfs().get("/m/f", "op=GETFILESTATUS").status == 404
                && std::fs::read_dir(door.folder.path()).unwrap().count() == 0
        },
    );
}

#[test]
fn folders_are_made_moved_and_deleted() {
    let door = Door::open();
    let hdfs = door.hdfs();
    let said = |method: &str, path: &str, query: &str| {
        hdfs.ask(method, path, query, &[]).status(200).json()["boolean"].clone()
    };
    assert_eq!(said("PUT", "/m/a/b", "op=MKDIRS&permission=700"), true);
    assert_eq!(
        hdfs.json("/m/a/b", "op=GETFILESTATUS")["FileStatus"]["permission"],
        "700"
    );
    hdfs.create("/m/a/f", b"x");
    assert_eq!(said("PUT", "/m/a/f", "op=RENAME&destination=/m/a/b"), true);
    assert_eq!(hdfs.names("/m/a/b"), ["f"]);
    assert_eq!(said("PUT", "/m/nope", "op=RENAME&destination=/m/x"), false);
    hdfs.create("/m/a/g", b"y");
    assert_eq!(
        said("PUT", "/m/a/g", "op=RENAME&destination=/m/a/b/f"),
        false
    );
    let options = "op=RENAME&destination=%2Fm%2Fa%2Fb%2Ff&renameoptions=";
    let refused = hdfs.refusal("PUT", "/m/a/g", &format!("{options}NONE"));
    assert_eq!(
        (refused.0, refused.1.as_str()),
        (403, "org.apache.hadoop.fs.FileAlreadyExistsException")
    );
    assert_eq!(
        hdfs.ask("PUT", "/m/a/g", &format!("{options}OVERWRITE"), &[])
            .status(200)
            .body,
        b""
    );
    assert_eq!(hdfs.get("/m/a/b/f", "op=OPEN").body, b"y");
    assert_eq!(said("DELETE", "/m/nope", "op=DELETE"), false);
    assert_eq!(said("DELETE", "/m/a", "op=DELETE&recursive=TRUE"), true);
    assert_eq!(said("DELETE", "/", "op=DELETE&recursive=true"), false);
    assert_eq!(hdfs.names("/m"), Vec::<String>::new());
}

#[test]
fn what_is_known_of_a_file_is_changed() {
    let door = Door::open();
    let hdfs = door.hdfs();
    hdfs.create("/m/f", b"hello");
    let status = || hdfs.json("/m/f", "op=GETFILESTATUS")["FileStatus"].clone();
    assert_eq!(
        hdfs.put("/m/f", "op=SETPERMISSION&permission=640", &[])
            .status(200)
            .body,
        b""
    );
    assert_eq!(status()["permission"], "640");
    hdfs.put("/m/f", "op=SETPERMISSION", &[]).status(200);
    assert_eq!(status()["permission"], "755");
    hdfs.put(
        "/m/f",
        "op=SETTIMES&modificationtime=1000000&accesstime=-1",
        &[],
    )
    .status(200);
    assert_eq!(status()["modificationTime"], 1_000_000);
    assert_eq!(
        hdfs.put("/m", "op=SETREPLICATION&replication=2", &[])
            .status(200)
            .json()["boolean"],
        false
    );
    assert_eq!(
        hdfs.put("/m/nope", "op=SETREPLICATION&replication=2", &[])
            .status(200)
            .json()["boolean"],
        false
    );
    let cut = hdfs.ask(
        "POST",
        "/m/f",
        "op=TRUNCATE&newlength=2&user.name=root",
        &[],
    );
    assert_eq!(cut.status(200).json()["boolean"], true);
    assert_eq!(hdfs.get("/m/f", "op=OPEN").body, b"he");
}

#[test]
fn a_mount_that_is_read_only_is_not_changed() {
    let folder = tempfile::TempDir::new().unwrap();
    std::fs::write(folder.path().join("f"), b"x").unwrap();
    let config = format!(
        "{}read_only = true\n",
        crate::door::mount("/r", folder.path())
    );
    let gateway = moongate_tests::Gateway::fresh(&config);
    let hdfs = crate::door::WebHdfs(gateway.file());
    assert_eq!(hdfs.get("/r/f", "op=OPEN").status(200).body, b"x");
    for (method, path, query) in [
        ("PUT", "/r/g", "op=CREATE"),
        ("POST", "/r/f", "op=APPEND"),
        ("DELETE", "/r/f", "op=DELETE"),
        ("PUT", "/r/d", "op=MKDIRS"),
        ("PUT", "/r/f", "op=SETPERMISSION"),
        ("PUT", "/r/f", "op=RENAME&destination=/r/g"),
    ] {
        let (status, class, _) = hdfs.refusal(method, path, query);
        assert_eq!(
            (status, class.as_str()),
            (403, "org.apache.hadoop.security.AccessControlException"),
            "{query}"
        );
    }
}
