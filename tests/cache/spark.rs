//! Spark over WebHDFS through the gateway, beside the same job on HDFS direct. Each version takes minutes and 500 MB once:
//! `make test-spark` runs them.

use std::path::{Path, PathBuf};
use std::process::Command;

use moongate_tests::Gateway;
use moongate_tests::beds::hdfs::Hdfs;

fn python(version: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let output = Command::new(root.join("scripts/spark.sh"))
        .arg(version)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap().trim().into()
}

/// What the job says of a folder.
fn job(version: &str, url: &str) -> String {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("cache/spark_job.py");
    let mut command = Command::new(python(version));
    command.arg(script).arg(url).env("HADOOP_USER_NAME", "root");
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let result = text.lines().find_map(|line| line.strip_prefix("RESULT "));
    let errors = String::from_utf8_lossy(&output.stderr);
    result
        .unwrap_or_else(|| panic!("{url}: {text}\n{errors}"))
        .to_owned()
}

fn same_results(version: &str) {
    let hdfs = Hdfs::shared();
    let gateway = Gateway::fresh(&format!(
        "[[mount]]\npath = '/h'\nstore = '{}'\n",
        hdfs.url()
    ));
    let folder = format!("spark-{version}");
    let through = job(
        version,
        &format!("webhdfs://{}/h/{folder}-through", gateway.file()),
    );
    let direct = job(version, &format!("{}/{folder}-direct", hdfs.url()));
    assert_eq!(through, direct);
}

#[test]
#[ignore = "minutes, and 500 MB from PyPI: make test-spark"]
fn spark_4_1_computes_the_same() {
    same_results("4.1.4");
}

#[test]
#[ignore = "minutes, and 500 MB from PyPI: make test-spark"]
fn spark_4_3_computes_the_same() {
    same_results("4.3.0");
}
