//! What is deleted gives its space back, and what is named keeps its bytes.

use std::collections::BTreeSet;
use std::time::Duration;

use moongate_tests::files::Files;
use moongate_tests::http::Request;
use moongate_tests::{Clock, Fid, Gateway, payload, volume, wait};
use serde_json::Value;

/// Deleted content is given back soon after.
const RECLAIM_LIMIT: Duration = Duration::from_secs(120);

/// Every needle that a name below the folder refers to.
pub fn named(files: Files<'_>, folder: &str) -> BTreeSet<Fid> {
    let mut found = BTreeSet::new();
    let listing = files.list(&crate::batches::url(folder));
    for entry in listing["Entries"].as_array().into_iter().flatten() {
        let path = entry["FullPath"].as_str().unwrap();
        if entry["Mode"].as_u64().unwrap() & (1 << 31) != 0 {
            found.extend(named(files, path));
        }
        for chunk in entry["chunks"].as_array().into_iter().flatten() {
            let fid: Fid = chunk["file_id"].as_str().unwrap().parse().unwrap();
            assert!(
                found.insert(fid),
                "{fid} is in two files, of which one is {path}"
            );
        }
    }
    found
}

/// How many needles live, by the status of the volumes.
pub fn living(gateway: &Gateway) -> u64 {
    let number = |volume: &Value, key: &str| volume[key].as_u64().unwrap();
    let volumes = gateway.volumes();
    let each = volumes
        .iter()
        .map(|volume| number(volume, "FileCount") - number(volume, "DeleteCount"));
    each.sum()
}

/// Waits until the volumes hold as many needles as names refer to, and fails unless each of those can be read.
#[track_caller]
pub fn assert_only_what_is_named_lives(gateway: &Gateway) {
    assert_only_what_is_named_lives_but(gateway, 0);
}

/// As [`assert_only_what_is_named_lives`], with so many images that have no name by path. Names are counted again each time: an upload
/// whose client has left may still be naming what had arrived of it.
#[track_caller]
pub fn assert_only_what_is_named_lives_but(gateway: &Gateway, images: u64) {
    let started = std::time::Instant::now();
    let named = loop {
        let named = named(gateway.files(), "/");
        let (have, want) = (living(gateway), named.len() as u64 + images);
        if have == want {
            break named;
        }
        assert!(
            started.elapsed() < RECLAIM_LIMIT,
            "{have} needles live, and names refer to {want}"
        );
        std::thread::sleep(Duration::from_millis(20));
    };
    for fid in named {
        let head = gateway.head(&fid.path());
        assert_eq!(head.status, 200, "{fid}");
    }
}

fn dat_bytes(gateway: &Gateway) -> u64 {
    let len = |base: &std::path::PathBuf| {
        std::fs::metadata(volume::with_suffix(base, "dat")).map_or(0, |found| found.len())
    };
    volume::bases(gateway.data()).iter().map(len).sum()
}

#[test]
fn deleting_and_overwriting_gives_the_space_back() {
    let mut gateway = Gateway::fresh("");
    let files = gateway.files();
    let body = |n: u64| payload::bytes(n, 60_000);
    for n in 0..60 {
        files.put(&format!("/d/{}/{n}.jpg", n % 4), &body(n));
    }
    files.put("/large?maxMB=1", &payload::bytes(1, 5 << 20));
    let full = dat_bytes(&gateway);
    assert!(full > 8_000_000);
    // Overwritten, deleted, moved over, cut by bytes in place, with its folder.
    for n in (0..60).step_by(4) {
        files.put(&format!("/d/0/{n}.jpg"), b"short");
    }
    for n in (1..60).step_by(4) {
        files.delete(&format!("/d/1/{n}.jpg")).status(204);
    }
    files.delete("/d/2?recursive=true").status(204);
    files.put("/tiny", b"tiny");
    files.post("/d/3/3.jpg?mv.from=/tiny").status(204);
    files.put("/large", b"not large");
    assert_only_what_is_named_lives(&gateway);
    let named = named(files, "/");
    gateway
        .get("/vol/vacuum?garbageThreshold=0.0001")
        .status(200);
    wait::until_true("the .dat files shrink", RECLAIM_LIMIT, || {
        dat_bytes(&gateway) < full / 3
    });
    for n in (7..60).step_by(4) {
        files.assert_has(&format!("/d/3/{n}.jpg"), &body(n));
    }
    files.assert_has("/d/3/3.jpg", b"tiny");
    files.assert_has("/d/0/4.jpg", b"short");
    files.assert_has("/large", b"not large");
    // The very needles, by a reader of our own.
    gateway.terminate();
    let mut live = BTreeSet::new();
    for base in volume::bases(gateway.data()) {
        let (_, replayed) = volume::assert_sound(&base);
        let id = volume::id_of(&base).unwrap();
        live.extend(
            replayed
                .into_keys()
                .filter(|key| *key != 0)
                .map(|key| (id, key)),
        );
    }
    let want: BTreeSet<(u32, u64)> = named.iter().map(|fid| (fid.volume, fid.key)).collect();
    assert_eq!(live, want);
}

#[test]
fn uploads_that_fail_leave_nothing() {
    let gateway = Gateway::fresh("");
    let files = gateway.files();
    files.put("/f", b"file");
    let body = payload::bytes(1, 200_000);
    files
        .send(&Request::put("/a", "", &body).header("Content-MD5", "AAAA"))
        .status(400);
    files.send(&Request::put("/f/below", "", &body)).status(409);
    files
        .send(&Request::put("/f", "", &body).header("If-None-Match", "*"))
        .status(412);
    files.post("/f/x?cp.from=/f").status(409);
    files.post("/f2?cp.from=/f").status(204);
    files.post("/f2?cp.from=/f").status(409);
    // A body that ends early, after whole chunks of it were stored.
    let long = Request::put("/cut?maxMB=1", "", &payload::bytes(2, 3 << 20)).to_bytes();
    for part in [100_000, 1_500_000, long.len() - 1] {
        let mut connection = files.connect();
        connection.write(&long[..part]).unwrap();
        connection.finish_writing().unwrap();
        drop(connection.receive_rest());
    }
    files.get("/cut").status(404);
    files.get("/a").status(404);
    files.assert_has("/f", b"file");
    assert_only_what_is_named_lives(&gateway);
}

#[test]
fn what_is_changed_in_place_drops_only_what_is_covered() {
    let gateway = Gateway::fresh("");
    let files = gateway.files();
    let mut want = payload::bytes(1, 3 << 20);
    files.put("/f?maxMB=1", &want);
    // All of the second chunk, and a little more.
    let middle = payload::bytes(2, (1 << 20) + 10);
    files.put(&format!("/f?maxMB=4&offset={}", 1 << 20), &middle);
    want[1 << 20..(2 << 20) + 10].copy_from_slice(&middle);
    files.assert_has("/f", &want);
    assert_only_what_is_named_lives(&gateway);
    for n in 0..20 {
        files.put("/f?offset=500", &[n; 100]);
    }
    want[500..600].fill(19);
    files.assert_has("/f", &want);
    assert_only_what_is_named_lives(&gateway);
    assert!(named(files, "/").len() <= 5, "covered writes are let go");
}

#[test]
fn a_life_that_has_ended_ends_the_bytes_too() {
    let mut clock = Clock::right();
    let gateway = match Gateway::try_fresh_with("", clock.envs()) {
        Ok(gateway) => gateway,
        Err(refusal) => panic!("{}", refusal.stderr),
    };
    let (files, body) = (gateway.files(), payload::bytes(1, 300_000));
    files.put("/d/short?ttl=3m", &body);
    files.put("/d/long?ttl=1d", &body);
    files.put("/d/kept", &body);
    files.put("/d/renewed?ttl=3m", b"first");
    assert_only_what_is_named_lives(&gateway);
    clock.advance(Duration::from_secs(120));
    files.put("/d/renewed?ttl=3m", &body);
    for name in ["short", "long", "kept", "renewed"] {
        files.assert_has(&format!("/d/{name}"), &body);
    }
    clock.advance(Duration::from_secs(90));
    files.get("/d/short").status(404);
    files.head("/d/short").status(404);
    assert_eq!(files.names("/d/"), ["kept", "long", "renewed"]);
    assert_eq!(named(files, "/").len(), 3);
    // Its needle goes within seconds, and vacuum frees its bytes.
    assert_only_what_is_named_lives(&gateway);
    let before = dat_bytes(&gateway);
    gateway
        .get("/vol/vacuum?garbageThreshold=0.0001")
        .status(200);
    wait::until_true("the .dat files shrink", RECLAIM_LIMIT, || {
        dat_bytes(&gateway) + 300_000 <= before
    });
    for name in ["long", "kept", "renewed"] {
        files.assert_has(&format!("/d/{name}"), &body);
    }
}
