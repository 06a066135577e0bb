//! Reading.

use futures::future::join_all;

use super::bench::{Bench, assert_kind, assert_kind_in, payload, read};
use crate::backend::{ErrorKind, FileKind};

/// Whole files, of lengths at which chunks, packets and blocks end.
pub async fn a_file_is_read_as_it_was_written(bench: &Bench) {
    for (seed, len) in [0, 1, 511, 512, 513, 65_536, 65_537, 1_048_577, 3_000_000]
        .into_iter()
        .enumerate()
    {
        let data = payload(seed as u64, len);
        bench.put("file", &data).await;
        let status = bench.status("file").await.unwrap();
        assert_eq!((status.kind, status.len), (FileKind::File, len as u64));
        assert_eq!(status.name, "");
        assert!(status.modified_ms > 1_500_000_000_000, "{status:?}");
        assert!(bench.get("file").await.unwrap() == data, "{len} bytes");
    }
}

/// A range ends where the file ends, and one beyond it is empty.
pub async fn ranges_are_cut_to_the_length(bench: &Bench) {
    let data = payload(1, 200_000);
    bench.put("file", &data).await;
    let file = bench.open("file").await.unwrap();
    for range in [
        0..0,
        0..1,
        7..7,
        511..513,
        65_535..131_073,
        199_999..200_000,
        199_999..300_000,
        200_000..200_001,
        200_001..200_002,
        100_000..u64::MAX,
        0..u64::MAX,
        u64::MAX - 1..u64::MAX,
    ] {
        let cut = |at: u64| usize::try_from(at.min(200_000)).unwrap();
        let want = &data[cut(range.start)..cut(range.end)];
        let got = read(&*file, range.clone()).await.unwrap();
        assert!(got == want, "{range:?}: {} bytes", got.len());
    }
}

/// Ranges of one open file at once, overlapping.
pub async fn one_open_file_serves_many_readers(bench: &Bench) {
    let data = payload(2, 1_500_000);
    bench.put("file", &data).await;
    let file = bench.open("file").await.unwrap();
    let reads = (0..16_u64).map(|i| {
        let (file, data) = (file.clone(), &data);
        async move {
            let range = i * 70_001..i * 70_001 + 300_000;
            let got = read(&*file, range.clone()).await.unwrap();
            let start = usize::try_from(range.start).unwrap();
            assert!(
                got == data[start..(start + 300_000).min(data.len())],
                "{range:?}"
            );
        }
    });
    join_all(reads).await;
}

/// Folders and nothing at all.
pub async fn what_is_no_file_is_not_opened(bench: &Bench) {
    bench.make_dir("folder").await;
    bench.put("file", b"x").await;
    assert_kind(bench.open("folder").await, ErrorKind::IsADirectory);
    assert_kind(bench.open("nothing").await, ErrorKind::NotFound);
    assert_kind(bench.open("no/thing").await, ErrorKind::NotFound);
    assert_kind(bench.status("nothing").await, ErrorKind::NotFound);
    let below = bench.status("file/below").await;
    assert_kind_in(below, &[ErrorKind::NotFound, ErrorKind::NotADirectory]);
    assert_eq!(
        bench.status("folder").await.unwrap().kind,
        FileKind::Directory
    );
}

/// The same content is the same version in the status, the open file and the listing; another content is another one.
pub async fn versions_agree_wherever_they_are_seen(bench: &Bench) {
    bench.put("file", b"first").await;
    let status = bench.status("file").await.unwrap();
    let file = bench.open("file").await.unwrap();
    assert_eq!(file.status().version(), status.version());
    let listing = bench.list("", None, 10).await.unwrap();
    let listed: Vec<_> = listing.entries.iter().map(|e| e.version()).collect();
    assert_eq!(listed, [status.version()]);
    assert_eq!(
        bench.status("file").await.unwrap().version(),
        status.version()
    );
    bench.put("file", b"another").await;
    assert_ne!(
        bench.status("file").await.unwrap().version(),
        status.version()
    );
}
