//! hdfs-native as client: listings, whole files, ranges, many at once, and files that are replaced under their readers.

use futures::future::join_all;
use moongate_tests::payload;
use rand::Rng as _;

use crate::bed::Bed;

#[test]
fn files_and_ranges_are_read_as_they_are() {
    let bed = Bed::start("ranges");
    let bytes = payload::bytes(4, 3_000_000);
    bed.put("/ranges/file", &bytes);
    let mut random = payload::seeded("ranges over hdfs");
    bed.runtime.block_on(async {
        let listed = |client: std::sync::Arc<hdfs_native::Client>| async move {
            let found = client.list_status("/ranges", true).await.unwrap();
            found
                .into_iter()
                .map(|found| (found.path, found.length, found.owner))
                .collect::<Vec<_>>()
        };
        assert_eq!(
            listed(bed.near.clone()).await,
            listed(bed.far.clone()).await
        );
        let mut file = bed.near.read("/ranges/file").await.unwrap();
        assert!(file.read_bytes(bytes.len()).await.unwrap() == bytes);
        for _ in 0..50 {
            let start = random.random_range(0..bytes.len());
            let len = random.random_range(1..=(bytes.len() - start).min(200_000));
            let got = file.read_range(start, len).await.unwrap();
            assert!(got == bytes[start..start + len], "{len} bytes from {start}");
        }
        let missing = bed.near.read("/ranges/missing").await;
        assert!(
            missing
                .err()
                .unwrap()
                .to_string()
                .contains("/ranges/missing")
        );
    });
}

#[test]
fn a_folder_of_many_names_is_listed_whole() {
    let bed = Bed::start("many");
    bed.runtime.block_on(async {
        let names: Vec<String> = (0..1100).map(|n| format!("/many/{n}")).collect();
        for some in names.chunks(50) {
            join_all(some.iter().map(|name| bed.far.mkdirs(name, 0o755, true))).await;
        }
        let listed = bed.near.list_status("/many", false).await.unwrap();
        let paths: Vec<&str> = listed.iter().map(|found| found.path.as_str()).collect();
        let theirs = bed.far.list_status("/many", false).await.unwrap();
        let theirs: Vec<&str> = theirs.iter().map(|found| found.path.as_str()).collect();
        assert_eq!(paths.len(), 1100);
        assert_eq!(paths, theirs);
    });
}

#[test]
fn five_hundred_readers_at_once() {
    let bed = Bed::start("crowd");
    let bytes = payload::bytes(5, 1_000_000);
    bed.put("/crowd/file", &bytes);
    bed.runtime.block_on(async {
        let read = |_| async {
            let mut file = bed.near.read("/crowd/file").await.unwrap();
            assert!(file.read_bytes(bytes.len()).await.unwrap() == bytes);
        };
        join_all((0..500).map(read)).await;
    });
}

#[test]
fn a_file_that_is_replaced_under_a_reader_is_never_a_mixture() {
    let bed = Bed::start("replaced");
    let (old, new) = (payload::bytes(6, 2_000_000), payload::bytes(7, 2_000_000));
    bed.put("/replaced/file", &old);
    let begun = bed
        .runtime
        .block_on(bed.near.read("/replaced/file"))
        .unwrap();
    bed.put("/replaced/file", &new);
    bed.runtime.block_on(async {
        // What is in the cache is the old file still; what is not is refused.
        if let Ok(got) = begun.read_range(0, old.len()).await {
            assert!(got == old);
        }
        let mut again = bed.near.read("/replaced/file").await.unwrap();
        assert!(again.read_bytes(new.len()).await.unwrap() == new);
    });
}
