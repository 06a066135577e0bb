//! Volumes that genuine SeaweedFS servers wrote, and what those servers answered for every file id.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};

use moongate_tests::tools::repository;
use moongate_tests::volume::{self};
use moongate_tests::{Fid, Gateway, payload};
use serde_json::Value;
use tempfile::TempDir;

const SAMPLES: [&str; 3] = ["plain_1", "rust5_1", "oldv2_2"];

fn samples() -> PathBuf {
    repository().join("tests/samples")
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
