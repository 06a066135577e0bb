//! A mount seen through the cache: itself a backend.

mod admin;
mod file;
mod load;
mod writer;
mod writing;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use async_trait::async_trait;

use crate::backend::{
    AclStatus, Backend, BackendError, BackendFile, BackendWriter, Caller, Change, Checksum,
    CreateOptions, ErrorKind, Freshness, Listing, RenameMode, Status, Summary,
};
use crate::fetch::open_file::OpenFile;
use crate::mount::Mount;
use crate::names::Moment;
pub use admin::Residency;
use file::CachedFile;
pub use load::{LoadOptions, LoadProgress};
use writer::CachedWriter;
use writing::Writing;

/// A backend over another one, whose reads are cached. Writes go through, and leave the cache right.
///
/// Who may read what is decided before: a cached answer is given to every caller.
#[derive(Debug)]
pub struct CachedBackend {
    pub(crate) mount: Arc<Mount>,
}

impl CachedBackend {
    pub(crate) const fn new(mount: Arc<Mount>) -> Self {
        Self { mount }
    }

    /// What is known of a file, and its open file where that had to be asked for.
    async fn find(
        &self,
        caller: &Caller,
        path: &str,
        freshness: Freshness,
    ) -> Result<(Arc<Status>, Moment, Option<Arc<dyn BackendFile>>), BackendError> {
        let mount = &self.mount;
        let is_known = mount.files.get(path).is_some() || mount.names.knows(path);
        if is_known {
            let (status, moment) = mount.status(caller, path, freshness).await?;
            return Ok((status, moment, None));
        }
        let (under, moment) = mount.open_under(caller, path, freshness).await?;
        Ok((Arc::new(under.status().clone()), moment, Some(under)))
    }

    pub(crate) async fn open_file(
        &self,
        caller: &Caller,
        path: &str,
        freshness: Freshness,
    ) -> Result<OpenFile, BackendError> {
        let (status, moment, under) = self.find(caller, path, freshness).await?;
        if status.is_dir() {
            let text = format!("{path}: is a directory");
            return Err(BackendError::new(ErrorKind::IsADirectory, text));
        }
        let (mount, caller) = (Arc::clone(&self.mount), caller.clone());
        let version = status.version();
        let file = mount.cache.file(&mount, path, &version, moment).await;
        Ok(OpenFile::new(mount, file, caller, status, under))
    }
}

#[async_trait]
impl Backend for CachedBackend {
    fn kind(&self) -> &'static str {
        self.mount.under.kind()
    }

    async fn status(
        &self,
        caller: &Caller,
        path: &str,
        freshness: Freshness,
    ) -> Result<Status, BackendError> {
        let (status, _) = self.mount.status(caller, path, freshness).await?;
        Ok(Status::clone(&status))
    }

    async fn list(
        &self,
        caller: &Caller,
        path: &str,
        after: Option<&str>,
        limit: usize,
        freshness: Freshness,
    ) -> Result<Listing, BackendError> {
        self.mount.list(caller, path, after, limit, freshness).await
    }

    async fn open(
        &self,
        caller: &Caller,
        path: &str,
        freshness: Freshness,
    ) -> Result<Arc<dyn BackendFile>, BackendError> {
        let open = self.open_file(caller, path, freshness).await?;
        Ok(Arc::new(CachedFile::new(open)))
    }

    async fn create(
        &self,
        caller: &Caller,
        path: &str,
        options: &CreateOptions,
    ) -> Result<Box<dyn BackendWriter>, BackendError> {
        let writing = Writing::of(&self.mount).file(path).parents(path);
        let begun = self
            .mount
            .gate
            .call(self.mount.under.create(caller, path, options));
        let writer = begun.await?;
        Ok(Box::new(CachedWriter::new(writer, writing)))
    }

    async fn append(
        &self,
        caller: &Caller,
        path: &str,
    ) -> Result<Box<dyn BackendWriter>, BackendError> {
        let writing = Writing::of(&self.mount).file(path).parents(path);
        let begun = self.mount.gate.call(self.mount.under.append(caller, path));
        let writer = begun.await?;
        Ok(Box::new(CachedWriter::new(writer, writing)))
    }

    async fn make_dirs(
        &self,
        caller: &Caller,
        path: &str,
        permission: u16,
    ) -> Result<(), BackendError> {
        let writing = Writing::of(&self.mount).file(path).parents(path);
        let work = self.mount.under.make_dirs(caller, path, permission);
        writing.after(self.mount.gate.call(work)).await
    }

    async fn rename(
        &self,
        caller: &Caller,
        from: &str,
        to: &str,
        mode: RenameMode,
    ) -> Result<(), BackendError> {
        let writing = Writing::of(&self.mount).tree(from).tree(to);
        let writing = writing.parents(from).parents(to);
        let work = self.mount.under.rename(caller, from, to, mode);
        writing.after(self.mount.gate.call(work)).await
    }

    async fn delete(
        &self,
        caller: &Caller,
        path: &str,
        recursive: bool,
    ) -> Result<bool, BackendError> {
        let writing = Writing::of(&self.mount).tree(path).parents(path);
        let work = self.mount.under.delete(caller, path, recursive);
        writing.after(self.mount.gate.call(work)).await
    }

    async fn change(
        &self,
        caller: &Caller,
        path: &str,
        change: &Change,
    ) -> Result<(), BackendError> {
        let writing = Writing::of(&self.mount).file(path).parents(path);
        let work = self.mount.under.change(caller, path, change);
        writing.after(self.mount.gate.call(work)).await
    }

    async fn truncate(&self, caller: &Caller, path: &str, len: u64) -> Result<bool, BackendError> {
        let writing = Writing::of(&self.mount).file(path).parents(path);
        let work = self.mount.under.truncate(caller, path, len);
        writing.after(self.mount.gate.call(work)).await
    }

    async fn concat(
        &self,
        caller: &Caller,
        path: &str,
        sources: &[String],
    ) -> Result<(), BackendError> {
        let mut writing = Writing::of(&self.mount).file(path).parents(path);
        for source in sources {
            writing = writing.file(source).parents(source);
        }
        let work = self.mount.under.concat(caller, path, sources);
        writing.after(self.mount.gate.call(work)).await
    }

    async fn summary(&self, caller: &Caller, path: &str) -> Result<Summary, BackendError> {
        let work = self.mount.under.summary(caller, path);
        self.mount.gate.call(work).await
    }

    async fn checksum(&self, caller: &Caller, path: &str) -> Result<Checksum, BackendError> {
        let work = self.mount.under.checksum(caller, path);
        self.mount.gate.call(work).await
    }

    async fn acl(&self, caller: &Caller, path: &str) -> Result<AclStatus, BackendError> {
        let work = self.mount.under.acl(caller, path);
        self.mount.gate.call(work).await
    }
}
