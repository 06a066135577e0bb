//! Makes Rust of `proto/hadoop/*.proto`, without `protoc`.

use std::process::ExitCode;

const ROOT: &str = "../proto";
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
    for file in FILES {
        println!("cargo::rerun-if-changed={ROOT}/{file}");
    }
    let files = protox::compile(FILES, [ROOT])?;
    prost_build::Config::new().bytes(["."]).compile_fds(files)?;
    Ok(())
}
