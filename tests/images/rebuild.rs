//! What can be thrown away without losing an image: indexes, the index database, a torn tail.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use moongate_tests::{Fid, Gateway, gateway, payload, volume};

const IMAGES: u64 = 120;
const CONFIG: &str = "[haystack]\nvolumes_per_growth = 2";

/// A store of images, some overwritten, some deleted; stopped cleanly or killed.
struct Store {
    gateway: Gateway,
    live: Vec<(Fid, Vec<u8>)>,
    deleted: Vec<Fid>,
}

fn store() -> Store {
    let gateway = Gateway::fresh(CONFIG);
    let mut live: Vec<(Fid, Vec<u8>)> = (0..IMAGES)
        .map(|seed| {
            let body = payload::bytes(seed, 500 + 13 * seed as usize);
            (gateway.store("image/jpeg", &body), body)
        })
        .collect();
    for (fid, body) in live.iter_mut().step_by(10) {
        *body = payload::bytes(fid.key + 7000, 900);
        gateway.put(&fid.path(), "image/jpeg", body).status(201);
    }
    let deleted: Vec<Fid> = live
        .split_off(100)
        .into_iter()
        .map(|(fid, _)| fid)
        .collect();
    for fid in &deleted {
        gateway.delete(&fid.path()).status(202);
    }
    Store {
        gateway,
        live,
        deleted,
    }
}

impl Store {
    #[track_caller]
    fn assert_all_there(&mut self) {
        for (fid, body) in &self.live {
            assert!(
                self.gateway.get(&fid.path()).status(200).body == *body,
                "{fid} has other bytes"
            );
        }
        for fid in &self.deleted {
            self.gateway.get(&fid.path()).status(404);
        }
        let fid = self.gateway.assign("");
        let known = self
            .live
            .iter()
            .map(|(fid, _)| fid.key)
            .chain(self.deleted.iter().map(|fid| fid.key))
            .max();
        assert!(Some(fid.key) > known, "{fid} reuses a key up to {known:?}");
        self.gateway.assert_serving();
    }

    fn bases(&self) -> Vec<PathBuf> {
        volume::bases(self.gateway.data())
    }

    /// Restarts, and demands all images; then again after a clean stop, with files that a stranger can read.
    #[track_caller]
    fn assert_recovers(&mut self) {
        self.gateway.restart();
        self.assert_all_there();
        self.gateway.terminate();
        self.bases()
            .iter()
            .for_each(|base| drop(volume::assert_sound(base)));
        self.gateway.restart();
        self.assert_all_there();
    }
}

fn remove_indexes(store: &Store) {
    for base in store.bases() {
        fs::remove_file(volume::with_suffix(&base, "idx")).unwrap();
    }
}

fn remove_folders(data: &Path) {
    for entry in fs::read_dir(data).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            fs::remove_dir_all(path).unwrap();
        }
    }
}

fn append(path: &Path, bytes: &[u8]) {
    fs::OpenOptions::new()
        .append(true)
        .open(path)
        .unwrap()
        .write_all(bytes)
        .unwrap();
}

#[test]
fn a_lost_idx_is_built_again_at_start() {
    for is_killed in [false, true] {
        let mut store = store();
        if is_killed {
            store.gateway.kill9()
        } else {
            store.gateway.terminate()
        }
        remove_indexes(&store);
        store.assert_recovers();
    }
}

#[test]
fn a_lost_index_database_is_built_again_at_start() {
    for is_killed in [false, true] {
        let mut store = store();
        if is_killed {
            store.gateway.kill9()
        } else {
            store.gateway.terminate()
        }
        remove_folders(store.gateway.data());
        store.assert_recovers();
    }
}

#[test]
fn with_both_indexes_lost_the_dat_is_enough() {
    let mut store = store();
    store.gateway.terminate();
    remove_indexes(&store);
    remove_folders(store.gateway.data());
    for base in store.bases() {
        fs::remove_file(volume::with_suffix(&base, "vif")).unwrap();
    }
    store.assert_recovers();
}

#[test]
fn an_index_from_before_the_last_writes_is_noticed() {
    let mut store = store();
    store.gateway.terminate();
    let old: Vec<(PathBuf, Vec<u8>)> = store
        .bases()
        .iter()
        .map(|base| volume::with_suffix(base, "idx"))
        .map(|path| (path.clone(), fs::read(&path).unwrap()))
        .collect();
    store.gateway.restart();
    for seed in 0..30 {
        let body = payload::bytes(500 + seed, 800);
        store
            .live
            .push((store.gateway.store("image/jpeg", &body), body));
    }
    store.gateway.terminate();
    for (path, bytes) in old {
        fs::write(path, bytes).unwrap();
    }
    remove_folders(store.gateway.data());
    store.assert_recovers();
}

#[test]
fn a_damaged_index_is_noticed() {
    let damages: [fn(&mut Vec<u8>); 4] = [
        |idx| idx.truncate(idx.len().saturating_sub(7)),
        |idx| idx.extend_from_slice(&[0xff; 9]),
        |idx| idx.clear(),
        |idx| {
            let half = idx.len() / 32 * 16;
            idx.truncate(half);
        },
    ];
    for damage in damages {
        let mut store = store();
        store.gateway.terminate();
        for base in store.bases() {
            let path = volume::with_suffix(&base, "idx");
            let mut bytes = fs::read(&path).unwrap();
            damage(&mut bytes);
            fs::write(path, bytes).unwrap();
        }
        remove_folders(store.gateway.data());
        store.assert_recovers();
    }
}

#[test]
fn a_torn_tail_costs_nothing_before_it() {
    let mut store = store();
    store.gateway.kill9();
    for (n, base) in store.bases().iter().enumerate() {
        // The head of a record that promises 100,000 bytes, of which a few came; or plain noise.
        let mut torn = vec![
            0x12, 0x34, 0x56, 0x78, 0, 0, 0, 0, 0, 0, 0x99, 0x99, 0, 1, 0x86, 0xa0,
        ];
        torn.extend(payload::bytes(1, 333));
        let tail = if n % 2 == 0 {
            torn
        } else {
            payload::bytes(2, 4099)
        };
        append(&volume::with_suffix(base, "dat"), &tail);
    }
    store.assert_recovers();
}

#[test]
fn fsck_finds_a_sound_folder_sound() {
    let mut store = store();
    store.gateway.terminate();
    let output = gateway::run(&["fsck", store.gateway.data().to_str().unwrap()]);
    assert!(output.status.success(), "{output:?}");
    store.gateway.restart();
    store.assert_all_there();
}

#[test]
fn fsck_finds_a_flipped_byte_and_repair_keeps_the_rest() {
    let mut store = store();
    store.gateway.terminate();
    let (hurt, _) = store.live.remove(33);
    let base = store
        .bases()
        .into_iter()
        .find(|base| volume::id_of(base) == Some(hurt.volume))
        .unwrap();
    flip_data_of(&base, hurt);
    let data = store.gateway.data().to_str().unwrap().to_owned();
    let output = gateway::run(&["fsck", &data]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let text = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    let names = [
        hurt.to_string(),
        format!("{:x}", hurt.key),
        hurt.key.to_string(),
    ];
    assert!(
        names.iter().any(|name| text.contains(name)),
        "the needle {hurt} is not named in {text}"
    );
    gateway::run(&["fsck", &data, "--repair"]);
    store.gateway.restart();
    store.assert_all_there();
    let response = store.gateway.get(&hurt.path());
    assert!(
        matches!(response.status, 404 | 500),
        "a flipped byte was served: {}",
        response.summary()
    );
}

fn flip_data_of(base: &Path, fid: Fid) {
    let (dat, live) = volume::assert_sound(base);
    let record = dat
        .records
        .iter()
        .find(|record| record.offset == live[&fid.key].offset)
        .unwrap();
    let path = volume::with_suffix(base, "dat");
    let mut bytes = fs::read(&path).unwrap();
    bytes[record.offset as usize + 20 + record.data.len() / 2] ^= 0x40;
    fs::write(path, bytes).unwrap();
}

#[test]
fn fsck_repair_builds_lost_indexes_again() {
    let mut store = store();
    store.gateway.terminate();
    remove_indexes(&store);
    remove_folders(store.gateway.data());
    let data = store.gateway.data().to_str().unwrap().to_owned();
    gateway::run(&["fsck", &data, "--repair"]);
    // A volume without a needle has nothing to index.
    let has_needles = |base: &&PathBuf| {
        let dat = volume::with_suffix(base, "dat");
        fs::metadata(dat).unwrap().len() > 8
    };
    let bases = store.bases();
    assert!(bases.iter().any(|base| has_needles(&base)));
    bases
        .iter()
        .filter(has_needles)
        .for_each(|base| drop(volume::assert_sound(base)));
    let output = gateway::run(&["fsck", &data]);
    assert!(
        output.status.success(),
        "sound after its repair: {output:?}"
    );
    store.gateway.restart();
    store.assert_all_there();
}

#[test]
fn fsck_refuses_the_folder_of_a_running_gateway_and_one_that_is_not_there() {
    let mut store = store();
    let data = store.gateway.data().to_str().unwrap().to_owned();
    let repair = gateway::run(&["fsck", &data, "--repair"]);
    assert!(
        !repair.status.success(),
        "it would repair under a running gateway: {repair:?}"
    );
    store.assert_all_there();
    let missing = gateway::run(&["fsck", "/nonexistent/folder"]);
    assert!(!missing.status.success(), "{missing:?}");
    assert!(
        String::from_utf8_lossy(&missing.stderr).contains("/nonexistent/folder"),
        "{missing:?}"
    );
}
