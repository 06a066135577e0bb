//! Bringing in whole trees ahead of their readers.

use std::collections::VecDeque;
use std::sync::Arc;

use futures::{Stream, StreamExt, stream};
use parking_lot::Mutex;

use super::CachedBackend;
use crate::backend::{Backend, BackendError, Caller, ErrorKind, Freshness, Status};
use crate::fetch::open_file::OpenFile;
use crate::names::child;
use crate::policy::rate::Rate;
use crate::reader::Reader;

/// Entries of a folder that are asked for at once.
const LIST_ENTRIES: usize = 1000;

/// How to load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoadOptions {
    /// The most bytes a second that are fetched; 0: no bound.
    pub rate_bytes_per_sec: u64,
    /// Files at once.
    pub streams: usize,
}

impl Default for LoadOptions {
    fn default() -> Self {
        Self {
            rate_bytes_per_sec: 0,
            streams: 4,
        }
    }
}

/// How far a load has come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LoadProgress {
    /// Files found so far.
    pub files: u64,
    /// Files that are done, the failed ones among them.
    pub files_done: u64,
    /// Bytes of the files found so far.
    pub bytes: u64,
    /// Bytes that were brought in.
    pub bytes_loaded: u64,
    /// Bytes that were here already.
    pub bytes_skipped: u64,
    /// Files and folders that could not be had.
    pub failed: u64,
    /// Why the last of them could not.
    pub last_error: Option<String>,
    /// Whether all folders have been listed, so that `files` and `bytes` are all there are.
    pub is_listed: bool,
}

/// A load under way.
struct Load<'a, P> {
    backend: &'a CachedBackend,
    caller: &'a Caller,
    rate: Mutex<Rate>,
    so_far: Mutex<LoadProgress>,
    tell: P,
}

impl CachedBackend {
    /// Brings in all files at a path and below: to the disk tier if there is one, else to memory. What is there is skipped, so a load that
    /// was broken off goes on where it was. Dropping the future ends it. `progress` is called after each page and each listing.
    ///
    /// # Errors
    /// Why the path itself cannot be had. What fails below it is counted, and the rest is loaded.
    pub async fn load(
        &self,
        caller: &Caller,
        path: &str,
        options: LoadOptions,
        progress: impl Fn(LoadProgress) + Send + Sync,
    ) -> Result<LoadProgress, BackendError> {
        let status = self.status(caller, path, Freshness::Now).await?;
        let load = Load {
            backend: self,
            caller,
            rate: Mutex::new(Rate::new(options.rate_bytes_per_sec)),
            so_far: Mutex::default(),
            tell: progress,
        };
        let files = load.files(path, status);
        let streams = options.streams.max(1);
        files
            .for_each_concurrent(streams, |file| load.file(file))
            .await;
        load.told(|so_far| so_far.is_listed = true);
        Ok(load.so_far.into_inner())
    }
}

/// What is still to be looked at.
struct Walk {
    folders: Vec<String>,
    files: VecDeque<(String, u64)>,
}

impl<P: Fn(LoadProgress) + Send + Sync> Load<'_, P> {
    fn files(&self, path: &str, status: Status) -> impl Stream<Item = String> + use<'_, P> {
        let mut walk = Walk {
            folders: Vec::new(),
            files: VecDeque::new(),
        };
        if status.is_dir() {
            walk.folders.push(path.to_owned());
        } else {
            walk.files.push_back((path.to_owned(), status.len));
            self.found(1, status.len);
        }
        stream::unfold(walk, move |mut walk| async move {
            loop {
                if let Some((file, _)) = walk.files.pop_front() {
                    return Some((file, walk));
                }
                let folder = walk.folders.pop()?;
                if let Err(error) = self.list(&folder, &mut walk).await {
                    self.failed(&error);
                }
            }
        })
    }

    async fn list(&self, folder: &str, walk: &mut Walk) -> Result<(), BackendError> {
        let mut after: Option<String> = None;
        loop {
            let listed = self.backend.list(
                self.caller,
                folder,
                after.as_deref(),
                LIST_ENTRIES,
                Freshness::Now,
            );
            let listing = listed.await?;
            for entry in listing.entries.iter() {
                let path = child(folder, &entry.name);
                if entry.is_dir() {
                    walk.folders.push(path);
                } else {
                    self.found(1, entry.len);
                    walk.files.push_back((path, entry.len));
                }
            }
            after = listing.entries.last().map(|entry| entry.name.clone());
            if !listing.more || after.is_none() {
                return Ok(());
            }
        }
    }

    async fn file(&self, path: String) {
        let mut loaded = self.pages(&path).await;
        // It was listed as what it is no longer, which is forgotten now.
        if loaded
            .as_ref()
            .is_err_and(|error| error.kind == ErrorKind::Changed)
        {
            loaded = self.pages(&path).await;
        }
        if let Err(error) = loaded {
            self.failed(&error);
        }
        self.told(|so_far| so_far.files_done += 1);
    }

    async fn pages(&self, path: &str) -> Result<(), BackendError> {
        let open = self
            .backend
            .open_file(self.caller, path, Freshness::Cached)
            .await?;
        let open = Arc::new(open);
        let cache = &open.mount.cache;
        let pages = cache.pages_of(&open.file.version);
        let mut page = 0;
        while page < pages {
            let missing = (page..pages).take_while(|page| !is_here(&open, *page));
            let end = page + missing.count() as u64;
            if end == page {
                let len = cache.page_len(&open.file.version, page);
                self.told(|so_far| so_far.bytes_skipped += len);
                page += 1;
                continue;
            }
            self.bring(&open, page, end).await?;
            page = end;
        }
        Ok(())
    }

    /// Brings in consecutive pages, by one reader.
    async fn bring(&self, open: &Arc<OpenFile>, first: u64, end: u64) -> Result<(), BackendError> {
        let page_bytes = open.mount.cache.config.page_bytes;
        let mut position = first * page_bytes;
        let end = end.saturating_mul(page_bytes).min(open.file.version.len);
        let mut reader = Reader::to_load(Arc::clone(open), position, end);
        while let Some(bytes) = reader.next().await {
            let page = position / page_bytes;
            position += bytes?.len() as u64;
            if position / page_bytes > page || position == end {
                reader.settled().await;
                self.settle(open, page).await;
            }
        }
        Ok(())
    }

    /// A page has come: has it on disk if it came from memory, and waits for the rate.
    async fn settle(&self, open: &Arc<OpenFile>, page: u64) {
        let cache = &open.mount.cache;
        if !is_here(open, page)
            && let Some(held) = open.ram().get(open.file.key(page))
        {
            let bytes = &held.bytes;
            cache.write(&open.mount, &open.file, page, bytes).await;
        }
        let len = cache.page_len(&open.file.version, page);
        self.told(|so_far| so_far.bytes_loaded += len);
        let wait = self.rate.lock().take(cache.config.clock.now(), len);
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
    }

    fn found(&self, files: u64, bytes: u64) {
        self.told(|so_far| {
            so_far.files += files;
            so_far.bytes += bytes;
        });
    }

    fn failed(&self, error: &BackendError) {
        self.told(|so_far| {
            so_far.failed += 1;
            so_far.last_error = Some(error.message.clone());
        });
    }

    fn told(&self, change: impl FnOnce(&mut LoadProgress)) {
        let mut so_far = self.so_far.lock();
        change(&mut so_far);
        let told = so_far.clone();
        drop(so_far);
        (self.tell)(told);
    }
}

/// Whether a page is where a load is to bring it.
fn is_here(open: &OpenFile, page: u64) -> bool {
    let key = open.file.key(page);
    match &open.file.folder {
        Some(folder) => folder.has(key),
        None => open.ram().contains(key),
    }
}
