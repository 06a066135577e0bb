//! That a decision allocates nothing, among however many policies. How long it takes is measured: `make bench ARGS="--only policy"`.
#![allow(clippy::unwrap_used, unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use moongate_auth::Groups;
use moongate_auth::policy::{Access, FsAction, Material, Outcome, PluginConfig, Request, Snapshot};
use serde_json::{Value, json};

/// Counts what this thread allocates.
struct Counting;

thread_local! {
    static ALLOCATED: Cell<u64> = const { Cell::new(0) };
}

// SAFETY: all is handed on to the system's allocator; the count is a plain cell of the thread.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let _ = ALLOCATED.try_with(|count| count.set(count.get() + 1));
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn snapshot(values: impl Iterator<Item = String>) -> Snapshot {
    let policies: Vec<Value> = values
        .enumerate()
        .map(|(n, value)| {
            let user = format!("user{}", n % 100);
            json!({"id": n, "name": format!("p{n}"), "resources": {"path": {"values": [value], "isRecursive": true}},
                "policyItems": [{"users": [user], "groups": [format!("g{}", n % 50)], "accesses": [{"type": "read"}, {"type": "execute"}]}],
                "denyPolicyItems": if n % 7 == 0 { json!([{"users": ["mallory"], "accesses": [{"type": "read"}]}]) } else { json!([]) }})
        })
        .collect();
    let body = json!({"serviceName": "s", "policies": policies});
    let material = Material {
        policies: serde_json::from_value(body).unwrap(),
        ..Material::default()
    };
    Snapshot::compile(&material, &PluginConfig::default()).unwrap()
}

/// Allocations of one decision on each path, none of them the first.
fn allocations(snapshot: &Snapshot, paths: &[String], want: Option<Outcome>) -> u64 {
    let groups = Groups::known(["g1", "g2", "staff"]);
    let decide = |path: &str, user: &str| {
        let request = Request {
            path,
            is_file: true,
            user,
            groups: &groups,
            owner: Some("hdfs"),
            access: Access::Fs(FsAction::READ),
            action: "open",
            client_ip: Some("10.0.0.1"),
            time_ms: 1_749_600_000_000,
            tags: &[],
        };
        snapshot.decide(&request).outcome
    };
    for path in paths {
        let outcome = decide(path, "user1");
        assert!(
            want.is_none_or(|want| want == outcome),
            "{path}: {outcome:?}"
        );
    }
    let before = ALLOCATED.with(Cell::get);
    for path in paths {
        std::hint::black_box(decide(path, "user1"));
    }
    ALLOCATED.with(Cell::get) - before
}

#[track_caller]
fn allocates_nothing(snapshot: &Snapshot, paths: &[String]) {
    assert_eq!(allocations(snapshot, paths, None), 0);
}

#[test]
fn ten_thousand_literal_prefixes() {
    let spread = snapshot((0..10_000).map(|n| format!("/data/team{}/set{n}", n % 97)));
    let paths: Vec<String> = (0..500)
        .map(|n| format!("/data/team{}/set{n}/year=2026/part-00001.parquet", n % 97))
        .collect();
    allocates_nothing(&spread, &paths);
    let nested = snapshot((0..10_000).map(|n| match n % 10 {
        0 => format!("/n{n}"),
        depth => format!("/n{}{}", n - depth, "/x".repeat(depth)),
    }));
    let paths: Vec<String> = (0..500)
        .map(|n| format!("/n{}{}/f", n * 10, "/x".repeat(9)))
        .collect();
    allocates_nothing(&nested, &paths);
    let path = "/data/team1/set1/f".to_owned();
    assert_eq!(allocations(&spread, &[path], Some(Outcome::Allow)), 0);
}

#[test]
fn a_thousand_leading_wildcards() {
    let ends = snapshot((0..1000).map(|n| format!("*/part-{n:05}.parquet")));
    let paths: Vec<String> = (0..200)
        .map(|n| format!("/data/sales/year=2026/part-{n:05}.parquet"))
        .collect();
    allocates_nothing(&ends, &paths);
    let inner = snapshot((0..1000).map(|n| format!("/*/team{n}/*")));
    let paths: Vec<String> = (0..200)
        .map(|n| format!("/data/team{n}/year=2026/part-00001.parquet"))
        .collect();
    allocates_nothing(&inner, &paths);
    // The worst: every value has the same text in it.
    let same = snapshot((0..1000).map(|n| format!("*/part-?{}*", "?".repeat(n % 9))));
    allocates_nothing(&same, &paths);
}
