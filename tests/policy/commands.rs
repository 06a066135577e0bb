//! `moongate policy`.

use moongate_tests::tools::repository;
use moongate_tests::{Gateway, gateway};
use tempfile::TempDir;

use crate::state::{allow, deny, download};

fn samples() -> String {
    let path = repository().join("tests/samples/ranger/random-paths.json");
    path.display().to_string()
}

#[test]
fn suites_are_run_and_differences_told() {
    let done = gateway::run(&["policy", "test", &samples()]);
    assert!(done.status.success());
    assert_eq!(
        String::from_utf8_lossy(&done.stdout),
        "670 passed, 0 failed\n"
    );
    let dir = TempDir::new().unwrap();
    let wrong = dir.path().join("wrong.json");
    let text = std::fs::read_to_string(samples()).unwrap();
    std::fs::write(
        &wrong,
        text.replacen("\"decision\":\"ALLOW\"", "\"decision\":\"DENY\"", 1),
    )
    .unwrap();
    let done = gateway::run(&["policy", "test", wrong.to_str().unwrap()]);
    let said = String::from_utf8_lossy(&done.stdout).into_owned();
    assert_eq!(done.status.code(), Some(1));
    assert!(
        said.contains("expected DENY, found ALLOW") && said.ends_with("669 passed, 1 failed\n"),
        "{said}"
    );
    let done = gateway::run(&["policy", "test", "/dev/null"]);
    assert_eq!(done.status.code(), Some(1));
}

#[test]
fn explained_from_a_file_and_by_a_gateway() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("policies.json");
    let policies = [allow(1, "/a", "alice"), deny(2, "/a/secret", "alice")];
    std::fs::write(&file, download(3, &policies).to_string()).unwrap();
    let file = file.to_str().unwrap();
    let question = [
        "--user",
        "alice",
        "--path",
        "/a/secret/x",
        "--access",
        "READ",
    ];
    let mut arguments = vec!["policy", "explain", "--file", file];
    arguments.extend(question);
    let done = gateway::run(&arguments);
    let said = String::from_utf8_lossy(&done.stdout).into_owned();
    assert!(
        said.contains("policies say: DENY by policy 2 (version 3)"),
        "{said}"
    );
    assert!(
        said.contains("policy 1 \"p1\" (priority 0): allows read, denies nothing"),
        "{said}"
    );
    let gateway = Gateway::fresh(&format!("[policy]\nfile = '{file}'\nservice = 'hdfsdev'\n"));
    let admin = gateway.admin().to_string();
    let mut arguments = vec!["policy", "explain", "--admin", &admin];
    arguments.extend(question);
    let done = gateway::run(&arguments);
    let said = String::from_utf8_lossy(&done.stdout).into_owned();
    assert!(
        said.contains("DENY by policy 2") && said.contains("Permission denied: user=alice"),
        "{said}"
    );
    let done = gateway::run(&["policy", "status", "--admin", &admin]);
    let said = String::from_utf8_lossy(&done.stdout).into_owned();
    assert!(
        said.contains("version 3") && said.contains("from file"),
        "{said}"
    );
}
