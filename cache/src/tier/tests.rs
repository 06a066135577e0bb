//! The disk tier under a cache whose memory holds next to nothing.

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::TryStreamExt;
use tempfile::TempDir;

use crate::backend::{Backend, BackendError, Freshness, RenameMode};
use crate::cache::Cache;
use crate::cached::{CachedBackend, LoadOptions};
use crate::clock::{Clock, Hand};
use crate::config::{CacheConfig, MountTerms};
use crate::testing::{MemBackend, caller, pattern};

const PAGE: usize = 1 << 16;

struct World {
    dir: TempDir,
    store: Arc<MemBackend>,
    cache: Arc<Cache>,
    mount: Arc<CachedBackend>,
    hand: Hand,
    disk_bytes: u64,
}

fn open(dir: &Path, disk_bytes: u64) -> (Arc<Cache>, Hand) {
    let (clock, hand) = Clock::manual();
    let config = CacheConfig {
        page_bytes: PAGE as u64,
        ram_bytes: 1 << 20,
        dirs: vec![dir.join("a"), dir.join("b")],
        disk_bytes,
        clock,
        ..CacheConfig::default()
    };
    (Cache::open(config).unwrap(), hand)
}

impl World {
    fn new(disk_bytes: u64) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = MemBackend::new();
        let (cache, hand) = open(dir.path(), disk_bytes);
        let mount = cache.attach("m", Arc::new(Arc::clone(&store)), MountTerms::default());
        Self {
            dir,
            store,
            cache,
            mount,
            hand,
            disk_bytes,
        }
    }

    /// The process ends, and another begins.
    async fn restart(self) -> Self {
        let Self {
            dir,
            store,
            cache,
            mount,
            disk_bytes,
            ..
        } = self;
        drop(mount);
        // Tasks that bring pages hold the cache until they end.
        let weak = Arc::downgrade(&cache);
        drop(cache);
        while weak.strong_count() > 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let (cache, hand) = open(dir.path(), disk_bytes);
        let mount = cache.attach("m", Arc::new(Arc::clone(&store)), MountTerms::default());
        Self {
            dir,
            store,
            cache,
            mount,
            hand,
            disk_bytes,
        }
    }

    async fn read(&self, path: &str) -> Result<Bytes, BackendError> {
        self.read_range(path, 0, u64::MAX).await
    }

    async fn read_range(&self, path: &str, from: u64, to: u64) -> Result<Bytes, BackendError> {
        let file = self.mount.open(&caller(), path, Freshness::Cached).await?;
        let mut stream = file.read(from..to).await?;
        let mut bytes = BytesMut::new();
        while let Some(piece) = stream.try_next().await? {
            bytes.extend_from_slice(&piece);
        }
        Ok(bytes.freeze())
    }

    /// Waits until what was read is written.
    async fn written(&self) {
        while self.cache.stats().disk_queue_bytes > 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    fn fetched(&self) -> u64 {
        self.store.asked.bytes.load(SeqCst)
    }

    /// The files that hold pages.
    fn data_files(&self) -> Vec<PathBuf> {
        let folders = ["a", "b"]
            .into_iter()
            .flat_map(|dir| ["files", "extents"].map(|f| self.dir.path().join(dir).join(f)));
        let files = folders.flat_map(|folder| fs::read_dir(folder).into_iter().flatten());
        files.map(|entry| entry.unwrap().path()).collect()
    }
}

const LARGE: usize = 40 * PAGE + 1234;

async fn filled() -> World {
    let w = World::new(1 << 30);
    w.store.put("/large", pattern(1, LARGE));
    for n in 0..20 {
        w.store.put(&format!("/small/{n}"), pattern(n, 5000));
    }
    w.check_all().await;
    w.written().await;
    w
}

impl World {
    async fn check_all(&self) {
        assert_eq!(self.read("/large").await.unwrap(), pattern(1, LARGE));
        for n in 0..20 {
            let path = format!("/small/{n}");
            assert_eq!(self.read(&path).await.unwrap(), pattern(n, 5000), "{path}");
        }
    }
}

#[tokio::test]
async fn it_is_warm_after_a_restart() {
    let w = filled().await;
    let fetched = w.fetched();
    let stats = w.cache.stats();
    assert_eq!(stats.disk_pages, 61, "{stats:?}");
    let w = w.restart().await;
    w.check_all().await;
    assert_eq!(w.fetched(), fetched);
    let stats = w.cache.stats();
    assert_eq!(
        (stats.miss_bytes, stats.served_bytes()),
        (0, LARGE as u64 + 20 * 5000)
    );
    assert_eq!(
        w.read_range("/large", 70_000, 70_100).await.unwrap(),
        pattern(1, LARGE)[70_000..70_100]
    );
    assert_eq!(w.fetched(), fetched);
}

#[tokio::test]
async fn flipped_bits_are_never_served_and_mended() {
    let w = filled().await;
    for path in w.data_files() {
        let file = fs::File::options()
            .read(true)
            .write(true)
            .open(path)
            .unwrap();
        for offset in (100..file.metadata().unwrap().len()).step_by(PAGE / 2) {
            let mut byte = [0];
            file.read_exact_at(&mut byte, offset).unwrap();
            file.write_all_at(&[byte[0] ^ 4], offset).unwrap();
        }
    }
    let w = w.restart().await;
    w.check_all().await;
    let corrupt = w.cache.stats().corrupt_pages;
    assert!(corrupt >= 40, "{corrupt}");
    w.written().await;
    let (fetched, w) = (w.fetched(), w.restart().await);
    w.check_all().await;
    assert_eq!((w.fetched(), w.cache.stats().corrupt_pages), (fetched, 0));
}

#[tokio::test]
async fn cut_files_and_lost_files_are_fetched_again() {
    let w = filled().await;
    for (n, path) in w.data_files().iter().enumerate() {
        match n % 2 {
            0 => fs::File::options()
                .write(true)
                .open(path)
                .unwrap()
                .set_len(8192)
                .unwrap(),
            _ => fs::remove_file(path).unwrap(),
        }
    }
    let w = w.restart().await;
    w.check_all().await;
}

#[tokio::test]
async fn a_disk_that_is_gone_only_costs_speed() {
    let w = filled().await;
    let dir = w.dir.path().to_owned();
    let w = w.restart().await;
    for name in ["a", "b"] {
        fs::remove_dir_all(dir.join(name)).unwrap();
        fs::write(dir.join(name), b"not a folder").unwrap();
    }
    w.check_all().await;
    w.store.put("/new", pattern(9, 3 * PAGE));
    assert_eq!(w.read("/new").await.unwrap(), pattern(9, 3 * PAGE));
    w.written().await;
    let w = w.restart().await;
    assert_eq!(w.cache.stats().disks_off, 2);
    w.check_all().await;
    for name in ["a", "b"] {
        fs::remove_file(dir.join(name)).unwrap();
    }
    w.hand.advance(Duration::from_secs(60));
    w.store.put("/later", pattern(8, 3 * PAGE));
    assert_eq!(w.read("/later").await.unwrap(), pattern(8, 3 * PAGE));
    w.written().await;
    assert!(w.cache.stats().disks_off < 2);
}

#[tokio::test]
async fn it_stays_within_its_bytes_and_gives_room_back() {
    let w = World::new(2 << 20);
    for n in 0..40 {
        let path = format!("/{n}");
        w.store.put(
            &path,
            pattern(n, if n % 2 == 0 { 6 * PAGE } else { 30_000 }),
        );
        w.read(&path).await.unwrap();
        w.written().await;
        assert!(w.cache.stats().disk_bytes <= 2 << 20);
    }
    let stats = w.cache.stats();
    assert!(
        stats.disk_evictions > 0 && stats.disk_bytes > 1 << 20,
        "{stats:?}"
    );
    use std::os::unix::fs::MetadataExt;
    let taken: u64 = w
        .data_files()
        .iter()
        .map(|f| f.metadata().unwrap().blocks() * 512)
        .sum();
    assert!(taken <= 3 << 20, "{taken}");
}

#[tokio::test]
async fn a_full_disk_holds_less_and_serves_on() {
    let w = filled().await;
    let before = w.cache.stats().disk_bytes;
    let disk = w.cache.disk.as_ref().unwrap();
    let full = std::io::Error::from(std::io::ErrorKind::StorageFull);
    disk.folders.iter().for_each(|folder| folder.failed(&full));
    for n in 50..90 {
        let path = format!("/more/{n}");
        w.store.put(&path, pattern(n, 2 * PAGE));
        assert_eq!(w.read(&path).await.unwrap(), pattern(n, 2 * PAGE));
    }
    w.written().await;
    let stats = w.cache.stats();
    assert!(
        stats.disk_bytes <= before / 10 * 9 && stats.disk_writes > 61,
        "{stats:?}"
    );
    assert_eq!((stats.disks_off, stats.disk_failures), (0, 2));
    w.check_all().await;
}

#[tokio::test]
async fn what_is_changed_while_a_disk_is_off_is_not_found_later() {
    let w = World::new(1 << 30);
    for (n, path) in [(1, "/x/a"), (2, "/x/b")] {
        w.store.put(path, pattern(n, 3 * PAGE));
        w.store.set_time(path, 7);
        w.read(path).await.unwrap();
    }
    w.written().await;
    let disk = w.cache.disk.as_ref().unwrap();
    let broken = std::io::Error::other("told to fail");
    disk.folders
        .iter()
        .for_each(|folder| folder.failed(&broken));
    assert_eq!(w.cache.stats().disks_off, 2);
    w.mount
        .rename(&caller(), "/x/a", "/x/b", RenameMode::Replace)
        .await
        .unwrap();
    w.hand.advance(Duration::from_secs(60));
    // Something to be written, so that the disks are tried again.
    for n in 0..20 {
        let path = format!("/{n}");
        w.store.put(&path, pattern(n, 100));
        w.read(&path).await.unwrap();
        w.written().await;
    }
    assert_eq!(w.cache.stats().disks_off, 0);
    assert_eq!(w.read("/x/b").await.unwrap(), pattern(1, 3 * PAGE));
}

#[tokio::test]
async fn what_is_pinned_stays_over_a_restart_too() {
    let w = World::new(4 << 20);
    w.store.put("/keep/a", pattern(1, 6 * PAGE));
    w.mount.pin("/keep").await.unwrap();
    w.read("/keep/a").await.unwrap();
    w.written().await;
    let w = w.restart().await;
    for n in 0..40 {
        let path = format!("/{n}");
        w.store.put(&path, pattern(n, 6 * PAGE));
        w.read(&path).await.unwrap();
        w.written().await;
    }
    let held = w.mount.residency("/keep").await;
    assert_eq!(
        (held.files, held.on_disk, held.pinned),
        (1, 6 * PAGE as u64, 6 * PAGE as u64)
    );
    w.mount.unpin("/keep").await.unwrap();
    assert_eq!(w.mount.residency("/keep").await.pinned, 0);
    assert_eq!(w.mount.free("/keep").await / (6 * PAGE as u64), 1);
    assert_eq!(w.mount.residency("/keep").await.files, 0);
}

#[tokio::test]
async fn a_rename_over_a_file_of_the_same_version_is_seen() {
    let w = World::new(1 << 30);
    w.store.put("/x/a", pattern(1, 3 * PAGE));
    w.store.put("/x/b", pattern(2, 3 * PAGE));
    w.store.set_time("/x/a", 7);
    w.store.set_time("/x/b", 7);
    for path in ["/x/a", "/x/b"] {
        w.read(path).await.unwrap();
    }
    w.written().await;
    let w = w.restart().await;
    w.mount
        .rename(&caller(), "/x/a", "/x/b", RenameMode::Replace)
        .await
        .unwrap();
    assert_eq!(w.read("/x/b").await.unwrap(), pattern(1, 3 * PAGE));
    w.written().await;
    let w = w.restart().await;
    assert_eq!(w.read("/x/b").await.unwrap(), pattern(1, 3 * PAGE));
}

#[tokio::test]
async fn a_load_brings_a_tree_and_skips_what_is_here() {
    let w = World::new(1 << 30);
    let mut total = 0;
    for n in 0..30 {
        let len = 1000 + n * 30_000;
        w.store
            .put(&format!("/t/{}/{n}", n % 3), pattern(n as u64, len));
        total += len as u64;
    }
    let ann = caller();
    let load = |options| w.mount.load(&ann, "/t", options, |_| {});
    let done = load(LoadOptions::default()).await.unwrap();
    assert_eq!((done.files, done.files_done, done.failed), (30, 30, 0));
    assert_eq!(
        (done.bytes, done.bytes_loaded, done.is_listed),
        (total, total, true)
    );
    assert_eq!(w.mount.residency("/t").await.on_disk, total);
    let again = load(LoadOptions::default()).await.unwrap();
    assert_eq!((again.bytes_loaded, again.bytes_skipped), (0, total));
    assert_eq!(w.fetched(), total);
}
