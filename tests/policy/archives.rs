//! An archive that spans mounts is asked about whole before it begins.

use moongate_tests::Gateway;
use tempfile::TempDir;

use crate::state::{allow, ask, deny, download};

#[test]
fn what_may_not_be_read_in_a_mount_below_refuses_the_archive() {
    let (mounted, dir) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    for name in ["open", "secret"] {
        std::fs::write(mounted.path().join(name), name).unwrap();
    }
    let policies = dir.path().join("policies.json");
    let all = [
        allow(5, "/m", "alice"),
        allow(6, "/m", "bob"),
        deny(7, "/m/secret", "bob"),
    ];
    std::fs::write(&policies, download(1, &all).to_string()).unwrap();
    // The gateway's own files are governed by nobody, the mounts below them are; one stands in another.
    let mount = |path: &str| {
        format!(
            "[[mount]]\npath = '{path}'\nstore = 'file://{}'\npolicy_path = '/m'\nauthz = 'ranger'\n",
            mounted.path().display()
        )
    };
    let free = format!(
        "[[mount]]\npath = '/free'\nstore = 'file://{}'\n",
        dir.path().display()
    );
    let gateway = Gateway::fresh(&format!(
        "[auth]\nmethods = ['simple']\n[policy]\nfile = '{}'\nservice = 'hdfsdev'\nauthz = 'none'\n{}{free}{}",
        policies.display(),
        mount("/own/deep/m"),
        mount("/free/m")
    ));
    let put = ask(gateway.file(), "PUT", "/own/f?user.name=alice", b"own");
    assert!(put.status < 300, "{}", put.summary());
    for folder in ["/own/", "/own/deep/", "/own/deep/m/", "/free/"] {
        for (user, status) in [("alice", 200), ("bob", 403)] {
            let target = format!("{folder}?archive=tar&user.name={user}");
            let answer = ask(gateway.file(), "GET", &target, b"");
            assert_eq!(
                answer.status,
                status,
                "{user} {folder}: {}",
                answer.summary()
            );
            let has = |text: &[u8]| answer.body.windows(text.len()).any(|part| part == text);
            assert_eq!(
                has(b"secret"),
                status == 200 || answer.text().contains("m/secret"),
                "{user} {folder}"
            );
        }
    }
}
