//! Makes Rust of `proto/hadoop/*.proto`, without `protoc`.

use std::path::PathBuf;
use std::process::ExitCode;

const FILES: [&str; 5] = [
    "hadoop/common.proto",
    "hadoop/hdfs.proto",
    "hadoop/namenode.proto",
    "hadoop/datatransfer.proto",
    "hadoop/writing.proto",
];

fn main() -> ExitCode {
    match compile() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("proto/hadoop: {error}");
            ExitCode::FAILURE
        }
    }
}

fn compile() -> Result<(), Box<dyn std::error::Error>> {
    let root = PathBuf::from(std::env::var("CARGO_MANIFEST_DIR")?).join("../proto");
    println!("cargo::rerun-if-changed=../proto/hadoop");
    let files = protox::compile(FILES, [root])?;
    prost_build::Config::new().bytes(["."]).compile_fds(files)?;
    Ok(())
}
