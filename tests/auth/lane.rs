//! Plain GETs and PUTs of somebody who has to show who they are take the short way too (docs/decisions/0012), and nothing is forgotten there: keys that
//! are withdrawn, policies that change, tenants' borders and rates, audit records.

use std::path::{Path, PathBuf};
use std::time::Duration;

use moongate_tests::http::Connection;
use moongate_tests::{Gateway, Request, Response, api, http, payload, wait};
use serde_json::Value;
use tempfile::TempDir;

use crate::access_keys::made;
use crate::issuer::bearer;
use crate::state::{allow, deny, download};

const LIMIT: Duration = Duration::from_secs(60);
/// It has no meaning, so that the request takes the long way.
const NOT_PLAIN: (&str, &str) = ("X-Unknown", "1");

/// The key of `user-TENANT`, or of somebody who belongs to none.
fn key(tenant: &str) -> (String, String) {
    match tenant {
        "" => made(&["--user", "ops", "--group", "g"]),
        tenant => made(&[
            "--user",
            &format!("user-{tenant}"),
            "--group",
            "g",
            "--tenant",
            tenant,
        ]),
    }
}

/// A gateway at which something is asked of everybody.
struct Door {
    gateway: Gateway,
    folder: TempDir,
    ann: String,
    bob: String,
    ops: String,
}

impl Door {
    fn open(more: &str) -> Self {
        let folder = TempDir::new().unwrap();
        let at = |name: &str| folder.path().join(name);
        let [ann, bob, ops] = ["a", "b", ""].map(key);
        let keys = [&ann.0, &bob.0, &ops.0].map(String::as_str).join("\n\n");
        std::fs::write(at("keys.toml"), keys).unwrap();
        let policies = [allow(5, "/collections/ca", "user-a")];
        govern(&at("policies.json"), 1, &policies);
        let gateway = Gateway::fresh(&format!(
            "[auth]\nmethods = ['access-key']\n[auth.keys]\nfile = '{}'\n\
             [policy]\nfile = '{}'\nservice = 'hdfsdev'\nauthz = 'ranger'\n[audit]\ndir = '{}'\n\
             [[tenant]]\nname = 'a'\ncollections = ['ca']\n{more}\n[[tenant]]\nname = 'b'\ncollections = ['cb']\n",
            at("keys.toml").display(),
            at("policies.json").display(),
            at("audit").display(),
        ));
        Self {
            gateway,
            folder,
            ann: ann.1,
            bob: bob.1,
            ops: ops.1,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A number of the metrics.
    fn count(&self, name: &str) -> u64 {
        let request = bearer(Request::get("/metrics"), &self.ops);
        let said = http::send(self.gateway.admin(), &request).unwrap().text();
        let line = said
            .lines()
            .find_map(|line| line.strip_prefix(&format!("{name} ")));
        line.map_or(0, |value| value.trim().parse().unwrap())
    }

    fn by_lane(&self) -> u64 {
        self.count("moongate_image_lane_requests")
    }

    /// An image of ann's, and its path.
    fn stored(&self, at: &mut Connection, body: &[u8]) -> String {
        let assign = bearer(Request::get("/dir/assign?collection=ca"), &self.ann);
        let said = http::send(self.gateway.image(), &assign).unwrap();
        let path = api::assigned(&said.status(200)).path();
        let put = bearer(Request::put(&path, "image/jpeg", body), &self.ann);
        at.send(&put).unwrap().status(201);
        path
    }

    fn connection(&self) -> Connection {
        Connection::open(self.gateway.image()).unwrap()
    }

    /// What was written down of reads and writes of the collection.
    fn records(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(self.path("audit").join("audit.jsonl"));
        let text = text.unwrap_or_default();
        let lines = text
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok());
        lines
            .filter(|line: &Value| {
                let access = line["access"].as_str().unwrap();
                line["resource"] == "/collections/ca" && ["read", "write"].contains(&access)
            })
            .collect()
    }
}

/// Puts policies into the file whole.
fn govern(file: &Path, version: i64, policies: &[Value]) {
    let beside = file.with_extension("beside");
    std::fs::write(&beside, download(version, policies).to_string()).unwrap();
    std::fs::rename(beside, file).unwrap();
}

fn get(at: &mut Connection, path: &str, shown: &str) -> Response {
    at.send(&bearer(Request::get(path), shown)).unwrap()
}

#[test]
fn who_is_known_takes_the_short_way_and_leaves_a_record_each_time() {
    let door = Door::open("");
    let mut at = door.connection();
    let image = payload::bytes(1, 5120);
    let path = door.stored(&mut at, &image);
    assert_eq!(door.by_lane(), 1, "the PUT");
    let plain = bearer(Request::get(&path), &door.ann);
    let long = plain.clone().header(NOT_PLAIN.0, NOT_PLAIN.1);
    let long = http::send(door.gateway.image(), &long).unwrap();
    for _ in 0..20 {
        let short = at.send(&plain).unwrap();
        assert_eq!((short.status, &short.body), (200, &image));
        assert_eq!(short.headers.len(), long.headers.len());
    }
    assert_eq!(door.by_lane(), 21);
    wait::until_true("all is written down", LIMIT, || door.records().len() >= 22);
    let records = door.records();
    assert_eq!(records.len(), 22);
    let of = |access: &str| {
        records
            .iter()
            .filter(|line| line["access"] == access)
            .count()
    };
    assert_eq!((of("read"), of("write")), (21, 1));
    let mut ids: Vec<&str> = records
        .iter()
        .map(|line| line["id"].as_str().unwrap())
        .collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 22, "each has its id");
    for line in records {
        assert_eq!(
            (&line["reqUser"], &line["result"]),
            (&"user-a".into(), &1.into())
        );
        assert_eq!(
            (&line["policy"], &line["cliType"]),
            (&5.into(), &"access_key".into())
        );
        assert_eq!(
            line["additional_info"],
            r#"{"accessTypes":"[TYPE]","tenant":"a"}"#
                .replace("TYPE", line["action"].as_str().unwrap())
        );
    }
}

#[test]
fn a_key_that_is_withdrawn_opens_nothing_on_a_connection_that_knew_it() {
    let door = Door::open("");
    let mut at = door.connection();
    let path = door.stored(&mut at, b"image");
    let mut other = door.connection();
    assert_eq!(get(&mut at, &path, &door.ann).status, 200);
    assert_eq!(get(&mut other, &path, &door.ann).status, 200);
    std::fs::write(door.path("keys.toml"), key("").0).unwrap();
    // At once, or a moment later: but for good. A refusal moves the connection to the long way.
    wait::until_true("the key is withdrawn", LIMIT, || {
        get(&mut at, &path, &door.ann).status == 401
    });
    wait::until_true("there too", LIMIT, || {
        get(&mut other, &path, &door.ann).status == 401
    });
}

#[test]
fn a_connection_serves_each_who_shows_themselves_as_themselves() {
    let door = Door::open("");
    let mut at = door.connection();
    let path = door.stored(&mut at, b"image");
    for wrong in [
        &door.bob,
        &door.ops,
        &format!("{}x", door.ann),
        &String::new(),
    ] {
        let mut at = door.connection();
        assert_eq!(get(&mut at, &path, &door.ann).status, 200);
        let refused = if wrong.is_empty() {
            at.send(&Request::get(&path)).unwrap()
        } else {
            get(&mut at, &path, wrong)
        };
        assert!(
            matches!(refused.status, 401 | 403),
            "{wrong}: {}",
            refused.status
        );
        assert!(!refused.body.windows(5).any(|part| part == b"image"));
        assert_eq!(get(&mut at, &path, &door.ann).status, 200);
    }
}

#[test]
fn other_policies_hold_at_once() {
    let door = Door::open("");
    let mut at = door.connection();
    let path = door.stored(&mut at, b"image");
    let denied = [
        allow(5, "/collections/ca", "user-a"),
        deny(6, "/collections", "user-a"),
    ];
    for (version, policies, status) in
        [(2, &denied[..], 403), (3, &denied[..1], 200), (4, &[], 403)]
    {
        let mut fresh = door.connection();
        govern(&door.path("policies.json"), version, policies);
        let refresh = bearer(Request::new("POST", "/policies/refresh"), &door.ops);
        http::send(door.gateway.admin(), &refresh)
            .unwrap()
            .status(200);
        assert_eq!(
            get(&mut at, &path, &door.ann).status,
            status,
            "version {version}"
        );
        assert_eq!(
            get(&mut fresh, &path, &door.ann).status,
            status,
            "version {version}"
        );
        at = fresh;
    }
}

#[test]
fn a_tenants_rate_holds_on_the_short_way() {
    let door = Door::open("requests_per_sec = 20");
    let mut at = door.connection();
    let path = door.stored(&mut at, b"image");
    let before = door.by_lane();
    let refused = wait::until("a request is over the rate", LIMIT, || {
        (0..100)
            .map(|_| get(&mut at, &path, &door.ann))
            .find(|answer| answer.status != 200)
    });
    assert_eq!(refused.status, 429);
    assert!(refused.header("Retry-After").is_some());
    assert!(door.by_lane() > before);
}
