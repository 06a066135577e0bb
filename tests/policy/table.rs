//! Two users, every way in: who may do what to what. Each has a folder in a mount and among the gateway's own files, and a collection.

use std::path::Path;

use moongate_tests::Gateway;
use serde_json::Value;
use tempfile::TempDir;

use crate::state::{allow, ask, deny, download};

struct House {
    gateway: Gateway,
    _dirs: [TempDir; 2],
}

const MINE: &[u8] = b"the bytes of somebody";

impl House {
    fn open() -> House {
        let dirs = [TempDir::new().unwrap(), TempDir::new().unwrap()];
        let (mounted, dir) = (dirs[0].path(), dirs[1].path());
        for user in ["alice", "bob"] {
            std::fs::create_dir_all(mounted.join(user).join("in")).unwrap();
            std::fs::write(mounted.join(user).join("f"), MINE).unwrap();
        }
        std::fs::write(mounted.join("bob/in/g"), MINE).unwrap();
        let gateway = Gateway::fresh(&Self::config(dir, mounted));
        for user in ["alice", "bob"] {
            for name in ["f", "in/g"] {
                let put = ask(
                    gateway.file(),
                    "PUT",
                    &format!("/own/{user}/{name}?user.name=admin"),
                    MINE,
                );
                assert!(put.status < 300, "{}", put.summary());
            }
        }
        House {
            gateway,
            _dirs: dirs,
        }
    }

    fn config(dir: &Path, mounted: &Path) -> String {
        let mut policies = vec![deny(90, "/own/bob/in", "bob")];
        for (id, user) in [(1, "alice"), (2, "bob")] {
            for (n, path) in ["/m", "/own", "/collections"].iter().enumerate() {
                policies.push(allow(id * 10 + n as i64, &format!("{path}/{user}"), user));
            }
        }
        let file = dir.join("policies.json");
        std::fs::write(&file, download(1, &policies).to_string()).unwrap();
        format!(
            "[auth]\nmethods = ['simple']\n[policy]\nfile = '{}'\nservice = 'hdfsdev'\nauthz = 'ranger'\nsuperusers = ['admin']\n\
             [[mount]]\npath = '/m'\nstore = 'file://{}'\n",
            file.display(),
            mounted.display()
        )
    }

    #[track_caller]
    fn status(&self, user: &str, method: &str, target: &str, body: &[u8]) -> u16 {
        let and = if target.contains('?') { '&' } else { '?' };
        ask(
            self.gateway.file(),
            method,
            &format!("{target}{and}user.name={user}"),
            body,
        )
        .status
    }

    #[track_caller]
    fn hdfs(&self, user: &str, method: &str, path: &str, op: &str) -> u16 {
        self.status(user, method, &format!("/webhdfs/v1{path}?op={op}"), b"")
    }
}

/// Each reads their own, by every way; nobody reads another's, by none, and by no way to write the path.
#[test]
fn reads() {
    let house = House::open();
    for root in ["/m", "/own"] {
        assert_eq!(
            house.status("alice", "GET", &format!("{root}/alice/f"), b""),
            200,
            "{root}"
        );
        assert_eq!(
            house.hdfs("alice", "GET", &format!("{root}/alice"), "LISTSTATUS"),
            200
        );
        // Cached by now: it is asked all the same.
        for path in ["alice/f", "alice//f", "%61lice/f", "/alice/f", "alice/f/"] {
            let status = house.status("bob", "GET", &format!("{root}/{path}"), b"");
            assert!(matches!(status, 403 | 404 | 409), "{root}/{path}: {status}");
            assert_ne!(
                house.hdfs("bob", "GET", &format!("{root}/{path}"), "OPEN"),
                200,
                "{path}"
            );
        }
        for path in ["bob/../alice/f", "bob/%2e%2e/alice/f", "bob/..%2falice/f"] {
            assert!(
                house.status("bob", "GET", &format!("{root}/{path}"), b"") >= 400,
                "{path}"
            );
            assert!(
                house.hdfs("bob", "GET", &format!("{root}/{path}"), "OPEN") >= 400,
                "{path}"
            );
        }
        for op in [
            "OPEN&offset=1&length=2",
            "LISTSTATUS",
            "GETFILECHECKSUM",
            "GETCONTENTSUMMARY",
        ] {
            let path = if op == "LISTSTATUS" || op == "GETCONTENTSUMMARY" {
                "alice"
            } else {
                "alice/f"
            };
            let status = house.hdfs("bob", "GET", &format!("{root}/{path}"), op);
            assert_eq!(status, 403, "{root} {op}");
        }
        for query in ["", "?archive=tar", "?shards=2", "?usage=true"] {
            let status = house.status("bob", "GET", &format!("{root}/alice/{query}"), b"");
            assert!(status >= 400, "{root} {query}: {status}");
        }
        assert_eq!(
            house.hdfs("bob", "GET", root, "LISTSTATUS"),
            403,
            "the folder of both"
        );
    }
    // What is denied below what is allowed is not in an archive of it.
    assert_eq!(house.status("bob", "GET", "/own/bob/f", b""), 200);
    assert_eq!(house.status("bob", "GET", "/own/bob/in/g", b""), 403);
    assert_eq!(
        house.status("bob", "GET", "/own/bob/?archive=tar", b""),
        403
    );
}

#[test]
fn lists_and_batches() {
    let house = House::open();
    let get = |user: &str, list: &str| house.status(user, "POST", "/batch/get", list.as_bytes());
    assert_eq!(get("alice", "\"/own/alice/f\"\n"), 200);
    assert_eq!(get("bob", "\"/own/bob/f\"\n\"/own/alice/f\"\n"), 403);
    let delete =
        |user: &str, list: &str| house.status(user, "POST", "/batch/delete", list.as_bytes());
    assert_eq!(delete("bob", "\"/own/alice/f\"\n"), 403);
    assert_eq!(
        house.status("alice", "GET", "/own/alice/f", b""),
        200,
        "it is still there"
    );
}

#[test]
fn changes() {
    let house = House::open();
    for root in ["/m", "/own"] {
        let path = |rest: &str| format!("{root}/{rest}");
        assert!(house.status("alice", "PUT", &path("alice/new"), b"x") < 300);
        for target in [
            path("alice/new"),
            path("alice/newer"),
            path("alice/in/deep/new"),
            path("carol"),
        ] {
            assert_eq!(house.status("bob", "PUT", &target, b"x"), 403, "{target}");
        }
        assert_eq!(house.status("bob", "DELETE", &path("alice/f"), b""), 403);
        assert_eq!(
            house.status("bob", "DELETE", &path("alice?recursive=true"), b""),
            403
        );
        let moved = |user: &str, from: &str, to: &str| {
            house.status(
                user,
                "POST",
                &format!("{}?mv.from={}", path(to), path(from)),
                b"",
            )
        };
        assert_eq!(
            moved("bob", "alice/f", "bob/stolen"),
            403,
            "out of another's"
        );
        assert_eq!(moved("bob", "bob/f", "alice/given"), 403, "into another's");
        let copied = house.status(
            "bob",
            "POST",
            &format!("{}?cp.from={}", path("bob/copy"), path("alice/f")),
            b"",
        );
        assert_eq!(copied, 403);
        let op = |op: &str| house.hdfs("bob", "PUT", &path("alice/f"), op);
        assert_eq!(op(&format!("RENAME&destination={}", path("bob/x"))), 403);
        for change in [
            "SETPERMISSION&permission=777",
            "SETOWNER&owner=bob",
            "SETTIMES&modificationtime=1",
            "SETREPLICATION&replication=1",
        ] {
            assert_eq!(op(change), 403, "{change}");
        }
        assert_eq!(house.hdfs("bob", "PUT", &path("alice/dir"), "MKDIRS"), 403);
        assert_eq!(
            house.hdfs("bob", "DELETE", &path("alice"), "DELETE&recursive=true"),
            403
        );
        assert_eq!(
            house.status("alice", "GET", &path("alice/f"), b""),
            200,
            "all is as it was"
        );
    }
    // Between a mount and the gateway's own.
    assert_eq!(
        house.status("bob", "POST", "/own/bob/x?cp.from=/m/alice/f", b""),
        403
    );
    assert_eq!(
        house.status("bob", "POST", "/m/bob/x?cp.from=/own/alice/f", b""),
        403
    );
}

#[test]
fn refusals_are_hdfs_s() {
    let house = House::open();
    let target = "/webhdfs/v1/m/alice/f?op=OPEN&user.name=bob";
    let said: Value = ask(house.gateway.file(), "GET", target, b"")
        .status(403)
        .json();
    let exception = &said["RemoteException"];
    assert_eq!(exception["exception"], "AccessControlException");
    assert_eq!(
        exception["message"],
        "Permission denied: user=bob, access=READ, inode=\"/m/alice/f\""
    );
}

#[test]
fn images_belong_to_a_collection() {
    let house = House::open();
    let at = house.gateway.image();
    let assign = |user: &str, collection: &str| {
        ask(
            at,
            "GET",
            &format!("/dir/assign?collection={collection}&user.name={user}"),
            b"",
        )
    };
    let fid = assign("alice", "alice").status(200).json()["fid"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(assign("bob", "alice").status, 403);
    assert_eq!(
        assign("bob", "").status,
        403,
        "images without a collection are in /collections/default"
    );
    let image = |user: &str, method: &str, body: &[u8]| {
        ask(at, method, &format!("/{fid}?user.name={user}"), body).status
    };
    assert_eq!(image("bob", "PUT", MINE), 403);
    assert_eq!(image("alice", "PUT", MINE), 201);
    assert_eq!(
        (image("alice", "GET", b""), image("bob", "GET", b"")),
        (200, 403)
    );
    assert_eq!(image("bob", "DELETE", b""), 403);
    let list = format!("\"{fid}\"\n");
    for port in [at, house.gateway.file()] {
        let got = |user: &str| {
            ask(
                port,
                "POST",
                &format!("/batch/get?user.name={user}"),
                list.as_bytes(),
            )
            .status
        };
        assert_eq!((got("alice"), got("bob")), (200, 403));
        assert_eq!(
            ask(port, "POST", "/batch/delete?user.name=bob", list.as_bytes()).status,
            403
        );
    }
    assert_eq!(
        ask(
            at,
            "POST",
            "/col/delete?collection=alice&user.name=bob",
            b""
        )
        .status,
        403
    );
    assert_eq!(image("alice", "GET", b""), 200);
}
