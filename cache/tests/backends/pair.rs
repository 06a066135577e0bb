//! A pair of NameNodes that change roles while they are used.

use futures::StreamExt;
use moongate_cache::backend::contract::bench::payload;
use moongate_cache::backend::contract::{lists, names, reads, writes};
use moongate_tests::beds::hdfs::Hdfs;

use crate::on_hdfs::{bench_of, wait_for};

/// Much of the contract, again and again until it is told to stop; how often.
async fn contract_until(hdfs: &Hdfs, stop: &std::sync::atomic::AtomicBool) -> usize {
    let mut rounds = 0;
    while !stop.load(std::sync::atomic::Ordering::Relaxed) {
        let bench = bench_of(hdfs).await;
        reads::ranges_are_cut_to_the_length(&bench).await;
        writes::append_adds_to_the_end(&bench).await;
        bench.delete("file", false).await.unwrap();
        lists::a_listing_is_in_the_order_of_bytes(&bench).await;
        bench.delete("", true).await.unwrap();
        let bench = bench_of(hdfs).await;
        names::rename_replaces_if_asked(&bench).await;
        names::delete_takes_what_is_meant(&bench_of(hdfs).await).await;
        rounds += 1;
    }
    rounds
}

#[tokio::test(flavor = "multi_thread")]
async fn the_contract_holds_while_the_pair_changes_roles() {
    let hdfs: &Hdfs = Box::leak(Box::new(wait_for(|| Hdfs::start_ha(2)).await));
    let stop = std::sync::atomic::AtomicBool::new(false);
    let change_roles = async {
        wait_for(|| hdfs.fail_over(0, 1)).await;
        wait_for(|| hdfs.fail_over(1, 0)).await;
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
    };
    let used = contract_until(hdfs, &stop);
    let (rounds, ()) = futures::future::join(used, change_roles).await;
    assert!(rounds > 0);
    a_read_goes_on(hdfs).await;
    the_other_one_takes_over(hdfs).await;
}

async fn a_read_goes_on(hdfs: &'static Hdfs) {
    let (bench, data) = (bench_of(hdfs).await, payload(1, 40 << 20));
    bench.put("file", &data).await;
    let file = bench.open("file").await.unwrap();
    let mut stream = file.read(0..data.len() as u64).await.unwrap();
    let mut got = stream.next().await.unwrap().unwrap().to_vec();
    wait_for(|| hdfs.fail_over(0, 1)).await;
    while let Some(piece) = stream.next().await {
        got.extend_from_slice(&piece.unwrap());
    }
    assert!(got == data);
}

/// The active one is killed, and its fellow made active by force.
async fn the_other_one_takes_over(hdfs: &'static Hdfs) {
    let bench = bench_of(hdfs).await;
    bench.put("file", b"before").await;
    wait_for(|| {
        hdfs.kill_namenode(1);
        hdfs.make_active(0);
    })
    .await;
    assert_eq!(bench.get("file").await.unwrap(), b"before");
    bench.put("file", b"after").await;
    assert_eq!(bench.get("file").await.unwrap(), b"after");
}
