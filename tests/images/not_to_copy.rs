//! What SeaweedFS gets wrong and Moongate gets right (B8 and B10 have files of their own).

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use moongate_tests::http::{Connection, Part, Request};
use moongate_tests::volume::{self, Record, SuperBlock};
use moongate_tests::{Fid, Gateway, payload, wait};

#[test]
fn b1_a_write_to_a_volume_that_does_not_exist_is_404_not_201() {
    let gateway = Gateway::fresh("");
    gateway.assign("");
    for request in [
        Request::put("/9999,0112345678", "image/jpeg", b"lost?"),
        Request::post_multipart(
            "/9999,0112345678",
            &[Part::file("t.jpg", "image/jpeg", b"lost?")],
        ),
    ] {
        let error = gateway.send(&request).status(404).error();
        assert!(error.contains("not found"), "{error}");
    }
}

#[test]
fn b3_a_needle_with_a_long_ttl_survives_the_vacuum() {
    let mut gateway = Gateway::fresh("[haystack]\nvolumes_per_growth = 1");
    let garbage = gateway.store("image/jpeg", &payload::bytes(1, 50_000));
    let fid = gateway.assign("");
    gateway
        .put(
            &format!("{}?ttl=10y", fid.path()),
            "image/jpeg",
            b"ten years",
        )
        .status(201);
    let plain = gateway.store("image/jpeg", b"for ever");
    gateway.delete(&garbage.path()).status(202);
    gateway.vacuum(fid.volume);
    assert_eq!(gateway.get(&fid.path()).status(200).body, b"ten years");
    gateway.terminate();
    gateway.restart();
    assert_eq!(gateway.get(&fid.path()).status(200).body, b"ten years");
    assert_eq!(gateway.get(&plain.path()).status(200).body, b"for ever");
}

#[test]
fn b3_an_expired_needle_is_404_and_the_vacuum_drops_it() {
    let folder = tempfile::tempdir().unwrap();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let needle = |key: u64, age_secs: u64, ttl: (u8, u8)| {
        let appended = now - Duration::from_secs(age_secs);
        let data = payload::bytes(key, 2000);
        let flags = volume::FLAG_LAST_MODIFIED | if ttl.0 > 0 { volume::FLAG_TTL } else { 0 };
        let (last_modified_secs, append_at_ns) =
            (appended.as_secs(), appended.as_nanos() as u64 + key);
        Record {
            cookie: 7,
            key,
            crc: crc32c::crc32c(&data),
            data,
            flags,
            ttl,
            last_modified_secs,
            append_at_ns,
            ..Record::default()
        }
    };
    // Two hours old, for one hour; two hours old, for one day; as old, for ever.
    let records = [
        needle(1, 7200, (1, 2)),
        needle(2, 7200, (1, 3)),
        needle(3, 7200, (0, 0)),
    ];
    let head = SuperBlock {
        version: 3,
        replication: 0,
        ttl: (0, 0),
        compaction_revision: 0,
        extra_bytes: 0,
    };
    volume::write_volume(&folder.path().join("5"), &head, &records);
    let gateway = Gateway::start(&[folder.path()], "");
    let path = |key| {
        Fid {
            volume: 5,
            key,
            cookie: 7,
        }
        .path()
    };
    let check = || {
        gateway.get(&path(1)).status(404).empty();
        assert_eq!(
            gateway.get(&path(2)).status(200).body,
            payload::bytes(2, 2000)
        );
        assert_eq!(
            gateway.get(&path(3)).status(200).body,
            payload::bytes(3, 2000)
        );
    };
    check();
    gateway
        .put(&path(3), "image/jpeg", &payload::bytes(33, 2000))
        .status(201);
    gateway
        .put(&path(3), "image/jpeg", &payload::bytes(3, 2000))
        .status(201);
    gateway.vacuum(5);
    check();
    assert_eq!(
        gateway.volume(5)["FileCount"],
        2,
        "the expired one is dropped"
    );
}

#[test]
fn b6_assigns_that_are_never_written_do_not_fill_volumes() {
    let mut gateway =
        Gateway::fresh("[haystack]\nvolume_bytes_max = '8MiB'\nvolumes_per_growth = 2");
    let mut connection = Connection::open(gateway.image()).unwrap();
    for n in 0..5000 {
        let response = connection.send(&Request::get("/dir/assign")).unwrap();
        assert_eq!(response.status, 200, "assign {n}: {}", response.summary());
    }
    for _ in 0..50 {
        connection
            .send(&Request::get("/dir/assign?count=1000&dataSize=5120"))
            .unwrap()
            .status(200);
    }
    assert_eq!(
        gateway.volumes().len(),
        2,
        "nothing was written, so nothing had to grow"
    );
    gateway.assert_serving();
}

#[test]
fn volumes_that_are_really_full_make_room_for_new_ones() {
    let gateway = Gateway::fresh("[haystack]\nvolume_bytes_max = '1MiB'\nvolumes_per_growth = 2");
    let body = payload::bytes(1, 100_000);
    let fids: Vec<Fid> = (0..60)
        .map(|_| gateway.store("image/jpeg", &body))
        .collect();
    assert!(
        gateway.volumes().len() >= 5,
        "6 MB do not fit into {:?}",
        gateway.volumes()
    );
    for fid in &fids {
        assert!(gateway.get(&fid.path()).status(200).body == body);
    }
}

#[test]
fn b7_an_unknown_data_center_is_400_at_once() {
    let gateway = Gateway::fresh("");
    for target in ["/dir/assign?dataCenter=nope", "/submit?dataCenter=nope"] {
        let parts = [Part::file("t.jpg", "image/jpeg", b"x")];
        let error = gateway
            .send(&Request::post_multipart(target, &parts))
            .status(400)
            .error();
        assert_eq!(error, "data center nope not found in topology", "{target}");
    }
    assert_eq!(
        gateway
            .get("/dir/assign?dataCenter=nope")
            .status(400)
            .error(),
        "data center nope not found in topology"
    );
}

#[test]
fn b11_an_empty_object_keeps_its_name_type_and_time() {
    let mut gateway = Gateway::fresh("[haystack]\nvolumes_per_growth = 1");
    let fid = gateway.assign("");
    let target = format!("{}?ts=1700000000", fid.path());
    let request = Request::post_multipart(&target, &[Part::file("empty.png", "image/png", b"")]);
    gateway
        .send(&request.header("Seaweed-Label", "cat"))
        .status(201);
    let check = |gateway: &Gateway| {
        let response = gateway.get(&fid.path()).status(200).empty();
        assert_eq!(response.expect_header("Content-Length"), "0");
        assert_eq!(response.expect_header("Content-Type"), "image/png");
        assert_eq!(
            response.expect_header("Content-Disposition"),
            "inline; filename=empty.png"
        );
        assert_eq!(
            response.expect_header("Last-Modified"),
            "Tue, 14 Nov 2023 22:13:20 GMT"
        );
        assert_eq!(response.expect_header("Label"), "cat");
    };
    check(&gateway);
    let garbage = gateway.store("image/jpeg", &payload::bytes(1, 50_000));
    gateway.delete(&garbage.path()).status(202);
    gateway.vacuum(fid.volume);
    check(&gateway);
    gateway.kill9();
    gateway.restart();
    check(&gateway);
    gateway.delete(&fid.path()).status(202);
    gateway.get(&fid.path()).status(404);
}

#[test]
fn b12_a_made_up_key_is_refused_and_pushes_nothing() {
    let mut gateway = Gateway::fresh("");
    let assigned = gateway.assign("");
    for key in [1 << 40, u64::MAX, u64::MAX - 1, 0xffee_0000_0000_0000] {
        let made_up = Fid { key, ..assigned };
        let error = gateway
            .put(&made_up.path(), "image/jpeg", b"made up")
            .status(400)
            .error();
        assert!(!error.is_empty());
        gateway.get(&made_up.path()).status(404);
        gateway
            .send(&Request::post_multipart(
                &made_up.path(),
                &[Part::file("a", "image/png", b"x")],
            ))
            .status(400);
    }
    gateway
        .put(
            &format!("{}_18446744073709551615", assigned.path()),
            "image/jpeg",
            b"x",
        )
        .status(400);
    let next = gateway.assign("");
    assert!(
        next.key > assigned.key && next.key < assigned.key + 1_000_000,
        "{assigned} was followed by {next}"
    );
    gateway.terminate();
    gateway.restart();
    let later = gateway.assign("");
    assert!(
        later.key > next.key && later.key < next.key + 10_000_000,
        "{next} was followed by {later}"
    );
}

#[test]
fn b12_a_key_of_a_huge_assign_is_not_burnt_either() {
    let gateway = Gateway::fresh("");
    let before = gateway.assign("");
    let response = gateway.get("/dir/assign?count=9000000000000000000");
    assert!(response.status < 500, "{}", response.summary());
    let after = gateway.assign("");
    assert!(
        after.key - before.key < 1 << 40,
        "one request took the keys from {before} to {after}"
    );
}

#[test]
fn b13_vacuum_answers_at_once_and_again_while_it_runs() {
    let gateway =
        Gateway::fresh("[haystack]\nvacuum_bytes_per_sec = '1MiB'\nvolumes_per_growth = 1");
    let body = payload::bytes(1, 1 << 20);
    let fids: Vec<Fid> = (0..8).map(|_| gateway.store("image/jpeg", &body)).collect();
    for fid in &fids[..4] {
        gateway.delete(&fid.path()).status(202);
    }
    let asked = Instant::now();
    for _ in 0..3 {
        let json = gateway
            .get("/vol/vacuum?garbageThreshold=0.01")
            .status(200)
            .json();
        assert!(
            json["Topology"].is_object(),
            "the answer is the status of the cluster: {json}"
        );
    }
    assert!(
        asked.elapsed() < Duration::from_secs(3),
        "4 MiB at 1 MiB/s were waited for: {:?}",
        asked.elapsed()
    );
    let served = gateway.store("image/jpeg", b"while it runs");
    assert_eq!(gateway.get(&fids[7].path()).status(200).body.len(), 1 << 20);
    wait::until_true("the vacuum is over", Duration::from_secs(30), || {
        gateway.volume(fids[0].volume)["DeletedByteCount"] == 0
    });
    assert_eq!(
        gateway.get(&served.path()).status(200).body,
        b"while it runs"
    );
    for (n, fid) in fids.iter().enumerate() {
        gateway
            .get(&fid.path())
            .status(if n < 4 { 404 } else { 200 });
    }
}

#[test]
fn b14_the_vif_overrides_the_super_block() {
    let folder = tempfile::tempdir().unwrap();
    let base = folder.path().join("6");
    let data = payload::bytes(1, 1000);
    let record = Record {
        cookie: 7,
        key: 1,
        crc: crc32c::crc32c(&data),
        data: data.clone(),
        append_at_ns: 5,
        ..Record::default()
    };
    let head = SuperBlock {
        version: 3,
        replication: 0,
        ttl: (0, 0),
        compaction_revision: 0,
        extra_bytes: 0,
    };
    volume::write_volume(&base, &head, &[record]);
    // The genuine server reads such a volume as version 3, whatever the super block says.
    let mut dat = std::fs::read(volume::with_suffix(&base, "dat")).unwrap();
    dat[0] = 2;
    std::fs::write(volume::with_suffix(&base, "dat"), dat).unwrap();
    std::fs::write(
        volume::with_suffix(&base, "vif"),
        r#"{"version": 3, "bytesOffset": 4}"#,
    )
    .unwrap();
    let gateway = Gateway::start(&[folder.path()], "");
    assert_eq!(
        gateway
            .get(
                &Fid {
                    volume: 6,
                    key: 1,
                    cookie: 7
                }
                .path()
            )
            .status(200)
            .body,
        data
    );
}
