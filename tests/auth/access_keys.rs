//! Access keys, made by the command line and shown in both ways.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use moongate_tests::gateway::run;
use moongate_tests::{Gateway, Request, http, wait};
use std::time::Duration;

use crate::issuer::bearer;

/// The entry of a new key, and `ID:SECRET`.
fn key(user: &str) -> (String, String) {
    made(&["--user", user, "--group", "g", "--tenant", "t"])
}

/// As [`key`], with these options.
pub fn made(options: &[&str]) -> (String, String) {
    let made = run(&[&["token", "key"], options].concat());
    assert!(made.status.success());
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    (text(&made.stdout), text(&made.stderr))
}

#[test]
fn a_key_is_let_in_until_it_is_withdrawn() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("keys.toml");
    let ((ann, ann_pair), (bob, bob_pair)) = (key("ann"), key("bob"));
    std::fs::write(&file, format!("{ann}\n\n{bob}\n")).unwrap();
    let gateway = Gateway::fresh(&format!(
        "[auth]\nmethods = ['access-key']\n[auth.keys]\nfile = '{}'",
        file.display()
    ));
    let ask = |request: Request| http::send(gateway.admin(), &request).unwrap();
    let shown = ask(bearer(Request::get("/whoami"), &ann_pair));
    let told = shown.json();
    assert_eq!(
        (shown.status, &told["user"], &told["tenant"]),
        (200, &"ann".into(), &"t".into())
    );
    let basic = format!("Basic {}", STANDARD.encode(&bob_pair));
    let shown = ask(Request::get("/whoami").header("Authorization", &basic));
    assert_eq!(shown.json()["user"], "bob");
    for wrong in [
        format!("{ann_pair}x"),
        "x:y".to_owned(),
        ":".to_owned(),
        ann_pair.replace(':', ";"),
    ] {
        assert_eq!(
            ask(bearer(Request::get("/whoami"), &wrong)).status,
            401,
            "{wrong}"
        );
    }
    for wrong in ["Basic !!", "Basic", "Basic eA==", "Digest x"] {
        let request = Request::get("/whoami").header("Authorization", wrong);
        assert_eq!(ask(request).status, 401, "{wrong}");
    }
    std::fs::write(&file, bob).unwrap();
    wait::until_true("the key is withdrawn", Duration::from_secs(20), || {
        ask(bearer(Request::get("/whoami"), &ann_pair)).status == 401
    });
    assert_eq!(ask(bearer(Request::get("/whoami"), &bob_pair)).status, 200);
}
