//! HDFS that breaks while it is used. One cluster for all of these, one test at a time.

use std::time::{Duration, Instant};

use futures::StreamExt;
use moongate_cache::backend::contract::Bench;
use moongate_cache::backend::contract::bench::{assert_kind, assert_kind_in, payload, read};
use moongate_cache::{BackendError, BackendFile, Caller, CreateOptions, ErrorKind, Freshness};
use moongate_tests::beds::hdfs::Hdfs;
use tokio::sync::{Mutex, MutexGuard, OnceCell};

use crate::on_hdfs::{bench_of, wait_for};

const LEN: usize = 40 << 20;
/// Longer than any of these may take on a busy machine, and shorter than waiting for the kernel.
const PATIENCE: Duration = Duration::from_secs(60);

/// The cluster, mended, for this test alone.
struct Broken {
    bench: Bench,
    hdfs: &'static Hdfs,
    _alone: MutexGuard<'static, ()>,
}

async fn cluster() -> Broken {
    static ALONE: Mutex<()> = Mutex::const_new(());
    static CLUSTER: OnceCell<&Hdfs> = OnceCell::const_new();
    let alone = ALONE.lock().await;
    let start = || async { wait_for(|| &*Box::leak(Box::new(Hdfs::start(3)))).await };
    let hdfs = *CLUSTER.get_or_init(start).await;
    wait_for(|| hdfs.mend()).await;
    Broken {
        bench: bench_of(hdfs).await,
        hdfs,
        _alone: alone,
    }
}

/// A file of many blocks, each on all three DataNodes, of which the first piece has been read.
struct Begun {
    data: Vec<u8>,
    got: Vec<u8>,
    file: std::sync::Arc<dyn BackendFile>,
    stream: moongate_cache::backend::ByteStream,
}

async fn begun(broken: &Broken, seed: u64) -> Begun {
    let (bench, hdfs) = (&broken.bench, broken.hdfs);
    let data = payload(seed, LEN);
    let options = CreateOptions {
        overwrite: true,
        block_bytes: Some(4 << 20),
        ..CreateOptions::default()
    };
    bench.try_put("file", &data, &options).await.unwrap();
    let path = bench.path("file");
    wait_for(move || hdfs.wait_until_replicated(&path, 3)).await;
    let file = bench.open("file").await.unwrap();
    let mut stream = file.read(0..LEN as u64).await.unwrap();
    let got = stream.next().await.unwrap().unwrap().to_vec();
    Begun {
        data,
        got,
        file,
        stream,
    }
}

impl Begun {
    async fn rest(&mut self) -> Result<(), BackendError> {
        while let Some(piece) = self.stream.next().await {
            self.got.extend_from_slice(&piece?);
        }
        assert!(self.got == self.data, "{} bytes of {LEN}", self.got.len());
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_datanodes_killed_in_mid_read_are_not_noticed() {
    let broken = cluster().await;
    let mut reading = begun(&broken, 1).await;
    broken.hdfs.kill_datanode(0);
    broken.hdfs.kill_datanode(1);
    reading.rest().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn two_datanodes_frozen_in_mid_read_cost_their_timeout_each() {
    let broken = cluster().await;
    let mut reading = begun(&broken, 10).await;
    broken.hdfs.freeze_datanode(0);
    broken.hdfs.freeze_datanode(1);
    let began = Instant::now();
    reading.rest().await.unwrap();
    assert!(began.elapsed() < PATIENCE, "{:?}", began.elapsed());
}

/// Flips a byte in the middle of every block of this length that a DataNode has; how many.
fn damage(folder: &std::path::Path, len: u64) -> usize {
    let mut damaged = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            damaged += damage(&path, len);
        } else if std::fs::metadata(&path).unwrap().len() == len {
            let mut bytes = std::fs::read(&path).unwrap();
            bytes[len as usize / 2] ^= 1;
            std::fs::write(&path, bytes).unwrap();
            damaged += 1;
        }
    }
    damaged
}

#[tokio::test(flavor = "multi_thread")]
async fn damaged_replicas_are_passed_over() {
    const BLOCK: u64 = 3 << 20;
    let broken = cluster().await;
    let (bench, hdfs, data) = (&broken.bench, broken.hdfs, payload(50, 2 * BLOCK as usize));
    let options = CreateOptions {
        block_bytes: Some(BLOCK),
        ..CreateOptions::default()
    };
    bench.try_put("damaged", &data, &options).await.unwrap();
    let path = bench.path("damaged");
    wait_for(move || hdfs.wait_until_replicated(&path, 3)).await;
    for n in 0..2 {
        let folder = hdfs.folder().join(format!("datanode{n}"));
        assert_eq!(damage(&folder, BLOCK), 2);
    }
    for _ in 0..3 {
        assert!(bench.get("damaged").await.unwrap() == data);
    }
    let folder = hdfs.folder().join("datanode2");
    assert_eq!(damage(&folder, BLOCK), 2);
    assert!(bench.get("damaged").await.is_err(), "damaged bytes");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_any_datanode_a_read_fails_and_goes_on_when_they_are_back() {
    let broken = cluster().await;
    let mut reading = begun(&broken, 20).await;
    let (hdfs, began) = (broken.hdfs, Instant::now());
    wait_for(|| (0..3).for_each(|n| hdfs.kill_datanode(n))).await;
    let failed = reading.rest().await;
    assert_kind_in(failed, &[ErrorKind::Unavailable, ErrorKind::TimedOut]);
    assert!(began.elapsed() < PATIENCE, "{:?}", began.elapsed());
    wait_for(|| hdfs.mend()).await;
    // The NameNode does not know at once again where all blocks are; the reader knows three DataNodes that have failed it.
    let again = loop {
        match read(&*reading.file, 0..LEN as u64).await {
            Err(error) if error.is_transient() => {
                assert!(began.elapsed() < 3 * PATIENCE, "{error:?}");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            read => break read.unwrap(),
        }
    };
    assert!(again == reading.data);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_datanode_killed_in_mid_write_is_not_noticed() {
    let broken = cluster().await;
    let (bench, data) = (&broken.bench, payload(40, 24 << 20));
    let path = bench.path("written");
    let options = CreateOptions::default();
    let created = bench.backend.create(&bench.caller, &path, &options).await;
    let mut writer = created.unwrap();
    for (i, piece) in data.chunks(1 << 20).enumerate() {
        if i == 10 {
            broken.hdfs.kill_datanode(1);
        }
        writer.write(piece.to_vec().into()).await.unwrap();
    }
    writer.finish().await.unwrap();
    assert!(bench.get("written").await.unwrap() == data);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_namenode_that_is_gone_is_unavailable_until_it_is_back() {
    let broken = cluster().await;
    let (bench, hdfs) = (&broken.bench, broken.hdfs);
    let mut reading = begun(&broken, 50).await;
    wait_for(|| hdfs.kill_namenode(0)).await;
    let began = Instant::now();
    assert_kind(bench.status("file").await, ErrorKind::Unavailable);
    let options = CreateOptions::default();
    let written = bench.try_put("new", b"x", &options).await;
    assert_kind(written, ErrorKind::Unavailable);
    // Nobody can say any more that the bytes are still those of this version.
    assert_kind(reading.rest().await, ErrorKind::Unavailable);
    assert!(began.elapsed() < PATIENCE, "{:?}", began.elapsed());
    wait_for(|| hdfs.mend()).await;
    assert!(bench.get("file").await.unwrap() == reading.data);
    bench.put("new", b"y").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_namenode_that_is_frozen_is_not_waited_for() {
    let broken = cluster().await;
    let (bench, hdfs) = (&broken.bench, broken.hdfs);
    bench.put("file", b"content").await;
    hdfs.freeze_namenode(0);
    let began = Instant::now();
    assert_kind(bench.status("file").await, ErrorKind::TimedOut);
    assert!(began.elapsed() < PATIENCE, "{:?}", began.elapsed());
    wait_for(|| hdfs.mend()).await;
    assert_eq!(bench.get("file").await.unwrap(), b"content");
}

#[tokio::test(flavor = "multi_thread")]
async fn safe_mode_and_quotas_say_what_they_are() {
    let broken = cluster().await;
    let (bench, hdfs) = (&broken.bench, broken.hdfs);
    let options = CreateOptions::default();
    let root = bench.root.clone();
    wait_for(move || hdfs.dfsadmin(&["-setQuota", "2", &root])).await;
    bench.put("one", b"x").await;
    let full = bench.try_put("two", b"x", &options).await;
    assert_class(
        &full,
        "org.apache.hadoop.hdfs.protocol.NSQuotaExceededException",
    );
    assert_kind(full, ErrorKind::NoSpace);
    wait_for(|| hdfs.dfsadmin(&["-safemode", "enter"])).await;
    let refused = bench.delete("one", false).await;
    wait_for(|| hdfs.dfsadmin(&["-safemode", "leave"])).await;
    assert_class(
        &refused,
        "org.apache.hadoop.hdfs.server.namenode.SafeModeException",
    );
    assert_kind(refused, ErrorKind::Unavailable);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_user_may_not_do_he_may_not_do_here() {
    let broken = cluster().await;
    let (bench, alice) = (&broken.bench, Caller::new("alice"));
    bench.put("private/file", b"x").await;
    let folder = bench.path("private");
    let close = moongate_cache::Change::Permission(0o700);
    bench
        .backend
        .change(&bench.caller, &folder, &close)
        .await
        .unwrap();
    let file = bench.path("private/file");
    let seen = bench.backend.status(&alice, &file, Freshness::Now).await;
    assert_class(&seen, "org.apache.hadoop.security.AccessControlException");
    assert_kind(seen, ErrorKind::PermissionDenied);
    let made = bench
        .backend
        .make_dirs(&alice, &bench.path("mine"), 0o755)
        .await;
    assert!(
        made.as_ref()
            .is_err_and(|error| error.message.contains("user=alice")),
        "{made:?}"
    );
    assert_kind(made, ErrorKind::PermissionDenied);
}

#[track_caller]
fn assert_class<T: std::fmt::Debug>(result: &Result<T, BackendError>, class: &str) {
    let error = result.as_ref().unwrap_err();
    assert_eq!(error.class.as_deref(), Some(class), "{error:?}");
    assert!(
        !error.message.contains("\n\tat "),
        "with its stack: {error:?}"
    );
}
