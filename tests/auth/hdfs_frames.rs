//! What no client of Hadoop's sends to `hdfs://` where tickets and tokens are asked for: out of order, changed, sent again, cut short. The client is
//! `hdfs_rpc_hostile.py`, with Debian's python3-kerberos.

use std::process::Command;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use moongate_tests::beds::kdc::Kdc;
use moongate_tests::tools::repository;
use moongate_tests::wait;
use serde_json::Value;

use crate::hdfs_rpc::Calls;

/// Runs one of the script's cases, which says itself what it expects.
#[track_caller]
fn case(calls: &Calls, name: &str, envs: &[(String, String)]) {
    let script = repository().join("tests/auth/hdfs_rpc_hostile.py");
    let mut command = Command::new("/usr/bin/python3");
    command.arg(script).args([&calls.port().to_string(), name]);
    let output = command.envs(envs.iter().cloned()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{name}: {said}");
    assert!(!calls.desk.gateway.log().contains("panicked"));
}

fn alice(calls: &Calls) -> Vec<(String, String)> {
    calls.desk.kdc.envs(&calls.desk.kdc.tickets("alice"))
}

#[test]
fn tickets_are_for_one_login_at_one_service_in_one_order() {
    let calls = Calls::with("hdfs.rpc_protection = ['authentication', 'integrity']\n");
    let envs = alice(&calls);
    for name in ["ticket", "order", "sealed", "cut"] {
        case(&calls, name, &envs);
    }
    wait::until_true("connections are let go", Duration::from_secs(60), || {
        calls.desk.gateway.open_files() < 300
    });
}

#[test]
fn a_realm_of_the_same_name_is_another_realm() {
    let calls = Calls::with("");
    let kdc = Kdc::start();
    kdc.add("alice");
    kdc.add("nn/localhost");
    case(&calls, "stranger", &kdc.envs(&kdc.tickets("alice")));
}

#[test]
fn tokens_are_good_as_they_were_made_until_they_are_cancelled() {
    let calls = Calls::with("");
    let desk = &calls.desk;
    // What one door gives is good at the other.
    let said = desk.negotiate("alice", &[&desk.url("/?op=GETDELEGATIONTOKEN")]);
    let value: Value = serde_json::from_str(&said.body).unwrap();
    let url = value["Token"]["urlString"].as_str().unwrap();
    let mut envs = alice(&calls);
    envs.push(("TOKEN".to_owned(), parts(url)));
    case(&calls, "token", &envs);
    let cancel = desk.url(&format!("/?op=CANCELDELEGATIONTOKEN&token={url}"));
    assert_eq!(desk.negotiate("alice", &["-X", "PUT", &cancel]).status, 200);
    case(&calls, "no_token", &envs);
}

/// Identifier and password, each in base64, of a token as URLs have it. Both are shorter than 128 bytes: one byte tells their length.
fn parts(url: &str) -> String {
    let bytes = URL_SAFE_NO_PAD.decode(url).unwrap();
    let (identifier, rest) = bytes[1..].split_at(bytes[0].into());
    let password = &rest[1..=usize::from(rest[0])];
    [identifier, password]
        .map(|part| STANDARD.encode(part))
        .join(":")
}
