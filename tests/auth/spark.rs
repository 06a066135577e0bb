//! Spark with a ticket: over `webhdfs://` it gets itself a delegation token, and no block is read with a ticket of its own; over `hdfs://` its
//! executors hold tokens alone.

use std::path::Path;
use std::process::{Command, Output};

use moongate_tests::beds::hdfs::client_folder;
use moongate_tests::spark::python;
use moongate_tests::tools::repository;
use tempfile::TempDir;

use crate::desk::Desk;
use crate::hdfs_rpc::{Calls, good};

/// How a job of Spark 4.1 ends, with alice's ticket and a client's folder.
fn job(desk: &Desk<'_>, client: &Path, script: &str, arguments: &[&str]) -> Output {
    let realm = format!("-Djava.security.krb5.conf={}", desk.kdc.config().display());
    let mut job = Command::new(python("4.1.4"));
    job.arg(repository().join(script)).args(arguments);
    job.envs(desk.kdc.envs(&desk.kdc.tickets("alice")));
    job.env("JAVA_TOOL_OPTIONS", realm);
    job.env("HADOOP_CONF_DIR", client.join("conf"));
    job.output().unwrap()
}

/// How often somebody logged in so.
fn logins(desk: &Desk<'_>, method: &str) -> u64 {
    let metrics = format!("http://localhost:{}/metrics", desk.gateway.admin().port());
    let metrics = desk.negotiate("alice", &[&metrics]).body;
    let start = format!("moongate_logins_total{{method=\"{method}\"}} ");
    let line = metrics.lines().find_map(|line| line.strip_prefix(&start));
    line.and_then(|number| number.parse().ok()).unwrap_or(0)
}

#[track_caller]
fn result(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().find_map(|line| line.strip_prefix("RESULT "));
    let errors = String::from_utf8_lossy(&output.stderr);
    line.unwrap_or_else(|| panic!("{text}\n{errors}"))
        .to_owned()
}

#[test]
#[ignore = "minutes, and 500 MB from PyPI: make test-spark"]
fn spark_works_with_a_token() {
    let desk = Desk::open();
    let folder = TempDir::with_prefix("moongate-client-").unwrap();
    client_folder(folder.path(), desk.kdc);
    let url = format!("webhdfs://localhost:{}/m/spark", desk.gateway.file().port());
    let script = "tests/cache/spark_job.py";
    result(&job(&desk, folder.path(), script, &[&url]));
    assert!(logins(&desk, "kerberos") < 20);
    assert!(logins(&desk, "delegation_token") > 50);
}

#[test]
#[ignore = "minutes, and 500 MB from PyPI: make test-spark"]
fn sparks_executors_work_with_tokens_over_hdfs() {
    let calls = Calls::with("");
    let url = calls.url("/m/spark");
    let tokens = calls.client.path().join("tokens");
    let file = tokens.to_str().unwrap();
    good(&calls.fetchdt("alice", &["--renewer", "alice", file]));
    let output = job(
        &calls.desk,
        calls.client.path(),
        "tests/auth/spark_tokens.py",
        &[&url, file],
    );
    assert_eq!(result(&output), "200");
    assert!(logins(&calls.desk, "delegation_token") > 0);
}
