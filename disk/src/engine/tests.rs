use super::*;
use crate::{Disk, OpenMode, RealDisk};
use proptest::prelude::*;
use std::future::{Future, poll_fn};
use std::os::fd::{AsRawFd, RawFd};
use std::pin::pin;
use std::task::Poll;
use tempfile::TempDir;
use tokio::task::{JoinSet, yield_now};

fn engines() -> Vec<ReadEngine> {
    // Where the machine forbids io_uring, `Auto` is the pool as well.
    [EngineChoice::Auto, EngineChoice::Threads]
        .map(|choice| ReadEngine::start(choice, 3).unwrap())
        .into()
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .build()
        .unwrap()
}

fn content() -> Vec<u8> {
    (0..300_000_u32).map(|i| (i * 7 % 251) as u8).collect()
}

fn file_with(dir: &TempDir, bytes: &[u8]) -> Arc<dyn DiskFile> {
    let path = dir.path().join("file");
    let file = RealDisk.open(&path, OpenMode::CreateOrTruncate).unwrap();
    file.write_all_at(bytes, 0).unwrap();
    file
}

/// Polls a read once, so that its request is under way, and drops it.
async fn start_and_drop(engine: &ReadEngine, file: Arc<dyn DiskFile>, offset: u64, len: usize) {
    let mut read = pin!(engine.read(file, offset, len));
    poll_fn(|context| {
        let _ = read.as_mut().poll(context);
        Poll::Ready(())
    })
    .await;
}

#[test]
fn concurrent_reads_get_their_own_bytes() {
    let dir = TempDir::new().unwrap();
    let (content, file) = (Arc::new(content()), file_with(&dir, &content()));
    for engine in engines().into_iter().map(Arc::new) {
        runtime().block_on(async {
            let mut reads = JoinSet::new();
            // More than the ring holds and more than the queue holds.
            for i in 0..6000_usize {
                let (engine, file, content) = (engine.clone(), file.clone(), content.clone());
                reads.spawn(async move {
                    let (offset, len) = (i * 31 % 290_000, 1 + i % 9000);
                    let bytes = engine.read(file, offset as u64, len).await.unwrap();
                    assert_eq!(bytes, content[offset..offset + len]);
                });
            }
            while let Some(outcome) = reads.join_next().await {
                outcome.unwrap();
            }
        });
        assert_eq!(engine.queue_len(), 0, "{}", engine.name());
    }
}

#[test]
fn the_end_of_the_file_is_an_error() {
    let dir = TempDir::new().unwrap();
    let file = file_with(&dir, b"0123456789");
    for engine in engines() {
        runtime().block_on(async {
            assert_eq!(engine.read(file.clone(), 4, 6).await.unwrap(), b"456789");
            assert!(engine.read(file.clone(), 50, 0).await.unwrap().is_empty());
            for (offset, len) in [(4, 7), (10, 1), (1 << 40, 5), (u64::MAX, 2)] {
                let error = engine.read(file.clone(), offset, len).await.unwrap_err();
                assert_eq!(
                    error.kind(),
                    io::ErrorKind::UnexpectedEof,
                    "{offset} {error}"
                );
            }
        });
    }
}

/// A descriptor whose reads fail: a directory.
#[derive(Debug)]
struct Unreadable(std::fs::File);

impl DiskFile for Unreadable {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        std::os::unix::fs::FileExt::read_at(&self.0, buf, offset)
    }
    fn write_all_at(&self, _: &[u8], _: u64) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
    fn sync_data(&self) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
    fn set_len(&self, _: u64) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
    fn len(&self) -> io::Result<u64> {
        Ok(0)
    }
    fn reserve(&self, _: u64, _: u64) -> io::Result<()> {
        Ok(())
    }
    fn try_read_now(&self, _: u64, _: usize) -> io::Result<Option<Vec<u8>>> {
        Ok(None)
    }
    fn raw_fd(&self) -> Option<RawFd> {
        Some(self.0.as_raw_fd())
    }
}

#[test]
fn the_disk_s_error_reaches_the_reader() {
    let directory: Arc<dyn DiskFile> = Arc::new(Unreadable(std::fs::File::open("/").unwrap()));
    for engine in engines() {
        let error = runtime()
            .block_on(engine.read(directory.clone(), 0, 10))
            .unwrap_err();
        assert_eq!(
            error.kind(),
            io::ErrorKind::IsADirectory,
            "{}",
            engine.name()
        );
    }
}

#[test]
fn a_length_that_no_memory_holds_is_an_error() {
    let dir = TempDir::new().unwrap();
    let file = file_with(&dir, b"x");
    for engine in engines() {
        let error = runtime()
            .block_on(engine.read(file.clone(), 0, usize::MAX))
            .unwrap_err();
        assert_eq!(
            error.kind(),
            io::ErrorKind::OutOfMemory,
            "{}",
            engine.name()
        );
    }
}

#[test]
fn dropped_reads_give_their_places_back() {
    let dir = TempDir::new().unwrap();
    let content = content();
    let file = file_with(&dir, &content);
    for engine in engines() {
        runtime().block_on(async {
            for i in 0..2000 {
                start_and_drop(&engine, file.clone(), i, 100_000).await;
            }
            let bytes = engine.read(file.clone(), 9, 5000).await.unwrap();
            assert_eq!(bytes, content[9..5009]);
            while engine.queue_len() > 0 {
                yield_now().await;
            }
        });
    }
}

#[test]
fn an_engine_may_be_dropped_with_reads_in_flight() {
    let dir = TempDir::new().unwrap();
    let file = file_with(&dir, &content());
    for engine in engines() {
        runtime().block_on(async {
            for i in 0..500 {
                start_and_drop(&engine, file.clone(), i, 200_000).await;
            }
        });
        drop(engine);
        // All is finished: nobody else holds the file any more.
        assert_eq!(Arc::strong_count(&file), 1);
    }
}

/// An engine whose thread has died must answer with an error, never leave its readers waiting.
#[test]
fn a_stopped_engine_refuses() {
    let dir = TempDir::new().unwrap();
    let file = file_with(&dir, b"x");
    for engine in engines() {
        engine.queue.abort();
        let error = runtime()
            .block_on(engine.read(file.clone(), 0, 1))
            .unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
    }
}

#[test]
fn names_tell_the_engines_apart() {
    let threads = ReadEngine::start(EngineChoice::Threads, 0).unwrap();
    assert_eq!(threads.name(), "threads");
    match ReadEngine::start(EngineChoice::IoUring, 1) {
        Ok(ring) => assert_eq!(ring.name(), "io_uring"),
        Err(error) => assert!(error.to_string().contains("choose the engine of threads")),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn both_engines_read_what_the_file_holds(ranges in prop::collection::vec((0..310_000_u64, 0..9000_usize), 1..20)) {
        let dir = TempDir::new().unwrap();
        let file = file_with(&dir, &content());
        for engine in engines() {
            for &(offset, len) in &ranges {
                let read = runtime().block_on(engine.read(file.clone(), offset, len));
                let expected = read_exact_at(&*file, offset, len);
                prop_assert_eq!(read.map_err(|e| e.kind()), expected.map_err(|e| e.kind()));
            }
        }
    }
}

/// Written and read past the page cache, where the file system can; through it elsewhere.
async fn check_direct(dir: &TempDir, engine: &ReadEngine) -> bool {
    let path = dir.path().join("direct");
    let file = RealDisk
        .open_direct(&path, OpenMode::CreateOrTruncate)
        .unwrap();
    let mut content = crate::AlignedBuf::with_capacity(300_000).unwrap();
    assert!(content.push(&self::content()[..290_000]));
    content.pad();
    file.write_all_at(&content, 8192).unwrap();
    let whole = engine.read_aligned(file.clone(), 8192, content.len());
    assert_eq!(*whole.await.unwrap(), *content);
    let part = engine.read_aligned(file.clone(), 8192 + 4096, 4096);
    assert_eq!(*part.await.unwrap(), content[4096..8192]);
    file.punch(8192, 4096).unwrap();
    let rest = engine.read_aligned(file.clone(), 8192, 8192).await.unwrap();
    assert_eq!(rest[4096..], content[4096..8192]);
    let beyond = engine.read_aligned(file.clone(), 1 << 30, 4096).await;
    assert_eq!(beyond.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    file.is_direct()
}

#[test]
fn direct_files_are_read_into_aligned_memory() {
    for engine in engines() {
        let dir = TempDir::new().unwrap();
        runtime().block_on(check_direct(&dir, &engine));
        if let Ok(in_memory) = tempfile::tempdir_in("/dev/shm") {
            runtime().block_on(check_direct(&in_memory, &engine));
        }
    }
}
