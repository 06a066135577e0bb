//! The tests of the Python client, against this binary.

use std::process::Command;

use moongate_tests::gateway;
use moongate_tests::tools::repository;

#[test]
fn the_python_client_passes_its_tests() {
    let mut command = Command::new(repository().join("scripts/python.sh"));
    command.arg("test").env("MOONGATE_BIN", gateway::binary());
    let output = command.output().unwrap();
    let told = [output.stdout, output.stderr].concat();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&told)
    );
}
