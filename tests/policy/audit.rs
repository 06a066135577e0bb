//! What is written down.

use moongate_tests::{Gateway, wait};
use serde_json::Value;
use tempfile::TempDir;

use crate::state::{allow, ask, download};

const LIMIT: std::time::Duration = std::time::Duration::from_secs(10);

#[test]
fn one_line_an_operation_in_rangers_words() {
    let (mounted, dir) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    std::fs::write(mounted.path().join("f"), b"bytes").unwrap();
    let policies = dir.path().join("policies.json");
    std::fs::write(
        &policies,
        download(7, &[allow(5, "/m", "alice")]).to_string(),
    )
    .unwrap();
    let audit = dir.path().join("audit");
    let gateway = Gateway::fresh(&format!(
        "[auth]\nmethods = ['simple']\n[policy]\nfile = '{}'\nservice = 'hdfsdev'\nauthz = 'ranger'\n[audit]\ndir = '{}'\n\
         [[mount]]\npath = '/m'\nstore = 'file://{}'\n",
        policies.display(),
        audit.display(),
        mounted.path().display()
    ));
    let hdfs = |user: &str| {
        ask(
            gateway.file(),
            "GET",
            &format!("/webhdfs/v1/m/f?op=OPEN&user.name={user}"),
            b"",
        )
    };
    for user in ["alice", "bob"] {
        ask(
            gateway.file(),
            "GET",
            &format!("/m/f?user.name={user}"),
            b"",
        );
        hdfs(user);
    }
    let file = audit.join("audit.jsonl");
    let lines = || -> Vec<Value> {
        let text = std::fs::read_to_string(&file).unwrap_or_default();
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    };
    wait::until_true("the lines are written", LIMIT, || lines().len() >= 3);
    let lines = lines();
    let of = |user: &str| lines.iter().find(|line| line["reqUser"] == user).unwrap();
    let alice = of("alice");
    assert_eq!(
        (&alice["result"], &alice["policy"], &alice["enforcer"]),
        (&1.into(), &5.into(), &"ranger-acl".into())
    );
    assert_eq!(
        (&alice["repo"], &alice["resource"], &alice["action"]),
        (&"hdfsdev".into(), &"/m/f".into(), &"read".into())
    );
    assert_eq!(
        (&alice["cliIP"], &alice["logType"]),
        (&"127.0.0.1".into(), &"RangerAudit".into())
    );
    assert_eq!(of("bob")["result"], 0);
}
