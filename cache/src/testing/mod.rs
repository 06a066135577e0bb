//! A store in memory for tests: it counts what it is asked, and delays, hangs, fails and changes as it is told.

mod file;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::backend::{
    Backend, BackendError, BackendFile, BackendWriter, Caller, CreateOptions, ErrorKind, FileKind,
    Freshness, Listing, RenameMode, Status, Summary,
};
use file::{MemFile, MemWriter};

/// One file's content, and its time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Content {
    pub bytes: Bytes,
    pub modified_ms: u64,
}

/// The store.
#[derive(Debug, Default)]
pub struct MemBackend {
    files: Mutex<BTreeMap<String, Content>>,
    time: AtomicU64,
    pub asked: Asked,
    /// Nothing is answered while this is set.
    hangs: AtomicBool,
    /// Streams hang after their first piece.
    pub hangs_in_streams: AtomicBool,
    released: Notify,
    /// How files of known status are opened next.
    looks_later: AtomicBool,
    /// So many calls that follow fail.
    pub failing: AtomicU64,
    /// Bytes of a stream's piece; 0: 64 KiB.
    pub piece_bytes: AtomicU64,
}

/// How often it was asked, and for how much.
#[derive(Debug, Default)]
pub struct Asked {
    pub statuses: AtomicU64,
    pub lists: AtomicU64,
    pub opens: AtomicU64,
    pub reads: AtomicU64,
    pub bytes: AtomicU64,
}

pub fn caller() -> Caller {
    Caller::new("ann")
}

/// Bytes that differ from place to place and from file to file.
pub fn pattern(seed: u64, len: usize) -> Bytes {
    let mut rng = moongate_disk::sim::Rng::new(seed);
    rng.bytes(len).into()
}

impl MemBackend {
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Puts a file there behind the cache's back.
    pub fn put(&self, path: &str, bytes: Bytes) {
        let modified_ms = self.time.fetch_add(1, Ordering::SeqCst) + 1;
        let content = Content { bytes, modified_ms };
        self.files.lock().insert(path.to_owned(), content);
    }

    /// Of the last change.
    pub fn set_time(&self, path: &str, modified_ms: u64) {
        if let Some(content) = self.files.lock().get_mut(path) {
            content.modified_ms = modified_ms;
        }
    }

    pub fn remove(&self, path: &str) {
        self.files.lock().remove(path);
    }

    pub fn content(&self, path: &str) -> Option<Content> {
        self.files.lock().get(path).cloned()
    }

    pub fn hang(&self, hangs: bool) {
        self.hangs.store(hangs, Ordering::SeqCst);
        self.released.notify_waiters();
    }

    /// Waits as long as it hangs, then fails if that is its turn.
    async fn answer(&self, counter: &AtomicU64) -> Result<(), BackendError> {
        counter.fetch_add(1, Ordering::SeqCst);
        loop {
            let released = self.released.notified();
            tokio::pin!(released);
            released.as_mut().enable();
            if !self.hangs.load(Ordering::SeqCst) {
                break;
            }
            released.await;
        }
        let less = |left: u64| left.checked_sub(1);
        match self
            .failing
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, less)
        {
            Ok(_) => Err(BackendError::new(ErrorKind::Unavailable, "told to fail")),
            Err(_) => Ok(()),
        }
    }

    fn find(&self, path: &str) -> Result<Status, BackendError> {
        let files = self.files.lock();
        if let Some(content) = files.get(path) {
            return Ok(status_of("", Some(content)));
        }
        let below = format!("{}/", path.trim_end_matches('/'));
        if path == "/" || files.keys().any(|key| key.starts_with(&below)) {
            return Ok(status_of("", None));
        }
        Err(BackendError::not_found(path))
    }

    fn entries(&self, path: &str) -> Vec<Status> {
        let below = format!("{}/", path.trim_end_matches('/'));
        let mut entries: BTreeMap<String, Status> = BTreeMap::new();
        for (key, content) in self.files.lock().iter() {
            let Some(rest) = key.strip_prefix(&below) else {
                continue;
            };
            let (name, is_dir) = match rest.split_once('/') {
                Some((name, _)) => (name, true),
                None => (rest, false),
            };
            let content = (!is_dir).then_some(content);
            entries.insert(name.to_owned(), status_of(name, content));
        }
        entries.into_values().collect()
    }
}

fn status_of(name: &str, content: Option<&Content>) -> Status {
    Status {
        name: name.to_owned(),
        kind: content.map_or(FileKind::Directory, |_| FileKind::File),
        len: content.map_or(0, |c| c.bytes.len() as u64),
        modified_ms: content.map_or(0, |c| c.modified_ms),
        accessed_ms: 0,
        owner: "ann".into(),
        group: "users".into(),
        permission: 0o644,
        replication: 1,
        block_bytes: 1 << 27,
        etag: None,
    }
}

#[async_trait]
impl Backend for Arc<MemBackend> {
    fn kind(&self) -> &'static str {
        "mem"
    }

    async fn status(&self, _: &Caller, path: &str, _: Freshness) -> Result<Status, BackendError> {
        self.answer(&self.asked.statuses).await?;
        self.find(path)
    }

    async fn list(
        &self,
        _: &Caller,
        path: &str,
        after: Option<&str>,
        limit: usize,
        _: Freshness,
    ) -> Result<Listing, BackendError> {
        self.answer(&self.asked.lists).await?;
        let status = self.find(path)?;
        if !status.is_dir() {
            return Ok(Listing {
                entries: [status].into(),
                more: false,
            });
        }
        let mut rest = self.entries(path);
        rest.retain(|entry| after.is_none_or(|after| entry.name.as_str() > after));
        let more = rest.len() > limit;
        rest.truncate(limit);
        Ok(Listing {
            entries: rest.into(),
            more,
        })
    }

    async fn open(
        &self,
        _: &Caller,
        path: &str,
        _: Freshness,
    ) -> Result<Arc<dyn BackendFile>, BackendError> {
        self.answer(&self.asked.opens).await?;
        let status = self.find(path)?;
        if status.is_dir() {
            return Err(BackendError::new(ErrorKind::IsADirectory, path));
        }
        Ok(Arc::new(MemFile::new(Arc::clone(self), path, status)))
    }

    /// Every other time as HDFS does it: whether it is that one is seen when it is read.
    async fn open_known(
        &self,
        caller: &Caller,
        path: &str,
        known: &Status,
    ) -> Result<Arc<dyn BackendFile>, BackendError> {
        if self.looks_later.fetch_xor(true, Ordering::SeqCst) {
            return self.open(caller, path, Freshness::Now).await;
        }
        let known = known.clone();
        Ok(Arc::new(MemFile::new(Arc::clone(self), path, known)))
    }

    async fn create(
        &self,
        _: &Caller,
        path: &str,
        options: &CreateOptions,
    ) -> Result<Box<dyn BackendWriter>, BackendError> {
        self.answer(&self.asked.opens).await?;
        if self.content(path).is_some() && !options.overwrite {
            return Err(BackendError::new(ErrorKind::AlreadyExists, path));
        }
        Ok(Box::new(MemWriter::new(Arc::clone(self), path, Vec::new())))
    }

    async fn append(&self, _: &Caller, path: &str) -> Result<Box<dyn BackendWriter>, BackendError> {
        self.answer(&self.asked.opens).await?;
        let held = self
            .content(path)
            .ok_or_else(|| BackendError::not_found(path))?;
        Ok(Box::new(MemWriter::new(
            Arc::clone(self),
            path,
            held.bytes.to_vec(),
        )))
    }

    async fn make_dirs(&self, _: &Caller, _: &str, _: u16) -> Result<(), BackendError> {
        Ok(())
    }

    /// Keeps the time, as HDFS does.
    async fn rename(
        &self,
        _: &Caller,
        from: &str,
        to: &str,
        _: RenameMode,
    ) -> Result<(), BackendError> {
        self.answer(&self.asked.opens).await?;
        let mut files = self.files.lock();
        let below = format!("{from}/");
        let keys: Vec<String> = files
            .keys()
            .filter(|key| *key == from || key.starts_with(&below))
            .cloned()
            .collect();
        if keys.is_empty() {
            return Err(BackendError::not_found(from));
        }
        for key in keys {
            if let Some(content) = files.remove(&key) {
                files.insert(key.replacen(from, to, 1), content);
            }
        }
        Ok(())
    }

    async fn delete(&self, _: &Caller, path: &str, _: bool) -> Result<bool, BackendError> {
        self.answer(&self.asked.opens).await?;
        let mut files = self.files.lock();
        let before = files.len();
        let below = format!("{path}/");
        files.retain(|key, _| key != path && !key.starts_with(&below));
        Ok(files.len() < before)
    }

    async fn summary(&self, _: &Caller, _: &str) -> Result<Summary, BackendError> {
        Ok(Summary::default())
    }
}
