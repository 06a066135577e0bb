//! The contract on one NameNode with three DataNodes.

use moongate_cache::backend::contract::Bench;
use moongate_tests::beds::hdfs::Hdfs;

use crate::on_hdfs::{bench_of, wait_for};

async fn bench() -> Bench {
    bench_of(wait_for(Hdfs::shared).await).await
}

moongate_cache::contract_tests!(bench);
