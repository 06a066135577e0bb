//! A file that changes while it is read: its old bytes whole, or an error, and never a mixture.

use futures::StreamExt;

use super::bench::{Bench, payload};
use crate::backend::{BackendError, ByteStream, CreateOptions, ErrorKind, RenameMode};

/// Large enough that no store's buffers hold all of it.
const LEN: usize = 24 << 20;
/// Several blocks, of a store that has them.
const BLOCK_BYTES: u64 = 4 << 20;

async fn begun(bench: &Bench, data: &[u8]) -> (ByteStream, Vec<u8>) {
    let options = CreateOptions {
        block_bytes: Some(BLOCK_BYTES),
        ..CreateOptions::default()
    };
    bench.try_put("file", data, &options).await.unwrap();
    let file = bench.open("file").await.unwrap();
    let mut stream = file.read(0..LEN as u64).await.unwrap();
    let first = stream.next().await.unwrap().unwrap();
    (stream, first.to_vec())
}

async fn rest(mut stream: ByteStream, mut got: Vec<u8>) -> Result<Vec<u8>, BackendError> {
    while let Some(piece) = stream.next().await {
        got.extend_from_slice(&piece?);
    }
    Ok(got)
}

fn assert_not_mixed(got: Result<Vec<u8>, BackendError>, old: &[u8]) {
    match got {
        Ok(got) => assert!(got == old, "a mixture, or cut short: {} bytes", got.len()),
        Err(error) => assert!(
            matches!(error.kind, ErrorKind::Changed | ErrorKind::NotFound),
            "{error:?}"
        ),
    }
}

/// By another of the same length.
pub async fn a_file_overwritten_is_not_mixed(bench: &Bench) {
    let (old, new) = (payload(1, LEN), payload(2, LEN));
    let (stream, first) = begun(bench, &old).await;
    bench.put("file", &new).await;
    assert_not_mixed(rest(stream, first).await, &old);
    assert!(bench.get("file").await.unwrap() == new);
}

/// Deleted.
pub async fn a_file_deleted_is_not_mixed(bench: &Bench) {
    let old = payload(3, LEN);
    let (stream, first) = begun(bench, &old).await;
    assert!(bench.delete("file", false).await.unwrap());
    assert_not_mixed(rest(stream, first).await, &old);
}

/// Another one takes its name.
pub async fn a_file_replaced_by_rename_is_not_mixed(bench: &Bench) {
    let (old, new) = (payload(4, LEN), payload(5, LEN));
    bench.put("other", &new).await;
    let (stream, first) = begun(bench, &old).await;
    bench
        .rename("other", "file", RenameMode::Replace)
        .await
        .unwrap();
    assert_not_mixed(rest(stream, first).await, &old);
    assert!(bench.get("file").await.unwrap() == new);
}

/// Cut in the middle.
pub async fn a_file_truncated_is_not_mixed(bench: &Bench) {
    if !bench.features.truncate {
        return;
    }
    let old = payload(6, LEN);
    let (stream, first) = begun(bench, &old).await;
    let path = bench.path("file");
    let cut = bench
        .backend
        .truncate(&bench.caller, &path, 5_000_000)
        .await;
    cut.unwrap();
    assert_not_mixed(rest(stream, first).await, &old);
}

/// Grown: what was there is still the same, so that both are right.
pub async fn a_file_appended_to_is_not_mixed(bench: &Bench) {
    if !bench.features.append {
        return;
    }
    let old = payload(7, LEN);
    let (stream, first) = begun(bench, &old).await;
    let path = bench.path("file");
    let mut writer = bench.backend.append(&bench.caller, &path).await.unwrap();
    writer.write(b"more".as_slice().into()).await.unwrap();
    writer.finish().await.unwrap();
    assert_not_mixed(rest(stream, first).await, &old);
}
