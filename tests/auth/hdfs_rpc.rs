//! `hdfs://` itself by tickets and delegation tokens: Hadoop's own client, each kind of protection, and who is refused.

use std::path::Path;
use std::process::Output;
use std::time::Duration;

use moongate_tests::beds::hdfs::{client_folder, fetchdt, fs_shell};
use moongate_tests::wait;
use serde_json::Value;
use tempfile::TempDir;

use crate::desk::{Desk, realm};
use crate::state::{allow, download};

const LIMIT: Duration = Duration::from_secs(60);

/// A gateway with a key of `nn/localhost`, a file, and a client's folder.
pub struct Calls {
    pub desk: Desk<'static>,
    pub client: TempDir,
}

impl Calls {
    pub fn with(more: &str) -> Calls {
        let kdc = realm();
        let desk = Desk::of(
            kdc,
            &kdc.path("calls.keytab"),
            &format!("hdfs.listen = '127.0.0.1:0'\n{more}"),
        );
        std::fs::write(desk.folder.path().join("f"), b"by a ticket").unwrap();
        let client = TempDir::with_prefix("moongate-client-").unwrap();
        client_folder(client.path(), kdc);
        Calls { desk, client }
    }

    pub fn port(&self) -> u16 {
        let ready = self.desk.gateway.ready_line();
        let (_, port) = ready["hdfs"].as_str().unwrap().rsplit_once(':').unwrap();
        port.parse().unwrap()
    }

    pub fn url(&self, path: &str) -> String {
        format!("hdfs://localhost:{}{path}", self.port())
    }

    fn shell(&self, envs: &[(String, String)], protection: &str, arguments: &[&str]) -> Output {
        let protection = format!("-Dhadoop.rpc.protection={protection}");
        let options = [protection.as_str(), "-Dipc.client.connect.max.retries=1"];
        fs_shell(self.client.path(), envs, &[&options, arguments].concat())
    }

    fn cat(&self, envs: &[(String, String)]) -> Output {
        self.shell(envs, "authentication", &["-cat", &self.url("/m/f")])
    }

    pub fn fetchdt(&self, user: &str, arguments: &[&str]) -> Output {
        let url = self.url("/");
        let options = ["-fs", url.as_str()];
        let arguments = [&options, arguments].concat();
        fetchdt(self.client.path(), &self.envs(user), &arguments)
    }

    fn envs(&self, user: &str) -> Vec<(String, String)> {
        self.desk.kdc.envs(&self.desk.kdc.tickets(user))
    }

    /// No ticket, but what is in a file of tokens.
    fn holding(&self, tokens: &Path) -> Vec<(String, String)> {
        let tokens = tokens.display().to_string();
        let mut envs = self.desk.kdc.settings();
        envs.push(("HADOOP_TOKEN_FILE_LOCATION".to_owned(), tokens));
        envs
    }

    /// hue's ticket, in somebody's name.
    fn proxy(&self, user: &str) -> Vec<(String, String)> {
        let mut envs = self.envs("hue");
        envs.push(("HADOOP_PROXY_USER".to_owned(), user.to_owned()));
        envs
    }
}

#[track_caller]
pub fn good(output: &Output) -> String {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// It failed, and said so in these words.
#[track_caller]
fn bad(output: &Output, words: &str) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "{said}");
    assert!(said.contains(words), "{said}");
}

#[test]
fn the_shell_works_by_a_ticket_however_it_is_protected() {
    let calls = Calls::with("hdfs.rpc_protection = ['authentication', 'integrity', 'privacy']\n");
    let envs = calls.envs("alice");
    let long = calls.client.path().join("long");
    std::fs::write(&long, vec![7; 300_000]).unwrap();
    for protection in ["authentication", "integrity", "privacy"] {
        let output = calls.shell(&envs, protection, &["-cat", &calls.url("/m/f")]);
        assert_eq!(good(&output), "by a ticket", "{protection}");
        let to = calls.url(&format!("/m/{protection}"));
        let put = ["-put", long.to_str().unwrap(), &to];
        good(&calls.shell(&envs, protection, &put));
        let stored = calls.desk.folder.path().join(protection);
        assert_eq!(std::fs::read(stored).unwrap(), [7; 300_000]);
    }
}

#[test]
fn who_has_no_ticket_and_who_wants_less_protection_is_refused() {
    let calls = Calls::with("hdfs.rpc_protection = ['privacy']\n");
    let file = calls.url("/m/f");
    let cat = ["-cat", file.as_str()];
    let none = calls.desk.kdc.settings();
    let output = calls.shell(&none, "privacy", &cat);
    bad(&output, "Client cannot authenticate via:[TOKEN, KERBEROS]");
    let output = calls.shell(&calls.envs("alice"), "authentication", &cat);
    bad(&output, "No common protection layer");
    let simple = ["-Dhadoop.security.authentication=simple", "-cat", &file];
    let output = calls.shell(&none, "privacy", &simple);
    bad(&output, "SIMPLE authentication is not enabled");
}

#[test]
fn a_token_is_got_used_renewed_and_cancelled() {
    let all = "hdfs.rpc_protection = ['authentication', 'integrity', 'privacy']\n";
    let calls = Calls::with(all);
    let tokens = calls.client.path().join("tokens");
    let file = tokens.to_str().unwrap();
    good(&calls.fetchdt("alice", &["--renewer", "alice", file]));
    for protection in ["authentication", "integrity", "privacy"] {
        let cat = ["-cat", &calls.url("/m/f")];
        let output = calls.shell(&calls.holding(&tokens), protection, &cat);
        assert_eq!(good(&output), "by a ticket", "{protection}");
    }
    good(&calls.fetchdt("alice", &["--renew", file]));
    bad(
        &calls.fetchdt("bob", &["--renew", file]),
        "bob tries to renew a token with renewer",
    );
    good(&calls.fetchdt("alice", &["--cancel", file]));
    let output = calls.cat(&calls.holding(&tokens));
    bad(&output, "the delegation token was cancelled");
}

/// hdfs-native, which takes the strongest protection that it is offered, and calls for alice and bob in their names.
#[test]
fn another_gateway_mounts_this_one_and_calls_for_its_users() {
    for protection in ["authentication", "integrity", "privacy"] {
        let calls = Calls::with(&format!(
            "hdfs.rpc_protection = ['{protection}']\nauth.proxy_user.gate = {{ users = ['alice'], hosts = ['127.0.0.1'] }}\n"
        ));
        let kdc = calls.desk.kdc;
        let keytab = kdc.keytab(&format!("gate-{protection}"), &["gate/localhost"]);
        let other = Desk::with(&format!(
            "[[mount]]\npath = '/h'\nstore = '{}'\nttl = '0s'\nprincipal = 'gate/localhost@MOON.TEST'\nkeytab = '{}'\n\
             hadoop_conf = '{}'\ntimeout = '10s'\n",
            calls.url("/m"),
            keytab.display(),
            calls.client.path().join("conf").display()
        ));
        let open = other.url("/h/f?op=OPEN");
        let said = other.negotiate("alice", &[&open]);
        assert_eq!(said.body, "by a ticket", "{protection}: {said:?}");
        let create = other.url("/h/new?op=CREATE&data=true");
        let said = other.negotiate("alice", &["-X", "PUT", "--data-binary", "new", &create]);
        assert_eq!(said.status, 201, "{protection}: {said:?}");
        let stored = calls.desk.folder.path().join("new");
        assert_eq!(std::fs::read(stored).unwrap(), b"new");
        let said = other.negotiate("bob", &[&open]);
        assert!(
            said.status == 403 && said.body.contains("gate is not allowed to impersonate bob"),
            "{protection}: {said:?}"
        );
    }
}

#[test]
fn proxy_users_act_for_whom_they_may_and_policies_and_records_name_both() {
    let folder = TempDir::new().unwrap();
    let (policies, audit) = (folder.path().join("policies.json"), folder.path().join("a"));
    let only_alice = download(7, &[allow(5, "/m", "alice")]);
    std::fs::write(&policies, only_alice.to_string()).unwrap();
    let calls = Calls::with(&format!(
        "[policy]\nfile = '{}'\nservice = 'hdfsdev'\nauthz = 'ranger'\n[audit]\ndir = '{}'\n",
        policies.display(),
        audit.display()
    ));
    assert_eq!(good(&calls.cat(&calls.envs("alice"))), "by a ticket");
    bad(
        &calls.cat(&calls.envs("bob")),
        "Permission denied: user=bob",
    );
    assert_eq!(good(&calls.cat(&calls.proxy("alice"))), "by a ticket");
    bad(
        &calls.cat(&calls.proxy("bob")),
        "User: hue is not allowed to impersonate bob",
    );
    let records = || -> Vec<Value> {
        let text = std::fs::read_to_string(audit.join("audit.jsonl")).unwrap_or_default();
        let lines = text
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok());
        lines.collect()
    };
    let is_there = |user: &str, result: i64, real: &str| {
        records().iter().any(|record| {
            record["reqUser"] == user
                && record["result"] == result
                && record.to_string().contains(real)
        })
    };
    wait::until_true("what was decided is written down", LIMIT, || {
        is_there("alice", 1, "alice") && is_there("bob", 0, "bob") && is_there("alice", 1, "hue")
    });
}
