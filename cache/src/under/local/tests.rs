//! The contract, and what is a local folder's own.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::sync::Arc;

use proptest::prelude::*;
use tempfile::TempDir;

use super::root::Root;
use super::{LocalStore, Shared, WRITING_PREFIX};
use crate::backend::contract::bench::{assert_kind, read};
use crate::backend::contract::{Bench, Features};
use crate::backend::{Backend, Caller, Change, CreateOptions, ErrorKind, Freshness};

async fn bench() -> Bench {
    let (folder, store) = store();
    Bench::new(Arc::new(store), Features::ALL)
        .await
        .holding(folder)
}

crate::contract_tests!(bench);

fn store() -> (TempDir, LocalStore) {
    let folder = tempfile::tempdir().unwrap();
    let store = LocalStore::open(folder.path()).unwrap();
    (folder, store)
}

/// As on a kernel without `openat2`.
fn old_store() -> (TempDir, LocalStore) {
    let (folder, store) = store();
    let root = Root::open(folder.path()).unwrap().without_openat2();
    let owners = super::Owners::read();
    let shared = Arc::new(Shared { root, owners });
    (folder, LocalStore { shared, ..store })
}

fn me() -> Caller {
    Caller::new("me")
}

/// A file and a folder beyond the root, with links to them.
fn with_links_out() -> (TempDir, LocalStore) {
    let outer = tempfile::tempdir().unwrap();
    fs::write(outer.path().join("secret"), "secret").unwrap();
    fs::create_dir(outer.path().join("root")).unwrap();
    let root = outer.path().join("root");
    symlink("../secret", root.join("relative")).unwrap();
    symlink(outer.path().join("secret"), root.join("absolute")).unwrap();
    symlink("..", root.join("up")).unwrap();
    let store = LocalStore::open(&root).unwrap();
    (outer, store)
}

#[tokio::test]
async fn links_lead_nowhere_outside() {
    let (outer, store) = with_links_out();
    for path in [
        "/relative",
        "/absolute",
        "/up",
        "/up/secret",
        "/up/root/relative",
    ] {
        assert_kind(
            store.open(&me(), path, Freshness::Now).await,
            ErrorKind::PermissionDenied,
        );
        let status = store.status(&me(), path, Freshness::Now).await;
        assert_kind(status, ErrorKind::PermissionDenied);
        let changed = store.change(&me(), path, &Change::Permission(0)).await;
        assert_kind(changed, ErrorKind::PermissionDenied);
    }
    let options = CreateOptions::default();
    let created = store.create(&me(), "/up/new", &options).await;
    assert_kind(created, ErrorKind::PermissionDenied);
    let deleted = store.delete(&me(), "/up/secret", true).await;
    assert_kind(deleted, ErrorKind::PermissionDenied);
    let listing = store.list(&me(), "/", None, 10, Freshness::Now).await;
    assert!(listing.unwrap().entries.is_empty());
    // The link goes, and not what it leads to.
    assert!(store.delete(&me(), "/up", true).await.unwrap());
    assert_eq!(fs::read(outer.path().join("secret")).unwrap(), b"secret");
}

#[tokio::test]
async fn links_within_the_root_are_followed() {
    let (folder, store) = store();
    fs::create_dir(folder.path().join("blobs")).unwrap();
    fs::write(folder.path().join("blobs/1"), "content").unwrap();
    symlink("blobs/1", folder.path().join("link")).unwrap();
    let file = store.open(&me(), "/link", Freshness::Now).await.unwrap();
    assert_eq!(read(&*file, 0..100).await.unwrap(), b"content");
    let listing = store.list(&me(), "/", None, 10, Freshness::Now).await;
    let names: Vec<_> = listing
        .unwrap()
        .entries
        .iter()
        .map(|e| (e.name.clone(), e.len))
        .collect();
    assert_eq!(names, [("blobs".to_owned(), 0), ("link".to_owned(), 7)]);
}

#[tokio::test]
async fn without_openat2_links_are_not_followed_and_all_else_is_the_same() {
    let (folder, store) = old_store();
    let bench = Bench::new(Arc::new(store.clone()), Features::ALL).await;
    crate::backend::contract::names::rename_moves(&bench).await;
    crate::backend::contract::names::odd_names_are_kept(&bench).await;
    fs::write(folder.path().join("file"), "x").unwrap();
    symlink("file", folder.path().join("link")).unwrap();
    symlink("..", folder.path().join("up")).unwrap();
    for path in ["/link", "/up", "/up/x"] {
        let refused = store.open(&me(), path, Freshness::Now).await;
        assert_kind(refused, ErrorKind::PermissionDenied);
    }
    let below_a_file = store.status(&me(), "/file/x", Freshness::Now).await;
    assert_kind(below_a_file, ErrorKind::NotADirectory);
}

#[tokio::test]
async fn a_rewrite_in_the_same_millisecond_is_another_version() {
    let (folder, store) = store();
    let path = folder.path().join("file");
    let mut versions = std::collections::HashSet::new();
    for i in 0..60_u8 {
        fs::write(&path, [i]).unwrap();
        let status = store.status(&me(), "/file", Freshness::Now).await.unwrap();
        assert!(
            versions.insert(status.version()),
            "{status:?} was seen before"
        );
    }
}

#[tokio::test]
async fn a_change_that_sets_the_time_back_is_seen() {
    let (folder, store) = store();
    let path = folder.path().join("file");
    fs::write(&path, "one").unwrap();
    let file = store.open(&me(), "/file", Freshness::Now).await.unwrap();
    let before = fs::metadata(&path).unwrap().modified().unwrap();
    fs::write(&path, "two").unwrap();
    fs::File::options()
        .write(true)
        .open(&path)
        .unwrap()
        .set_modified(before)
        .unwrap();
    assert_kind(read(&*file, 0..3).await, ErrorKind::Changed);
    let status = store.status(&me(), "/file", Freshness::Now).await.unwrap();
    assert_eq!(status.modified_ms, file.status().modified_ms);
    assert_ne!(status.version(), file.status().version());
}

#[tokio::test]
async fn what_a_killed_writer_left_is_hidden_and_in_nobodys_way() {
    let (folder, store) = store();
    let left = format!("{WRITING_PREFIX}1.2.3");
    fs::create_dir(folder.path().join("folder")).unwrap();
    fs::write(folder.path().join("folder").join(&left), "half").unwrap();
    let listing = store.list(&me(), "/folder", None, 10, Freshness::Now).await;
    assert!(listing.unwrap().entries.is_empty());
    assert_eq!(store.summary(&me(), "/folder").await.unwrap().files, 0);
    let asked = store
        .status(&me(), &format!("/folder/{left}"), Freshness::Now)
        .await;
    assert_kind(asked, ErrorKind::Invalid);
    assert!(store.delete(&me(), "/folder", false).await.unwrap());
}

#[tokio::test]
async fn a_writer_that_is_dropped_leaves_nothing() {
    let (folder, store) = store();
    let options = CreateOptions::default();
    let mut writer = store.create(&me(), "/file", &options).await.unwrap();
    writer.write(vec![0; 1 << 20].into()).await.unwrap();
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    drop(writer);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn of_two_writers_the_first_to_finish_has_the_name() {
    let (_folder, store) = store();
    let options = CreateOptions::default();
    let mut first = store.create(&me(), "/file", &options).await.unwrap();
    let mut second = store.create(&me(), "/file", &options).await.unwrap();
    first.write(b"first".as_slice().into()).await.unwrap();
    second.write(b"second".as_slice().into()).await.unwrap();
    second.finish().await.unwrap();
    assert_kind(first.finish().await, ErrorKind::AlreadyExists);
    let file = store.open(&me(), "/file", Freshness::Now).await.unwrap();
    assert_eq!(read(&*file, 0..9).await.unwrap(), b"second");
}

#[tokio::test]
async fn permissions_are_exactly_those_asked_for() {
    let (folder, store) = store();
    let options = CreateOptions {
        permission: 0o666,
        ..CreateOptions::default()
    };
    store
        .create(&me(), "/file", &options)
        .await
        .unwrap()
        .finish()
        .await
        .unwrap();
    store.make_dirs(&me(), "/folder", 0o777).await.unwrap();
    for (name, want) in [("file", 0o666), ("folder", 0o777)] {
        let mode = fs::metadata(folder.path().join(name))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o7777, want, "{name}");
    }
}

#[tokio::test]
async fn a_pipe_is_not_waited_for() {
    let (folder, store) = store();
    let made = std::process::Command::new("mkfifo")
        .arg(folder.path().join("pipe"))
        .status();
    assert!(made.unwrap().success());
    let refused = store.open(&me(), "/pipe", Freshness::Now).await;
    assert_kind(refused, ErrorKind::Unsupported);
    let listing = store.list(&me(), "/", None, 10, Freshness::Now).await;
    assert!(listing.unwrap().entries.is_empty());
}

#[test]
fn a_root_that_is_not_there_or_no_folder_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("file"), "").unwrap();
    assert_kind(
        LocalStore::open(folder.path().join("none")),
        ErrorKind::NotFound,
    );
    assert_kind(
        LocalStore::open(folder.path().join("file")),
        ErrorKind::NotADirectory,
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever a path is made of, nothing beside the root is made, changed or seen.
    #[test]
    fn no_path_leaves_the_root(path in "(/|\\.\\.|\\.|a|up|secret|relative|\u{0}| ){0,12}") {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let (outer, store) = with_links_out();
            let options = CreateOptions { overwrite: true, ..CreateOptions::default() };
            if let Ok(mut writer) = store.create(&me(), &path, &options).await {
                writer.write(b"mine".as_slice().into()).await.unwrap();
                let _ = writer.finish().await;
            }
            if let Ok(file) = store.open(&me(), &path, Freshness::Now).await {
                assert_eq!(read(&*file, 0..10).await.unwrap(), b"mine");
            }
            let _ = store.make_dirs(&me(), &path, 0o755).await;
            let _ = store.rename(&me(), &path, "/moved", crate::RenameMode::Replace).await;
            let _ = store.delete(&me(), &path, true).await;
            let mut beside: Vec<_> = fs::read_dir(outer.path()).unwrap()
                .map(|entry| entry.unwrap().file_name()).collect();
            beside.sort();
            assert_eq!(beside, ["root", "secret"]);
            assert_eq!(fs::read(outer.path().join("secret")).unwrap(), b"secret");
        });
    }

    /// Pages of any size from any place are the sorted names.
    #[test]
    fn pages_join_to_the_sorted_names(names in proptest::collection::hash_set("[a-cß. -]{1,3}", 0..20), limit in 1_usize..8) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let (folder, store) = store();
            let mut want: Vec<String> = names.into_iter().filter(|name| name != "." && name != "..").collect();
            want.sort();
            for name in &want {
                fs::write(folder.path().join(name), "").unwrap();
            }
            let mut got: Vec<String> = Vec::new();
            loop {
                let page = store.list(&me(), "/", got.last().map(String::as_str), limit, Freshness::Now).await.unwrap();
                got.extend(page.entries.iter().map(|entry| entry.name.clone()));
                if !page.more {
                    break;
                }
            }
            assert_eq!(got, want);
        });
    }
}
