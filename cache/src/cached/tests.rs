//! What a mount seen through the cache promises, over a store in memory.

use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::{StreamExt, TryStreamExt};

use super::CachedBackend;
use crate::backend::{Backend, BackendError, CreateOptions, ErrorKind, Freshness, RenameMode};
use crate::cache::Cache;
use crate::clock::{Clock, Hand};
use crate::config::{CacheConfig, MountTerms};
use crate::testing::{MemBackend, caller, pattern};

const PAGE: usize = 1 << 16;
const MIB: usize = 1 << 20;

struct World {
    store: Arc<MemBackend>,
    cache: Arc<Cache>,
    mount: Arc<CachedBackend>,
    hand: Hand,
}

fn world_of(page_bytes: usize, terms: MountTerms) -> World {
    let (clock, hand) = Clock::manual();
    let config = CacheConfig {
        page_bytes: page_bytes as u64,
        ram_bytes: 64 << 20,
        clock,
        ..CacheConfig::default()
    };
    let cache = Cache::open(config).unwrap();
    let store = MemBackend::new();
    let mount = cache.attach("m", Arc::new(Arc::clone(&store)), terms);
    World {
        store,
        cache,
        mount,
        hand,
    }
}

fn world() -> World {
    world_of(PAGE, MountTerms::default())
}

async fn read(mount: &CachedBackend, path: &str) -> Result<Bytes, BackendError> {
    read_range(mount, path, 0, u64::MAX).await
}

async fn read_range(
    mount: &CachedBackend,
    path: &str,
    from: u64,
    to: u64,
) -> Result<Bytes, BackendError> {
    let file = mount.open(&caller(), path, Freshness::Cached).await?;
    let mut stream = file.read(from..to).await?;
    let mut bytes = BytesMut::new();
    while let Some(piece) = stream.try_next().await? {
        bytes.extend_from_slice(&piece);
    }
    Ok(bytes.freeze())
}

#[tokio::test]
async fn the_second_read_asks_nothing() {
    let w = world();
    let content = pattern(1, 10 * PAGE + 77);
    w.store.put("/a", content.clone());
    assert_eq!(read(&w.mount, "/a").await.unwrap(), content);
    assert_eq!(w.store.asked.opens.load(SeqCst), 1);
    assert_eq!(w.store.asked.bytes.load(SeqCst), content.len() as u64);
    w.store.hang(true);
    assert_eq!(read(&w.mount, "/a").await.unwrap(), content);
    let file = w
        .mount
        .open(&caller(), "/a", Freshness::Cached)
        .await
        .unwrap();
    let now = file.read_now(5..PAGE as u64 + 5).unwrap();
    assert_eq!(now.concat(), content[5..PAGE + 5]);
}

#[tokio::test]
async fn ranges_are_the_files_bytes() {
    let w = world_of(MIB, MountTerms::default());
    let content = pattern(2, 3 * MIB + 1000);
    w.store.put("/a", content.clone());
    for (from, to) in [
        (0, 1),
        (MIB - 1, MIB + 1),
        (2 * MIB, 4 * MIB),
        (100, 100),
        (3 * MIB, 3 * MIB + 10),
    ] {
        let bytes = read_range(&w.mount, "/a", from as u64, to as u64)
            .await
            .unwrap();
        assert_eq!(bytes, content[from..to.min(content.len())]);
    }
    assert!(
        read_range(&w.mount, "/a", 9 << 20, 10 << 20)
            .await
            .unwrap()
            .is_empty()
    );
}

#[tokio::test]
async fn a_thousand_readers_of_a_cold_file_are_one_fetch() {
    let w = world();
    let content = pattern(3, 40 * PAGE + 5);
    w.store.put("/a", content.clone());
    let readers: Vec<_> = (0..1000)
        .map(|_| {
            let mount = Arc::clone(&w.mount);
            tokio::spawn(async move { read(&mount, "/a").await })
        })
        .collect();
    for reader in readers {
        assert_eq!(reader.await.unwrap().unwrap(), content);
    }
    assert_eq!(w.store.asked.opens.load(SeqCst), 1);
    assert_eq!(w.store.asked.bytes.load(SeqCst), content.len() as u64);
}

#[tokio::test]
async fn who_opens_and_drops_does_not_drag_in_the_file() {
    let w = world();
    w.store.put("/a", pattern(4, 1000 * PAGE));
    w.store.piece_bytes.store(4096, SeqCst);
    let file = w
        .mount
        .open(&caller(), "/a", Freshness::Cached)
        .await
        .unwrap();
    for start in 0..50 {
        let from = start * 20 * PAGE as u64;
        let mut stream = file.read(from..u64::MAX).await.unwrap();
        stream.next().await.unwrap().unwrap();
        drop(stream);
        tokio::task::yield_now().await;
    }
    let stats = w.cache.stats();
    assert!(stats.under_bytes <= 50 * PAGE as u64, "{stats:?}");
}

#[tokio::test]
async fn small_random_reads_fetch_little_and_never_twice() {
    let w = world_of(MIB, MountTerms::default());
    let content = pattern(5, 32 * MIB);
    w.store.put("/a", content.clone());
    let mut rng = moongate_disk::sim::Rng::new(1);
    for round in 0..400 {
        let from = rng.below(content.len() as u64 - 4096);
        let bytes = read_range(&w.mount, "/a", from, from + 4096).await.unwrap();
        assert_eq!(bytes, content[from as usize..from as usize + 4096]);
        let fetched = w.store.asked.bytes.load(SeqCst);
        assert!(
            fetched <= content.len() as u64 * 9 / 8,
            "{fetched} in round {round}: {:?}",
            w.cache.stats()
        );
        if round == 3 {
            assert!(fetched <= 4 * 3 * (64 << 10), "{fetched}");
        }
    }
}

#[tokio::test]
async fn a_change_is_seen_when_the_answer_is_too_old_or_when_asked_for() {
    let w = world();
    w.store.put("/a", pattern(6, 100));
    read(&w.mount, "/a").await.unwrap();
    w.store.put("/a", pattern(7, 100));
    assert_eq!(read(&w.mount, "/a").await.unwrap(), pattern(6, 100));
    w.hand.advance(Duration::from_secs(30));
    assert_eq!(read(&w.mount, "/a").await.unwrap(), pattern(7, 100));
    w.store.put("/a", pattern(8, 100));
    let status = w
        .mount
        .status(&caller(), "/a", Freshness::Now)
        .await
        .unwrap();
    assert_eq!(
        status.modified_ms,
        w.store.content("/a").unwrap().modified_ms
    );
    assert_eq!(read(&w.mount, "/a").await.unwrap(), pattern(8, 100));
    assert_eq!(w.cache.stats().changes_seen, 2);
}

#[tokio::test]
async fn a_reader_in_the_middle_of_a_change_gets_old_bytes_or_an_error() {
    let w = world();
    let old = pattern(9, 20 * PAGE);
    w.store.put("/a", old.clone());
    let file = w
        .mount
        .open(&caller(), "/a", Freshness::Cached)
        .await
        .unwrap();
    let mut stream = file.read(0..u64::MAX).await.unwrap();
    let mut got = BytesMut::new();
    got.extend_from_slice(&stream.next().await.unwrap().unwrap());
    w.store.put("/a", pattern(10, 20 * PAGE));
    let error = loop {
        match stream.next().await.unwrap() {
            Ok(bytes) => got.extend_from_slice(&bytes),
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind, ErrorKind::Changed);
    assert_eq!(got, old[..got.len()]);
    assert_eq!(read(&w.mount, "/a").await.unwrap(), pattern(10, 20 * PAGE));
}

#[tokio::test]
async fn what_is_not_there_is_remembered_until_it_is_written() {
    let w = world();
    for _ in 0..3 {
        let error = w
            .mount
            .status(&caller(), "/d/a", Freshness::Cached)
            .await
            .unwrap_err();
        assert_eq!(error.kind, ErrorKind::NotFound);
    }
    assert_eq!(w.store.asked.statuses.load(SeqCst), 1);
    write(&w.mount, "/d/a", b"new").await;
    assert_eq!(read(&w.mount, "/d/a").await.unwrap(), "new");
}

async fn write(mount: &CachedBackend, path: &str, bytes: &'static [u8]) {
    let options = CreateOptions {
        overwrite: true,
        ..CreateOptions::default()
    };
    let mut writer = mount.create(&caller(), path, &options).await.unwrap();
    writer.write(Bytes::from_static(bytes)).await.unwrap();
    writer.finish().await.unwrap();
}

#[tokio::test]
async fn writes_through_the_cache_are_seen_at_once() {
    let w = world();
    write(&w.mount, "/d/a", b"one").await;
    write(&w.mount, "/d/b", b"two").await;
    assert_eq!(read(&w.mount, "/d/a").await.unwrap(), "one");
    assert_eq!(read(&w.mount, "/d/b").await.unwrap(), "two");
    write(&w.mount, "/d/a", b"uno").await;
    assert_eq!(read(&w.mount, "/d/a").await.unwrap(), "uno");
    w.mount
        .rename(&caller(), "/d", "/e", RenameMode::Replace)
        .await
        .unwrap();
    assert_eq!(
        read(&w.mount, "/d/a").await.unwrap_err().kind,
        ErrorKind::NotFound
    );
    assert_eq!(read(&w.mount, "/e/b").await.unwrap(), "two");
    w.mount
        .rename(&caller(), "/e/b", "/e/a", RenameMode::Replace)
        .await
        .unwrap();
    assert_eq!(read(&w.mount, "/e/a").await.unwrap(), "two");
    assert!(w.mount.delete(&caller(), "/e", true).await.unwrap());
    assert_eq!(
        read(&w.mount, "/e/a").await.unwrap_err().kind,
        ErrorKind::NotFound
    );
}

#[tokio::test]
async fn a_listing_is_remembered_and_feeds_the_statuses() {
    let w = world();
    w.store.put("/d/a", pattern(1, 10));
    w.store.put("/d/b/c", pattern(2, 10));
    let ann = caller();
    let list = || w.mount.list(&ann, "/d", None, 10, Freshness::Cached);
    assert_eq!(list().await.unwrap().entries.len(), 2);
    assert_eq!(list().await.unwrap().entries.len(), 2);
    assert_eq!(
        w.mount
            .status(&caller(), "/d/a", Freshness::Cached)
            .await
            .unwrap()
            .len,
        10
    );
    assert_eq!(w.store.asked.lists.load(SeqCst), 1);
    assert_eq!(w.store.asked.statuses.load(SeqCst), 0);
    write(&w.mount, "/d/z", b"new").await;
    assert_eq!(list().await.unwrap().entries.len(), 3);
}

#[tokio::test]
async fn an_unanswered_read_is_tried_again() {
    let w = world();
    w.store.put("/a", pattern(1, 5 * PAGE));
    w.mount
        .open(&caller(), "/a", Freshness::Cached)
        .await
        .unwrap();
    w.store.failing.store(1, SeqCst);
    assert_eq!(read(&w.mount, "/a").await.unwrap(), pattern(1, 5 * PAGE));
}

fn hasty() -> MountTerms {
    MountTerms {
        timeout: Duration::from_millis(20),
        breaker_failures: 3,
        calls_max: 2,
        ..MountTerms::default()
    }
}

#[tokio::test]
async fn a_store_that_hangs_is_left_alone_and_tried_again() {
    let w = world_of(PAGE, hasty());
    w.store.put("/a", pattern(1, 100));
    w.store.put("/b", pattern(2, 100));
    read(&w.mount, "/a").await.unwrap();
    w.store.hang(true);
    for _ in 0..3 {
        let error = read(&w.mount, "/b").await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::TimedOut);
    }
    let asked = w.store.asked.opens.load(SeqCst);
    let error = read(&w.mount, "/b").await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unavailable);
    assert!(error.message.contains("retry after 10 s"), "{error}");
    assert_eq!(w.store.asked.opens.load(SeqCst), asked);
    assert_eq!(read(&w.mount, "/a").await.unwrap(), pattern(1, 100));
    w.store.hang(false);
    w.hand.advance(Duration::from_secs(10));
    assert_eq!(read(&w.mount, "/b").await.unwrap(), pattern(2, 100));
}

#[tokio::test]
async fn a_mount_that_hangs_does_not_hold_up_another() {
    let w = world_of(PAGE, MountTerms::default());
    let other = MemBackend::new();
    other.put("/a", pattern(9, 30 * PAGE));
    let healthy = w
        .cache
        .attach("other", Arc::new(Arc::clone(&other)), MountTerms::default());
    w.store.hangs_in_streams.store(true, SeqCst);
    let mut stalled = Vec::new();
    for n in 0..200 {
        let path = format!("/{n}");
        w.store.put(&path, pattern(n, 4 * PAGE));
        let mount = Arc::clone(&w.mount);
        stalled.push(tokio::spawn(async move { read(&mount, &path).await }));
    }
    let bytes = tokio::time::timeout(Duration::from_secs(20), read(&healthy, "/a")).await;
    assert_eq!(bytes.unwrap().unwrap(), pattern(9, 30 * PAGE));
    stalled.iter().for_each(tokio::task::JoinHandle::abort);
}

#[tokio::test]
async fn a_reader_that_stalls_holds_up_nobody() {
    let w = world();
    let content = pattern(1, 100 * PAGE);
    w.store.put("/a", content.clone());
    let file = w
        .mount
        .open(&caller(), "/a", Freshness::Cached)
        .await
        .unwrap();
    let mut stalled = file.read(0..u64::MAX).await.unwrap();
    let first = stalled.next().await.unwrap().unwrap();
    assert_eq!(read(&w.mount, "/a").await.unwrap(), content);
    let mut rest = BytesMut::from(&first[..]);
    while let Some(piece) = stalled.next().await {
        rest.extend_from_slice(&piece.unwrap());
    }
    assert_eq!(rest, content);
    assert_eq!(w.store.asked.bytes.load(SeqCst), content.len() as u64);
}
