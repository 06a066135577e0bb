//! Hadoop's own shell writes through the gateway, into each kind of store.

use std::fs;

use moongate_tests::payload;
use tempfile::TempDir;

use crate::wide::Wide;

fn done(wide: &Wide, arguments: &[&str]) -> String {
    let output = wide.hdfs.shell(arguments);
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn refused(wide: &Wide, arguments: &[&str]) -> String {
    let output = wide.hdfs.shell(arguments);
    assert!(!output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// put, cp, appendToFile, truncate, touchz: what is read back is what was written.
fn is_written(wide: &Wide, folder: &str) {
    let ours = TempDir::new().unwrap();
    let bytes = payload::bytes(41, 2_300_000);
    let (file, more, got) = (
        ours.path().join("file"),
        ours.path().join("more"),
        ours.path().join("got"),
    );
    fs::write(&file, &bytes).unwrap();
    fs::write(&more, &bytes[..70_000]).unwrap();
    let (file, more) = (file.to_str().unwrap(), more.to_str().unwrap());
    let at = |name: &str| format!("{}{folder}/{name}", wide.url());
    let (put, copy, empty) = (at("put"), at("copy"), at("empty"));
    done(wide, &["-D", "dfs.blocksize=1048576", "-put", file, &put]);
    assert!(refused(wide, &["-put", file, &put]).contains("File exists"));
    done(
        wide,
        &["-D", "dfs.checksum.type=CRC32", "-put", "-f", file, &put],
    );
    done(wide, &["-cp", &put, &copy]);
    done(wide, &["-appendToFile", more, more, &copy]);
    done(wide, &["-get", &copy, got.to_str().unwrap()]);
    let want = [&bytes[..], &bytes[..70_000], &bytes[..70_000]].concat();
    assert!(fs::read(&got).unwrap() == want, "{folder}");
    done(wide, &["-touchz", &empty]);
    done(wide, &["-test", "-z", &empty]);
    let listed = done(wide, &["-ls", "-C", &at("")]);
    let mut names: Vec<&str> = listed
        .lines()
        .filter_map(|line| line.rsplit('/').next())
        .collect();
    names.sort_unstable();
    assert_eq!(names, ["copy", "empty", "put"]);
    done(wide, &["-rm", "-skipTrash", &copy]);
    refused(wide, &["-test", "-e", &copy]);
}

#[test]
fn the_shell_writes_into_hdfs() {
    let wide = Wide::start("shellwrites", "");
    is_written(&wide, "/h/shellwrites");
    let (near, far) = (
        format!("{}/h/shellwrites/put", wide.url()),
        format!("{}/shellwrites/put", wide.hdfs.url()),
    );
    // Another way to the same file, which the gateway has just written, and is told of nothing.
    let sums = [&near, &far].map(|url| done(&wide, &["-checksum", url]));
    let sums = sums.map(|sum| {
        sum.split_whitespace()
            .skip(1)
            .map(str::to_owned)
            .collect::<Vec<_>>()
    });
    assert_eq!(sums[0], sums[1]);
    // hdfs-native, by which the gateway asks the cluster, has no truncate.
    refused(&wide, &["-truncate", "-w", "1000000", &near]);
}

#[test]
fn the_shell_writes_into_a_local_folder() {
    let wide = Wide::start("shellwrites", "");
    is_written(&wide, "/local/shellwrites");
    let url = format!("{}/local/shellwrites/put", wide.url());
    done(&wide, &["-truncate", "-w", "1000000", &url]);
    let written = fs::metadata(wide.local.path().join("shellwrites/put")).unwrap();
    assert_eq!(written.len(), 1_000_000);
}

#[test]
fn the_shell_writes_into_the_gateways_own_files() {
    let wide = Wide::start("shellwrites", "");
    is_written(&wide, "/own/shellwrites");
    let room = done(&wide, &["-df", &format!("{}/", wide.url())]);
    let figures = room.lines().nth(1).unwrap_or_default().split_whitespace();
    let capacity: u64 = figures.clone().nth(1).unwrap().parse().unwrap();
    assert!(capacity > 0, "{room}");
}
