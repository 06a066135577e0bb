//! `moongate load`, `free`, `pin`, `unpin` and `cache stat`, and the metrics of the cache.

use std::process::Output;

use moongate_tests::gateway;
use serde_json::Value;
use tempfile::TempDir;

use crate::door::Door;
use crate::mounted;

fn run(door: &Door, command: &[&str], arguments: &[&str]) -> Output {
    let admin = door.gateway.admin().to_string();
    let mut all = command.to_vec();
    all.extend(["--admin", &admin]);
    all.extend(arguments);
    gateway::run(&all)
}

/// What the cache holds of a path.
fn held(door: &Door, path: &str) -> Value {
    let output = run(door, &["cache", "stat"], &["--json", path]);
    assert!(output.status.success(), "{output:?}");
    let said: Value = serde_json::from_slice(&output.stdout).unwrap();
    said["paths"][0].clone()
}

fn metric(door: &Door, name: &str) -> u64 {
    mounted::metric(&door.gateway, name)
}

#[test]
fn a_tree_is_loaded_and_read_without_asking_the_store_again() {
    let door = Door::open();
    for number in 0..20 {
        door.file(&format!("tree/{number}"), &vec![number; 100_000]);
    }
    let loaded = run(&door, &["load"], &["/m/tree", "--json"]);
    assert!(loaded.status.success(), "{loaded:?}");
    let lines = String::from_utf8(loaded.stdout).unwrap();
    let last: Value = serde_json::from_str(lines.lines().last().unwrap()).unwrap();
    assert_eq!(
        (&last["files_done"], &last["bytes_loaded"], &last["end"]),
        (&20.into(), &2_000_000.into(), &true.into())
    );
    let fetched = metric(&door, "cache_under_bytes");
    for number in 0..20u8 {
        let body = door
            .hdfs()
            .get(&format!("/m/tree/{number}"), "op=OPEN")
            .status(200)
            .body;
        assert!(body == vec![number; 100_000]);
    }
    assert_eq!(metric(&door, "cache_under_bytes"), fetched);
    assert!(metric(&door, "cache_ram_hit_bytes") >= 2_000_000);
    assert_eq!(held(&door, "/m/tree")["in_ram"], 2_000_000);
    let again = run(&door, &["load"], &["/m/tree"]);
    let text = String::from_utf8(again.stdout).unwrap();
    assert!(text.contains("20 files, 0 B loaded"), "{text}");
}

#[test]
fn what_is_freed_is_fetched_again() {
    let door = Door::open();
    door.file("f", &[7; 50_000]);
    door.hdfs().get("/m/f", "op=OPEN").status(200);
    assert_eq!(held(&door, "/m/f")["in_ram"], 50_000);
    let freed = run(&door, &["free"], &["/m"]);
    assert!(freed.status.success(), "{freed:?}");
    assert_eq!(held(&door, "/m/f")["in_ram"], 0);
    let before = metric(&door, "cache_under_bytes");
    assert_eq!(
        door.hdfs().get("/m/f", "op=OPEN").status(200).body,
        [7; 50_000]
    );
    assert_eq!(metric(&door, "cache_under_bytes"), before + 50_000);
}

#[test]
fn pins_need_a_disk_and_are_kept_there() {
    let door = Door::open();
    door.file("f", &[7; 50_000]);
    let refused = run(&door, &["pin"], &["/m/f"]);
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    let disk = TempDir::new().unwrap();
    let door = Door::with(&format!(
        "[cache]\ndirs = ['{}']\ndisk_bytes_max = '64MiB'\n",
        disk.path().display()
    ));
    door.file("f", &[7; 50_000]);
    assert!(run(&door, &["pin"], &["/m/f"]).status.success());
    assert!(run(&door, &["load"], &["/m/f"]).status.success());
    let now = held(&door, "/m/f");
    assert!(
        now["on_disk"].as_u64() >= Some(50_000) && now["pinned"].as_u64() >= Some(50_000),
        "{now}"
    );
    assert!(run(&door, &["unpin"], &["/m/f"]).status.success());
    assert_eq!(held(&door, "/m/f")["pinned"], 0);
}

#[test]
fn what_is_not_mounted_cannot_be_loaded() {
    let door = Door::open();
    for command in [["load"], ["free"], ["pin"]] {
        let output = run(&door, &command, &["/elsewhere"]);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        assert!(
            String::from_utf8_lossy(&output.stderr).contains("no cached mount"),
            "{output:?}"
        );
    }
    assert_eq!(run(&door, &["load"], &["/m/nope"]).status.code(), Some(1));
}
