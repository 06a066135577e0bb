//! Many readers and writers on several threads: no order to be told, but each read is one version, whole.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use moongate_disk::sim::Rng;
use parking_lot::Mutex;

use super::world::{PAGE, collect};
use crate::backend::{Backend, BackendError, CreateOptions, ErrorKind, Freshness};
use crate::cache::Cache;
use crate::cached::CachedBackend;
use crate::config::{CacheConfig, MountTerms};
use crate::testing::{MemBackend, caller, pattern};

const TASKS: u64 = 12;
const ROUNDS: u64 = 120;
const PATHS: u64 = 6;

/// All contents that each path ever had.
type Contents = Mutex<HashMap<String, Vec<Bytes>>>;

struct Stress {
    store: Arc<MemBackend>,
    mount: Arc<CachedBackend>,
    contents: Contents,
}

impl Stress {
    /// Content is told before it is there.
    fn content(&self, path: &str, seed: u64) -> Bytes {
        let content = pattern(seed, ((seed % 9) * PAGE + 777) as usize);
        let mut contents = self.contents.lock();
        contents
            .entry(path.to_owned())
            .or_default()
            .push(content.clone());
        content
    }

    async fn task(&self, seed: u64) {
        let mut rng = Rng::new(seed);
        for round in 0..ROUNDS {
            let path = format!("/{}", rng.below(PATHS));
            let fresh = seed << 32 | round;
            match rng.below(20) {
                0 => self.store.put(&path, self.content(&path, fresh)),
                1 => self.write(&path, fresh).await.unwrap(),
                2 => drop(self.mount.free(&path).await),
                _ => self.read(&path, &mut rng).await,
            }
        }
    }

    async fn write(&self, path: &str, seed: u64) -> Result<(), BackendError> {
        let options = CreateOptions {
            overwrite: true,
            ..CreateOptions::default()
        };
        let mut writer = self.mount.create(&caller(), path, &options).await?;
        writer.write(self.content(path, seed)).await?;
        writer.finish().await
    }

    async fn read(&self, path: &str, rng: &mut Rng) {
        let from = rng.below(4 * PAGE);
        let range = from..from + 1 + rng.below(4 * PAGE);
        let read = async {
            let file = self.mount.open(&caller(), path, Freshness::Cached).await?;
            let bytes = collect(&*file, range.clone()).await?;
            Ok::<_, BackendError>((file.status().len, bytes))
        };
        match read.await {
            Ok((len, bytes)) => {
                let cut = |content: &Bytes| {
                    let end = range.end.min(len) as usize;
                    content.slice((range.start as usize).min(end)..end)
                };
                let contents = self.contents.lock();
                let mut of_len = contents[path].iter().filter(|c| c.len() as u64 == len);
                assert!(
                    of_len.any(|content| cut(content) == bytes),
                    "{path} {range:?}"
                );
            }
            Err(error) => assert!(matches!(error.kind, ErrorKind::Changed), "{error:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn each_read_is_one_version_whole() {
    let dir = tempfile::tempdir().unwrap();
    let config = CacheConfig {
        page_bytes: PAGE,
        ram_bytes: 12 * PAGE,
        dirs: vec![dir.path().to_owned()],
        disk_bytes: 20 * PAGE,
        ..CacheConfig::default()
    };
    let terms = MountTerms {
        ttl: Duration::from_millis(20),
        ..MountTerms::default()
    };
    let store = MemBackend::new();
    let cache = Cache::open(config).unwrap();
    let stress = Arc::new(Stress {
        mount: cache.attach("m", Arc::new(Arc::clone(&store)), terms),
        store,
        contents: Contents::default(),
    });
    for n in 0..PATHS {
        let path = format!("/{n}");
        stress.store.put(&path, stress.content(&path, n));
    }
    let tasks: Vec<_> = (1..=TASKS)
        .map(|seed| {
            let stress = Arc::clone(&stress);
            tokio::spawn(async move { stress.task(seed).await })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let stats = cache.stats();
    assert!(
        stats.disk_hits > 0 && stats.ram_hits > 0 && stats.changes_seen > 0,
        "{stats:?}"
    );
    assert_eq!(stats.corrupt_pages, 0, "{stats:?}");
}
