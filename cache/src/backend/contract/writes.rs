//! Writing.

use bytes::Bytes;

use super::bench::{Bench, assert_kind, assert_kind_in, payload};
use crate::backend::{CreateOptions, ErrorKind};

/// Without `overwrite`.
pub async fn a_file_is_not_replaced_unasked(bench: &Bench) {
    let options = CreateOptions::default();
    bench.try_put("file", b"first", &options).await.unwrap();
    let second = bench.try_put("file", b"second", &options).await;
    assert_kind(second, ErrorKind::AlreadyExists);
    assert_eq!(bench.get("file").await.unwrap(), b"first");
}

/// With `overwrite`, by a longer and by a shorter one.
pub async fn a_file_is_replaced_if_asked(bench: &Bench) {
    for data in [b"first".as_slice(), b"the second one", b"3"] {
        bench.put("file", data).await;
        assert_eq!(bench.get("file").await.unwrap(), data);
    }
    assert_eq!(bench.names("").await, ["file"]);
}

/// With `create_parents`, and without it not.
pub async fn parents_are_made_if_asked(bench: &Bench) {
    let with = CreateOptions::default();
    bench.try_put("a/b/file", b"x", &with).await.unwrap();
    assert_eq!(bench.get("a/b/file").await.unwrap(), b"x");
    assert!(bench.status("a/b").await.unwrap().is_dir());
    if !bench.features.real_folders {
        return;
    }
    let without = CreateOptions {
        create_parents: false,
        ..with
    };
    let refused = bench.try_put("c/d/file", b"x", &without).await;
    assert_kind(refused, ErrorKind::NotFound);
    assert!(!bench.is_there("c").await);
    bench.try_put("a/file", b"x", &without).await.unwrap();
}

/// Nor a file a folder.
pub async fn a_folder_is_not_made_a_file(bench: &Bench) {
    bench.put("folder/file", b"kept").await;
    for overwrite in [false, true] {
        let options = CreateOptions {
            overwrite,
            ..CreateOptions::default()
        };
        let refused = bench.try_put("folder", b"x", &options).await;
        assert_kind_in(
            refused,
            &[ErrorKind::IsADirectory, ErrorKind::AlreadyExists],
        );
        if bench.features.real_folders {
            let refused = bench.try_put("folder/file/below", b"x", &options).await;
            assert_kind(refused, ErrorKind::NotADirectory);
        }
    }
    assert_eq!(bench.get("folder/file").await.unwrap(), b"kept");
}

/// Of a new file nothing stays; one that was to be replaced stays where files appear at once.
pub async fn what_is_aborted_is_not_there(bench: &Bench) {
    begin_and_abort(bench, "new").await;
    assert!(!bench.is_there("new").await);
    if bench.features.appears_at_once {
        bench.put("old", b"kept").await;
        begin_and_abort(bench, "old").await;
        assert_eq!(bench.get("old").await.unwrap(), b"kept");
        assert_eq!(bench.names("").await, ["old"]);
    }
}

async fn begin_and_abort(bench: &Bench, name: &str) {
    let options = CreateOptions {
        overwrite: true,
        ..CreateOptions::default()
    };
    let path = bench.path(name);
    let created = bench.backend.create(&bench.caller, &path, &options).await;
    let mut writer = created.unwrap();
    let written = writer.write(payload(1, 700_000).into()).await;
    written.unwrap();
    if bench.features.appears_at_once {
        let names = bench.names("").await;
        let before = usize::from(name == "old");
        assert_eq!(names.len(), before, "{names:?}");
    }
    writer.abort().await;
}

/// What was synced can be seen while more is written, where the store shows that, and is left by an abort, where it can do that at all: as it
/// can append.
pub async fn what_is_synced_stays(bench: &Bench) {
    for (name, is_finished) in [("finished", true), ("aborted", false)] {
        let (path, options) = (bench.path(name), CreateOptions::default());
        let created = bench.backend.create(&bench.caller, &path, &options).await;
        let mut writer = created.unwrap();
        writer.write(payload(1, 70_001).into()).await.unwrap();
        writer.sync().await.unwrap();
        if bench.features.reads_what_is_synced {
            assert!(bench.get(name).await.unwrap() == payload(1, 70_001));
        }
        writer.write(payload(2, 3000).into()).await.unwrap();
        if is_finished {
            writer.sync().await.unwrap();
            writer.finish().await.unwrap();
            let whole = [payload(1, 70_001), payload(2, 3000)].concat();
            assert!(bench.get(name).await.unwrap() == whole);
        } else {
            writer.abort().await;
            assert_eq!(bench.is_there(name).await, bench.features.append);
        }
    }
}

/// Pieces of every size, up to more than ten megabytes: several parts of a multipart upload, and several small blocks.
pub async fn small_pieces_make_a_large_file(bench: &Bench) {
    let data = Bytes::from(payload(3, 18_000_001));
    let options = CreateOptions {
        block_bytes: Some(1 << 20),
        ..CreateOptions::default()
    };
    let path = bench.path("large");
    let created = bench.backend.create(&bench.caller, &path, &options).await;
    let mut writer = created.unwrap();
    let (mut start, mut len) = (0, 1);
    while start < data.len() {
        let end = data.len().min(start + len);
        writer.write(data.slice(start..end)).await.unwrap();
        (start, len) = (end, len * 3 % 1_000_003 + 1);
    }
    writer.finish().await.unwrap();
    assert!(bench.get("large").await.unwrap() == data);
}

/// To an empty file and to one that is not, several times.
pub async fn append_adds_to_the_end(bench: &Bench) {
    bench.put("file", b"").await;
    let mut want = Vec::new();
    for (seed, len) in [3, 70_000, 1, 513].into_iter().enumerate() {
        let data = payload(seed as u64, len);
        let path = bench.path("file");
        let appended = bench.backend.append(&bench.caller, &path).await;
        if !bench.features.append {
            return assert_kind(appended, ErrorKind::Unsupported);
        }
        let mut writer = appended.unwrap();
        writer.write(data.clone().into()).await.unwrap();
        writer.finish().await.unwrap();
        want.extend_from_slice(&data);
        assert!(bench.get("file").await.unwrap() == want);
    }
    let (backend, nothing) = (&bench.backend, bench.path("nothing"));
    let refused = backend.append(&bench.caller, &nothing).await;
    assert_kind(refused, ErrorKind::NotFound);
}

/// To a shorter length and to nothing, never to a longer one.
pub async fn truncate_cuts(bench: &Bench) {
    let data = payload(4, 100_000);
    bench.put("file", &data).await;
    let path = bench.path("file");
    let truncate = |len| bench.backend.truncate(&bench.caller, &path, len);
    if !bench.features.truncate {
        return assert_kind(truncate(1).await, ErrorKind::Unsupported);
    }
    for len in [100_000, 65_537, 1, 0] {
        truncate(len as u64).await.unwrap();
        assert!(bench.get("file").await.unwrap() == data[..len]);
    }
    assert_kind(truncate(1).await, ErrorKind::Invalid);
}

/// In the order that was given; the sources are gone.
pub async fn concat_joins(bench: &Bench) {
    for name in ["a", "b", "c"] {
        bench.put(name, name.repeat(1000).as_bytes()).await;
    }
    let sources = [bench.path("c"), bench.path("b")];
    let (backend, path) = (&bench.backend, bench.path("a"));
    let done = backend.concat(&bench.caller, &path, &sources).await;
    if !bench.features.concat {
        return assert_kind(done, ErrorKind::Unsupported);
    }
    done.unwrap();
    let want = ["a", "c", "b"].map(|name| name.repeat(1000)).concat();
    assert_eq!(bench.get("a").await.unwrap(), want.as_bytes());
    assert_eq!(bench.names("").await, ["a"]);
    let refused = backend.concat(&bench.caller, &path, &sources).await;
    assert_kind(refused, ErrorKind::NotFound);
    assert_eq!(bench.get("a").await.unwrap(), want.as_bytes());
}
