//! A caller who reads the same file again and again is not asked about each time: each read is written down all the same, and whatever ends
//! the leave ends it at once.

use std::os::unix::fs::chown;

use moongate_tests::beds::ranger::RangerAdmin;
use moongate_tests::{Gateway, wait};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::state::{allow, ask, deny, download};

const LIMIT: std::time::Duration = std::time::Duration::from_secs(10);
/// A leave lasts until its second is over: more rounds than one see it within one.
const ROUNDS: i64 = 10;

struct Bed {
    admin: RangerAdmin,
    folder: TempDir,
    audit: TempDir,
    gateway: Gateway,
}

impl Bed {
    fn with(policies: &[Value], mount: &str) -> Bed {
        let admin = RangerAdmin::start(download(1, policies));
        let (folder, audit) = (TempDir::new().unwrap(), TempDir::new().unwrap());
        std::fs::write(folder.path().join("f"), vec![b'x'; 100_000]).unwrap();
        let gateway = Gateway::fresh(&format!(
            "[auth]\nmethods = ['anonymous', 'simple']\n[policy]\nadmin = ['{}']\nservice = 'hdfsdev'\nauthz = 'ranger'\npoll = '1h'\n\
             [audit]\ndir = '{}'\n[[mount]]\npath = '/m'\nstore = 'file://{}'\n{mount}\n",
            admin.url(),
            audit.path().display(),
            folder.path().display()
        ));
        Bed {
            admin,
            folder,
            audit,
            gateway,
        }
    }

    fn asks(&self, method: &str, user: &str) -> u16 {
        let target = format!("/m/f?user.name={user}");
        ask(self.gateway.file(), method, &target, b"").status
    }

    fn reads(&self, user: &str) -> u16 {
        self.asks("GET", user)
    }

    fn rules(&self, version: i64, policies: &[Value]) {
        self.admin.hold(download(version, policies));
        let said = ask(self.gateway.admin(), "POST", "/policies/refresh", b"");
        assert_eq!(said.status(200).json()["version"], version);
    }

    /// Who, the result, and whether it was a hit, line by line.
    fn records(&self) -> Vec<(String, i64, Option<String>)> {
        let file = self.audit.path().join("audit.jsonl");
        let text = std::fs::read_to_string(file).unwrap_or_default();
        let line = |line: &str| {
            let line: Value = serde_json::from_str(line).unwrap();
            let info: Value =
                serde_json::from_str(line["additional_info"].as_str().unwrap()).unwrap();
            let user = line["reqUser"].as_str().unwrap().to_owned();
            let hit = info["hit"].as_str().map(str::to_owned);
            (user, line["result"].as_i64().unwrap(), hit)
        };
        text.lines().map(line).collect()
    }
}

#[test]
fn each_read_is_written_down_with_its_hit() {
    let bed = Bed::with(&[allow(5, "/m", "alice")], "");
    for _ in 0..30 {
        assert_eq!((bed.reads("alice"), bed.reads("bob")), (200, 403));
    }
    assert_eq!(bed.asks("HEAD", "alice"), 200);
    wait::until_true("all is written", LIMIT, || bed.records().len() >= 61);
    let records = bed.records();
    assert_eq!(records.len(), 61, "{records:?}");
    let of_alice = |hit: Option<&str>| {
        let alike = records
            .iter()
            .filter(|(user, result, was)| user == "alice" && *result == 1 && was.as_deref() == hit);
        alike.count()
    };
    // The first had to fetch it, of the last no byte was read.
    let counts = [Some("false"), Some("true"), None].map(of_alice);
    assert_eq!(counts, [1, 29, 1], "{records:?}");
    let refused = records
        .iter()
        .filter(|(user, result, hit)| user == "bob" && *result == 0 && hit.is_none());
    assert_eq!(refused.count(), 30, "{records:?}");
}

#[test]
fn other_policies_end_it_at_once() {
    let bed = Bed::with(&[allow(5, "/m", "alice")], "");
    for round in 1..=ROUNDS {
        assert_eq!((bed.reads("alice"), bed.reads("alice")), (200, 200));
        bed.rules(
            2 * round,
            &[allow(5, "/m", "alice"), deny(6, "/m/f", "alice")],
        );
        assert_eq!(bed.reads("alice"), 403, "round {round}");
        bed.rules(2 * round + 1, &[allow(5, "/m", "alice")]);
    }
}

#[test]
fn another_mount_at_its_place_ends_it_at_once() {
    let bed = Bed::with(&[allow(5, "/a", "alice")], "");
    let change = |method: &str, target: &str, body: &Value| {
        let body = body.to_string();
        let said = ask(bed.gateway.admin(), method, target, body.as_bytes());
        assert!(matches!(said.status, 200 | 201 | 204), "{said:?}");
    };
    let store = format!("file://{}", bed.folder.path().display());
    let mount = |policy_path: &str| {
        let body = json!({"path": "/n", "store": store, "policy_path": policy_path});
        change("POST", "/mounts", &body);
    };
    let reads = || ask(bed.gateway.file(), "GET", "/n/f?user.name=alice", b"").status;
    for round in 0..ROUNDS {
        mount("/a");
        assert_eq!((reads(), reads()), (200, 200), "round {round}");
        change("DELETE", "/mounts?path=/n", &json!({}));
        mount("/b");
        assert_eq!(reads(), 403, "round {round}");
        change("DELETE", "/mounts?path=/n", &json!({}));
    }
}

/// Wants to be root, who alone gives files away.
#[test]
fn what_depends_on_the_owner_is_asked_each_time() {
    let bed = Bed::with(&[allow(5, "/m", "{OWNER}")], "ttl = '0s'");
    let file = bed.folder.path().join("f");
    for round in 0..ROUNDS {
        assert_eq!((bed.reads("root"), bed.reads("root")), (200, 200));
        chown(&file, Some(1), Some(1)).unwrap();
        assert_eq!(
            (bed.reads("root"), bed.reads("daemon")),
            (403, 200),
            "round {round}"
        );
        chown(&file, Some(0), Some(0)).unwrap();
    }
}
