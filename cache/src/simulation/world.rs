//! A cache, its store, and the history of its files.

use std::collections::BTreeMap;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::TryStreamExt;
use moongate_disk::EngineChoice;
use moongate_disk::sim::Rng;
use tempfile::TempDir;

use super::history::History;
use crate::backend::{Backend, BackendError, BackendFile, Freshness};
use crate::cache::Cache;
use crate::cached::CachedBackend;
use crate::clock::{Clock, Hand};
use crate::config::{CacheConfig, MountTerms};
use crate::testing::{MemBackend, caller};

pub const PAGE: u64 = 64 << 10;
pub const TTL: Duration = Duration::from_secs(30);
/// Few, so that they meet.
pub const PATHS: [&str; 5] = ["/a/x", "/a/y", "/b/x", "/b/y", "/c"];
const OPS: u64 = 120;

/// A handle that was opened earlier, and what it was opened at.
#[derive(Debug)]
pub struct Held {
    pub path: usize,
    pub file: Arc<dyn BackendFile>,
    pub content: Bytes,
}

pub struct World {
    pub rng: Rng,
    pub store: Arc<MemBackend>,
    pub cache: Option<Arc<Cache>>,
    pub mount: Arc<CachedBackend>,
    hand: Hand,
    pub now: Duration,
    pub files: BTreeMap<usize, History>,
    pub held: Vec<Held>,
    pub written: u64,
    pub steps: u64,
    pub told: Vec<String>,
    aloud: bool,
    dir: TempDir,
}

fn open(dir: &TempDir, store: &Arc<MemBackend>) -> (Arc<Cache>, Arc<CachedBackend>, Hand) {
    let (clock, hand) = Clock::manual();
    let config = CacheConfig {
        page_bytes: PAGE,
        ram_bytes: 8 * PAGE,
        dirs: vec![dir.path().to_owned()],
        disk_bytes: 14 * PAGE,
        // Two threads less for each of many worlds.
        engine: EngineChoice::Auto,
        clock,
        ..CacheConfig::default()
    };
    let terms = MountTerms {
        ttl: TTL,
        ..MountTerms::default()
    };
    let cache = Cache::open(config).unwrap();
    let mount = cache.attach("m", Arc::new(Arc::clone(store)), terms);
    (cache, mount, hand)
}

impl World {
    pub async fn new(seed: u64, aloud: bool) -> Self {
        let (dir, store) = (tempfile::tempdir().unwrap(), MemBackend::new());
        let (cache, mount, hand) = open(&dir, &store);
        let files = (0..PATHS.len()).map(|n| (n, History::default())).collect();
        Self {
            rng: Rng::new(seed),
            store,
            cache: Some(cache),
            mount,
            hand,
            now: Duration::ZERO,
            files,
            held: Vec::new(),
            written: seed << 32,
            steps: 0,
            told: Vec::new(),
            aloud,
            dir,
        }
    }

    pub async fn live(&mut self) -> Result<(), String> {
        for _ in 0..OPS {
            self.steps += 1;
            self.op().await?;
            self.settle().await;
        }
        Ok(())
    }

    pub fn tell(&mut self, what: String) {
        if self.aloud {
            eprintln!("{what}");
        }
        if self.told.len() == 40 {
            self.told.remove(0);
        }
        self.told.push(what);
    }

    pub fn pass(&mut self, time: Duration) {
        self.now += time;
        self.hand.advance(time);
    }

    pub fn history(&mut self, path: usize) -> &mut History {
        self.files.entry(path).or_default()
    }

    /// New content that no file ever had.
    pub fn content(&mut self) -> Bytes {
        self.written += 1;
        let len = *self
            .rng
            .pick(&[1, 5000, PAGE, PAGE + 1, 3 * PAGE + 100, 6 * PAGE]);
        crate::testing::pattern(self.written, len as usize)
    }

    pub async fn read(
        &self,
        path: usize,
        range: std::ops::Range<u64>,
        freshness: Freshness,
    ) -> Result<Bytes, BackendError> {
        let file = self.mount.open(&caller(), PATHS[path], freshness).await?;
        collect(&*file, range).await
    }

    /// Waits until nothing is under way, so that a seed replays.
    async fn settle(&self) {
        let Some(cache) = &self.cache else {
            return;
        };
        for _ in 0..10_000 {
            let stats = cache.stats();
            if stats.disk_queue_bytes == 0 && stats.under_calls_now == 0 {
                return;
            }
            tokio::time::sleep(Duration::from_micros(100)).await;
        }
    }

    /// The process is killed while it writes, and another begins: it finds what a copy of the folder finds that is made meanwhile.
    pub async fn crash(&mut self) -> std::io::Result<()> {
        for path in 0..PATHS.len() {
            // What the writer is to be killed at.
            let _ = self.read(path, 0..u64::MAX, Freshness::Cached).await;
        }
        let copy = tempfile::tempdir()?;
        let mut folders = ["index", "files", "extents"];
        if self.rng.one_in(2) {
            folders.reverse();
        }
        for folder in folders {
            copy_folder(&self.dir.path().join(folder), &copy.path().join(folder))?;
        }
        let old = std::mem::replace(&mut self.dir, copy);
        self.restart(0).await;
        drop(old);
        Ok(())
    }

    /// The process ends, and another begins.
    pub async fn restart(&mut self, flips: u64) {
        self.held.clear();
        let weak = self.cache.take().map(|cache| Arc::downgrade(&cache));
        // The mount holds the cache too.
        let nowhere = Cache::open(CacheConfig::default()).unwrap();
        self.mount = nowhere.attach(
            "m",
            Arc::new(Arc::clone(&self.store)),
            MountTerms::default(),
        );
        while weak.as_ref().is_some_and(|cache| cache.strong_count() > 0) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        for _ in 0..flips {
            self.flip();
        }
        let (cache, mount, hand) = open(&self.dir, &self.store);
        let off = cache.stats().disks_off;
        (self.cache, self.mount, self.hand) = (Some(cache), mount, hand);
        self.hand.advance(self.now);
        if off > 0 {
            self.tell("the disk cannot be opened".to_owned());
        }
    }

    fn flip(&mut self) {
        let folders = ["files", "extents"].map(|name| self.dir.path().join(name));
        let entries = folders
            .iter()
            .flat_map(|folder| std::fs::read_dir(folder).unwrap());
        let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
        files.sort();
        if files.is_empty() {
            return;
        }
        let path = self.rng.pick(&files);
        let file = std::fs::File::options()
            .read(true)
            .write(true)
            .open(path)
            .unwrap();
        let at = self.rng.below(file.metadata().unwrap().len().max(1));
        let mut byte = [0];
        if file.read_exact_at(&mut byte, at).is_ok() {
            file.write_all_at(&[byte[0] ^ (1 << self.rng.below(8))], at)
                .unwrap();
        }
    }
}

/// Files that go away meanwhile are left out.
fn copy_folder(from: &Path, to: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        match std::fs::copy(entry.path(), to.join(entry.file_name())) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

pub async fn collect(
    file: &dyn BackendFile,
    range: std::ops::Range<u64>,
) -> Result<Bytes, BackendError> {
    if let Some(pieces) = file.read_now(range.clone()) {
        return Ok(pieces.concat().into());
    }
    let mut stream = file.read(range).await?;
    let mut bytes = BytesMut::new();
    while let Some(piece) = stream.try_next().await? {
        bytes.extend_from_slice(&piece);
    }
    Ok(bytes.freeze())
}
