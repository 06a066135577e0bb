//! Spark over WebHDFS through the gateway, beside the same job on HDFS direct. Each version takes minutes and 500 MB once:
//! `make test-spark` runs them.

use moongate_tests::Gateway;
use moongate_tests::beds::hdfs::Hdfs;
use moongate_tests::spark::job;

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
