//! The contract on one NameNode with three DataNodes, and what is HDFS's own.

use futures::StreamExt;
use moongate_cache::backend::contract::Bench;
use moongate_cache::backend::contract::bench::{assert_kind, payload, read};
use moongate_cache::under::{HdfsOptions, HdfsStore};
use moongate_cache::{AclEntry, Backend, Change, CreateOptions, ErrorKind, Freshness};
use moongate_tests::beds::hdfs::Hdfs;
use moongate_tests::http::{Request, send};

use crate::on_hdfs::{bench_of, options, superuser, wait_for};

async fn bench() -> Bench {
    bench_of(wait_for(Hdfs::shared).await).await
}

moongate_cache::contract_tests!(bench);

/// By the NameNode's own WebHDFS: hdfs-native cannot truncate.
async fn truncate(bench: &Bench, name: &str, len: usize) {
    let target = format!(
        "/webhdfs/v1{}?op=TRUNCATE&newlength={len}&user.name={}",
        bench.path(name),
        bench.caller.user
    );
    let answer = wait_for(move || {
        let address = Hdfs::shared().http(0).replace("localhost", "127.0.0.1");
        let request = Request::new("POST", &target).header("Connection", "close");
        send(address.parse().unwrap(), &request).unwrap()
    })
    .await;
    assert_eq!(answer.status, 200, "{}", answer.text());
}

/// The one way in which HDFS changes bytes under a reader: the block is cut, and grows again with others.
#[tokio::test(flavor = "multi_thread")]
async fn a_block_that_is_cut_and_grows_again_is_not_mixed() {
    let bench = bench().await;
    let (old, new) = (payload(1, 40 << 20), payload(2, 40 << 20));
    let options = CreateOptions {
        block_bytes: Some(128 << 20),
        ..CreateOptions::default()
    };
    bench.try_put("file", &old, &options).await.unwrap();
    let file = bench.open("file").await.unwrap();
    let mut stream = file.read(0..old.len() as u64).await.unwrap();
    let mut got = stream.next().await.unwrap().unwrap().to_vec();
    truncate(&bench, "file", 20 << 20).await;
    append(&bench, "file", &new[20 << 20..]).await;
    let mut failed = None;
    while let Some(piece) = stream.next().await {
        match piece {
            Ok(piece) => got.extend_from_slice(&piece),
            Err(error) => failed = Some(error),
        }
    }
    match failed {
        Some(error) => assert_eq!(error.kind, ErrorKind::Changed, "{error:?}"),
        None => assert!(got == old, "a mixture"),
    }
    // What is opened now is the new one.
    let want = [&old[..20 << 20], &new[20 << 20..]].concat();
    assert!(bench.get("file").await.unwrap() == want);
    assert_kind(read(&*file, 0..1).await, ErrorKind::Changed);
}

/// While the last block is being recovered after a truncate nobody can append.
async fn append(bench: &Bench, name: &str, data: &[u8]) {
    let path = bench.path(name);
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    let mut writer = loop {
        match bench.backend.append(&bench.caller, &path).await {
            Ok(writer) => break writer,
            Err(error) => assert!(std::time::Instant::now() < deadline, "{error:?}"),
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    };
    writer.write(data.to_vec().into()).await.unwrap();
    writer.finish().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn access_control_lists_are_kept() {
    let bench = bench().await;
    bench.put("file", b"x").await;
    bench.make_dir("folder").await;
    let bob = AclEntry {
        is_default: false,
        kind: "user".to_owned(),
        name: "bob".to_owned(),
        permission: Some(6),
    };
    let change = |name: &str, change: Change| {
        let path = bench.path(name);
        let bench = &bench;
        async move {
            bench
                .backend
                .change(&bench.caller, &path, &change)
                .await
                .unwrap()
        }
    };
    let entries = |name: &str| {
        let path = bench.path(name);
        let bench = &bench;
        async move {
            bench
                .backend
                .acl(&bench.caller, &path)
                .await
                .unwrap()
                .entries
        }
    };
    change("file", Change::ModifyAcl(vec![bob.clone()])).await;
    assert!(entries("file").await.contains(&bob));
    let nobody = AclEntry {
        permission: None,
        ..bob.clone()
    };
    change("file", Change::RemoveAclEntries(vec![nobody])).await;
    assert!(!entries("file").await.contains(&bob));
    let handed_down = AclEntry {
        is_default: true,
        ..bob
    };
    change("folder", Change::ModifyAcl(vec![handed_down.clone()])).await;
    assert!(entries("folder").await.contains(&handed_down));
    change("folder", Change::RemoveDefaultAcl).await;
    assert!(entries("folder").await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn owners_and_replication_change() {
    let bench = bench().await;
    bench.put("file", b"x").await;
    let path = bench.path("file");
    let owner = Change::Owner {
        owner: Some("alice".to_owned()),
        group: Some("people".to_owned()),
    };
    for change in [owner, Change::Replication(2)] {
        bench
            .backend
            .change(&bench.caller, &path, &change)
            .await
            .unwrap();
    }
    let status = bench.status("file").await.unwrap();
    assert_eq!(
        (&*status.owner, &*status.group, status.replication),
        ("alice", "people", 2)
    );
    let folder = bench.path("");
    let refused = bench
        .backend
        .change(&bench.caller, &folder, &Change::Replication(2))
        .await;
    assert_kind(refused, ErrorKind::Invalid);
}

/// Both readers give the same bytes, and it is told which one it was.
#[tokio::test(flavor = "multi_thread")]
async fn ranges_are_the_same_by_either_reader() {
    let bench = bench().await;
    let data = payload(7, 3_000_001);
    let block = CreateOptions {
        block_bytes: Some(1 << 20),
        ..CreateOptions::default()
    };
    bench.try_put("file", &data, &block).await.unwrap();
    let path = bench.path("file");
    for own_reader in [true, false] {
        let store = HdfsStore::open(HdfsOptions {
            own_reader,
            ..options(Hdfs::shared())
        })
        .unwrap();
        let file = store.open(&superuser(), &path, Freshness::Now).await;
        let file = file.unwrap();
        let len = data.len() as u64;
        let mib = 1 << 20;
        let ranges = [
            0..len,
            1..2,
            len - 1..len,
            511..513,
            mib - 1..mib + 1,
            700_001..2_900_007,
            mib..2 * mib,
        ];
        for range in ranges {
            let got = read(&*file, range.clone()).await.unwrap();
            let want = &data[range.start as usize..range.end as usize];
            assert!(got == want, "{own_reader} {range:?}");
        }
        assert_eq!(store.has_read_itself(), own_reader);
    }
}

/// The NameNode gives a token with each block, without which DataNodes give nothing.
#[tokio::test(flavor = "multi_thread")]
async fn tokens_of_blocks_are_shown() {
    let tokens = [("dfs.block.access.token.enable", "true")];
    let hdfs = wait_for(move || Hdfs::start_with(1, &tokens)).await;
    let bench = bench_of(&hdfs).await;
    let data = payload(8, 3 << 20);
    bench.put("file", &data).await;
    let store = HdfsStore::open(options(&hdfs)).unwrap();
    let path = bench.path("file");
    let file = store.open(&superuser(), &path, Freshness::Now).await;
    let got = read(&*file.unwrap(), 0..data.len() as u64).await.unwrap();
    assert!(got == data && store.has_read_itself());
}
