//! What it costs to know who calls, to decide what they may, and to write it down: a decision (`moongate policy test --time` over policies of
//! three kinds), the same reads with and without all of it ([`guarded`]), and a login ([`login`]).

mod guarded;
mod login;

use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use super::{Bench, progress};
use crate::figures::{Section, Table, Verdict};

/// Paths that are asked about.
const CASES: usize = 500;
/// Limits in nanoseconds of CPU: Ranger's own engine takes 3,300, 3,700 and 663,000.
const LITERAL_NS_MAX: f64 = 1_000.0;
const WILDCARD_NS_MAX: f64 = 50_000.0;

struct Kind {
    name: &'static str,
    policies: usize,
    value: fn(usize) -> String,
    path: fn(usize) -> String,
    limit_ns: f64,
}

const KINDS: [Kind; 3] = [
    Kind {
        name: "10,000 policies, spread paths",
        policies: 10_000,
        value: |n| format!("/data/team{}/set{n}", n % 97),
        path: |n| format!("/data/team{}/set{n}/year=2026/part-00001.parquet", n % 97),
        limit_ns: LITERAL_NS_MAX,
    },
    Kind {
        name: "10,000 policies, nested paths",
        policies: 10_000,
        value: |n| format!("/n{}{}", n / 10, "/x".repeat(n % 10)),
        path: |n| format!("/n{n}{}/part-00001.parquet", "/x".repeat(9)),
        limit_ns: LITERAL_NS_MAX,
    },
    Kind {
        name: "1,000 policies that begin with a wildcard",
        policies: 1_000,
        value: |n| format!("*/part-{n:05}.parquet"),
        path: |n| format!("/data/sales/year=2026/part-{n:05}.parquet"),
        limit_ns: WILDCARD_NS_MAX,
    },
];

pub fn run(bench: &Bench) -> Result<Section> {
    let mut section = Section {
        title: "Policies",
        about: "Ranger policies, each with a user and a group; one user with three groups reads 500 paths in turn, on one thread. What it takes to \
                read each question (its time, its groups) is included. Then reads at random over 32 connections, in turn from a gateway that asks \
                nobody and from one with an access key, 10,000 policies and an audit record of each read; and logins one after the other, each on a connection of its own."
            .to_owned(),
        table: Table::new(&["what", "CPU"]),
        verdicts: Vec::new(),
    };
    for kind in &KINDS {
        let ns = measured(bench, kind)?;
        progress(&format!("{}: {ns:.0} ns", kind.name));
        section
            .table
            .row([kind.name.to_owned(), format!("{ns:.0} ns a decision")]);
        section.verdicts.push(Verdict::absolute(
            kind.name,
            ns,
            kind.limit_ns,
            "ns/decision",
        ));
    }
    guarded::measure(bench, &mut section)?;
    login::measure(bench, &mut section)?;
    Ok(section)
}

fn measured(bench: &Bench, kind: &Kind) -> Result<f64> {
    let file = bench.path("suite.json");
    std::fs::write(&file, suite(kind).to_string())?;
    let secs = if bench.quick { "1" } else { "5" };
    let done = Command::new(&bench.bin)
        .args(["policy", "test", "--time", secs])
        .arg(&file)
        .output()?;
    let said = String::from_utf8_lossy(&done.stdout);
    ensure!(done.status.success(), "moongate policy test: {said}");
    let ns = said
        .lines()
        .find_map(|line| line.strip_suffix(" ns of CPU a decision"));
    ns.context("moongate policy test --time told no time")?
        .parse()
        .context("its time is no number")
}

fn suite(kind: &Kind) -> Value {
    let policies: Vec<Value> = (0..kind.policies)
        .map(|n| {
            json!({"id": n + 1, "name": format!("p{n}"), "resources": {"path": {"values": [(kind.value)(n)], "isRecursive": true}},
                "policyItems": [{"users": ["alice"], "groups": [format!("g{}", n % 50)], "accesses": [{"type": "read"}]}]})
        })
        .collect();
    let cases: Vec<Value> = (0..CASES)
        .map(|n| {
            json!({"name": format!("c{n}"), "expected": {"decision": "ALLOW", "allowed": true},
                "request": {"resource": {"path": (kind.path)(n)}, "user": "alice", "groups": ["g1", "g2", "staff"],
                    "accessTime": "2026-06-09T03:31:53Z", "fsAction": "READ", "action": "open"}})
        })
        .collect();
    json!({"format": "ranger-oracle/1", "origin": "made for a benchmark",
        "suites": [{"id": "s", "servicePolicies": {"serviceName": "s", "policies": policies}, "cases": cases}]})
}
