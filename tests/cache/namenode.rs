//! The gateway beside a real NameNode: the same requests about the same tree get the same answers.

use std::net::SocketAddr;

use moongate_tests::Gateway;
use moongate_tests::beds::hdfs::Hdfs;
use serde_json::Value;

use crate::door::WebHdfs;

/// What a store does not tell the gateway: numbers of inodes, of children, of policies.
const NOT_TOLD: [&str; 6] = [
    "fileId",
    "childrenNum",
    "storagePolicy",
    "snapshotEnabled",
    "aclBit",
    "accessTime",
];

struct Pair {
    hdfs: &'static Hdfs,
    namenode: WebHdfs,
    gateway: WebHdfs,
    _gateway: Gateway,
}

impl Pair {
    /// The whole of HDFS at the root of the namespace, so that paths are the same.
    fn start(folder: &str) -> Pair {
        let hdfs = Hdfs::shared();
        let http = hdfs.http(0).replace("localhost", "127.0.0.1");
        let config = format!(
            "[[mount]]\npath = '/'\nstore = '{}'\nttl = '0s'\nwebhdfs = 'http://{http}'\n",
            hdfs.url()
        );
        let gateway = Gateway::fresh(&config);
        let pair = Pair {
            hdfs,
            namenode: WebHdfs(http.parse::<SocketAddr>().unwrap()),
            gateway: WebHdfs(gateway.file()),
            _gateway: gateway,
        };
        pair.fill(folder);
        pair
    }

    fn fill(&self, folder: &str) {
        for (name, bytes) in [
            ("a", &b"hello"[..]),
            ("empty", b""),
            ("sub/é", b"x"),
            ("sub/10", b"y"),
            ("z%20z+", b"zz"),
        ] {
            self.namenode.create(&format!("{folder}/{name}"), bytes);
        }
        self.namenode
            .put(&format!("{folder}/locked"), "op=MKDIRS&permission=700", &[])
            .status(200);
        self.namenode
            .create(&format!("{folder}/locked/secret"), b"secret");
    }

    /// The same request to both; status and JSON must be the same.
    #[track_caller]
    fn same(&self, method: &str, path: &str, query: &str) {
        let ask = |door: WebHdfs| door.ask(method, path, query, &[]);
        let (theirs, ours) = (ask(self.namenode), ask(self.gateway));
        let text = format!(
            "{method} {path} {query}\n theirs: {}\n ours:   {}",
            theirs.summary(),
            ours.summary()
        );
        assert_eq!(theirs.status, ours.status, "{text}");
        assert_eq!(told(&theirs.body), told(&ours.body), "{text}");
    }
}

/// An answer without what the gateway cannot know, and without the stack of a DataNode's exception.
fn told(body: &[u8]) -> Value {
    let mut value =
        serde_json::from_slice(body).unwrap_or_else(|_| Value::from(String::from_utf8_lossy(body)));
    strip(&mut value);
    value
}

fn strip(value: &mut Value) {
    match value {
        Value::Object(map) => {
            for key in NOT_TOLD {
                map.remove(key);
            }
            map.values_mut().for_each(strip);
        }
        Value::Array(all) => all.iter_mut().for_each(strip),
        Value::String(text) => {
            if let Some(end) = text.find("\n\tat ") {
                text.truncate(end);
            }
        }
        _ => {}
    }
}

#[test]
fn statuses_listings_and_summaries_are_the_namenodes() {
    let pair = Pair::start("/doors-status");
    for path in [
        "",
        "/a",
        "/empty",
        "/sub",
        "/sub/%C3%A9",
        "/sub/é",
        "/z%20z+",
        "/nope",
        "/a/below",
        "/locked/secret",
    ] {
        let path = format!("/doors-status{path}");
        for query in [
            "op=GETFILESTATUS",
            "op=LISTSTATUS",
            "op=LISTSTATUS_BATCH",
            "op=GETCONTENTSUMMARY",
            "op=GETACLSTATUS",
        ] {
            pair.same("GET", &path, &format!("{query}&user.name=root"));
        }
    }
    for query in [
        "op=GETHOMEDIRECTORY",
        "op=GETTRASHROOT",
        "op=GETDELEGATIONTOKEN",
    ] {
        pair.same("GET", "/", &format!("{query}&user.name=al"));
    }
}

#[test]
fn bytes_and_refusals_are_the_namenodes() {
    let pair = Pair::start("/doors-bytes");
    for (path, query) in [
        ("/a", "op=OPEN"),
        ("/a", "op=OPEN&offset=2&length=2"),
        ("/a", "op=OPEN&offset=5"),
        ("/a", "op=OPEN&offset=99"),
        ("/empty", "op=OPEN"),
        ("/sub", "op=OPEN"),
        ("/nope", "op=OPEN"),
        ("/a", "op=OPEN&offset=-1"),
        ("/a", "op=FOO"),
        ("/a", "op=GETXATTRS&encoding=text"),
        ("/a", "op=GETSTORAGEPOLICY"),
        ("/a", "op=GETFILECHECKSUM"),
        ("/nope", "op=GETFILECHECKSUM"),
        ("/a", "op=CHECKACCESS&fsaction=rw-"),
        ("/nope", "op=GETFILEBLOCKLOCATIONS"),
        ("/sub", "op=GETFILEBLOCKLOCATIONS"),
    ] {
        pair.same(
            "GET",
            &format!("/doors-bytes{path}"),
            &format!("{query}&user.name=root"),
        );
    }
    for user in ["root", "bob"] {
        for op in ["GETFILESTATUS", "OPEN"] {
            pair.same(
                "GET",
                "/doors-bytes/locked/secret",
                &format!("op={op}&user.name={user}"),
            );
        }
    }
}

#[test]
fn changes_are_the_namenodes() {
    let pair = Pair::start("/doors-change");
    let folder = "/doors-change";
    for (method, path, query) in [
        ("PUT", "/nope", "op=RENAME&destination=/doors-change/x"),
        (
            "PUT",
            "/nope",
            "op=RENAME&destination=/doors-change/x&renameoptions=NONE",
        ),
        ("PUT", "/a", "op=RENAME&destination=/doors-change/empty"),
        (
            "PUT",
            "/a",
            "op=RENAME&destination=/doors-change/empty&renameoptions=NONE",
        ),
        ("PUT", "/a", "op=RENAME&destination=/no/such/place"),
        ("PUT", "/sub", "op=RENAME&destination=/doors-change/sub/in"),
        ("DELETE", "/sub", "op=DELETE"),
        ("DELETE", "/nope", "op=DELETE"),
        ("PUT", "/a/b", "op=MKDIRS"),
        ("PUT", "/a", "op=MKDIRS"),
        ("PUT", "/a", "op=SETPERMISSION"),
        ("PUT", "/nope", "op=SETPERMISSION"),
        ("PUT", "/nope", "op=SETTIMES&modificationtime=5"),
        ("PUT", "/sub", "op=SETREPLICATION&replication=2"),
        ("PUT", "/a", "op=SETREPLICATION&replication=2"),
        ("POST", "/nope", "op=TRUNCATE&newlength=1"),
    ] {
        pair.same(
            method,
            &format!("{folder}{path}"),
            &format!("{query}&user.name=root"),
        );
    }
    // What one does, the other sees.
    pair.gateway
        .create(&format!("{folder}/new/f"), b"written through the gateway");
    let written = pair.hdfs.dfs(&["-cat", &format!("{folder}/new/f")]);
    assert_eq!(written, "written through the gateway");
    let appended = pair.gateway.ask(
        "POST",
        &format!("{folder}/new/f"),
        "op=APPEND&user.name=root",
        b"!",
    );
    appended.status(200);
    assert_eq!(
        pair.namenode
            .get(&format!("{folder}/new/f"), "op=OPEN")
            .body,
        b"written through the gateway!"
    );
    pair.same(
        "GET",
        &format!("{folder}/new/f"),
        "op=GETFILESTATUS&user.name=root",
    );
}

#[test]
fn what_is_cached_is_shown_to_those_alone_who_may_see_it() {
    let hdfs = Hdfs::shared();
    let config = format!(
        "[[mount]]\npath = '/h'\nstore = '{}/doors-guard'\nttl = '10m'\n",
        hdfs.url()
    );
    let gateway = Gateway::fresh(&config);
    let http = hdfs.http(0).replace("localhost", "127.0.0.1");
    let namenode = WebHdfs(http.parse().unwrap());
    namenode.create("/doors-guard/open", b"for all");
    namenode
        .put("/doors-guard/locked", "op=MKDIRS&permission=700", &[])
        .status(200);
    namenode.create("/doors-guard/locked/secret", b"secret");
    let door = WebHdfs(gateway.file());
    for _ in 0..2 {
        for (path, bytes) in [
            ("/h/open", &b"for all"[..]),
            ("/h/locked/secret", b"secret"),
        ] {
            assert_eq!(
                door.get(path, "op=OPEN&user.name=root").status(200).body,
                bytes
            );
        }
        assert_eq!(
            door.get("/h/open", "op=OPEN&user.name=bob")
                .status(200)
                .body,
            b"for all"
        );
        for (path, op) in [
            ("/h/locked/secret", "OPEN"),
            ("/h/locked/secret", "GETFILESTATUS"),
            ("/h/locked", "LISTSTATUS"),
        ] {
            let (status, class, message) =
                door.refusal("GET", path, &format!("op={op}&user.name=bob"));
            assert_eq!(
                (status, class.as_str()),
                (403, "org.apache.hadoop.security.AccessControlException"),
                "{op}"
            );
            assert!(message.contains("inode=\"/h/locked\""), "{message}");
        }
        let plain = gateway.files().get("/h/locked/secret?user.name=bob");
        assert_eq!(plain.status, 403, "{}", plain.summary());
    }
}

#[test]
fn the_hadoop_shell_works_through_the_gateway() {
    let pair = Pair::start("/doors-shell");
    let url = |path: &str| {
        format!(
            "webhdfs://127.0.0.1:{}/doors-shell{path}",
            pair.gateway.0.port()
        )
    };
    let lines = |text: String| -> Vec<String> {
        let columns = |line: &str| {
            let all: Vec<&str> = line.split_whitespace().collect();
            (all.len() >= 8)
                .then(|| format!("{} {} {} {}", all[0], all[2], all[4], all[7..].join(" ")))
        };
        text.replace(&url(""), "/doors-shell")
            .lines()
            .filter_map(columns)
            .collect()
    };
    let theirs = lines(pair.hdfs.dfs(&["-ls", "-R", "/doors-shell"]));
    assert_eq!(lines(pair.hdfs.dfs(&["-ls", "-R", &url("")])), theirs);
    assert_eq!(pair.hdfs.dfs(&["-cat", &url("/a")]), "hello");
    let file = pair._gateway.data().join("to-put");
    std::fs::write(&file, b"put by the shell").unwrap();
    pair.hdfs
        .dfs(&["-put", file.to_str().unwrap(), &url("/put")]);
    assert_eq!(
        pair.hdfs.dfs(&["-cat", "/doors-shell/put"]),
        "put by the shell"
    );
    pair.hdfs.dfs(&["-mv", &url("/put"), &url("/moved")]);
    assert_eq!(
        pair.hdfs.dfs(&["-cat", "/doors-shell/moved"]),
        "put by the shell"
    );
    pair.hdfs.dfs(&["-rm", "-r", "-skipTrash", &url("/sub")]);
    assert!(
        !pair
            .hdfs
            .shell(&["-test", "-e", "/doors-shell/sub"])
            .status
            .success()
    );
}
