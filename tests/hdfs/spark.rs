//! Spark by `hdfs://gateway`, for input and output, beside the same job on HDFS direct. `make test-spark` runs them.

use moongate_tests::spark::job;

use crate::wide::Wide;

fn same_results(version: &str) {
    let name = format!("spark-{version}");
    let wide = Wide::start(&name, "");
    let direct = job(version, &format!("{}/{name}/direct", wide.hdfs.url()));
    for folder in wide.folders(&name) {
        let through = job(version, &format!("{}{folder}/through", wide.url()));
        assert_eq!(through, direct, "{folder}");
    }
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
