//! Volumes that genuine SeaweedFS servers wrote, and what those servers answered for every file id.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};

use moongate_tests::http::{Part, Request};
use moongate_tests::volume::{self, Record, SuperBlock};
use moongate_tests::{Fid, Gateway, payload};
use serde_json::Value;
use tempfile::TempDir;

const SAMPLES: [&str; 3] = ["plain_1", "rust5_1", "oldv2_2"];

fn samples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("samples")
}

fn manifest(name: &str) -> Vec<Value> {
    let text = fs::read(samples().join(format!("{name}.json"))).unwrap();
    let json: Value = serde_json::from_slice(&text).unwrap();
    json["needles"].as_array().unwrap().clone()
}

/// A folder with copies of the samples' volume files.
fn folder_with(names: &[&str]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for name in names {
        for suffix in ["dat", "idx", "vif"] {
            let from = samples().join(format!("{name}.{suffix}"));
            if from.exists() {
                fs::copy(&from, folder.path().join(format!("{name}.{suffix}"))).unwrap();
            }
        }
    }
    folder
}

#[track_caller]
fn assert_answers_as_recorded(gateway: &Gateway, name: &str) {
    for needle in manifest(name) {
        let fid = needle["fid"].as_str().unwrap();
        let response = gateway.get(&format!("/{fid}"));
        assert_eq!(
            response.status,
            needle["http_status"].as_u64().unwrap() as u16,
            "{name} {fid}: {}",
            response.summary()
        );
        if response.status != 200 {
            continue;
        }
        assert_eq!(
            payload::sha256(&response.body),
            needle["sha256"].as_str().unwrap(),
            "{name} {fid}"
        );
        assert_eq!(
            response.body.len() as u64,
            needle["size"].as_u64().unwrap(),
            "{name} {fid}"
        );
        let fields = [
            "etag",
            "content-type",
            "last-modified",
            "content-disposition",
            "x-file-store",
            "label",
            "split-id",
        ];
        for header in fields {
            // What the record is silent about (a manifest with fewer fields) is not judged.
            if let Some(expected) = needle[header].as_str() {
                assert_eq!(
                    response.header(header),
                    Some(expected),
                    "{name} {fid} {header}"
                );
            }
        }
    }
}

#[test]
fn the_reader_of_these_tests_agrees_with_the_genuine_volumes() {
    for name in SAMPLES {
        let folder = folder_with(&[name]);
        let (dat, live) = volume::assert_sound(&folder.path().join(name));
        let found = manifest(name)
            .iter()
            .filter(|needle| needle["http_status"] == 200)
            .count();
        assert!(
            live.len() >= found && dat.records.len() >= live.len(),
            "{name}: {} of {found}",
            live.len()
        );
        let mut bytes = fs::read(folder.path().join(format!("{name}.dat"))).unwrap();
        let first = &dat.records[0];
        // Header (16) and, from version 2 on, the length of the data (4) come before the data.
        bytes[first.offset as usize + 20] ^= 1;
        assert!(
            volume::parse_dat(&bytes, None).is_err(),
            "{name}: a flipped bit of the data is noticed"
        );
    }
}

#[test]
fn genuine_volumes_open_in_place_and_answer_as_recorded() {
    for names in [&["plain_1", "oldv2_2"][..], &["rust5_1"]] {
        let folder = folder_with(names);
        let mut gateway = Gateway::start(&[folder.path()], "");
        for _ in 0..2 {
            names
                .iter()
                .for_each(|name| assert_answers_as_recorded(&gateway, name));
            gateway.terminate();
            gateway.restart();
        }
    }
}

#[test]
fn genuine_volumes_on_several_disks_open_as_one_store() {
    let (one, two) = (folder_with(&["plain_1"]), folder_with(&["oldv2_2"]));
    let gateway = Gateway::start(&[one.path(), two.path()], "");
    assert_answers_as_recorded(&gateway, "plain_1");
    assert_answers_as_recorded(&gateway, "oldv2_2");
    assert_eq!(
        gateway.get("/status").json()["DiskStatuses"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
    assert_eq!(gateway.volume(1)["Collection"], "plain");
    assert_eq!(gateway.volume(2)["Collection"], "oldv2");
    assert_eq!(gateway.volume(2)["Version"], 2);
    gateway.get("/dir/lookup?volumeId=2").status(200);
}

#[test]
fn reading_a_genuine_folder_changes_none_of_its_records() {
    let folder = folder_with(&["plain_1", "oldv2_2"]);
    let mut gateway = Gateway::start(&[folder.path()], "");
    assert_answers_as_recorded(&gateway, "plain_1");
    gateway.terminate();
    for name in ["plain_1.dat", "oldv2_2.dat"] {
        let (before, after) = (
            fs::read(samples().join(name)).unwrap(),
            fs::read(folder.path().join(name)).unwrap(),
        );
        assert!(
            after.starts_with(&before),
            "{name}: what SeaweedFS wrote was changed"
        );
    }
    for name in ["plain_1", "oldv2_2"] {
        volume::assert_sound(&folder.path().join(name));
    }
}

#[test]
fn writes_into_a_genuine_folder_stay_readable_for_others() {
    for name in ["plain_1", "rust5_1"] {
        let folder = folder_with(&[name]);
        let mut gateway = Gateway::start(&[folder.path()], "");
        let first = manifest(name)[0]["fid"]
            .as_str()
            .unwrap()
            .parse::<Fid>()
            .unwrap();
        let second = manifest(name)[1]["fid"]
            .as_str()
            .unwrap()
            .parse::<Fid>()
            .unwrap();
        gateway
            .put(&first.path(), "image/jpeg", b"overwritten by moongate")
            .status(201);
        gateway.delete(&second.path()).status(202);
        let collection = name.split_once('_').unwrap().0;
        let mut stored = BTreeMap::new();
        for seed in 0..60 {
            let fid = gateway.assign(&format!("?collection={collection}"));
            let body = payload::bytes(seed, 1 + seed as usize * 37);
            gateway.put(&fid.path(), "image/jpeg", &body).status(201);
            stored.insert(fid, body);
        }
        gateway.terminate();
        let (dat, live) = volume::assert_sound(&folder.path().join(name));
        let record = dat
            .records
            .iter()
            .find(|record| record.offset == live[&first.key].offset)
            .unwrap();
        assert_eq!(record.data, b"overwritten by moongate");
        assert!(
            !live.contains_key(&second.key),
            "the delete is in the index"
        );
        assert_volumes_hold(folder.path(), &stored);
        gateway.restart();
        assert_eq!(
            gateway.get(&first.path()).status(200).body,
            b"overwritten by moongate"
        );
        gateway.get(&second.path()).status(404);
        for (fid, body) in &stored {
            assert_eq!(gateway.get(&fid.path()).status(200).body, *body, "{fid}");
        }
    }
}

#[test]
fn no_key_of_a_genuine_folder_is_handed_out_again() {
    // The sample uses the largest key there is: the next one is not one more.
    let folder = folder_with(&["plain_1"]);
    let taken: HashSet<u64> = manifest("plain_1")
        .iter()
        .map(|needle| needle["key"].as_u64().unwrap())
        .collect();
    let mut gateway = Gateway::start(&[folder.path()], "");
    let mut seen = HashSet::new();
    for _ in 0..2 {
        for _ in 0..200 {
            let fid = gateway.assign("?collection=plain");
            assert!(!taken.contains(&fid.key), "{fid} belongs to an image");
            assert!(seen.insert(fid.key), "{fid} was handed out twice");
            gateway
                .put(&fid.path(), "image/jpeg", &fid.key.to_be_bytes())
                .status(201);
        }
        assert_answers_as_recorded(&gateway, "plain_1");
        gateway.kill9();
        gateway.restart();
    }
}

#[test]
fn a_genuine_volume_survives_a_vacuum() {
    let folder = folder_with(&["plain_1"]);
    let mut gateway = Gateway::start(&[folder.path()], "");
    gateway.vacuum(1);
    assert_answers_as_recorded(&gateway, "plain_1");
    gateway.terminate();
    let (dat, live) = volume::assert_sound(&folder.path().join("plain_1"));
    assert_eq!(dat.super_block.compaction_revision, 1);
    assert!(!live.contains_key(&0x2e), "the expired needle is dropped");
    assert!(
        live.contains_key(&0x2f),
        "the needle with ten years to live is kept"
    );
    gateway.restart();
    assert_answers_as_recorded(&gateway, "plain_1");
}

#[test]
fn an_old_version_is_read_and_never_damaged_by_a_write() {
    let folder = folder_with(&["oldv2_2"]);
    let mut gateway = Gateway::start(&[folder.path()], "");
    let fid: Fid = "2,0111223344".parse().unwrap();
    let response = gateway.put(&fid.path(), "image/jpeg", b"new in an old volume");
    let expected = match response.status {
        201 => b"new in an old volume".to_vec(),
        _ => {
            assert!(response.status(500).error().contains("read only"));
            vec![b'b'; 37]
        }
    };
    gateway.terminate();
    volume::assert_sound(&folder.path().join("oldv2_2"));
    gateway.restart();
    assert_eq!(gateway.get(&fid.path()).status(200).body, expected);
    gateway.get("/2,0811223344").status(200);
}

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
        crate::api_write::gunzip(&record(text).data),
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

/// Every stored image is live in the folder's volumes, by the reader of these tests.
#[track_caller]
fn assert_volumes_hold(folder: &Path, stored: &BTreeMap<Fid, Vec<u8>>) {
    let volumes: BTreeMap<u32, _> = volume::bases(folder)
        .iter()
        .map(|base| (volume::id_of(base).unwrap(), volume::assert_sound(base)))
        .collect();
    for (fid, body) in stored {
        let (dat, live) = &volumes[&fid.volume];
        let record = dat
            .records
            .iter()
            .find(|record| record.offset == live[&fid.key].offset)
            .unwrap();
        assert_eq!((&record.data, record.cookie), (body, fid.cookie), "{fid}");
    }
}
