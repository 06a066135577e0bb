//! Spark over `webhdfs://` with a ticket: it gets itself a delegation token, and no block is read with a ticket of its own.

use std::path::Path;
use std::process::Command;

use moongate_tests::beds::hdfs::client_folder;
use tempfile::TempDir;

use crate::desk::Desk;

#[test]
#[ignore = "minutes, and 500 MB from PyPI: make test-spark"]
fn spark_works_with_a_token() {
    let desk = Desk::open();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let python = Command::new(root.join("scripts/spark.sh"))
        .arg("4.1.4")
        .output()
        .unwrap();
    assert!(
        python.status.success(),
        "{}",
        String::from_utf8_lossy(&python.stderr)
    );
    let folder = TempDir::with_prefix("moongate-client-").unwrap();
    client_folder(folder.path(), desk.kdc);
    let realm = format!("-Djava.security.krb5.conf={}", desk.kdc.config().display());
    let url = format!("webhdfs://localhost:{}/m/spark", desk.gateway.file().port());
    let mut job = Command::new(String::from_utf8(python.stdout).unwrap().trim());
    job.arg(root.join("tests/cache/spark_job.py")).arg(url);
    job.envs(desk.kdc.envs(&desk.kdc.tickets("alice")));
    job.env("JAVA_TOOL_OPTIONS", realm);
    job.env("HADOOP_CONF_DIR", folder.path().join("conf"));
    let output = job.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        text.contains("RESULT "),
        "{text}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let metrics = format!("http://localhost:{}/metrics", desk.gateway.admin().port());
    let metrics = desk.negotiate("alice", &[&metrics]).body;
    let logins = |method: &str| -> u64 {
        let start = format!("moongate_logins_total{{method=\"{method}\"}} ");
        let line = metrics.lines().find_map(|line| line.strip_prefix(&start));
        line.and_then(|number| number.parse().ok()).unwrap_or(0)
    };
    assert!(logins("kerberos") < 20, "{metrics}");
    assert!(logins("delegation_token") > 50, "{metrics}");
}
