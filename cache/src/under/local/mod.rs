//! A folder of this machine (or of a file system mounted on it) as an under store.
//!
//! Nothing outside the folder can be reached: the kernel resolves each path beneath its root (`openat2`), so that a symbolic link may point
//! anywhere in the folder and nowhere else. The operating system sees one user, the gateway's: what a [`Caller`] may do is the gateway's to say.
//!
//! A file's version is its length, its time of change, and an `etag` of inode and change times to the nanosecond. A change within the
//! granularity of the kernel's clock could not be told from the one before it: a file that has just changed is therefore looked at again
//! when the clock has moved on.

mod change;
mod error;
mod owners;
mod read;
mod root;
mod stat;
mod tree;
mod write;

#[cfg(test)]
mod tests;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;

use crate::backend::{
    Backend, BackendError, BackendFile, BackendWriter, Caller, Change, CreateOptions, ErrorKind,
    Freshness, Listing, RenameMode, Status, Summary,
};
use error::of_errno;
use owners::Owners;
use read::LocalFile;
use root::Root;

/// Names that begin so are files being written: they are listed nowhere and cannot be asked for.
const WRITING_PREFIX: &str = ".moongate-writing.";

/// What every operation of one store needs.
#[derive(Debug)]
struct Shared {
    root: Root,
    owners: Owners,
}

/// A folder as a [`Backend`].
#[derive(Clone)]
pub struct LocalStore {
    path: PathBuf,
    shared: Arc<Shared>,
}

impl LocalStore {
    /// Opens a folder, which must be there. Blocks for as long as the file system takes.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] and [`ErrorKind::NotADirectory`] of the folder itself.
    pub fn open(root: impl AsRef<Path>) -> Result<Self, BackendError> {
        let path = root.as_ref().to_owned();
        let name = path.display().to_string();
        let root = Root::open(&path).map_err(|errno| of_errno(errno, &name))?;
        let owners = Owners::read();
        Ok(Self {
            path,
            shared: Arc::new(Shared { root, owners }),
        })
    }

    /// Runs what waits for a disk where it may wait.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Shared) -> Result<T, BackendError> + Send + 'static,
    ) -> Result<T, BackendError> {
        let shared = self.shared.clone();
        blocking(move || work(&shared)).await
    }
}

/// Runs what waits for a disk on a thread that may wait.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, BackendError> + Send + 'static,
) -> Result<T, BackendError> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|_| {
        let text =
            "the work was given up: the gateway is stopping, or it failed and its log says why";
        Err(BackendError::new(ErrorKind::Failed, text))
    })
}

impl fmt::Debug for LocalStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LocalStore({})", self.path.display())
    }
}

#[async_trait]
impl Backend for LocalStore {
    fn kind(&self) -> &'static str {
        "file"
    }

    async fn status(
        &self,
        _caller: &Caller,
        path: &str,
        _freshness: Freshness,
    ) -> Result<Status, BackendError> {
        let path = path.to_owned();
        self.blocking(move |shared| stat::of_path(shared, &path))
            .await
    }

    async fn list(
        &self,
        _caller: &Caller,
        path: &str,
        after: Option<&str>,
        limit: usize,
        _freshness: Freshness,
    ) -> Result<Listing, BackendError> {
        let (path, after) = (path.to_owned(), after.map(str::to_owned));
        self.blocking(move |shared| tree::list(shared, &path, after.as_deref(), limit))
            .await
    }

    async fn open(
        &self,
        _caller: &Caller,
        path: &str,
        _freshness: Freshness,
    ) -> Result<Arc<dyn BackendFile>, BackendError> {
        let path = path.to_owned();
        let file = self
            .blocking(move |shared| LocalFile::open(shared, &path))
            .await?;
        Ok(Arc::new(file))
    }

    async fn create(
        &self,
        _caller: &Caller,
        path: &str,
        options: &CreateOptions,
    ) -> Result<Box<dyn BackendWriter>, BackendError> {
        let (path, options) = (path.to_owned(), options.clone());
        let writer = self
            .blocking(move |shared| write::create(shared, &path, &options))
            .await?;
        Ok(Box::new(writer))
    }

    async fn append(
        &self,
        _caller: &Caller,
        path: &str,
    ) -> Result<Box<dyn BackendWriter>, BackendError> {
        let path = path.to_owned();
        let writer = self
            .blocking(move |shared| write::append(shared, &path))
            .await?;
        Ok(Box::new(writer))
    }

    async fn make_dirs(
        &self,
        _caller: &Caller,
        path: &str,
        permission: u16,
    ) -> Result<(), BackendError> {
        let path = path.to_owned();
        self.blocking(move |shared| change::make_dirs(shared, &path, permission))
            .await
    }

    async fn rename(
        &self,
        _caller: &Caller,
        from: &str,
        to: &str,
        mode: RenameMode,
    ) -> Result<(), BackendError> {
        let (from, to) = (from.to_owned(), to.to_owned());
        self.blocking(move |shared| change::rename(shared, &from, &to, mode))
            .await
    }

    async fn delete(
        &self,
        _caller: &Caller,
        path: &str,
        recursive: bool,
    ) -> Result<bool, BackendError> {
        let path = path.to_owned();
        self.blocking(move |shared| tree::delete(shared, &path, recursive))
            .await
    }

    async fn change(
        &self,
        _caller: &Caller,
        path: &str,
        change: &Change,
    ) -> Result<(), BackendError> {
        let (path, change) = (path.to_owned(), change.clone());
        let lacks = self.lacks(change.name(), &path);
        self.blocking(move |shared| change::attributes(shared, &path, &change, lacks))
            .await
    }

    async fn truncate(&self, _caller: &Caller, path: &str, len: u64) -> Result<bool, BackendError> {
        let path = path.to_owned();
        self.blocking(move |shared| write::truncate(shared, &path, len))
            .await
    }

    async fn concat(
        &self,
        _caller: &Caller,
        path: &str,
        sources: &[String],
    ) -> Result<(), BackendError> {
        let (path, sources) = (path.to_owned(), sources.to_vec());
        self.blocking(move |shared| write::concat(shared, &path, &sources))
            .await
    }

    async fn summary(&self, _caller: &Caller, path: &str) -> Result<Summary, BackendError> {
        let path = path.to_owned();
        self.blocking(move |shared| tree::summary(shared, &path))
            .await
    }
}
