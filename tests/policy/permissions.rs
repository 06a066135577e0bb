//! `authz = "native"`: users × files × operations, asked of a NameNode in each user's name and of the gateway, which decides by itself. The
//! gateway's own calls are a superuser's, so that what it lets pass would be done.

use std::fmt;
use std::net::SocketAddr;
use std::thread;

use moongate_tests::beds::hdfs::Hdfs;
use moongate_tests::{Gateway, Response};
use serde_json::Value;
use tempfile::TempDir;

use crate::cluster::{Door, GROUPS, cluster};

const USERS: [&str; 5] = ["alice", "bob", "carol", "dave", "nobody-knows"];

/// A folder `d` and a file `d/f` with other rights each time, all of alice and the group staff.
const RIGHTS: [Rights; 11] = [
    Rights::modes("755", "644"),
    Rights::modes("750", "640"),
    Rights::modes("700", "600"),
    Rights::modes("711", "604"),
    Rights::modes("770", "460"),
    Rights::modes("777", "666"),
    Rights::modes("1777", "666"),
    Rights::modes("057", "007"),
    Rights {
        acl: "user::rwx,user:carol:r--,group::---,mask::r--,other::---",
        ..Rights::modes("755", "")
    },
    Rights {
        acl: "user::rw-,group::r--,group:etl:rw-,mask::r--,other::r--",
        ..Rights::modes("755", "")
    },
    Rights {
        folder_acl: "user::rwx,user:dave:rwx,group::---,group:etl:-wx,mask::rwx,other::---",
        ..Rights::modes("", "644")
    },
];

/// Method, whether it is of the folder, and the rest.
const OPERATIONS: [(&str, &str, &str); 24] = [
    ("GET", "d/f", "OPEN"),
    ("GET", "d/f", "GETFILESTATUS"),
    ("GET", "d", "GETFILESTATUS"),
    ("GET", "d", "LISTSTATUS"),
    ("GET", "d/f", "LISTSTATUS"),
    ("GET", "d", "GETCONTENTSUMMARY"),
    ("GET", "d/f", "GETACLSTATUS"),
    ("GET", "d/f", "CHECKACCESS&fsaction=r--"),
    ("GET", "d/f", "CHECKACCESS&fsaction=rw-"),
    ("GET", "d", "CHECKACCESS&fsaction=-wx"),
    ("PUT", "d/new", "CREATE"),
    ("PUT", "d/f", "CREATE&overwrite=true"),
    ("POST", "d/f", "APPEND"),
    ("PUT", "d/made/deep", "MKDIRS"),
    ("PUT", "d/f", "RENAME&destination=%/d/g"),
    ("PUT", "d/f", "RENAME&destination=%/out"),
    ("PUT", "d", "RENAME&destination=%/e"),
    ("DELETE", "d/f", "DELETE"),
    ("DELETE", "d", "DELETE&recursive=true"),
    ("PUT", "d/f", "SETPERMISSION&permission=600"),
    ("PUT", "d/f", "SETTIMES&modificationtime=1000"),
    (
        "PUT",
        "d/f",
        "SETACL&aclspec=user::rw-,group::r--,other::---",
    ),
    ("PUT", "d/f", "SETOWNER&owner=bob"),
    ("PUT", "d/f", "SETREPLICATION&replication=1"),
];

#[derive(Clone, Copy, Debug)]
struct Rights {
    folder: &'static str,
    file: &'static str,
    acl: &'static str,
    folder_acl: &'static str,
}

impl Rights {
    const fn modes(folder: &'static str, file: &'static str) -> Rights {
        Rights {
            folder,
            file,
            acl: "",
            folder_acl: "",
        }
    }

    /// Makes the tree anew.
    fn lay(self, root: &str) {
        let namenode = Door::of_namenode();
        let (folder, file) = (format!("{root}/d"), format!("{root}/d/f"));
        for path in ["d", "e", "out"] {
            namenode.must("DELETE", &format!("{root}/{path}"), "DELETE&recursive=true");
        }
        namenode.must("PUT", &file, "CREATE&overwrite=true");
        namenode.must("PUT", root, "SETPERMISSION&permission=777");
        for (path, mode, acl) in [
            (&folder, self.folder, self.folder_acl),
            (&file, self.file, self.acl),
        ] {
            if !mode.is_empty() {
                namenode.must("PUT", path, &format!("SETPERMISSION&permission={mode}"));
            }
            if !acl.is_empty() {
                namenode.must("PUT", path, &format!("SETACL&aclspec={acl}"));
            }
            namenode.must("PUT", path, "SETOWNER&owner=alice&group=staff");
        }
    }
}

/// What is compared: the status, and the name of the exception.
#[derive(PartialEq, Eq)]
struct Answer(u16, String);

impl Answer {
    fn of(answer: &Response) -> Answer {
        let said: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        let exception = said["RemoteException"]["exception"].as_str();
        Answer(answer.status, exception.unwrap_or_default().to_owned())
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.0, self.1)
    }
}

fn gateway(dir: &TempDir) -> Gateway {
    let groups: String = GROUPS
        .split(';')
        .map(|line| line.replace('=', ": ") + "\n")
        .collect();
    let file = dir.path().join("groups");
    std::fs::write(&file, groups + "nobody-knows:\n").unwrap();
    let superuser = Hdfs::superuser();
    Gateway::fresh(&format!(
        "[auth]\nmethods = ['simple']\n[auth.groups]\nsources = ['file']\nfile = '{}'\n[policy]\nauthz = 'native'\nsuperusers = ['{superuser}']\n\
         [[mount]]\npath = '/'\nstore = '{}'\nttl = '0s'\nimpersonate = false\n",
        file.display(),
        cluster().url()
    ))
}

/// Every user tries everything on both sides, each with a tree of its own that is made anew once it was changed.
fn compare(gateway: SocketAddr, rights: Rights, name: &str) -> Vec<String> {
    let sides = [
        (Door::of_namenode(), format!("/native/{name}/theirs")),
        (Door(gateway), format!("/native/{name}/ours")),
    ];
    for (_, root) in &sides {
        rights.lay(root);
    }
    let mut differ = Vec::new();
    for user in USERS {
        for (method, path, op) in OPERATIONS {
            let [theirs, ours] = [0, 1].map(|side| {
                let (door, root) = &sides[side];
                let answer = door.ask(
                    user,
                    method,
                    &format!("{root}/{path}"),
                    &op.replace('%', root),
                );
                if method != "GET" && answer.status < 300 {
                    rights.lay(root);
                }
                Answer::of(&answer)
            });
            if theirs != ours {
                differ.push(format!("{rights:?}: {user} {method} {path} {op}: the NameNode says {theirs}, the gateway {ours}"));
            }
        }
    }
    differ
}

#[test]
fn the_gateway_decides_as_the_namenode_does() {
    let dir = TempDir::new().unwrap();
    let gateway = gateway(&dir);
    let address = gateway.file();
    let differ: Vec<String> = thread::scope(|scope| {
        let each = |(n, rights)| scope.spawn(move || compare(address, rights, &format!("t{n}")));
        let running: Vec<_> = RIGHTS.into_iter().enumerate().map(each).collect();
        running
            .into_iter()
            .flat_map(|one| one.join().unwrap())
            .collect()
    });
    assert!(
        differ.is_empty(),
        "{} cells differ:\n{}",
        differ.len(),
        differ.join("\n")
    );
}
