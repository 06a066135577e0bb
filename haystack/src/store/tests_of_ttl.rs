//! Lives that end: needles are old here because they were written with a time that has passed.

use std::time::{Duration, Instant};

use bytes::Bytes;

use super::layout::{Layout, Wish};
use super::*;
use crate::id::{Cookie, FileId};
use crate::needle::Draft;
use crate::ttl::Ttl;
use crate::volume::writer::{Op, Writer};

const LIMIT: Duration = Duration::from_secs(60);
const MINUTE: u64 = 60;

fn open(dir: &tempfile::TempDir) -> Arc<Store> {
    let config = StoreConfig {
        volumes_per_growth: 1,
        // Tests look for what has expired themselves.
        scrub_bytes_per_sec: 0,
        ..StoreConfig::new(vec![dir.path().to_owned()])
    };
    Store::open(Arc::new(moongate_disk::RealDisk::new()), config).unwrap()
}

fn now_secs() -> u64 {
    now_ns() / 1_000_000_000
}

fn wish(volume_ttl: &str) -> Wish {
    Wish {
        layout: Layout {
            ttl: Ttl::parse(volume_ttl).unwrap(),
            ..Layout::default()
        },
        count: 1,
        ..Wish::default()
    }
}

fn draft(ttl: &str) -> Draft {
    Draft {
        data: Bytes::from(vec![7; 10_000]),
        last_modified_secs: Some(now_secs()),
        ttl: Ttl::parse(ttl).unwrap(),
        ..Draft::default()
    }
    .with_checksum()
}

/// Stores a needle as it was stored `ago_secs` ago.
fn put_long_ago(store: &Store, fid: FileId, draft: Draft, ago_secs: u64) {
    let mounted = store.mounted(fid.volume).unwrap();
    let op = store.put_op(&mounted, fid, draft, None).unwrap();
    let then_ns = now_ns() - ago_secs * 1_000_000_000;
    let work = move |writers: &mut HashMap<VolumeId, Writer>| {
        let writer = writers.get_mut(&fid.volume).unwrap();
        writer.commit(&[op], Durability::Fsync, then_ns)
    };
    let outcomes = mounted.dir.committer.control(work).unwrap();
    outcomes
        .into_iter()
        .for_each(|outcome| assert!(outcome.is_ok(), "{outcome:?}"));
}

fn put(store: &Store, ttl: &str, ago_secs: u64) -> FileId {
    let fid = store.assign(&wish("")).unwrap().fid;
    put_long_ago(store, fid, draft(ttl), ago_secs);
    fid
}

fn is_served(store: &Store, fid: FileId) -> bool {
    let volume = store.volume(fid.volume).unwrap();
    volume.read_for(fid.key, fid.cookie, now_secs()).is_ok()
}

fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let started = Instant::now();
    while !condition() {
        assert!(started.elapsed() < LIMIT, "{what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn vacuum_frees_what_has_expired_without_being_told() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir);
    let old: Vec<FileId> = (0..9).map(|_| put(&store, "5m", 6 * MINUTE)).collect();
    let kept = [
        put(&store, "10m", 6 * MINUTE),
        put(&store, "", 6 * MINUTE),
        put(&store, "5m", 0),
    ];
    let volume = store.volume(kept[0].volume).unwrap();
    assert!(old.iter().all(|fid| !is_served(&store, *fid)));
    assert!(volume.garbage_ratio() < 0.01, "nobody has counted yet");
    scrub::scrub(&store, &volume).unwrap();
    assert!(volume.garbage_ratio() > 0.7, "{}", volume.garbage_ratio());
    let before = volume.dat_bytes();
    store.request_vacuum(0.5);
    wait_until("the volume shrinks", || volume.dat_bytes() < before / 2);
    assert!(kept.iter().all(|fid| is_served(&store, *fid)));
    assert!(old.iter().all(|fid| !is_served(&store, *fid)));
    assert!(volume.garbage_ratio() < 0.01);
    store.close().unwrap();
}

#[test]
fn a_volume_goes_when_all_in_it_has_expired() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir);
    let over = store.assign(&wish("5m")).unwrap().fid;
    let put_old = |fid| put_long_ago(&store, fid, draft(""), 6 * MINUTE);
    put_old(over);
    assert!(!is_served(&store, over), "it has the volume's TTL");
    let young = store.assign(&wish("10m")).unwrap().fid;
    put_old(young);
    assert!(is_served(&store, young));
    let next = store.assign(&wish("5m")).unwrap().fid;
    assert_ne!(
        next.volume, over.volume,
        "nothing new goes where all goes soon"
    );
    put_long_ago(&store, next, draft(""), 0);
    store.upkeep.wake();
    wait_until("the volume is removed", || {
        store.volume(over.volume).is_none()
    });
    wait_until("its files are removed", || {
        let names = std::fs::read_dir(dir.path()).unwrap();
        let of_it = format!("{}.", over.volume);
        !names
            .flatten()
            .any(|name| name.file_name().to_string_lossy().starts_with(&of_it))
    });
    assert!(is_served(&store, young) && is_served(&store, next));
    store.close().unwrap();
}

#[test]
fn a_volume_that_was_emptied_by_vacuum_goes_too() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir);
    let fid = store.assign(&wish("1h")).unwrap().fid;
    // Expired, but not so long ago that the volume is removed.
    put_long_ago(&store, fid, draft(""), 61 * MINUTE);
    let volume = store.volume(fid.volume).unwrap();
    let end = volume.expires_secs().unwrap();
    scrub::scrub(&store, &volume).unwrap();
    store.request_vacuum(0.5);
    wait_until("the volume shrinks", || volume.dat_bytes() < 100);
    assert_eq!(volume.expires_secs(), Some(end));
    store.close().unwrap();
    drop((volume, store));
    let volume = open(&dir).volume(fid.volume).unwrap();
    assert_eq!(volume.expires_secs(), Some(end));
}

#[test]
fn what_was_written_at_the_last_moment_is_not_removed() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir);
    let fid = store.assign(&wish("1h")).unwrap().fid;
    put_long_ago(&store, fid, draft(""), 61 * MINUTE);
    let mounted = store.mounted(fid.volume).unwrap();
    // It was found to be over, and then this came.
    let last = FileId {
        key: store.keys(1).unwrap(),
        cookie: Cookie(1),
        ..fid
    };
    put_long_ago(&store, last, draft(""), 0);
    let removed = store.remove_volume_if(&mounted, upkeep::is_over);
    assert!(!removed.unwrap());
    assert!(is_served(&store, last));
    store.close().unwrap();
}

#[test]
fn nothing_outlives_the_volume_that_it_is_in() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir);
    let ttl_of = |volume: &str, own: &str| {
        let fid = store.assign(&wish(volume)).unwrap().fid;
        let mounted = store.mounted(fid.volume).unwrap();
        match store.put_op(&mounted, fid, draft(own), None).unwrap() {
            Op::Put { draft, .. } => draft.ttl.to_string(),
            Op::Delete { .. } => String::new(),
        }
    };
    let cases = [
        ("", "3d", "3d"),
        ("1h", "", "1h"),
        ("1h", "3d", "1h"),
        ("3d", "1h", "1h"),
        ("", "", ""),
    ];
    for (volume, own, stored) in cases {
        assert_eq!(ttl_of(volume, own), stored, "{own} in {volume}");
    }
    store.close().unwrap();
}
