//! A backend to be tried, and short words for what is done with it.

use std::any::Any;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use futures::TryStreamExt;

use crate::backend::{
    Backend, BackendError, BackendFile, Caller, CreateOptions, ErrorKind, Freshness, Listing,
    RenameMode, Status,
};

/// What a backend has. What it has not must be [`ErrorKind::Unsupported`].
#[derive(Clone, Copy, Debug)]
pub struct Features {
    /// [`Backend::append`].
    pub append: bool,
    /// [`Backend::truncate`].
    pub truncate: bool,
    /// [`Backend::concat`].
    pub concat: bool,
    /// Permissions and times.
    pub attributes: bool,
    /// A file is not seen before it is finished, and a file that is being replaced is seen as it was.
    pub appears_at_once: bool,
    /// What was synced of a file can be read here while more of it is written.
    pub reads_what_is_synced: bool,
    /// A folder must be there before what is in it, and a file's name is no folder's.
    pub real_folders: bool,
}

impl Features {
    /// Everything.
    pub const ALL: Self = Self {
        append: true,
        truncate: true,
        concat: true,
        attributes: true,
        appears_at_once: true,
        reads_what_is_synced: true,
        real_folders: true,
    };
}

/// A backend, and a fresh folder in it.
#[derive(Clone, Debug)]
pub struct Bench {
    /// What is tried.
    pub backend: Arc<dyn Backend>,
    /// In whose name.
    pub caller: Caller,
    /// The folder.
    pub root: String,
    /// What the backend has.
    pub features: Features,
    /// What must last as long as the bench, such as the folder below it.
    held: Option<Arc<dyn Any + Send + Sync>>,
}

impl Bench {
    /// A bench in a folder of its own, in the name of this process's user.
    pub async fn new(backend: Arc<dyn Backend>, features: Features) -> Self {
        let user = std::env::var("USER").unwrap_or_else(|_| "root".to_owned());
        Self::of_caller(backend, features, Caller::new(user)).await
    }

    /// As [`Bench::new`], in another's name.
    pub async fn of_caller(backend: Arc<dyn Backend>, features: Features, caller: Caller) -> Self {
        static SERIAL: AtomicU64 = AtomicU64::new(0);
        let (process, serial) = (std::process::id(), SERIAL.fetch_add(1, Ordering::Relaxed));
        let root = format!("/contract-{process}-{serial}");
        let made = backend.make_dirs(&caller, &root, 0o755).await;
        made.unwrap_or_else(|error| panic!("{root}: {error:?}"));
        Self {
            backend,
            caller,
            root,
            features,
            held: None,
        }
    }

    /// Keeps something for as long as the bench.
    #[must_use]
    pub fn holding(mut self, held: impl Any + Send + Sync) -> Self {
        self.held = Some(Arc::new(held));
        self
    }

    /// A path in the bench's folder; the folder itself of an empty name.
    pub fn path(&self, name: &str) -> String {
        if name.is_empty() {
            return self.root.clone();
        }
        format!("{}/{name}", self.root)
    }

    /// Writes a file in one piece.
    pub async fn put(&self, name: &str, data: &[u8]) {
        let options = CreateOptions {
            overwrite: true,
            ..CreateOptions::default()
        };
        let written = self.try_put(name, data, &options).await;
        written.unwrap_or_else(|error| panic!("{name}: {error:?}"));
    }

    /// As [`Bench::put`], which may fail.
    ///
    /// # Errors
    /// The backend's.
    pub async fn try_put(
        &self,
        name: &str,
        data: &[u8],
        options: &CreateOptions,
    ) -> Result<(), BackendError> {
        let path = self.path(name);
        let mut writer = self.backend.create(&self.caller, &path, options).await?;
        writer.write(Bytes::copy_from_slice(data)).await?;
        writer.finish().await
    }

    /// Makes a folder.
    pub async fn make_dir(&self, name: &str) {
        let path = self.path(name);
        let made = self.backend.make_dirs(&self.caller, &path, 0o755).await;
        made.unwrap_or_else(|error| panic!("{name}: {error:?}"));
    }

    /// What is at a name.
    ///
    /// # Errors
    /// The backend's.
    pub async fn status(&self, name: &str) -> Result<Status, BackendError> {
        let path = self.path(name);
        let backend = &self.backend;
        backend.status(&self.caller, &path, Freshness::Now).await
    }

    /// Whether anything is at a name.
    pub async fn is_there(&self, name: &str) -> bool {
        match self.status(name).await {
            Ok(_) => true,
            Err(error) if error.kind == ErrorKind::NotFound => false,
            Err(error) => panic!("{name}: {error:?}"),
        }
    }

    /// Opens a file.
    ///
    /// # Errors
    /// The backend's.
    pub async fn open(&self, name: &str) -> Result<Arc<dyn BackendFile>, BackendError> {
        let path = self.path(name);
        let backend = &self.backend;
        backend.open(&self.caller, &path, Freshness::Now).await
    }

    /// All bytes of a file.
    ///
    /// # Errors
    /// The backend's.
    pub async fn get(&self, name: &str) -> Result<Vec<u8>, BackendError> {
        let file = self.open(name).await?;
        read(&*file, 0..file.status().len).await
    }

    /// A page of a listing.
    ///
    /// # Errors
    /// The backend's.
    pub async fn list(
        &self,
        name: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Listing, BackendError> {
        let path = self.path(name);
        let backend = &self.backend;
        backend
            .list(&self.caller, &path, after, limit, Freshness::Now)
            .await
    }

    /// All names in a folder.
    pub async fn names(&self, name: &str) -> Vec<String> {
        let listing = self.list(name, None, 1_000_000).await;
        let listing = listing.unwrap_or_else(|error| panic!("{name}: {error:?}"));
        assert!(!listing.more);
        listing.entries.iter().map(|e| e.name.clone()).collect()
    }

    /// Renames within the bench.
    ///
    /// # Errors
    /// The backend's.
    pub async fn rename(&self, from: &str, to: &str, mode: RenameMode) -> Result<(), BackendError> {
        let (from, to) = (self.path(from), self.path(to));
        self.backend.rename(&self.caller, &from, &to, mode).await
    }

    /// Deletes.
    ///
    /// # Errors
    /// The backend's.
    pub async fn delete(&self, name: &str, recursive: bool) -> Result<bool, BackendError> {
        let path = self.path(name);
        self.backend.delete(&self.caller, &path, recursive).await
    }
}

/// All bytes of a range.
///
/// # Errors
/// The backend's, at once or in the middle.
pub async fn read(file: &dyn BackendFile, range: Range<u64>) -> Result<Vec<u8>, BackendError> {
    let stream = file.read(range).await?;
    let pieces: Vec<Bytes> = stream.try_collect().await?;
    Ok(pieces.concat())
}

/// It failed, and in this way.
#[track_caller]
pub fn assert_kind<T: std::fmt::Debug>(result: Result<T, BackendError>, kind: ErrorKind) {
    assert_kind_in(result, &[kind]);
}

/// It failed, and in one of these ways.
#[track_caller]
pub fn assert_kind_in<T: std::fmt::Debug>(result: Result<T, BackendError>, kinds: &[ErrorKind]) {
    match result {
        Err(error) if kinds.contains(&error.kind) => assert!(!error.message.is_empty()),
        other => panic!("{kinds:?} was expected, not {other:?}"),
    }
}

/// Bytes that differ from place to place and from seed to seed.
pub fn payload(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(len + 8);
    while bytes.len() < len {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(len);
    bytes
}
