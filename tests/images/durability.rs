//! What was acknowledged survives `kill -9` in the middle of everything.

use std::collections::{BTreeMap, HashSet};
use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use moongate_tests::api::assigned;
use moongate_tests::http::{Connection, Request};
use moongate_tests::{Fid, Gateway, payload, wait};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

const WRITERS: u64 = 64;
const ROUNDS: u64 = 20;
/// Images that each round re-reads of all earlier rounds; the last round reads every one.
const SAMPLED_PER_ROUND: usize = 300;

/// What may be read of one image: a SHA-256, or `None` for 404. More than one while an answer is still owed.
type Allowed = Vec<Option<String>>;

/// What one writer knows when the gateway dies under it.
#[derive(Default)]
struct Outcome {
    images: BTreeMap<Fid, Allowed>,
    assigned: Vec<Fid>,
}

struct Writer<'a> {
    address: SocketAddr,
    rng: StdRng,
    outcome: Outcome,
    /// Images of this writer that are certainly there.
    own: Vec<Fid>,
    acknowledged: &'a AtomicUsize,
}

impl Writer<'_> {
    /// Writes until the connection breaks.
    fn run(mut self, stop: &AtomicBool) -> Outcome {
        if let Ok(mut connection) = Connection::open(self.address) {
            while !stop.load(Ordering::Relaxed) && self.step(&mut connection).is_some() {}
        }
        self.outcome
    }

    fn step(&mut self, connection: &mut Connection) -> Option<()> {
        match self.rng.random_range(0..10) {
            0 if !self.own.is_empty() => self.delete(connection),
            1 if !self.own.is_empty() => {
                let fid = self.own[self.rng.random_range(0..self.own.len())];
                self.put(connection, fid)
            }
            _ => {
                let response = connection
                    .send(&Request::get("/dir/assign"))
                    .ok()?
                    .status(200);
                let fid = assigned(&response);
                self.outcome.assigned.push(fid);
                self.outcome.images.insert(fid, vec![None]);
                self.put(connection, fid)?;
                self.own.push(fid);
                Some(())
            }
        }
    }

    fn put(&mut self, connection: &mut Connection, fid: Fid) -> Option<()> {
        let body = payload::bytes(self.rng.random(), self.rng.random_range(1..9000));
        let sha256 = Some(payload::sha256(&body));
        self.outcome
            .images
            .entry(fid)
            .or_default()
            .push(sha256.clone());
        let response = connection
            .send(&Request::put(&fid.path(), "image/jpeg", &body))
            .ok()?
            .status(201);
        assert_eq!(response.expect_header("Etag"), payload::etag(&body));
        self.acknowledge(fid, sha256);
        Some(())
    }

    fn delete(&mut self, connection: &mut Connection) -> Option<()> {
        let fid = self
            .own
            .swap_remove(self.rng.random_range(0..self.own.len()));
        self.outcome.images.entry(fid).or_default().push(None);
        connection
            .send(&Request::new("DELETE", &fid.path()))
            .ok()?
            .status(202);
        self.acknowledge(fid, None);
        Some(())
    }

    fn acknowledge(&mut self, fid: Fid, state: Option<String>) {
        self.outcome.images.insert(fid, vec![state]);
        self.acknowledged.fetch_add(1, Ordering::Relaxed);
    }
}

/// Runs all writers, kills the gateway once `kill_after` operations were acknowledged, and collects what they know.
fn write_until_killed(gateway: &mut Gateway, round: u64, kill_after: usize) -> Vec<Outcome> {
    let (acknowledged, stop) = (AtomicUsize::new(0), AtomicBool::new(false));
    let outcomes = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for n in 0..WRITERS {
            let writer = Writer {
                address: gateway.image(),
                rng: StdRng::seed_from_u64(round * WRITERS + n),
                outcome: Outcome::default(),
                own: Vec::new(),
                acknowledged: &acknowledged,
            };
            let (outcomes, stop) = (&outcomes, &stop);
            scope.spawn(move || {
                let outcome = writer.run(stop);
                outcomes.lock().unwrap().push(outcome);
            });
        }
        wait::until_true(
            "enough writes are acknowledged",
            Duration::from_secs(60),
            || acknowledged.load(Ordering::Relaxed) >= kill_after,
        );
        gateway.kill9();
        stop.store(true, Ordering::Relaxed);
    });
    outcomes.into_inner().unwrap()
}

#[track_caller]
fn assert_one_of(connection: &mut Connection, fid: Fid, allowed: &mut Allowed) {
    let response = connection
        .send(&Request::get(&fid.path()))
        .unwrap_or_else(|error| panic!("{fid}: {error}"));
    let read = match response.status {
        200 => Some(payload::sha256(&response.body)),
        404 => None,
        _ => panic!("{fid}: {}", response.summary()),
    };
    assert!(
        allowed.contains(&read),
        "{fid} reads as {read:?}, of which nobody was told: {allowed:?}"
    );
    // What was seen once after the crash is what it is from now on.
    *allowed = vec![read];
}

#[test]
fn nothing_acknowledged_is_lost_in_twenty_kills_under_64_writers() {
    let mut gateway = Gateway::fresh("[haystack]\nvolumes_per_growth = 7");
    let mut rng = payload::seeded("kill -9");
    let mut images: BTreeMap<Fid, Allowed> = BTreeMap::new();
    let mut keys = HashSet::new();
    for round in 0..ROUNDS {
        let outcomes = write_until_killed(&mut gateway, round, rng.random_range(100..1500));
        let mut new: Vec<Fid> = Vec::new();
        for outcome in outcomes {
            for fid in outcome.assigned {
                assert!(
                    keys.insert(fid.key),
                    "round {round}: the key of {fid} was handed out before"
                );
            }
            new.extend(outcome.images.keys());
            images.extend(outcome.images);
        }
        gateway.restart();
        let all: Vec<Fid> = images.keys().copied().collect();
        let sampled = (0..SAMPLED_PER_ROUND).map(|_| all[rng.random_range(0..all.len())]);
        let asked: Vec<Fid> = if round + 1 == ROUNDS {
            all.clone()
        } else {
            new.into_iter().chain(sampled).collect()
        };
        let mut connection = Connection::open(gateway.image()).unwrap();
        for fid in asked {
            assert_one_of(&mut connection, fid, images.get_mut(&fid).unwrap());
        }
    }
    gateway.terminate();
    for base in moongate_tests::volume::bases(gateway.data()) {
        moongate_tests::volume::assert_sound(&base);
    }
}

#[test]
fn a_kill_during_a_vacuum_loses_nothing() {
    let config = "[haystack]\nvolumes_per_growth = 1\nvacuum_bytes_per_sec = '8MiB'";
    let mut gateway = Gateway::fresh(config);
    let mut live: BTreeMap<Fid, Vec<u8>> = BTreeMap::new();
    for round in 0..6u64 {
        let fids: Vec<Fid> = (0..60)
            .map(|seed| gateway.store("image/jpeg", &payload::bytes(seed + round * 100, 40_000)))
            .collect();
        for (seed, fid) in fids.iter().enumerate() {
            if seed % 2 == 0 {
                gateway.delete(&fid.path()).status(202);
            } else {
                live.insert(*fid, payload::bytes(seed as u64 + round * 100, 40_000));
            }
        }
        gateway.get("/vol/vacuum?garbageThreshold=0.01").status(200);
        // Written and deleted while the copy is under way, which the new volume must know as well.
        let late = gateway.store("image/jpeg", b"late");
        let gone = gateway.store("image/jpeg", b"gone");
        gateway.delete(&gone.path()).status(202);
        for _ in 0..round * 20 {
            gateway.get(&late.path()).status(200);
        }
        live.insert(late, b"late".to_vec());
        gateway.kill9();
        gateway.restart();
        gateway.get(&gone.path()).status(404);
        for (fid, body) in &live {
            assert!(
                gateway.get(&fid.path()).status(200).body == *body,
                "round {round}: {fid} has other bytes"
            );
        }
        fids.iter()
            .step_by(2)
            .for_each(|fid| drop(gateway.get(&fid.path()).status(404)));
    }
    gateway.terminate();
    moongate_tests::volume::bases(gateway.data())
        .iter()
        .for_each(|base| drop(moongate_tests::volume::assert_sound(base)));
}

#[test]
fn writes_and_deletes_during_a_vacuum_are_kept() {
    let gateway =
        Gateway::fresh("[haystack]\nvolumes_per_growth = 1\nvacuum_bytes_per_sec = '16MiB'");
    let fids: Vec<Fid> = (0..200)
        .map(|seed| gateway.store("image/jpeg", &payload::bytes(seed, 40_000)))
        .collect();
    fids[..50]
        .iter()
        .for_each(|fid| drop(gateway.delete(&fid.path()).status(202)));
    let volume = fids[0].volume;
    gateway.get("/vol/vacuum?garbageThreshold=0.01").status(200);
    let mut written = Vec::new();
    let mut n = 0;
    wait::until_true("the vacuum is over", Duration::from_secs(60), || {
        let body = payload::bytes(9000 + n as u64, 3000);
        written.push((gateway.store("image/jpeg", &body), body));
        if n < 40 {
            gateway.delete(&fids[50 + n].path()).status(202);
            gateway
                .put(
                    &fids[100 + n].path(),
                    "image/jpeg",
                    &payload::bytes(5000 + n as u64, 2000),
                )
                .status(201);
        }
        n += 1;
        n >= 40 && gateway.volume(volume)["CompactRevision"] != 0
    });
    for (fid, body) in &written {
        assert!(
            gateway.get(&fid.path()).status(200).body == *body,
            "{fid} was written during the vacuum"
        );
    }
    for (at, fid) in fids.iter().enumerate() {
        match at {
            0..90 => drop(gateway.get(&fid.path()).status(404)),
            100..140 => assert_eq!(
                gateway.get(&fid.path()).status(200).body,
                payload::bytes(4900 + at as u64, 2000)
            ),
            _ => assert_eq!(
                gateway.get(&fid.path()).status(200).body,
                payload::bytes(at as u64, 40_000)
            ),
        }
    }
}

#[test]
fn a_lowered_durability_still_survives_the_death_of_the_process() {
    let mut gateway = Gateway::fresh("[haystack.collections.scratch]\ndurability = 'os'");
    let stored: Vec<(Fid, Vec<u8>)> = (0..50)
        .map(|seed| {
            let (fid, body) = (
                gateway.assign("?collection=scratch"),
                payload::bytes(seed, 3000),
            );
            gateway.put(&fid.path(), "image/jpeg", &body).status(201);
            (fid, body)
        })
        .collect();
    gateway.kill9();
    gateway.restart();
    for (fid, body) in &stored {
        assert_eq!(gateway.get(&fid.path()).status(200).body, *body);
    }
}

#[test]
fn a_start_after_a_clean_stop_and_after_a_kill_serves_the_same() {
    let mut gateway = Gateway::fresh("");
    let mut stored = Vec::new();
    for round in 0..6 {
        let body = payload::bytes(round, 4000);
        stored.push((gateway.store("image/jpeg", &body), body));
        if round % 2 == 0 {
            gateway.kill9()
        } else {
            gateway.terminate()
        }
        gateway.restart();
        for (fid, body) in &stored {
            assert_eq!(
                gateway.get(&fid.path()).status(200).body,
                *body,
                "round {round}"
            );
        }
    }
}
