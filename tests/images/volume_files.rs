//! The files that Moongate writes, and files of older versions that it reads.

use moongate_tests::http::{Part, Request};
use moongate_tests::volume::{self, Record, SuperBlock};
use moongate_tests::{Fid, Gateway, payload};
use serde_json::Value;

#[test]
fn a_version_1_volume_and_masked_checksums_are_read() {
    let folder = tempfile::tempdir().unwrap();
    for (id, version, is_masked, extra_bytes) in [
        (11, 1, false, 0),
        (12, 1, true, 0),
        (13, 2, true, 0),
        (14, 3, true, 16),
    ] {
        let records: Vec<Record> = (1..20u64).map(|key| crafted(key, is_masked)).collect();
        let head = SuperBlock {
            version,
            replication: 0,
            ttl: (0, 0),
            compaction_revision: 3,
            extra_bytes,
        };
        volume::write_volume(&folder.path().join(format!("old_{id}")), &head, &records);
    }
    let mut gateway = Gateway::start(&[folder.path()], "");
    for _ in 0..2 {
        for volume in 11..=14 {
            for key in 1..20 {
                let fid = Fid {
                    volume,
                    key,
                    cookie: 0xabc,
                };
                assert_eq!(
                    gateway.get(&fid.path()).status(200).body,
                    payload::bytes(key, key as usize * 11),
                    "{fid}"
                );
                gateway.get(&Fid { cookie: 1, ..fid }.path()).status(404);
            }
        }
        gateway.terminate();
        gateway.restart();
    }
}

fn crafted(key: u64, is_masked: bool) -> Record {
    let data = payload::bytes(key, key as usize * 11);
    let raw = crc32c::crc32c(&data);
    let crc = if is_masked { volume::masked(raw) } else { raw };
    Record {
        cookie: 0xabc,
        key,
        data,
        crc,
        append_at_ns: 1_700_000_000_000_000_000 + key,
        ..Record::default()
    }
}

#[test]
fn what_moongate_writes_is_a_valid_version_3_volume() {
    let mut gateway = Gateway::fresh("[haystack]\nvolumes_per_growth = 1");
    let named = gateway.assign("");
    let target = format!("{}?ts=1700000000&ttl=3d", named.path());
    let body = payload::bytes(1, 777);
    let form = Request::post_multipart(&target, &[Part::file("t.png", "image/png", &body)]);
    gateway
        .send(&form.header("Seaweed-Label", "cat"))
        .status(201);
    let text = gateway.store("text/plain", &payload::text(3000));
    let empty = gateway.store("image/jpeg", b"");
    let deleted = gateway.store("image/jpeg", b"deleted");
    gateway.delete(&deleted.path()).status(202);
    let sizes: Vec<Fid> = (0..40)
        .map(|len_bytes| gateway.store("image/jpeg", &payload::bytes(9, len_bytes)))
        .collect();
    let base = gateway.volume_base(named.volume);
    gateway.terminate();
    let vif = volume::read_vif(&base).expect("a .vif");
    assert_eq!(
        (&vif["version"], &vif["bytesOffset"]),
        (&3.into(), &4.into()),
        "{vif}"
    );
    let (dat, live) = volume::assert_sound(&base);
    assert_eq!(
        (
            dat.super_block.version,
            dat.super_block.compaction_revision,
            dat.super_block.extra_bytes
        ),
        (3, 0, 0)
    );
    let record = |fid: Fid| {
        dat.records
            .iter()
            .find(|record| record.offset == live[&fid.key].offset)
            .unwrap()
    };
    let expected = Record {
        cookie: named.cookie,
        key: named.key,
        crc: crc32c::crc32c(&body),
        data: body,
        flags: volume::FLAG_NAME
            | volume::FLAG_MIME
            | volume::FLAG_LAST_MODIFIED
            | volume::FLAG_TTL
            | volume::FLAG_PAIRS,
        name: b"t.png".to_vec(),
        mime: b"image/png".to_vec(),
        last_modified_secs: 1_700_000_000,
        ttl: (3, 3),
        ..record(named).clone()
    };
    assert_eq!(*record(named), expected);
    let pairs: Value = serde_json::from_slice(&expected.pairs).unwrap();
    assert_eq!(pairs, serde_json::json!({"Label": "cat"}));
    assert_eq!(record(text).flags & volume::FLAG_GZIP, volume::FLAG_GZIP);
    assert_eq!(
        crate::api_encoding::gunzip(&record(text).data),
        payload::text(3000)
    );
    assert!(record(empty).data.is_empty());
    assert!(!live.contains_key(&deleted.key));
    let marker = dat
        .records
        .iter()
        .rfind(|record| record.key == deleted.key)
        .unwrap();
    assert_eq!(
        (marker.size, marker.cookie, marker.len_bytes),
        (0, deleted.cookie, 32),
        "a delete marker"
    );
    for (len_bytes, fid) in sizes.iter().enumerate() {
        assert_eq!(record(*fid).data, payload::bytes(9, len_bytes));
    }
}

#[test]
fn a_vacuumed_volume_is_valid_and_in_key_order() {
    let mut gateway = Gateway::fresh("[haystack]\nvolumes_per_growth = 1");
    let fids: Vec<Fid> = (0..50)
        .map(|seed| gateway.store("image/jpeg", &payload::bytes(seed, 2000)))
        .collect();
    for (seed, fid) in fids.iter().enumerate().step_by(3) {
        gateway
            .put(
                &fid.path(),
                "image/jpeg",
                &payload::bytes(1000 + seed as u64, 2000),
            )
            .status(201);
    }
    gateway.delete(&fids[4].path()).status(202);
    gateway.vacuum(fids[0].volume);
    let base = gateway.volume_base(fids[0].volume);
    gateway.terminate();
    let (dat, live) = volume::assert_sound(&base);
    assert_eq!(dat.super_block.compaction_revision, 1);
    let needles: Vec<u64> = dat
        .records
        .iter()
        .filter(|record| record.key != 0)
        .map(|record| record.key)
        .collect();
    assert!(needles.is_sorted(), "{needles:?}");
    assert_eq!((live.len(), needles.len()), (49, 49));
}
