//! Training shards: the same seed gives the same bytes, all shards together each sample once, and a pin holds while all else changes.

use std::collections::{BTreeMap, BTreeSet};

use moongate_tests::archives::{Files as Entries, tar};
use moongate_tests::files::Files;
use moongate_tests::{Gateway, Response, payload};

use crate::archives::{get, untar};

const SAMPLES: u64 = 500;

/// Samples of an image, its label and sometimes a third file, in two folders.
fn dataset() -> Entries {
    let mut entries = Entries::new();
    for n in 0..SAMPLES {
        let folder = ["x", "y/z"][n as usize % 2];
        let key = format!("{folder}/{:05}", n * 7919 % 10_007);
        entries.push((format!("{key}.jpg"), payload::bytes(n, 200 + n as usize)));
        entries.push((format!("{key}.json"), format!("{{\"n\":{n}}}").into_bytes()));
        if n % 5 == 0 {
            entries.push((format!("{key}.seg.png"), payload::bytes(n + 1, 50)));
        }
    }
    entries
}

fn with_dataset() -> (Gateway, BTreeMap<String, Vec<u8>>) {
    let gateway = Gateway::fresh("");
    let entries = dataset();
    gateway.files().store_all("/train/", &tar(&entries));
    (gateway, entries.into_iter().collect())
}

#[track_caller]
fn shard(files: Files<'_>, query: &str) -> Response {
    let answer = get(files, &format!("/train/?{query}")).status(200);
    assert_eq!(answer.trailer("Moongate-Errors"), Some("0"));
    answer
}

fn key(name: &str) -> &str {
    let slash = name.rfind('/').map_or(0, |at| at + 1);
    let dot = name[slash..].find('.').unwrap();
    &name[..slash + dot]
}

/// The keys of an archive in order; fails where a sample is not whole.
#[track_caller]
fn keys(archive: &[u8], dataset: &BTreeMap<String, Vec<u8>>) -> Vec<String> {
    let entries = untar(archive);
    let mut keys: Vec<String> = Vec::new();
    for (name, data) in &entries {
        assert!(dataset.get(name) == Some(data), "{name}");
        if keys.last().is_none_or(|last| last != key(name)) {
            keys.push(key(name).to_owned());
        }
    }
    let files_of = |key: &String| dataset.keys().filter(|name| self::key(name) == key).count();
    let whole: usize = keys.iter().map(files_of).sum();
    assert_eq!(
        whole,
        entries.len(),
        "each sample once and with all its files"
    );
    keys
}

fn all_keys(dataset: &BTreeMap<String, Vec<u8>>) -> BTreeSet<String> {
    dataset.keys().map(|name| key(name).to_owned()).collect()
}

#[test]
fn all_shards_together_have_each_sample_once() {
    let (gateway, dataset) = with_dataset();
    let files = gateway.files();
    let token = shard(files, "shards=1")
        .expect_header("Moongate-At")
        .to_owned();
    for shards in [1, 2, 7, 64] {
        let (mut all, mut sizes) = (Vec::new(), Vec::new());
        for n in 0..shards {
            let answer = shard(
                files,
                &format!("shards={shards}&shard={n}&seed=1&at={token}"),
            );
            let got = keys(&answer.body, &dataset);
            sizes.push(got.len());
            all.extend(got);
        }
        assert_eq!(all.len(), SAMPLES as usize, "{shards}");
        assert_eq!(all.into_iter().collect::<BTreeSet<_>>(), all_keys(&dataset));
        let (least, most) = (sizes.iter().min().unwrap(), sizes.iter().max().unwrap());
        assert!(most - least <= 1, "{sizes:?}");
    }
    // More shards than samples: some are empty, none fails.
    let mut seen = 0;
    for n in [0, 399, 777, 1999] {
        let answer = shard(files, &format!("shards=2000&shard={n}&seed=1&at={token}"));
        seen += keys(&answer.body, &dataset).len();
    }
    assert!(seen <= 4);
}

#[test]
fn a_seed_is_an_order() {
    let (gateway, dataset) = with_dataset();
    let files = gateway.files();
    let first = shard(files, "shards=3&shard=1&seed=42");
    let token = first.expect_header("Moongate-At").to_owned();
    let again = shard(files, &format!("shards=3&shard=1&seed=42&at={token}"));
    assert!(first.body == again.body, "the same bytes");
    assert_eq!(again.expect_header("Moongate-At"), token);
    // Another listing of the same folder gives the same bytes as well.
    assert!(shard(files, "shards=3&shard=1&seed=42").body == first.body);
    let whole = |seed: u64| {
        keys(
            &shard(files, &format!("seed={seed}&shards=1&at={token}")).body,
            &dataset,
        )
    };
    let (one, two) = (whole(1), whole(2));
    assert_ne!(one, two);
    assert_eq!(
        one.iter().collect::<BTreeSet<_>>(),
        two.iter().collect::<BTreeSet<_>>()
    );
    let mut sorted = one.clone();
    sorted.sort();
    assert_ne!(one, sorted, "shuffled");
    // Few samples stay where they are in another order, as by chance.
    let fixed = one.iter().zip(&two).filter(|(a, b)| a == b).count();
    assert!(fixed < 20, "{fixed}");
}

#[test]
fn a_pin_holds_while_all_else_changes() {
    let (mut gateway, dataset) = with_dataset();
    let files = gateway.files();
    let first = shard(files, "shards=2&shard=0&seed=3");
    let token = first.expect_header("Moongate-At").to_owned();
    assert_eq!(first.expect_header("Moongate-Samples"), SAMPLES.to_string());
    // Deleted, overwritten, moved, added; then all garbage is vacuumed.
    let names: Vec<&String> = dataset.keys().collect();
    for name in names.iter().step_by(3) {
        files.delete(&format!("/train/{name}")).status(204);
    }
    for name in names.iter().skip(1).step_by(3) {
        files.put(&format!("/train/{name}"), b"overwritten");
    }
    files.post("/moved?mv.from=/train/y").status(204);
    files.put("/train/new.jpg", b"new");
    files.delete("/train/x?recursive=true").status(204);
    let fid = gateway.store("image/jpeg", b"garbage");
    gateway.delete(&fid.path()).status(202);
    gateway.vacuum(fid.volume);
    let pinned = |gateway: &Gateway| {
        let mut all = BTreeSet::new();
        for n in 0..2 {
            let query = format!("shards=2&shard={n}&seed=3&at={token}");
            let answer = shard(gateway.files(), &query);
            if n == 0 {
                assert!(answer.body == first.body, "the same bytes");
            }
            all.extend(keys(&answer.body, &dataset));
        }
        assert_eq!(all, all_keys(&dataset));
    };
    pinned(&gateway);
    gateway.terminate();
    gateway.restart();
    pinned(&gateway);
    gateway.kill9();
    gateway.restart();
    let again = gateway.store("image/jpeg", b"garbage");
    gateway.delete(&again.path()).status(202);
    gateway.vacuum(again.volume);
    pinned(&gateway);
    // A new listing sees the folder as it is.
    let now = get(gateway.files(), "/train/?shards=1").status(200);
    assert_eq!(untar(&now.body), [("new.jpg".to_owned(), b"new".to_vec())]);
}

#[test]
fn a_pin_that_is_not_used_ends_and_gives_its_space_back() {
    let gateway = Gateway::fresh("[file]\nshards_pinned_for = '1s'");
    let files = gateway.files();
    files.store_all("/train/", &tar(&dataset()));
    let answer = get(files, "/train/?shards=1").status(200);
    let token = answer.expect_header("Moongate-At");
    files.delete("/train?recursive=true").status(204);
    files.post("/train/").status(201);
    moongate_tests::wait::until_true("the pin ends", std::time::Duration::from_secs(120), || {
        // Asking with the token would hold it: its file says whether it is there.
        !gateway.data().join("filer/pins").join(token).exists()
    });
    get(files, &format!("/train/?shards=1&at={token}"))
        .status(410)
        .error();
    crate::space::assert_only_what_is_named_lives(&gateway);
}

#[test]
fn what_is_no_shard_is_told() {
    let (gateway, _) = with_dataset();
    let files = gateway.files();
    for query in [
        "shards=0",
        "shards=x",
        "shards=2&shard=2",
        "shards=-1",
        "shards=99999999999",
        "shards=2&seed=x",
        "shards=2&shard=x",
    ] {
        get(files, &format!("/train/?{query}")).status(400).error();
    }
    let unknown = "0".repeat(32);
    for token in [
        unknown.as_str(),
        "x",
        "..%2F..%2Fnames%2FCURRENT",
        "%00",
        &"f".repeat(5000),
    ] {
        get(files, &format!("/train/?shards=1&at={token}"))
            .status(410)
            .error();
    }
    get(files, "/none/?shards=1").status(404);
    // Asked in vain, nothing is pinned for it.
    files.post("/empty/").status(201);
    assert!(untar(&get(files, "/empty/?shards=4&shard=3").status(200).body).is_empty());
}

#[test]
fn the_root_and_files_without_a_dot_have_shards_too() {
    let gateway = Gateway::fresh("");
    let files = gateway.files();
    for name in ["a", "b", "c.txt", ".hidden.txt"] {
        files.put(&format!("/{name}"), name.as_bytes());
    }
    let got: BTreeMap<String, Vec<u8>> = untar(&get(files, "/?shards=1").status(200).body)
        .into_iter()
        .collect();
    assert_eq!(got.len(), 4);
    assert!(got.iter().all(|(name, data)| name.as_bytes() == data));
}
