//! The contract through the cache, over each store: a cache is a backend like any other.

use std::sync::Arc;

use moongate_cache::backend::contract::{Bench, Features};
use moongate_cache::{Backend, Cache, CacheConfig, MountTerms};

use crate::on_hdfs::wait_for;

/// Small pages and tiers, so that files have many of the ones and fall out of the others.
async fn before(under: Arc<dyn Backend>, features: Features) -> Bench {
    let folder = tempfile::tempdir().unwrap();
    let config = CacheConfig {
        page_bytes: 64 << 10,
        ram_bytes: 8 << 20,
        dirs: vec![folder.path().to_owned()],
        disk_bytes: 256 << 20,
        ..CacheConfig::default()
    };
    let cache = wait_for(|| Cache::open(config)).await.unwrap();
    let cached = cache.attach("mount", under, MountTerms::default());
    let user = moongate_tests::beds::hdfs::Hdfs::superuser();
    let bench = Bench::of_caller(cached, features, moongate_cache::Caller::new(user)).await;
    bench.holding((cache, folder))
}

mod local {
    use super::*;
    use moongate_cache::under::LocalStore;

    async fn bench() -> Bench {
        let folder = tempfile::tempdir().unwrap();
        let store = LocalStore::open(folder.path()).unwrap();
        // Kept beside what the cache is kept with: a bench holds one thing.
        let bench = before(Arc::new(store), Features::ALL).await;
        let held = bench.clone();
        bench.holding((held, folder))
    }

    moongate_cache::contract_tests!(bench);
}

mod hdfs {
    use super::*;
    use crate::on_hdfs::{FEATURES, store};
    use moongate_tests::beds::hdfs::Hdfs;

    async fn bench() -> Bench {
        let hdfs = wait_for(Hdfs::shared).await;
        before(Arc::new(store(hdfs)), FEATURES).await
    }

    moongate_cache::contract_tests!(bench);
}

mod s3 {
    use super::*;
    use crate::s3::{FEATURES, options};
    use moongate_cache::under::S3Store;
    use moongate_tests::beds::s3::S3;

    async fn bench() -> Bench {
        let s3 = wait_for(S3::shared).await;
        let store = S3Store::open(options(s3)).await.unwrap();
        before(Arc::new(store), FEATURES).await
    }

    moongate_cache::contract_tests!(bench);
}
