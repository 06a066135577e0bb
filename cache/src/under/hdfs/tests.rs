//! NameNodes that behave badly. What a good one does is tested by `tests/backends`.
#![allow(clippy::disallowed_methods)] // how long a real server is waited for

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::net::{TcpListener, TcpStream};

use super::{HdfsOptions, HdfsStore};
use crate::backend::contract::bench::assert_kind;
use crate::backend::{Backend, BackendError, Caller, ErrorKind, Freshness};

/// A server that does this to whoever connects, and the options to connect to it.
async fn namenode<F>(each: impl Fn(TcpStream) -> F + Send + 'static) -> HdfsOptions
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(each(stream));
        }
    });
    HdfsOptions {
        request_timeout: Duration::from_secs(2),
        ..HdfsOptions::new(format!("hdfs://127.0.0.1:{port}"))
    }
}

async fn ask(options: HdfsOptions) -> (BackendError, Duration) {
    let store = HdfsStore::open(options).unwrap();
    let began = Instant::now();
    let caller = Caller::new("bob");
    let asked = store.status(&caller, "/file", Freshness::Now).await;
    (asked.unwrap_err(), began.elapsed())
}

#[tokio::test]
async fn one_that_never_answers_is_not_waited_for_and_impersonation_is_not_blamed() {
    let options = namenode(|stream| async move {
        tokio::time::sleep(Duration::from_secs(60)).await;
        drop(stream);
    })
    .await;
    for impersonate in [true, false] {
        let (error, took) = ask(HdfsOptions {
            impersonate,
            ..options.clone()
        })
        .await;
        assert_eq!(error.kind, ErrorKind::TimedOut, "{error:?}");
        assert!(took < Duration::from_secs(10), "{took:?}");
        assert!(!error.message.contains("hadoop.proxyuser"), "{error:?}");
    }
}

#[tokio::test]
async fn one_that_hangs_up_is_unavailable_or_refuses_the_impersonation() {
    let options = namenode(|stream| async move { drop(stream) }).await;
    let (error, took) = ask(options).await;
    assert!(error.is_transient(), "{error:?}");
    assert!(took < Duration::from_secs(10), "{took:?}");
}

#[tokio::test]
async fn one_that_is_not_there_is_unavailable() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let (error, took) = ask(HdfsOptions::new(format!("hdfs://127.0.0.1:{port}"))).await;
    assert_eq!(error.kind, ErrorKind::Unavailable, "{error:?}");
    assert!(took < Duration::from_secs(10), "{took:?}");
}

#[tokio::test]
async fn a_mount_that_names_no_namenode_is_refused_at_once() {
    for url in [
        "http://host:1",
        "host:1",
        "",
        "hdfs://",
        "hdfs://a-name-without-configuration",
    ] {
        assert_kind(HdfsStore::open(HdfsOptions::new(url)), ErrorKind::Invalid);
    }
}

#[test]
fn a_store_wants_a_runtime() {
    let options = HdfsOptions::new("hdfs://127.0.0.1:1");
    assert_kind(HdfsStore::open(options), ErrorKind::Invalid);
}

#[tokio::test]
async fn a_store_can_be_shared() {
    let options = HdfsOptions::new("hdfs://127.0.0.1:1");
    let store: Arc<dyn Backend> = Arc::new(HdfsStore::open(options).unwrap());
    assert_eq!(store.kind(), "hdfs");
    assert_kind(
        store.truncate(&Caller::new("a"), "/x", 1).await,
        ErrorKind::Unsupported,
    );
}
