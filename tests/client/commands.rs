//! The other commands, and what scripts can trust: exit codes and lines of errors.

use crate::shell::{Shell, told};

#[test]
fn exit_codes_tell_what_happened() {
    let shell = Shell::new();
    shell.make("a", 3);
    for (code, arguments) in [
        (0, &["put", "a", "/a"][..]),
        (0, &["ls", "/"]),
        (1, &["put", "a/s0/00000.jpg", "nothing", "/b/"]),
        (1, &["get", "/nothing", "."]),
        (1, &["stat", "/nothing"]),
        (1, &["ls", "/nothing"]),
        (1, &["rm", "/nothing"]),
        (0, &["rm", "-f", "/nothing"]),
        (1, &["rm", "/a"]),
        (1, &["get", "/a", "-"]),
        (2, &["put", "a"]),
        (2, &["get", "/a"]),
        (2, &["ls", "relative"]),
        (2, &["put", "a", "ftp://127.0.0.1/a"]),
        (3, &["put", "a", "https://127.0.0.1:1/a"]),
        (3, &["ls", "moongate://127.0.0.1:1/"]),
        (3, &["put", "a", "moongate://127.0.0.1:1/"]),
    ] {
        let output = shell.run(arguments);
        assert_eq!(
            output.status.code(),
            Some(code),
            "{arguments:?}: {}",
            told(&output)
        );
        if code > 0 {
            assert!(
                told(&output).contains("moongate") || code == 2,
                "{arguments:?}: {}",
                told(&output)
            );
        }
    }
    // The one that could be sent was.
    shell.expect(0, &["stat", "/b/00000.jpg"]);
    let failed = told(&shell.run(&["put", "nothing", "a/s0/00000.jpg", "/b/"]));
    let lines: Vec<&str> = failed
        .lines()
        .filter(|line| line.starts_with("moongate: "))
        .collect();
    assert!(lines.len() == 1 && lines[0].contains("nothing"), "{failed}");
}

#[test]
fn listings_and_details() {
    let shell = Shell::new();
    shell.make("a", 30);
    shell.expect(0, &["put", "a", "/a"]);
    let listed = shell.expect(0, &["ls", "/a"]);
    assert!(
        listed.starts_with("large0\nlarge1\n") && listed.contains("\ns1/\n"),
        "{listed}"
    );
    let long = shell.expect(0, &["ls", "-lh", "/a/large0"]);
    assert!(
        long.starts_with("-rw") && long.contains(" 9.0 MiB ") && long.ends_with(" large0\n"),
        "{long}"
    );
    let all = shell.expect(0, &["ls", "-R", "--json", "/a"]);
    let files = all
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    assert_eq!(
        files.filter(|entry| entry["IsDirectory"] == false).count(),
        34
    );
    let entry: serde_json::Value =
        serde_json::from_str(&shell.expect(0, &["stat", "--json", "/a/odd/ä b%20#?&+.bin"]))
            .unwrap();
    assert_eq!(entry["FileSize"].as_u64(), Some(3));
    let crc32c = format!("{:08x}", crc32c::crc32c(b"odd"));
    assert_eq!(entry["Crc32c"].as_str(), Some(crc32c.as_str()));
}

#[test]
fn copies_moves_and_removals_stay_on_the_server() {
    let shell = Shell::new();
    shell.make("a", 30);
    shell.expect(0, &["put", "a", "/a"]);
    let files = |folder: &str| -> u64 {
        let usage: serde_json::Value =
            serde_json::from_str(&shell.expect(0, &["du", "--json", folder])).unwrap();
        usage["files"].as_u64().unwrap()
    };
    shell.expect(0, &["cp", "/a", "/b/"]);
    assert_eq!((files("/a"), files("/b/a")), (34, 34));
    shell.expect(0, &["mv", "/b/a", "/c"]);
    assert_eq!(files("/c"), 34);
    shell.expect(1, &["stat", "/b/a"]);
    // Not over something that is there, unless it is meant.
    shell.expect(1, &["mv", "/c/large0", "/c/large1"]);
    shell.expect(1, &["cp", "/c/large0", "/c/large1"]);
    shell.expect(0, &["cp", "-f", "/c/large0", "/c/large1"]);
    shell.expect(0, &["mv", "-f", "/c/large0", "/c/large1"]);
    assert_eq!(files("/c"), 33);
    shell.expect(0, &["rm", "-r", "/c", "/a"]);
    assert_eq!(files("/"), 0);
}
