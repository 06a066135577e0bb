//! Images that live for a time, by a clock that the test moves.

use std::path::Path;
use std::time::Duration;

use moongate_tests::http::Request;
use moongate_tests::{Clock, Fid, Gateway, payload, volume, wait};
use serde_json::json;

const MINUTE: Duration = Duration::from_secs(60);
const LIMIT: Duration = Duration::from_secs(180);

fn start(clock: &Clock) -> Gateway {
    match Gateway::try_fresh_with("", clock.envs()) {
        Ok(gateway) => gateway,
        Err(refusal) => panic!("{}", refusal.stderr),
    }
}

/// Stores an image with these parameters, in a volume with those.
fn store(gateway: &Gateway, volume: &str, own: &str, body: &[u8]) -> Fid {
    let fid = gateway.assign(volume);
    gateway
        .put(&format!("{}{own}", fid.path()), "image/jpeg", body)
        .status(201);
    fid
}

fn dat_bytes(gateway: &Gateway, fid: Fid) -> u64 {
    let dat = volume::with_suffix(&gateway.volume_base(fid.volume), "dat");
    dat.metadata().unwrap().len()
}

/// Whatever is asked, it is not there.
fn assert_gone(gateway: &Gateway, fid: Fid, e_tag: &str) {
    let path = fid.path();
    gateway.get(&path).status(404);
    gateway.head(&path).status(404);
    gateway.get(&format!("{path}?width=10")).status(404);
    let get = || Request::get(&path);
    gateway
        .send(&get().header("Range", "bytes=0-9"))
        .status(404);
    gateway
        .send(&get().header("If-None-Match", e_tag))
        .status(404);
    let list = format!("{}\n", json!({ "fid": path.trim_start_matches('/') }));
    let archive = gateway.send(&Request::new("POST", "/batch/get").body(list.as_bytes()));
    let archive = String::from_utf8_lossy(&archive.body).into_owned();
    assert!(archive.contains("MOONGATE-ERRORS.jsonl"), "{archive}");
}

#[test]
fn an_image_is_served_until_its_time_and_vacuum_takes_it_then() {
    let mut clock = Clock::right();
    let mut gateway = start(&clock);
    let body = payload::bytes(1, 400_000);
    let short = store(&gateway, "", "?ttl=3m", &body);
    let long = store(&gateway, "", "?ttl=1h", &body);
    let kept = store(&gateway, "", "", &body);
    let e_tag = payload::etag(&body);
    clock.advance(2 * MINUTE);
    for fid in [short, long, kept] {
        assert_eq!(gateway.get(&fid.path()).status(200).body, body);
    }
    // Stored anew it begins anew.
    let renewed = store(&gateway, "", "?ttl=3m", &body);
    gateway
        .put(&format!("{}?ttl=3m", renewed.path()), "image/jpeg", &body)
        .status(201);
    clock.advance(MINUTE + MINUTE / 2);
    assert_gone(&gateway, short, &e_tag);
    for fid in [long, kept, renewed] {
        assert_eq!(gateway.get(&fid.path()).status(200).body, body);
    }
    // The first round of the scrubber, at a start, counts what is over.
    gateway.terminate();
    let before = dat_bytes(&gateway, short);
    gateway.restart();
    assert_gone(&gateway, short, &e_tag);
    wait::until_true("vacuum frees what has expired", LIMIT, || {
        gateway.get("/vol/vacuum?garbageThreshold=0.01").status(200);
        dat_bytes(&gateway, short) + 400_000 <= before
    });
    assert_gone(&gateway, short, &e_tag);
    for fid in [long, kept, renewed] {
        assert_eq!(gateway.get(&fid.path()).status(200).body, body);
    }
    // The id can be used again.
    gateway
        .put(&short.path(), "image/jpeg", b"anew")
        .status(201);
    assert_eq!(gateway.get(&short.path()).status(200).body, b"anew");
}

fn files_of(folder: &Path, volume: u32) -> usize {
    let names = folder.read_dir().unwrap().flatten();
    let of_it = format!("{volume}.");
    names
        .filter(|name| name.file_name().to_string_lossy().starts_with(&of_it))
        .count()
}

#[test]
fn a_volume_with_a_life_goes_whole_and_takes_nothing_young_with_it() {
    let mut clock = Clock::right();
    let gateway = start(&clock);
    let body = payload::bytes(1, 5000);
    let old = store(&gateway, "?ttl=10m", "", &body);
    // An image cannot outlive the volume that it is in.
    let greedy = gateway.assign("?ttl=10m");
    gateway
        .put(&format!("{}?ttl=1y", greedy.path()), "image/jpeg", &body)
        .status(201);
    let plain = store(&gateway, "", "", &body);
    clock.advance(10 * MINUTE);
    let e_tag = payload::etag(&body);
    assert_gone(&gateway, old, &e_tag);
    assert_gone(&gateway, greedy, &e_tag);
    // A new one does not go where all is about to go.
    let young = store(&gateway, "?ttl=10m", "", &body);
    assert!(![old.volume, greedy.volume].contains(&young.volume));
    clock.advance(2 * MINUTE);
    wait::until_true("the volumes are removed", LIMIT, || {
        [old, greedy]
            .iter()
            .all(|fid| files_of(gateway.data(), fid.volume) == 0)
    });
    for fid in [old, greedy] {
        gateway.get(&fid.path()).status(404);
        gateway
            .get(&format!("/dir/lookup?volumeId={}", fid.volume))
            .status(404);
    }
    for fid in [young, plain] {
        assert_eq!(gateway.get(&fid.path()).status(200).body, body);
    }
}
