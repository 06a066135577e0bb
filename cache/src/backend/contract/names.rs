//! Names, and what changes them.

use super::bench::{Bench, assert_kind, assert_kind_in};
use crate::backend::{Change, ErrorKind, RenameMode};

/// Of every script, and with what means something in URLs, shells, XML and globs.
pub async fn odd_names_are_kept(bench: &Bench) {
    let mut names = vec![
        "a b",
        " lead",
        "trail ",
        "100%",
        "%2F",
        "a+b",
        "q?x=1&y=2",
        "#hash",
        "semi;colon",
        "[x]*{y}",
        "'single' \"double\"",
        "back\\slash",
        "<tag>&amp;",
        "~",
        "...",
        ".hidden",
        "日本語",
        "Ünïcödé",
        "e\u{301}",
        "\u{1f600}",
        "-rf",
        "=x",
        "$HOME",
        "tab\tin",
    ];
    for name in &names {
        bench
            .put(&format!("folder {name}/{name}"), name.as_bytes())
            .await;
        bench.put(name, name.as_bytes()).await;
    }
    for name in &names {
        assert_eq!(bench.get(name).await.unwrap(), name.as_bytes(), "{name:?}");
        assert_eq!(bench.names(&format!("folder {name}")).await, [*name]);
    }
    names.sort_unstable();
    let listed = bench.names("").await;
    let listed: Vec<_> = listed
        .iter()
        .filter(|name| !name.starts_with("folder "))
        .collect();
    assert_eq!(listed, names.iter().collect::<Vec<_>>());
}

/// Once and again.
pub async fn folders_are_made_with_their_parents(bench: &Bench) {
    bench.make_dir("a/b/c").await;
    bench.make_dir("a/b/c").await;
    bench.make_dir("a").await;
    for name in ["a", "a/b", "a/b/c"] {
        assert!(bench.status(name).await.unwrap().is_dir(), "{name}");
    }
    assert_eq!(bench.names("a").await, ["b"]);
    assert!(bench.status("").await.unwrap().is_dir());
}

/// No folder is made of a file, nor below one.
pub async fn a_file_is_no_folder(bench: &Bench) {
    bench.put("file", b"x").await;
    let make = |name: &str| {
        let path = bench.path(name);
        async move { bench.backend.make_dirs(&bench.caller, &path, 0o755).await }
    };
    assert_kind(make("file").await, ErrorKind::AlreadyExists);
    if bench.features.real_folders {
        assert_kind(make("file/a/b").await, ErrorKind::NotADirectory);
    }
    assert_eq!(bench.get("file").await.unwrap(), b"x");
}

/// Files, and folders with all that is in them.
pub async fn rename_moves(bench: &Bench) {
    for mode in [RenameMode::Into, RenameMode::NoReplace, RenameMode::Replace] {
        bench.put("file", b"content").await;
        bench.rename("file", "moved", mode).await.unwrap();
        assert!(!bench.is_there("file").await);
        assert_eq!(bench.get("moved").await.unwrap(), b"content");
        bench.delete("moved", false).await.unwrap();

        bench.put("from/a/b", b"deep").await;
        bench.put("from/c", b"flat").await;
        bench.make_dir("from/empty").await;
        bench.rename("from", "to", mode).await.unwrap();
        assert!(!bench.is_there("from").await);
        assert_eq!(bench.names("to").await, ["a", "c", "empty"]);
        assert_eq!(bench.get("to/a/b").await.unwrap(), b"deep");
        bench.delete("to", true).await.unwrap();
    }
}

/// As `mv` and HDFS's first rename have it.
pub async fn rename_into_a_folder(bench: &Bench) {
    bench.make_dir("folder").await;
    bench.put("file", b"1").await;
    bench
        .rename("file", "folder", RenameMode::Into)
        .await
        .unwrap();
    assert_eq!(bench.get("folder/file").await.unwrap(), b"1");
    bench.put("file", b"2").await;
    let again = bench.rename("file", "folder", RenameMode::Into).await;
    assert_kind(again, ErrorKind::AlreadyExists);
    bench.put("other", b"3").await;
    let onto_a_file = bench.rename("file", "other", RenameMode::Into).await;
    assert_kind(onto_a_file, ErrorKind::AlreadyExists);
    bench.put("sub/x", b"4").await;
    bench
        .rename("sub", "folder", RenameMode::Into)
        .await
        .unwrap();
    assert_eq!(bench.get("folder/sub/x").await.unwrap(), b"4");
    assert_eq!(bench.get("file").await.unwrap(), b"2");
    assert_eq!(bench.get("folder/file").await.unwrap(), b"1");
}

/// A file and a folder as target.
pub async fn rename_does_not_replace_unasked(bench: &Bench) {
    bench.put("a", b"a").await;
    bench.put("b", b"b").await;
    bench.make_dir("folder").await;
    for target in ["b", "folder", "a"] {
        let refused = bench.rename("a", target, RenameMode::NoReplace).await;
        assert_kind(refused, ErrorKind::AlreadyExists);
    }
    assert_eq!(bench.get("a").await.unwrap(), b"a");
    assert_eq!(bench.get("b").await.unwrap(), b"b");
}

/// A file by a file, an empty folder by a folder, and nothing else.
pub async fn rename_replaces_if_asked(bench: &Bench) {
    let replace = |from, to| bench.rename(from, to, RenameMode::Replace);
    bench.put("a", b"a").await;
    bench.put("b", b"bb").await;
    replace("a", "b").await.unwrap();
    assert_eq!(bench.get("b").await.unwrap(), b"a");
    assert!(!bench.is_there("a").await);

    bench.put("from/x", b"x").await;
    bench.make_dir("empty").await;
    replace("from", "empty").await.unwrap();
    assert_eq!(bench.get("empty/x").await.unwrap(), b"x");

    bench.put("full/y", b"y").await;
    assert_kind(replace("empty", "full").await, ErrorKind::NotEmpty);
    assert_kind(replace("b", "full").await, ErrorKind::IsADirectory);
    assert_kind(replace("full", "b").await, ErrorKind::NotADirectory);
    assert_eq!(bench.get("full/y").await.unwrap(), b"y");
    assert_eq!(bench.get("b").await.unwrap(), b"a");
}

/// What is not there, and a folder into itself.
pub async fn rename_refuses_what_makes_no_sense(bench: &Bench) {
    bench.put("folder/file", b"x").await;
    for mode in [RenameMode::Into, RenameMode::NoReplace, RenameMode::Replace] {
        assert_kind(
            bench.rename("nothing", "to", mode).await,
            ErrorKind::NotFound,
        );
        let into_itself = bench.rename("folder", "folder/below", mode).await;
        assert_kind(into_itself, ErrorKind::Invalid);
        if bench.features.real_folders {
            let no_parent = bench.rename("folder", "no/parent", mode).await;
            assert_kind(no_parent, ErrorKind::NotFound);
            let below_a_file = bench.rename("folder", "folder/file/x", mode).await;
            let kinds = [ErrorKind::Invalid, ErrorKind::NotADirectory];
            assert_kind_in(below_a_file, &kinds);
        }
    }
    let itself = bench.rename("folder", "folder", RenameMode::Into).await;
    assert_kind(itself, ErrorKind::Invalid);
    bench
        .rename("folder/file", "folder/file", RenameMode::Into)
        .await
        .unwrap();
    assert_eq!(bench.get("folder/file").await.unwrap(), b"x");
}

/// Files, empty folders, and full ones only with `recursive`.
pub async fn delete_takes_what_is_meant(bench: &Bench) {
    assert!(!bench.delete("nothing", false).await.unwrap());
    assert!(!bench.delete("nothing", true).await.unwrap());
    bench.put("a/b/file", b"x").await;
    bench.put("ab", b"a neighbour").await;
    bench.make_dir("empty").await;
    assert_kind(bench.delete("a", false).await, ErrorKind::NotEmpty);
    assert_eq!(bench.get("a/b/file").await.unwrap(), b"x");
    assert!(bench.delete("empty", false).await.unwrap());
    assert!(bench.delete("a/b/file", false).await.unwrap());
    assert!(
        bench.status("a/b").await.unwrap().is_dir(),
        "a folder outlives its last file"
    );
    bench.put("a/c/file", b"y").await;
    assert!(bench.delete("a", true).await.unwrap());
    assert_eq!(bench.names("").await, ["ab"]);
    assert!(!bench.delete("a", true).await.unwrap());
}

/// Permissions and times, where they are kept.
pub async fn attributes_change(bench: &Bench) {
    bench.put("file", b"x").await;
    bench.make_dir("folder").await;
    let change = |name: &str, change: Change| {
        let path = bench.path(name);
        async move { bench.backend.change(&bench.caller, &path, &change).await }
    };
    if !bench.features.attributes {
        let refused = change("file", Change::Permission(0o600)).await;
        return assert_kind(refused, ErrorKind::Unsupported);
    }
    change("file", Change::Permission(0o640)).await.unwrap();
    change("folder", Change::Permission(0o1777)).await.unwrap();
    let times = Change::Times {
        modified_ms: Some(1_600_000_000_123),
        accessed_ms: None,
    };
    change("file", times).await.unwrap();
    let file = bench.status("file").await.unwrap();
    assert_eq!(file.permission, 0o640);
    assert_eq!(file.modified_ms, 1_600_000_000_123);
    assert_eq!(bench.status("folder").await.unwrap().permission, 0o1777);
    let missing = change("nothing", Change::Permission(0o600)).await;
    assert_kind(missing, ErrorKind::NotFound);
}
