//! Listing and counting.

use futures::future::join_all;

use super::bench::{Bench, assert_kind};
use crate::backend::ErrorKind;

/// In an order that differs from the alphabet's, from that of UTF-16, and from that of signed bytes.
const NAMES: [&str; 12] = [
    " space",
    "-",
    "A",
    "B",
    "_",
    "a",
    "a-",
    "a.b",
    "b",
    "é",
    "\u{ff5e}",
    "\u{1f600}",
];

/// Files and folders alike.
pub async fn a_listing_is_in_the_order_of_bytes(bench: &Bench) {
    make_names(bench).await;
    assert_eq!(bench.names("").await, NAMES);
    let listing = bench.list("", None, 100).await.unwrap();
    for (i, entry) in listing.entries.iter().enumerate() {
        assert_eq!(entry.is_dir(), is_folder(i), "{entry:?}");
        assert_eq!(entry.len, if is_folder(i) { 0 } else { i as u64 });
    }
}

async fn make_names(bench: &Bench) {
    let made = NAMES.iter().enumerate().map(|(i, name)| async move {
        if is_folder(i) {
            bench.put(&format!("{name}/inside"), b"inside").await;
        } else {
            bench.put(name, &vec![0; i]).await;
        }
    });
    join_all(made).await;
}

const fn is_folder(i: usize) -> bool {
    i % 3 == 1
}

/// Pages join to the whole, and `after` need not be there.
pub async fn a_listing_is_had_in_pages_of_any_size(bench: &Bench) {
    make_names(bench).await;
    for limit in [1, 2, 5, 11, 12, 13] {
        let mut names: Vec<String> = Vec::new();
        loop {
            let page = bench
                .list("", names.last().map(String::as_str), limit)
                .await;
            let page = page.unwrap();
            assert!(page.entries.len() <= limit);
            names.extend(page.entries.iter().map(|e| e.name.clone()));
            assert_eq!(page.more, names.len() < NAMES.len(), "limit {limit}");
            if !page.more {
                break;
            }
            assert!(!page.entries.is_empty(), "more, but nothing here");
        }
        assert_eq!(names, NAMES, "limit {limit}");
    }
    let page = bench.list("", Some("a,"), 2).await.unwrap();
    let names: Vec<_> = page.entries.iter().map(|e| e.name.as_str()).collect();
    assert_eq!(
        (names.as_slice(), page.more),
        (["a-", "a.b"].as_slice(), true)
    );
    let beyond = bench.list("", Some("\u{1f600}"), 2).await.unwrap();
    assert!(beyond.entries.is_empty() && !beyond.more);
}

/// Alone, with an empty name.
pub async fn a_file_is_listed_as_itself(bench: &Bench) {
    bench.put("file", b"12345").await;
    let listing = bench.list("file", None, 10).await.unwrap();
    let seen: Vec<_> = listing
        .entries
        .iter()
        .map(|e| (e.name.as_str(), e.len))
        .collect();
    assert_eq!(seen, [("", 5)]);
    assert!(!listing.more);
    bench.make_dir("empty").await;
    assert_eq!(bench.names("empty").await, [""; 0]);
}

/// Nor what is gone.
pub async fn what_is_not_there_cannot_be_listed(bench: &Bench) {
    assert_kind(bench.list("nothing", None, 10).await, ErrorKind::NotFound);
    bench.put("folder/file", b"x").await;
    bench.delete("folder", true).await.unwrap();
    assert_kind(bench.list("folder", None, 10).await, ErrorKind::NotFound);
}

/// Of folders within folders, and of one file.
pub async fn a_summary_counts_what_is_below(bench: &Bench) {
    bench.put("a/one", &[1; 1000]).await;
    bench.put("a/b/two", &[2; 70_000]).await;
    bench.put("a/b/three", &[]).await;
    bench.make_dir("a/empty").await;
    let summary = |name: &str| {
        let path = bench.path(name);
        async move { bench.backend.summary(&bench.caller, &path).await }
    };
    let tree = summary("a").await.unwrap();
    assert_eq!((tree.files, tree.directories, tree.len), (3, 3, 71_000));
    let file = summary("a/b/two").await.unwrap();
    assert_eq!((file.files, file.directories, file.len), (1, 0, 70_000));
    assert!(file.space_bytes >= 70_000);
    assert_kind(summary("nothing").await, ErrorKind::NotFound);
}
