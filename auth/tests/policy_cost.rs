//! What a decision costs: that nothing is allocated, and (in an optimised build) how long it takes.
#![allow(clippy::unwrap_used, unsafe_code, clippy::print_stdout)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::time::Instant;

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

/// Allocations, and nanoseconds a decision.
fn cost(snapshot: &Snapshot, paths: &[String], want: Option<Outcome>) -> (u64, f64) {
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
    let begun = Instant::now();
    let rounds = if cfg!(debug_assertions) { 2 } else { 400 };
    for _ in 0..rounds {
        for path in paths {
            std::hint::black_box(decide(path, "user1"));
        }
    }
    let took = begun.elapsed().as_nanos() as f64 / (rounds * paths.len()) as f64;
    (ALLOCATED.with(Cell::get) - before, took)
}

fn told(what: &str, snapshot: &Snapshot, paths: &[String], limit_ns: f64) {
    let (allocated, took) = cost(snapshot, paths, None);
    println!("{what}: {took:.0} ns a decision, {allocated} allocations");
    assert_eq!(allocated, 0, "{what}");
    if !cfg!(debug_assertions) {
        assert!(took < limit_ns, "{what}: {took:.0} ns");
    }
}

#[test]
fn ten_thousand_literal_prefixes() {
    let spread = snapshot((0..10_000).map(|n| format!("/data/team{}/set{n}", n % 97)));
    let paths: Vec<String> = (0..500)
        .map(|n| format!("/data/team{}/set{n}/year=2026/part-00001.parquet", n % 97))
        .collect();
    told("10,000 policies, spread", &spread, &paths, 1000.0);
    let nested = snapshot((0..10_000).map(|n| match n % 10 {
        0 => format!("/n{n}"),
        depth => format!("/n{}{}", n - depth, "/x".repeat(depth)),
    }));
    let paths: Vec<String> = (0..500)
        .map(|n| format!("/n{}{}/f", n * 10, "/x".repeat(9)))
        .collect();
    told("10,000 policies, nested", &nested, &paths, 2000.0);
    let (_, _) = cost(
        &spread,
        &["/data/team1/set1/f".to_owned()],
        Some(Outcome::Allow),
    );
}

#[test]
fn a_thousand_leading_wildcards() {
    let ends = snapshot((0..1000).map(|n| format!("*/part-{n:05}.parquet")));
    let paths: Vec<String> = (0..200)
        .map(|n| format!("/data/sales/year=2026/part-{n:05}.parquet"))
        .collect();
    told("1,000 that begin with a wildcard", &ends, &paths, 50_000.0);
    let inner = snapshot((0..1000).map(|n| format!("/*/team{n}/*")));
    let paths: Vec<String> = (0..200)
        .map(|n| format!("/data/team{n}/year=2026/part-00001.parquet"))
        .collect();
    told("1,000 with one in the middle", &inner, &paths, 50_000.0);
    // The worst: every value has the same text in it.
    let same = snapshot((0..1000).map(|n| format!("*/part-?{}*", "?".repeat(n % 9))));
    told("1,000 that all look alike", &same, &paths, 200_000.0);
}
