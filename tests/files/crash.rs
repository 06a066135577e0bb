//! `kill -9` between and in the middle of changes: what was acknowledged is there, what was deleted stays deleted.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use moongate_tests::http::{self, Request};
use moongate_tests::{Gateway, payload};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::Value;

const WRITERS: usize = 4;
const ROUNDS: usize = 12;

/// Path below the writer's folder, and the SHA-256 of the bytes.
type Tree = BTreeMap<String, String>;

/// What a writer knows: what was acknowledged, and what may have happened since.
#[derive(Clone, Default)]
struct Known {
    tree: Tree,
    in_flight: Option<Tree>,
}

/// One change: the request, and the tree after it.
fn change(rng: &mut StdRng, folder: &str, tree: &Tree) -> (Request, Tree) {
    let mut after = tree.clone();
    let name = format!(
        "{}/{}.jpg",
        ["a", "b"][rng.random_range(0..2)],
        rng.random_range(0..6)
    );
    let pick = tree
        .keys()
        .nth(rng.random_range(0..tree.len().max(1)))
        .cloned();
    let post = |to: &str, from: &str| {
        Request::new("POST", &format!("{folder}/{to}?mv.from={folder}/{from}"))
    };
    match (rng.random_range(0..10), pick) {
        (0 | 1, Some(victim)) => {
            after.remove(&victim);
            (Request::new("DELETE", &format!("{folder}/{victim}")), after)
        }
        (2, Some(from)) => {
            let bytes = after.remove(&from).unwrap();
            after.insert(name.clone(), bytes);
            (post(&name, &from), after)
        }
        (3, Some(from)) => {
            // A whole folder to a new place and name.
            let (top, _) = from.split_once('/').unwrap();
            let to = format!("m{}", rng.random_range(0..u32::MAX));
            let inside: Vec<String> = tree
                .keys()
                .filter(|key| key.starts_with(&format!("{top}/")))
                .cloned()
                .collect();
            for key in inside {
                let bytes = after.remove(&key).unwrap();
                after.insert(format!("{to}{}", &key[top.len()..]), bytes);
            }
            (post(&to, top), after)
        }
        (4, Some(from)) => {
            let (top, _) = from.split_once('/').unwrap();
            after.retain(|key, _| !key.starts_with(&format!("{top}/")));
            (
                Request::new("DELETE", &format!("{folder}/{top}?recursive=true")),
                after,
            )
        }
        _ => {
            let body = payload::bytes(rng.random(), rng.random_range(0..40_000));
            after.insert(name.clone(), payload::sha256(&body));
            (Request::put(&format!("{folder}/{name}"), "", &body), after)
        }
    }
}

fn write_until(
    address: std::net::SocketAddr,
    stop: &AtomicBool,
    seed: u64,
    folder: &str,
    mut known: Known,
) -> Known {
    let mut rng = StdRng::seed_from_u64(seed);
    let Ok(mut connection) = http::Connection::open(address) else {
        return known;
    };
    while !stop.load(Ordering::Relaxed) {
        let (request, after) = change(&mut rng, folder, &known.tree);
        known.in_flight = Some(after.clone());
        let Ok(answer) = connection.send(&request) else {
            return known;
        };
        assert!(
            answer.status < 300,
            "{} {}: {}",
            request.method,
            request.target,
            answer.summary()
        );
        known.tree = after;
        known.in_flight = None;
    }
    known
}

/// The files of a folder as they are now.
fn found(gateway: &Gateway, folder: &str) -> Tree {
    let request =
        Request::get(&format!("{folder}/?recursive=true")).header("Accept", "application/x-ndjson");
    let listing = gateway.files().send(&request);
    if listing.status == 404 {
        return Tree::new();
    }
    let listing = listing.status(200).text();
    let mut tree = Tree::new();
    for line in listing.lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        let Some(path) = line["FullPath"].as_str() else {
            continue;
        };
        if line["Mode"].as_u64().unwrap() & (1 << 31) == 0 {
            let body = gateway.files().get(path).status(200).body;
            tree.insert(path[folder.len() + 1..].to_owned(), payload::sha256(&body));
        }
    }
    tree
}

#[test]
fn acknowledged_changes_survive_kills() {
    let mut rng = payload::seeded("kill -9 between changes of names");
    let mut gateway = Gateway::fresh("");
    let mut all = vec![Known::default(); WRITERS];
    let mut changes = 0;
    for round in 0..ROUNDS {
        let stop = AtomicBool::new(false);
        let address = gateway.file();
        let seed: u64 = rng.random();
        let wait = Duration::from_millis(rng.random_range(30..500));
        all = std::thread::scope(|scope| {
            let stop = &stop;
            let writers: Vec<_> = all
                .into_iter()
                .enumerate()
                .map(|(n, known)| {
                    let folder = format!("/w{n}");
                    scope.spawn(move || write_until(address, stop, seed ^ n as u64, &folder, known))
                })
                .collect();
            std::thread::sleep(wait);
            gateway.kill9();
            stop.store(true, Ordering::Relaxed);
            writers
                .into_iter()
                .map(|writer| writer.join().unwrap())
                .collect()
        });
        gateway.restart();
        for (n, known) in all.iter_mut().enumerate() {
            let now = found(&gateway, &format!("/w{n}"));
            let allowed = now == known.tree || known.in_flight.as_ref() == Some(&now);
            assert!(
                allowed,
                "round {round}, writer {n}: found {now:#?}, acknowledged {:#?}, in flight {:#?}",
                known.tree, known.in_flight
            );
            changes += now.len();
            *known = Known {
                tree: now,
                in_flight: None,
            };
        }
    }
    assert!(changes > 0);
    // The changes that were cut short are taken up again, and nothing that is named goes.
    for (n, known) in all.iter().enumerate() {
        assert_eq!(found(&gateway, &format!("/w{n}")), known.tree);
    }
    gateway
        .get("/vol/vacuum?garbageThreshold=0.0001")
        .status(200);
    gateway.terminate();
    gateway.restart();
    for (n, known) in all.iter().enumerate() {
        assert_eq!(found(&gateway, &format!("/w{n}")), known.tree);
    }
    gateway.assert_serving();
}

#[test]
fn deletes_that_were_acknowledged_give_space_back_after_a_kill() {
    let mut gateway = Gateway::fresh("");
    for n in 0..200u64 {
        gateway
            .files()
            .put(&format!("/d/{n}"), &payload::bytes(n, 3000));
    }
    gateway.files().put("/stays", b"stays");
    gateway.files().delete("/d?recursive=true").status(204);
    gateway.kill9();
    gateway.restart();
    gateway.files().get("/d/").status(404);
    crate::space::assert_only_what_is_named_lives(&gateway);
    gateway.files().assert_has("/stays", b"stays");
}
