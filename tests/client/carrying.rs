//! `put` and `get`: what is carried there comes back the same, and only once.

use std::fs;

use crate::shell::{Shell, read_tree, told};

#[test]
fn a_folder_of_5000_files_goes_there_and_back() {
    let shell = Shell::new();
    let files = shell.make("photos", 5000);
    fs::create_dir(shell.path("photos/empty")).unwrap();
    let put = shell.totals(&["put", "photos", "/archive/"]);
    assert_eq!(
        (put["done"].as_u64(), put["failed"].as_u64()),
        (Some(files.len() as u64), Some(0))
    );
    shell.expect(0, &["get", "/archive/photos", "copy"]);
    assert!(read_tree(&shell.path("copy")) == files);
    assert!(shell.path("copy/empty").is_dir());
    let usage: serde_json::Value =
        serde_json::from_str(&shell.expect(0, &["du", "--json", "/archive"])).unwrap();
    assert_eq!(usage["files"].as_u64(), Some(files.len() as u64));
}

#[test]
fn what_is_there_is_not_carried_again() {
    let shell = Shell::new();
    let files = shell.make("a", 300).len() as u64;
    shell.expect(0, &["put", "a", "/a"]);
    for flags in [&["put", "a", "/a"][..], &["put", "--fast", "a", "/a"]] {
        let totals = shell.totals(flags);
        assert_eq!(
            (totals["done"].as_u64(), totals["same"].as_u64()),
            (Some(0), Some(files)),
            "{flags:?}"
        );
    }
    fs::write(shell.path("a/s1/00001.jpg"), "other").unwrap();
    // As long as before, and not newer: only the checksum tells.
    let old = fs::metadata(shell.path("a/large0"))
        .unwrap()
        .modified()
        .unwrap();
    let mut large = fs::read(shell.path("a/large0")).unwrap();
    large[5_000_000] ^= 1;
    fs::write(shell.path("a/large0"), large).unwrap();
    fs::File::options()
        .write(true)
        .open(shell.path("a/large0"))
        .unwrap()
        .set_modified(old)
        .unwrap();
    assert_eq!(shell.totals(&["put", "a", "/a"])["done"].as_u64(), Some(2));
    assert_eq!(
        shell.totals(&["put", "--again", "a", "/a"])["done"].as_u64(),
        Some(files)
    );

    shell.expect(0, &["get", "/a", "b"]);
    fs::remove_file(shell.path("b/s2/00002.jpg")).unwrap();
    fs::write(shell.path("b/s3/00003.jpg"), "damaged").unwrap();
    assert_eq!(shell.totals(&["get", "/a", "b"])["done"].as_u64(), Some(2));
    assert!(read_tree(&shell.path("b")) == read_tree(&shell.path("a")));
}

#[test]
fn standard_input_and_output() {
    let shell = Shell::new();
    let bytes = moongate_tests::payload::bytes(7, 6 << 20);
    assert!(
        shell
            .feed(&["put", "-", "/b/x.bin"], &bytes)
            .status
            .success()
    );
    let output = shell.run(&["get", "/b/x.bin", "-"]);
    assert!(output.status.success() && output.stdout == bytes);
    shell.expect(2, &["put", "-", "/b/"]);
}

#[test]
fn tars_are_stored_and_saved() {
    let shell = Shell::new();
    let files = shell.make("t", 200);
    assert!(
        std::process::Command::new("tar")
            .args(["czf", "t.tgz", "-C", "t", "."])
            .current_dir(shell.folder.path())
            .status()
            .unwrap()
            .success()
    );
    shell.expect(0, &["put", "--unpack", "t.tgz", "/one/"]);
    let tar = fs::read(shell.path("t.tgz")).unwrap();
    assert!(
        shell
            .feed(&["put", "--unpack", "-", "/two"], &tar)
            .status
            .success()
    );
    for folder in ["/one", "/two"] {
        shell.expect(0, &["get", "--tar", "saved.tar", folder]);
        let out = shell.path(&folder[1..]);
        fs::create_dir(&out).unwrap();
        assert!(
            std::process::Command::new("tar")
                .args(["xf", "../saved.tar"])
                .current_dir(&out)
                .status()
                .unwrap()
                .success()
        );
        let mut saved = read_tree(&out);
        // Some archives are of the folder, some of what is in it.
        if let Some(inner) = saved
            .keys()
            .next()
            .filter(|name| name.starts_with(&folder[1..]))
            .map(|_| out.join(&folder[1..]))
        {
            saved = read_tree(&inner);
        }
        assert!(saved == files, "{folder}");
    }
    let cut = shell.feed(&["put", "--unpack", "-", "/cut"], &tar[..tar.len() / 2]);
    assert_eq!(cut.status.code(), Some(1), "{}", told(&cut));
}

#[test]
fn globs_match_there_and_here() {
    let shell = Shell::new();
    shell.make("g", 30);
    shell.expect(0, &["put", "g/s*", "/g/"]);
    let listed = shell.expect(0, &["ls", "/g/s[12]/*1*.jpg"]);
    assert_eq!(
        listed,
        "/g/s1/00001.jpg\n/g/s1/00012.jpg\n/g/s2/00013.jpg\n"
    );
    shell.expect(0, &["get", "/g/**/0001?.jpg", "flat/"]);
    assert_eq!(read_tree(&shell.path("flat")).len(), 10);
    shell.expect(1, &["get", "/g/nothing*", "flat/"]);
    // Two of one name cannot both be there, or here.
    shell.expect(0, &["put", "g/s1/00001.jpg", "/g/s2/"]);
    shell.expect(1, &["get", "/g/s*/00001.jpg", "flat/"]);
    shell.expect(2, &["put", "g/s1/00001.jpg", "./g/s1/00001.jpg", "/g/s2/"]);
    shell.expect(0, &["rm", "/g/s1/*"]);
    assert_eq!(shell.expect(0, &["ls", "/g/s1"]), "");
}
