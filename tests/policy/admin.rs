//! Policies of a Ranger Admin that answers, and of one that does not.

use std::path::Path;

use moongate_tests::beds::ranger::{Mood, RangerAdmin};
use moongate_tests::{Gateway, wait};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::state::{allow, ask, download};

const LIMIT: std::time::Duration = std::time::Duration::from_secs(10);

fn config(admin: &RangerAdmin, mounted: &Path, more: &str) -> String {
    format!(
        "[auth]\nmethods = ['anonymous', 'simple']\n[policy]\nadmin = ['http://127.0.0.1:9', '{}']\nservice = 'hdfsdev'\nauthz = 'ranger'\npoll = '1h'\n\
         connect_timeout = '1s'\nread_timeout = '1s'\n{more}\n[[mount]]\npath = '/m'\nstore = 'file://{}'\n",
        admin.url(),
        mounted.display()
    )
}

fn mounted() -> TempDir {
    let folder = TempDir::with_prefix("moongate-governed-").unwrap();
    std::fs::write(folder.path().join("f"), b"bytes").unwrap();
    folder
}

fn reads(gateway: &Gateway, user: &str) -> u16 {
    ask(
        gateway.file(),
        "GET",
        &format!("/m/f?user.name={user}"),
        b"",
    )
    .status
}

fn refresh(gateway: &Gateway) -> Value {
    ask(gateway.admin(), "POST", "/policies/refresh", b"")
        .status(200)
        .json()
}

fn last_error(status: &Value) -> String {
    status["sources"][0]["last_error"]
        .as_str()
        .unwrap()
        .to_owned()
}

#[test]
fn an_update_swaps_in_and_the_newest_is_not_sent_again() {
    let (admin, folder) = (
        RangerAdmin::start(download(7, &[allow(1, "/m", "alice")])),
        mounted(),
    );
    let gateway = Gateway::fresh(&config(&admin, folder.path(), ""));
    assert_eq!(
        (reads(&gateway, "alice"), reads(&gateway, "bob")),
        (200, 403)
    );
    let status = refresh(&gateway);
    assert_eq!(
        (status["version"].as_i64(), last_error(&status)),
        (Some(7), String::new())
    );
    let asked = admin.asked();
    assert!(
        asked[0].contains("/service/plugins/policies/download/hdfsdev?lastKnownVersion=-1"),
        "{asked:?}"
    );
    assert!(
        asked[0].contains("supportsPolicyDeltas=false") && asked[0].contains("pluginId=hdfs%40"),
        "{asked:?}"
    );
    let again = asked
        .iter()
        .rfind(|line| line.contains("/plugins/policies/"))
        .unwrap();
    assert!(
        again.contains("lastKnownVersion=7") && again.contains("RANGERADMINSESSIONID=S1"),
        "{again}"
    );
    admin.hold(download(8, &[allow(2, "/m", "bob")]));
    assert_eq!(refresh(&gateway)["version"], 8);
    // What alice read is in the cache by now: a revoke reaches it.
    assert_eq!(
        (reads(&gateway, "alice"), reads(&gateway, "bob")),
        (403, 200)
    );
}

#[test]
fn what_cannot_be_used_changes_nothing() {
    let (admin, folder) = (
        RangerAdmin::start(download(7, &[allow(1, "/m", "alice")])),
        mounted(),
    );
    let gateway = Gateway::fresh(&config(&admin, folder.path(), ""));
    for (mood, told) in [
        (Mood::Status(400), "400"),
        (Mood::Status(401), "401"),
        (Mood::Status(404), "404"),
        (Mood::Status(500), "500"),
        (Mood::Deltas, "policyDeltas"),
        (Mood::Torn, "JSON"),
        (Mood::Hanging, "no answer"),
    ] {
        admin.be(mood);
        let status = refresh(&gateway);
        assert!(last_error(&status).contains(told), "{mood:?}: {status}");
        assert_eq!(
            (reads(&gateway, "alice"), reads(&gateway, "bob")),
            (200, 403),
            "{mood:?}"
        );
    }
    admin.be(Mood::Well);
    assert_eq!(last_error(&refresh(&gateway)), "");
}

#[test]
fn what_was_kept_governs_while_admin_is_away() {
    let (admin, folder) = (
        RangerAdmin::start(download(7, &[allow(1, "/m", "alice")])),
        mounted(),
    );
    let data = TempDir::new().unwrap();
    let settings = config(&admin, folder.path(), "");
    drop(Gateway::start(&[data.path()], &settings));
    admin.be(Mood::Status(500));
    let gateway = Gateway::start(&[data.path()], &settings);
    assert_eq!(
        (reads(&gateway, "alice"), reads(&gateway, "bob")),
        (200, 403)
    );
    let status = ask(gateway.admin(), "GET", "/policies", b"").json();
    assert_eq!(
        (&status["in_force"], &status["sources"][0]["from"]),
        (&Value::Bool(true), &"disk".into())
    );
}

#[test]
fn without_policies_nothing_is_allowed_unless_the_files_own_permissions_stand_in() {
    let (admin, folder) = (
        RangerAdmin::start(download(7, &[allow(1, "/m", "alice")])),
        mounted(),
    );
    admin.be(Mood::Status(500));
    let closed = Gateway::fresh(&config(&admin, folder.path(), ""));
    assert_eq!((reads(&closed, "alice"), reads(&closed, "bob")), (403, 403));
    let native = Gateway::fresh(&config(&admin, folder.path(), "fail = 'native'"));
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    assert_eq!(
        reads(&native, "bob"),
        200,
        "the file is readable for others"
    );
    admin.be(Mood::Well);
    refresh(&closed);
    assert_eq!((reads(&closed, "alice"), reads(&closed, "bob")), (200, 403));
}

#[test]
fn a_service_that_was_deleted_takes_its_policies_and_what_was_kept_along() {
    let (admin, folder) = (
        RangerAdmin::start(download(7, &[allow(1, "/m", "alice")])),
        mounted(),
    );
    let data = TempDir::new().unwrap();
    let settings = config(&admin, folder.path(), "");
    let gateway = Gateway::start(&[data.path()], &settings);
    let kept = data.path().join("policies/hdfs_hdfsdev.json");
    wait::until_true("the policies are kept", LIMIT, || kept.exists());
    admin.be(Mood::Gone);
    let status = refresh(&gateway);
    assert_eq!(status["in_force"], false, "{status}");
    assert_eq!(reads(&gateway, "alice"), 403);
    assert!(!kept.exists());
}

#[test]
fn a_body_of_another_service_is_taken_as_ours() {
    let mut body = download(7, &[allow(1, "/m", "alice")]);
    body["serviceName"] = "another".into();
    let (admin, folder) = (RangerAdmin::start(body), mounted());
    let gateway = Gateway::fresh(&config(&admin, folder.path(), ""));
    assert_eq!(reads(&gateway, "alice"), 200);
}

/// Ranger's user store tells the groups of a login: policies of a group reach who is in it there.
#[test]
fn groups_of_rangers_user_store() {
    let of_group = json!({"id": 3, "name": "p3", "version": 1, "resources": {"path": {"values": ["/m"], "isRecursive": true}},
        "policyItems": [{"accesses": [{"type": "read"}, {"type": "execute"}], "groups": ["etl"]}]});
    let (admin, folder) = (RangerAdmin::start(download(7, &[of_group])), mounted());
    admin.hold_users(json!({"userStoreVersion": 1, "userGroupMapping": {"alice": ["etl", "staff"], "bob": ["staff"]}}));
    let groups = "[auth.groups]\nsources = ['ranger']\nttl = '1s'\nnegative_ttl = '1s'";
    let gateway = Gateway::fresh(&config(&admin, folder.path(), groups));
    assert_eq!(
        ["alice", "bob", "zoe"].map(|user| reads(&gateway, user)),
        [200, 403, 403]
    );
    admin.hold_users(
        json!({"userStoreVersion": 2, "userGroupMapping": {"alice": ["staff"], "bob": ["etl"]}}),
    );
    refresh(&gateway);
    wait::until_true("groups are looked up again", LIMIT, || {
        (reads(&gateway, "alice"), reads(&gateway, "bob")) == (403, 200)
    });
}
