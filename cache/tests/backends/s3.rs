//! The contract on an S3 server of another make, and what is S3's own.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::StreamExt;

use moongate_cache::backend::contract::bench::{assert_kind, payload};
use moongate_cache::backend::contract::{Bench, Features};
use moongate_cache::under::{S3Credentials, S3Options, S3Store};
use moongate_cache::{Backend, BackendWriter, Caller, CreateOptions, ErrorKind, Freshness};
use moongate_tests::beds::s3::S3;

use crate::on_hdfs::wait_for;

pub const FEATURES: Features = Features {
    append: false,
    truncate: false,
    concat: false,
    attributes: false,
    appears_at_once: true,
    reads_what_is_synced: false,
    real_folders: false,
};

pub fn options(s3: &S3) -> S3Options {
    S3Options {
        endpoint: Some(s3.endpoint()),
        path_style: true,
        credentials: S3Credentials::Static {
            access_key_id: S3::ACCESS_KEY.to_owned(),
            secret_access_key: S3::SECRET_KEY.to_owned(),
            session_token: None,
        },
        ..S3Options::new(S3::BUCKET)
    }
}

async fn bench() -> Bench {
    let s3 = wait_for(S3::shared).await;
    let store = S3Store::open(options(s3)).await.unwrap();
    Bench::new(Arc::new(store), FEATURES).await
}

moongate_cache::contract_tests!(bench);

/// Of two who begin the same new file the first to finish has the name, in one request and in parts.
#[tokio::test(flavor = "multi_thread")]
async fn what_came_meanwhile_is_not_replaced() {
    let bench = bench().await;
    for len in [1000, 9 << 20] {
        let name = format!("file{len}");
        let (mut first, mut second) = (begin(&bench, &name).await, begin(&bench, &name).await);
        first.write(payload(1, len).into()).await.unwrap();
        second.write(payload(2, len).into()).await.unwrap();
        second.finish().await.unwrap();
        assert_kind(first.finish().await, ErrorKind::AlreadyExists);
        assert!(bench.get(&name).await.unwrap() == payload(2, len));
    }
}

async fn begin(bench: &Bench, name: &str) -> Box<dyn BackendWriter> {
    let path = bench.path(name);
    let options = CreateOptions::default();
    let begun = bench.backend.create(&bench.caller, &path, &options).await;
    begun.unwrap()
}

/// Parts that nobody completes cost money.
#[tokio::test(flavor = "multi_thread")]
async fn a_writer_that_gives_up_leaves_no_parts() {
    let s3 = wait_for(S3::start).await;
    let store = S3Store::open(options(&s3)).await.unwrap();
    let bench = Bench::new(Arc::new(store), FEATURES).await;
    for is_dropped in [false, true] {
        let mut writer = begin(&bench, "file").await;
        writer.write(payload(1, 17 << 20).into()).await.unwrap();
        assert!(bytes_below(&s3.folder()) >= 16 << 20, "it has sent parts");
        if is_dropped {
            drop(writer);
        } else {
            writer.abort().await;
        }
        let deadline = Instant::now() + Duration::from_secs(20);
        while bytes_below(&s3.folder()) > 0 {
            assert!(
                Instant::now() < deadline,
                "{} bytes stay",
                bytes_below(&s3.folder())
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

fn bytes_below(folder: &Path) -> u64 {
    let of_entry = |entry: std::fs::DirEntry| match entry.metadata() {
        Ok(found) if found.is_dir() => bytes_below(&entry.path()),
        Ok(found) => found.len(),
        Err(_) => 0,
    };
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(of_entry).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_of_a_folder_sees_that_alone() {
    let s3 = wait_for(S3::shared).await;
    let below = S3Options {
        prefix: "/below/here/".to_owned(),
        ..options(s3)
    };
    let store = Arc::new(S3Store::open(below).await.unwrap());
    let bench = Bench::new(store.clone(), FEATURES).await;
    bench.put("file", b"content").await;
    let file = s3
        .folder()
        .join(S3::BUCKET)
        .join("below/here")
        .join(&bench.root[1..])
        .join("file");
    assert_eq!(std::fs::read(file).unwrap(), b"content");
    let root = store
        .list(&bench.caller, "/", None, 1000, Freshness::Now)
        .await
        .unwrap();
    assert!(
        root.entries
            .iter()
            .all(|entry| entry.name.starts_with("contract-")),
        "{root:?}"
    );
    assert_kind(
        store.delete(&bench.caller, "/", true).await,
        ErrorKind::Invalid,
    );
}

/// More than S3 tells at once, and folders among them that it tells late.
#[tokio::test(flavor = "multi_thread")]
async fn a_large_folder_is_listed_whole_and_in_order() {
    let bench = bench().await;
    let folder = wait_for(S3::shared)
        .await
        .folder()
        .join(S3::BUCKET)
        .join(&bench.root[1..]);
    let mut want = Vec::new();
    for i in 0..2300 {
        want.push(format!("part-{i:05}-x.parquet"));
        std::fs::write(folder.join(&want[want.len() - 1]), "x").unwrap();
        if i % 500 == 0 {
            want.push(format!("part-{i:05}"));
            std::fs::create_dir(folder.join(&want[want.len() - 1])).unwrap();
            std::fs::write(folder.join(&want[want.len() - 1]).join("x"), "x").unwrap();
        }
    }
    want.sort();
    assert_eq!(bench.names("").await, want);
    let mut got: Vec<String> = Vec::new();
    loop {
        let page = bench
            .list("", got.last().map(String::as_str), 701)
            .await
            .unwrap();
        got.extend(page.entries.iter().map(|entry| entry.name.clone()));
        if !page.more {
            break;
        }
    }
    assert_eq!(got, want);
    assert!(bench.delete("", true).await.unwrap());
    assert!(!bench.is_there("").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_come_from_a_file_and_wrong_ones_are_refused() {
    let s3 = wait_for(S3::shared).await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("credentials");
    let text = |secret: &str| {
        format!(
            "[other]\naws_access_key_id = {}\naws_secret_access_key = {secret}\n",
            S3::ACCESS_KEY
        )
    };
    for (secret, is_right) in [(S3::SECRET_KEY, true), ("wrong", false)] {
        std::fs::write(&path, text(secret)).unwrap();
        let profile = Some("other".to_owned());
        let credentials = S3Credentials::File {
            path: path.clone(),
            profile,
        };
        let store = S3Store::open(S3Options {
            credentials,
            ..options(s3)
        })
        .await
        .unwrap();
        let listed = store
            .list(&Caller::new("me"), "/", None, 10, Freshness::Now)
            .await;
        if is_right {
            listed.unwrap();
        } else {
            assert_kind(listed, ErrorKind::PermissionDenied);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_that_is_not_there_says_so() {
    let s3 = wait_for(S3::shared).await;
    let mut of_nothing = options(s3);
    of_nothing.bucket = "nothing".to_owned();
    let store = S3Store::open(of_nothing).await.unwrap();
    let listed = store
        .list(&Caller::new("me"), "/", None, 10, Freshness::Now)
        .await;
    assert_eq!(
        listed.as_ref().unwrap_err().class.as_deref(),
        Some("NoSuchBucket")
    );
    assert_kind(listed, ErrorKind::NotFound);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_goes_on_when_the_server_comes_back_and_fails_while_it_is_gone() {
    let s3 = wait_for(S3::start).await;
    let quick = S3Options {
        request_timeout: Duration::from_secs(5),
        ..options(&s3)
    };
    let store = S3Store::open(quick).await.unwrap();
    let bench = Bench::new(Arc::new(store), FEATURES).await;
    let data = payload(1, 64 << 20);
    bench.put("file", &data).await;
    let file = bench.open("file").await.unwrap();
    let mut stream = file.read(0..data.len() as u64).await.unwrap();
    let mut got = stream.next().await.unwrap().unwrap().to_vec();
    let s3 = wait_for(move || {
        s3.restart();
        s3
    })
    .await;
    while let Some(piece) = stream.next().await {
        got.extend_from_slice(&piece.unwrap());
    }
    assert!(got == data);
    s3.server().kill();
    let began = Instant::now();
    let failed = bench.status("file").await;
    assert!(
        failed
            .as_ref()
            .is_err_and(moongate_cache::BackendError::is_transient),
        "{failed:?}"
    );
    assert!(
        began.elapsed() < Duration::from_secs(40),
        "{:?}",
        began.elapsed()
    );
}
