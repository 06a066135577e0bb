//! Hadoop's own shell on the cluster and through the gateway: what it prints is the same.

use std::process::Output;

use moongate_tests::payload;
use tempfile::TempDir;

use crate::bed::Bed;

const FOLDER: &str = "/shell";

fn filled() -> Bed {
    let bed = Bed::start(&FOLDER[1..]);
    let many = payload::bytes(1, 300_000);
    for (name, bytes) in [
        ("a", &b"hello\n"[..]),
        ("empty", b""),
        ("sub/long", &many),
        ("sub/deep/é", b"x"),
        ("sub/10", b"y"),
    ] {
        bed.put(&format!("{FOLDER}/{name}"), bytes);
    }
    // Three blocks, the last of which ends in the middle of a chunk.
    let options = hdfs_native::WriteOptions::default().block_size(1 << 20);
    bed.runtime.block_on(async {
        let path = format!("{FOLDER}/blocks");
        let mut file = bed.far.create(&path, options).await.unwrap();
        let bytes = payload::bytes(2, (2 << 20) + 12_345);
        file.write_bytes(bytes.into()).await.unwrap();
        file.close().await.unwrap();
    });
    bed
}

/// What a command prints, without the address of whom it asked.
fn told(bed: &Bed, url: &str, arguments: &[&str]) -> (Option<i32>, String, Vec<u8>) {
    let at = |argument: &&str| match argument.strip_prefix('@') {
        Some(path) => format!("{url}{FOLDER}{path}"),
        None => (*argument).to_owned(),
    };
    let arguments: Vec<String> = arguments.iter().map(at).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let Output {
        status,
        stdout,
        stderr,
    } = bed.hdfs.shell(&arguments);
    let words = |bytes: &[u8]| String::from_utf8_lossy(bytes).replace(url, "");
    let errors: Vec<String> = words(&stderr)
        .lines()
        .filter(|line| !line.contains(" WARN "))
        .map(str::to_owned)
        .collect();
    let out = match std::str::from_utf8(&stdout) {
        Ok(text) => text.replace(url, "").into_bytes(),
        Err(_) => stdout,
    };
    (status.code(), errors.join("\n"), out)
}

#[test]
fn the_shell_says_the_same_of_the_cluster_and_of_the_gateway() {
    let bed = filled();
    let (cluster, gateway) = (bed.hdfs.url(), bed.url());
    let commands: [&[&str]; 9] = [
        &["-ls", "-R", "@/"],
        &["-cat", "@/a", "@/sub/long", "@/blocks", "@/empty"],
        &[
            "-stat",
            "%n %b %o %r %u %g %F %Y %a",
            "@/a",
            "@/sub",
            "@/blocks",
        ],
        &["-du", "-s", "@/", "@/sub"],
        &["-count", "-q", "@/", "@/a"],
        &["-checksum", "@/a", "@/sub/long", "@/blocks"],
        &["-getfacl", "@/a", "@/sub"],
        &["-cat", "@/missing", "@/sub"],
        &["-test", "-z", "@/empty"],
    ];
    std::thread::scope(|scope| {
        for command in commands {
            let theirs = scope.spawn(|| told(&bed, &cluster, command));
            let ours = told(&bed, &gateway, command);
            assert_eq!(ours, theirs.join().unwrap(), "{command:?}");
        }
    });
}

#[test]
fn files_are_got_byte_for_byte() {
    let bed = Bed::start("got");
    let bytes = payload::bytes(3, 5_000_001);
    bed.put("/got/file", &bytes);
    let folder = TempDir::new().unwrap();
    let target = folder.path().join("file");
    let url = format!("{}/got/file", bed.url());
    let output = bed.hdfs.shell(&["-get", &url, target.to_str().unwrap()]);
    assert!(output.status.success(), "{output:?}");
    assert!(std::fs::read(target).unwrap() == bytes);
}
