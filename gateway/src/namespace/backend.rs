//! The namespace as a store: each call goes to the mount that its path belongs to.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use moongate_cache::{
    AclStatus, Backend, BackendError, BackendFile, BackendWriter, Caller, Change, Checksum,
    CreateOptions, ErrorKind, Freshness, Listing, RenameMode, Status, Summary,
};

use super::governed::deed_of;
use super::guard::{self, Deed, Guard};
use super::table::{Mount, Table};
use super::told::told;
use super::{Namespace, listing, path, readers};
use crate::login::remembered::second;
use crate::policy::gatekeeper::{Deed as Wanted, Note};

/// How long a listing waits to be told of a mount that stands in it: one that hangs must not hold up its parent's.
const MOUNT_STATUS_WAIT: Duration = Duration::from_millis(300);

/// The store of a path, and the path as the store sees it.
pub(super) struct Place {
    pub(super) backend: Arc<dyn Backend>,
    mount: Option<Arc<Mount>>,
    pub(super) inner: String,
}

impl Place {
    pub(super) fn told(&self, error: BackendError) -> BackendError {
        match &self.mount {
            Some(mount) => told(mount.path(), &self.inner, error),
            None => error,
        }
    }

    /// The same store's path for another of the namespace's.
    fn same_store(&self, table: &Table, other: &str) -> Option<String> {
        match (table.resolve(other), &self.mount) {
            (Some((theirs, inner)), Some(ours)) if Arc::ptr_eq(theirs, ours) => {
                Some(inner.to_owned())
            }
            (None, None) => Some(other.to_owned()),
            _ => None,
        }
    }

    fn guard(&self) -> Option<&Guard> {
        self.mount.as_ref()?.guard.as_ref()
    }

    /// Asks a store that knows callers whether this one may.
    pub(super) async fn ask(&self, caller: &Caller, deed: Deed) -> Result<(), BackendError> {
        match self.guard() {
            Some(guard) => guard.check(caller, &self.inner, deed).await,
            None => guard::ask(&*self.backend, caller, &self.inner, deed).await,
        }
    }

    /// Opens a file for a caller who may read it, as far as it is not the store that decides.
    async fn open(
        &self,
        caller: &Caller,
        freshness: Freshness,
    ) -> Result<Arc<dyn BackendFile>, BackendError> {
        let asked = self.backend.open(caller, &self.inner, freshness);
        let opened = match self.guard() {
            Some(guard) => guard.open(caller, &self.inner, asked).await,
            None => asked.await,
        };
        opened.map_err(|error| self.told(error))
    }

    /// Runs a call that the cache may answer beside the question whether this caller may have the answer.
    async fn guarded<T>(
        &self,
        caller: &Caller,
        deed: Deed,
        call: impl Future<Output = Result<T, BackendError>>,
    ) -> Result<T, BackendError> {
        let Some(guard) = self.guard() else {
            return call.await;
        };
        let (checked, answer) = futures::join!(guard.check(caller, &self.inner, deed), call);
        checked?;
        answer
    }

    fn may_change(&self) -> Result<(), BackendError> {
        match &self.mount {
            Some(mount) if mount.config.read_only => {
                let text = format!("{} is mounted read-only", mount.path());
                Err(BackendError::new(ErrorKind::PermissionDenied, text))
            }
            _ => Ok(()),
        }
    }
}

impl Namespace {
    pub(super) fn place(&self, table: &Table, sought: &str) -> Place {
        match table.resolve(sought) {
            Some((mount, inner)) => Place {
                backend: Arc::clone(&mount.backend),
                mount: Some(Arc::clone(mount)),
                inner: inner.to_owned(),
            },
            None => Place {
                backend: Arc::clone(&self.root) as Arc<dyn Backend>,
                mount: None,
                inner: sought.to_owned(),
            },
        }
    }

    /// Whether two paths are in different stores, of which neither is a mount itself or above one, and both may be changed.
    ///
    /// # Errors
    /// Why the one cannot be moved to the other anyway.
    pub fn are_apart(&self, from: &str, to: &str) -> Result<bool, BackendError> {
        let table = self.table();
        refuse_mounts(&table, from)?;
        refuse_mounts(&table, to)?;
        self.place_to_change(&table, to)?;
        let place = self.place_to_change(&table, from)?;
        Ok(place.same_store(&table, to).is_none())
    }

    fn place_to_change(&self, table: &Table, sought: &str) -> Result<Place, BackendError> {
        let place = self.place(table, sought);
        place.may_change()?;
        Ok(place)
    }

    /// The mounts in a folder as entries of it, those after a name.
    async fn mounts_in(
        &self,
        table: &Table,
        caller: &Caller,
        folder: &str,
        after: Option<&str>,
    ) -> Vec<Status> {
        let names = table.names_in(folder);
        let wanted = names
            .into_iter()
            .filter(|name| after.is_none_or(|after| *name > after));
        let mut found = Vec::new();
        for name in wanted {
            let mut status = self
                .entry_of(table, caller, &path::join(folder, name))
                .await;
            name.clone_into(&mut status.name);
            found.push(status);
        }
        found
    }

    async fn entry_of(&self, table: &Table, caller: &Caller, at: &str) -> Status {
        let place = self.place(table, at);
        let asked = place
            .backend
            .status(caller, &place.inner, Freshness::Cached);
        match tokio::time::timeout(MOUNT_STATUS_WAIT, asked).await {
            Ok(Ok(status)) if status.is_dir() => status,
            _ => folder_at(table, at),
        }
    }
}

/// A folder that is there because mounts are below it, or at it.
pub(super) fn folder_at(table: &Table, at: &str) -> Status {
    let here = table.at(at).map(|mount| mount.since_ms);
    let since_ms = here.or_else(|| table.below(at).map(|mount| mount.since_ms).max());
    listing::folder("", since_ms.unwrap_or(0))
}

/// A file whose first read is written down, if it is to be.
fn noted(note: Option<Note>, file: Arc<dyn BackendFile>) -> Arc<dyn BackendFile> {
    match note {
        Some(note) => note.on(file),
        None => file,
    }
}

fn leads_to_mounts(table: &Table, at: &str) -> bool {
    table.below(at).next().is_some()
}

/// A mount, or a folder that leads to one, is not changed by what is done to files.
fn refuse_mounts(table: &Table, at: &str) -> Result<(), BackendError> {
    let held = table.at(at).or_else(|| table.below(at).next());
    let Some(mount) = held else { return Ok(()) };
    let text = format!(
        "{at} is or holds the mount {0}: remove that first (moongate mount rm {0})",
        mount.path()
    );
    Err(BackendError::new(ErrorKind::PermissionDenied, text))
}

/// As HDFS's ViewFs says it.
fn apart(from: &str, to: &str) -> BackendError {
    let text = format!(
        "Renames across Mount points not supported, Src: {from} Dst: {to}; `moongate mv` copies it there and removes it here"
    );
    let mut error = BackendError::new(ErrorKind::Unsupported, text);
    error.class = Some("java.io.IOException".to_owned());
    error
}

#[async_trait]
impl Backend for Namespace {
    fn kind(&self) -> &'static str {
        "namespace"
    }

    async fn status(
        &self,
        caller: &Caller,
        path: &str,
        freshness: Freshness,
    ) -> Result<Status, BackendError> {
        let pass = self.may(caller, Wanted::Look, path).await?;
        let table = self.table();
        let place = self.place(&table, path);
        let asked = place.backend.status(caller, &place.inner, freshness);
        let looked = place.guarded(caller, Deed::Look, asked).await;
        pass.used(&looked);
        match looked {
            Err(error) if error.kind == ErrorKind::NotFound && leads_to_mounts(&table, path) => {
                Ok(folder_at(&table, path))
            }
            done => done.map_err(|error| place.told(error)),
        }
    }

    async fn list(
        &self,
        caller: &Caller,
        path: &str,
        after: Option<&str>,
        limit: usize,
        freshness: Freshness,
    ) -> Result<Listing, BackendError> {
        let pass = self.may(caller, Wanted::List, path).await?;
        let table = self.table();
        let place = self.place(&table, path);
        let asked = place
            .backend
            .list(caller, &place.inner, after, limit, freshness);
        let listed = place.guarded(caller, Deed::List, asked).await;
        pass.used(&listed);
        let listed = match listed {
            Err(error) if error.kind == ErrorKind::NotFound && leads_to_mounts(&table, path) => {
                Listing::default()
            }
            done => done.map_err(|error| place.told(error))?,
        };
        let mounts = self.mounts_in(&table, caller, path, after).await;
        Ok(listing::merged(&listed, mounts, limit))
    }

    async fn open(
        &self,
        caller: &Caller,
        path: &str,
        freshness: Freshness,
    ) -> Result<Arc<dyn BackendFile>, BackendError> {
        let table = self.table();
        let place = self.place(&table, path);
        let known = readers::leave(&table, caller, path);
        if let Some(leave) = known.filter(|leave| self.gatekeeper.holds(leave)) {
            let note = self.gatekeeper.used_to_read(&leave);
            let opened = place.open(caller, freshness).await?;
            return Ok(noted(note, opened));
        }
        let second = second();
        let pass = self.may(caller, Wanted::Read, path).await?;
        let opened = place.open(caller, freshness).await;
        let (note, leave) = pass.opened(&self.gatekeeper, &opened);
        if let Some(leave) = leave {
            readers::remember(&table, caller, path, second, leave);
        }
        Ok(noted(note, opened?))
    }

    async fn create(
        &self,
        caller: &Caller,
        path: &str,
        options: &CreateOptions,
    ) -> Result<Box<dyn BackendWriter>, BackendError> {
        let pass = self.may(caller, Wanted::Create, path).await?;
        let table = self.table();
        if leads_to_mounts(&table, path) {
            let text = format!("{path} is a directory: mounts are in it");
            return Err(BackendError::new(ErrorKind::IsADirectory, text));
        }
        let place = self.place_to_change(&table, path)?;
        let begun = place.backend.create(caller, &place.inner, options).await;
        pass.used(&begun);
        begun.map_err(|error| place.told(error))
    }

    async fn append(
        &self,
        caller: &Caller,
        path: &str,
    ) -> Result<Box<dyn BackendWriter>, BackendError> {
        let pass = self.may(caller, Wanted::Write, path).await?;
        let place = self.place_to_change(&self.table(), path)?;
        let begun = place.backend.append(caller, &place.inner).await;
        pass.used(&begun);
        begun.map_err(|error| place.told(error))
    }

    async fn make_dirs(
        &self,
        caller: &Caller,
        path: &str,
        permission: u16,
    ) -> Result<(), BackendError> {
        let pass = self.may(caller, Wanted::MakeDirs, path).await?;
        let table = self.table();
        if leads_to_mounts(&table, path) || table.at(path).is_some() {
            return Ok(());
        }
        let place = self.place_to_change(&table, path)?;
        let made = place
            .backend
            .make_dirs(caller, &place.inner, permission)
            .await;
        pass.used(&made);
        made.map_err(|error| place.told(error))
    }

    async fn rename(
        &self,
        caller: &Caller,
        from: &str,
        to: &str,
        mode: RenameMode,
    ) -> Result<(), BackendError> {
        let pass = self.may(caller, Wanted::Rename(to, mode), from).await?;
        let table = self.table();
        refuse_mounts(&table, from)?;
        let place = self.place_to_change(&table, from)?;
        let Some(to_inner) = place.same_store(&table, to) else {
            return Err(apart(from, to));
        };
        if mode != RenameMode::Into {
            refuse_mounts(&table, to)?;
        }
        let moved = place
            .backend
            .rename(caller, &place.inner, &to_inner, mode)
            .await;
        pass.used(&moved);
        moved.map_err(|error| place.told(error))
    }

    async fn delete(
        &self,
        caller: &Caller,
        path: &str,
        recursive: bool,
    ) -> Result<bool, BackendError> {
        let pass = self.may(caller, Wanted::Delete, path).await?;
        let table = self.table();
        refuse_mounts(&table, path)?;
        let place = self.place_to_change(&table, path)?;
        let deleted = place.backend.delete(caller, &place.inner, recursive).await;
        pass.used(&deleted);
        deleted.map_err(|error| place.told(error))
    }

    async fn change(
        &self,
        caller: &Caller,
        path: &str,
        change: &Change,
    ) -> Result<(), BackendError> {
        let pass = self.may(caller, deed_of(change), path).await?;
        let place = self.place_to_change(&self.table(), path)?;
        let changed = place.backend.change(caller, &place.inner, change).await;
        pass.used(&changed);
        changed.map_err(|error| place.told(error))
    }

    async fn truncate(&self, caller: &Caller, path: &str, len: u64) -> Result<bool, BackendError> {
        let pass = self.may(caller, Wanted::Write, path).await?;
        let place = self.place_to_change(&self.table(), path)?;
        let cut = place.backend.truncate(caller, &place.inner, len).await;
        pass.used(&cut);
        cut.map_err(|error| place.told(error))
    }

    async fn concat(
        &self,
        caller: &Caller,
        path: &str,
        sources: &[String],
    ) -> Result<(), BackendError> {
        let pass = self.may(caller, Wanted::Write, path).await?;
        for source in sources {
            self.may(caller, Wanted::Read, source).await?;
            self.may(caller, Wanted::Delete, source).await?;
        }
        let table = self.table();
        let place = self.place_to_change(&table, path)?;
        let mut inner = Vec::with_capacity(sources.len());
        for source in sources {
            let Some(source) = place.same_store(&table, source) else {
                let text = format!("{source} and {path} are in different mounts");
                return Err(BackendError::new(ErrorKind::Invalid, text));
            };
            inner.push(source);
        }
        let joined = place.backend.concat(caller, &place.inner, &inner).await;
        pass.used(&joined);
        joined.map_err(|error| place.told(error))
    }

    async fn summary(&self, caller: &Caller, path: &str) -> Result<Summary, BackendError> {
        let pass = self.may(caller, Wanted::Summary, path).await?;
        let table = self.table();
        let place = self.place(&table, path);
        let summed = place.backend.summary(caller, &place.inner).await;
        pass.used(&summed);
        let mut sum = match summed {
            Err(error) if error.kind == ErrorKind::NotFound && leads_to_mounts(&table, path) => {
                Summary {
                    directories: 1,
                    quota: -1,
                    space_quota_bytes: -1,
                    ..Summary::default()
                }
            }
            done => done.map_err(|error| place.told(error))?,
        };
        for mount in table.below(path) {
            let more = mount.backend.summary(caller, "/").await;
            let more = more.map_err(|error| told(mount.path(), "/", error))?;
            sum.files += more.files;
            sum.directories += more.directories;
            sum.len += more.len;
            sum.space_bytes += more.space_bytes;
        }
        Ok(sum)
    }

    async fn checksum(&self, caller: &Caller, path: &str) -> Result<Checksum, BackendError> {
        let pass = self.may(caller, Wanted::Read, path).await?;
        let place = self.place(&self.table(), path);
        let had = place.backend.checksum(caller, &place.inner).await;
        pass.used(&had);
        had.map_err(|error| place.told(error))
    }

    async fn acl(&self, caller: &Caller, path: &str) -> Result<AclStatus, BackendError> {
        let pass = self.may(caller, Wanted::Look, path).await?;
        let place = self.place(&self.table(), path);
        let had = place.backend.acl(caller, &place.inner).await;
        pass.used(&had);
        had.map_err(|error| place.told(error))
    }
}
