//! Stores over a bed.

use std::sync::Arc;
use std::time::Duration;

use moongate_cache::Caller;
use moongate_cache::backend::contract::{Bench, Features};
use moongate_cache::under::{HdfsOptions, HdfsStore};
use moongate_tests::beds::hdfs::Hdfs;

/// What hdfs-native has of HDFS, and HDFS of a file system. Of a block that is being written it reads nothing.
pub const FEATURES: Features = Features {
    truncate: false,
    concat: false,
    appears_at_once: false,
    reads_what_is_synced: false,
    ..Features::ALL
};

/// A store over a bed, which gives up sooner than one in service.
pub fn store(hdfs: &Hdfs) -> HdfsStore {
    HdfsStore::open(options(hdfs)).unwrap()
}

/// What it is opened with.
pub fn options(hdfs: &Hdfs) -> HdfsOptions {
    // As everybody with three DataNodes has it: a file is begun on two if one fails.
    let best_effort = "dfs.client.block.write.replace-datanode-on-failure.best-effort";
    HdfsOptions {
        config: [(best_effort.to_owned(), "true".to_owned())].into(),
        config_dir: Some(hdfs.config_dir()),
        request_timeout: Duration::from_secs(20),
        datanode_timeout: Duration::from_secs(2),
        ..HdfsOptions::new(hdfs.url())
    }
}

/// Who may do everything.
pub fn superuser() -> Caller {
    Caller::new(Hdfs::superuser())
}

/// A bench over a bed.
pub async fn bench_of(hdfs: &Hdfs) -> Bench {
    Bench::of_caller(Arc::new(store(hdfs)), FEATURES, superuser()).await
}

/// Runs what starts servers or Java where it may wait.
pub async fn wait_for<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.unwrap()
}
