//! A folder of a store as a store of its own: `hdfs://namenode/folder` mounted is a tree in which nothing outside that folder has a path.

use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt as _;
use moongate_cache::{
    AclStatus, Backend, BackendError, BackendFile, BackendWriter, ByteStream, Caller, Change,
    Checksum, CreateOptions, Freshness, Listing, RenameMode, Status, Summary,
};

use super::path;

/// Puts a folder before every path.
#[derive(Debug)]
pub struct Subtree {
    store: Arc<dyn Backend>,
    folder: Arc<str>,
}

impl Subtree {
    /// The folder of a store, in the normal form; the store itself for its root.
    pub fn of(store: Arc<dyn Backend>, folder: String) -> Arc<dyn Backend> {
        if folder == "/" {
            return store;
        }
        let folder = folder.into();
        Arc::new(Self { store, folder })
    }

    fn outer(&self, inner: &str) -> String {
        match inner {
            "/" => self.folder.to_string(),
            inner => format!("{}{inner}", self.folder),
        }
    }

    fn told(&self, error: BackendError) -> BackendError {
        told(&self.folder, error)
    }

    fn file(&self, opened: Arc<dyn BackendFile>) -> Arc<dyn BackendFile> {
        let folder = Arc::clone(&self.folder);
        Arc::new(SubtreeFile { opened, folder })
    }
}

/// An error in the paths of the folder: what leads there is not the asker's business.
fn told(folder: &str, mut error: BackendError) -> BackendError {
    let mut text = String::with_capacity(error.message.len());
    let mut rest = error.message.as_str();
    while let Some(at) = rest.find(folder) {
        let (before, found) = rest.split_at(at);
        let after = found.get(folder.len()..).unwrap_or_default();
        text.push_str(before);
        match after.chars().next() {
            Some('/') => {}
            Some(next) if next.is_alphanumeric() || "._-".contains(next) => {
                text.push_str(folder);
            }
            _ => text.push('/'),
        }
        rest = after;
    }
    text.push_str(rest);
    error.message = text;
    error
}

/// An open file of the folder: what goes wrong with it later is told in the folder's paths too.
#[derive(Debug)]
struct SubtreeFile {
    opened: Arc<dyn BackendFile>,
    folder: Arc<str>,
}

#[async_trait]
impl BackendFile for SubtreeFile {
    fn status(&self) -> &Status {
        self.opened.status()
    }

    async fn read(&self, range: Range<u64>) -> Result<ByteStream, BackendError> {
        let read = self.opened.read(range).await;
        let stream = read.map_err(|error| told(&self.folder, error))?;
        let folder = Arc::clone(&self.folder);
        let stream = stream.map(move |piece| piece.map_err(|error| told(&folder, error)));
        Ok(stream.boxed())
    }

    async fn prove(&self) -> Result<(), BackendError> {
        let proven = self.opened.prove().await;
        proven.map_err(|error| told(&self.folder, error))
    }

    fn read_now(&self, range: Range<u64>) -> Option<Vec<Bytes>> {
        self.opened.read_now(range)
    }
}

#[async_trait]
impl Backend for Subtree {
    fn kind(&self) -> &'static str {
        self.store.kind()
    }

    async fn status(
        &self,
        caller: &Caller,
        path: &str,
        freshness: Freshness,
    ) -> Result<Status, BackendError> {
        let done = self
            .store
            .status(caller, &self.outer(path), freshness)
            .await;
        done.map_err(|error| self.told(error))
    }

    async fn list(
        &self,
        caller: &Caller,
        path: &str,
        after: Option<&str>,
        limit: usize,
        freshness: Freshness,
    ) -> Result<Listing, BackendError> {
        let done = self
            .store
            .list(caller, &self.outer(path), after, limit, freshness)
            .await;
        done.map_err(|error| self.told(error))
    }

    async fn open(
        &self,
        caller: &Caller,
        path: &str,
        freshness: Freshness,
    ) -> Result<Arc<dyn BackendFile>, BackendError> {
        let done = self.store.open(caller, &self.outer(path), freshness).await;
        done.map(|opened| self.file(opened))
            .map_err(|error| self.told(error))
    }

    async fn open_known(
        &self,
        caller: &Caller,
        path: &str,
        known: &Status,
    ) -> Result<Arc<dyn BackendFile>, BackendError> {
        let outer = self.outer(path);
        let done = self.store.open_known(caller, &outer, known).await;
        done.map(|opened| self.file(opened))
            .map_err(|error| self.told(error))
    }

    async fn create(
        &self,
        caller: &Caller,
        path: &str,
        options: &CreateOptions,
    ) -> Result<Box<dyn BackendWriter>, BackendError> {
        let done = self.store.create(caller, &self.outer(path), options).await;
        done.map_err(|error| self.told(error))
    }

    async fn append(
        &self,
        caller: &Caller,
        path: &str,
    ) -> Result<Box<dyn BackendWriter>, BackendError> {
        let done = self.store.append(caller, &self.outer(path)).await;
        done.map_err(|error| self.told(error))
    }

    async fn make_dirs(
        &self,
        caller: &Caller,
        path: &str,
        permission: u16,
    ) -> Result<(), BackendError> {
        let done = self
            .store
            .make_dirs(caller, &self.outer(path), permission)
            .await;
        done.map_err(|error| self.told(error))
    }

    async fn rename(
        &self,
        caller: &Caller,
        from: &str,
        to: &str,
        mode: RenameMode,
    ) -> Result<(), BackendError> {
        let done = self
            .store
            .rename(caller, &self.outer(from), &self.outer(to), mode)
            .await;
        done.map_err(|error| self.told(error))
    }

    async fn delete(
        &self,
        caller: &Caller,
        path: &str,
        recursive: bool,
    ) -> Result<bool, BackendError> {
        let done = self
            .store
            .delete(caller, &self.outer(path), recursive)
            .await;
        done.map_err(|error| self.told(error))
    }

    async fn change(
        &self,
        caller: &Caller,
        path: &str,
        change: &Change,
    ) -> Result<(), BackendError> {
        let done = self.store.change(caller, &self.outer(path), change).await;
        done.map_err(|error| self.told(error))
    }

    async fn truncate(&self, caller: &Caller, path: &str, len: u64) -> Result<bool, BackendError> {
        let done = self.store.truncate(caller, &self.outer(path), len).await;
        done.map_err(|error| self.told(error))
    }

    async fn concat(
        &self,
        caller: &Caller,
        path: &str,
        sources: &[String],
    ) -> Result<(), BackendError> {
        let sources: Vec<String> = sources.iter().map(|source| self.outer(source)).collect();
        let done = self.store.concat(caller, &self.outer(path), &sources).await;
        done.map_err(|error| self.told(error))
    }

    async fn summary(&self, caller: &Caller, path: &str) -> Result<Summary, BackendError> {
        let done = self.store.summary(caller, &self.outer(path)).await;
        done.map_err(|error| self.told(error))
    }

    async fn checksum(&self, caller: &Caller, path: &str) -> Result<Checksum, BackendError> {
        let done = self.store.checksum(caller, &self.outer(path)).await;
        done.map_err(|error| self.told(error))
    }

    async fn acl(&self, caller: &Caller, path: &str) -> Result<AclStatus, BackendError> {
        let done = self.store.acl(caller, &self.outer(path)).await;
        done.map_err(|error| self.told(error))
    }
}

/// The folder that stands behind the authority of a store's text, in the normal form.
///
/// # Errors
/// It is no path.
pub fn folder(text: &str) -> Result<String, BackendError> {
    path::normal(if text.is_empty() { "/" } else { text })
}

#[cfg(test)]
mod tests {
    use moongate_cache::ErrorKind;

    use super::super::refusing::Refusing;
    use super::*;

    #[test]
    fn paths_go_in_and_come_out() {
        let tree = Subtree {
            store: Arc::new(Refusing::new("x")),
            folder: "/ware/house".into(),
        };
        assert_eq!(
            (tree.outer("/"), tree.outer("/a")),
            ("/ware/house".into(), "/ware/house/a".into())
        );
        for (message, want) in [
            (
                "File does not exist: /ware/house/a/b",
                "File does not exist: /a/b",
            ),
            ("inode=\"/ware/house\":root", "inode=\"/\":root"),
            ("/ware/houses and /ware/house/x", "/ware/houses and /x"),
            ("inode=\"/ware\":root", "inode=\"/ware\":root"),
        ] {
            let error = BackendError::new(ErrorKind::Failed, message);
            assert_eq!(tree.told(error).message, want);
        }
        assert_eq!(folder("").unwrap(), "/");
        assert_eq!(folder("/a/").unwrap(), "/a");
    }
}
