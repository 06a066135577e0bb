//! The tests of the Python client, against this binary.

use std::path::Path;
use std::process::Command;

use moongate_tests::gateway;

#[test]
fn the_python_client_passes_its_tests() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut command = Command::new(root.join("scripts/python.sh"));
    command.arg("test").env("MOONGATE_BIN", gateway::binary());
    let output = command.output().unwrap();
    let told = [output.stdout, output.stderr].concat();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&told)
    );
}
