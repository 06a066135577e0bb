//! Hadoop's own client over `webhdfs://`, and Python's `requests` (Debian's python3-requests-kerberos).

use std::process::Command;

use moongate_tests::beds::hdfs::{client_folder, fs_shell};
use tempfile::TempDir;

use crate::desk::Desk;

#[test]
fn fs_shell_gets_a_token_uses_it_and_cancels_it() {
    let desk = Desk::with("log.access = 'all'");
    let folder = TempDir::with_prefix("moongate-client-").unwrap();
    client_folder(folder.path(), desk.kdc);
    let file = folder.path().join("file");
    std::fs::write(&file, b"from the shell").unwrap();
    let envs = desk.kdc.envs(&desk.kdc.tickets("alice"));
    let root = format!("webhdfs://localhost:{}/m", desk.gateway.file().port());
    let shell = |arguments: &[&str]| {
        let output = fs_shell(folder.path(), &envs, arguments);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{arguments:?}: {said}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    shell(&["-put", file.to_str().unwrap(), &format!("{root}/f")]);
    assert_eq!(shell(&["-cat", &format!("{root}/f")]), "from the shell");
    assert!(shell(&["-ls", &root]).contains("/m/f"));
    assert_eq!(
        std::fs::read(desk.folder.path().join("f")).unwrap(),
        b"from the shell"
    );
    let metrics = format!("http://localhost:{}/metrics", desk.gateway.admin().port());
    let metrics = desk.negotiate("alice", &[&metrics]).body;
    let by_token = metrics
        .lines()
        .find_map(|line| line.strip_prefix("moongate_logins_total{method=\"delegation_token\"} "));
    assert!(by_token.unwrap().parse::<u64>().unwrap() > 5, "{metrics}");
    // Without a ticket it is told why.
    let none = desk.kdc.settings();
    let output = fs_shell(folder.path(), &none, &["-ls", &root]);
    assert!(!output.status.success());
}

#[test]
fn pythons_requests_log_in_once() {
    let desk = Desk::open();
    let script = "\
import sys, requests
from requests_kerberos import HTTPKerberosAuth, REQUIRED
session = requests.Session()
session.auth = HTTPKerberosAuth(mutual_authentication=REQUIRED)
url = sys.argv[1]
first = session.get(url)
assert first.status_code == 200 and first.json() == {'Path': '/user/alice'}, first.text
session.auth = None
assert session.get(url).status_code == 200, 'the cookie is enough'
session.cookies.clear()
assert session.get(url).status_code == 401
";
    let output = Command::new("/usr/bin/python3")
        .args(["-c", script, &desk.url("/?op=GETHOMEDIRECTORY")])
        .envs(desk.kdc.envs(&desk.kdc.tickets("alice")))
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}
