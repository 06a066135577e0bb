//! The gateway's own files as a store: names of the filer, contents in the haystack.

mod read;
mod write;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Weak};

use async_trait::async_trait;
use moongate_cache::{
    Backend, BackendError, BackendFile, BackendWriter, Caller, Change, CreateOptions, ErrorKind,
    FileKind, Freshness, Listing, RenameMode, Status, Summary,
};
use moongate_filer::{
    Attributes, Entry, FilePath, Filer, FilerError, ListOptions, Name, RenameOptions,
};
use moongate_haystack::store::now_ns;

use self::read::ImageFile;
use self::write::{Begun, ImageWriter};
use super::path;
use crate::files::{FileError, etag};
use crate::protocol::file::error::status_of;
use crate::state::Gateway;

/// By what readers split a file of ours: as HDFS does unless told otherwise.
const BLOCK_BYTES: u64 = 128 << 20;
/// Who owns what was stored without an owner.
const OWNER: &str = "moongate";
/// Most of the mode that is permissions.
const PERMISSION_BITS: u32 = 0o1777;

/// The filer's tree.
pub struct Images {
    gateway: Weak<Gateway>,
}

impl fmt::Debug for Images {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Images")
    }
}

impl Images {
    /// The tree of this gateway.
    pub const fn new(gateway: Weak<Gateway>) -> Self {
        Self { gateway }
    }

    fn gateway(&self) -> Result<Arc<Gateway>, BackendError> {
        let gone = || BackendError::new(ErrorKind::Unavailable, "the gateway is shutting down");
        self.gateway.upgrade().ok_or_else(gone)
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Filer) -> Result<T, FilerError> + Send + 'static,
    ) -> Result<T, BackendError> {
        let gateway = self.gateway()?;
        gateway
            .files
            .run(work)
            .await
            .map_err(|error| of_file_error(&error))
    }

    async fn change_names<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Filer) -> Result<T, FilerError> + Send + 'static,
    ) -> Result<T, BackendError> {
        let gateway = self.gateway()?;
        gateway
            .files
            .change(work)
            .await
            .map_err(|error| of_file_error(&error))
    }

    async fn find(&self, path: &str) -> Result<Entry, BackendError> {
        let path = file_path(path)?;
        self.run(move |filer| filer.find(&path, now_ns())).await
    }
}

fn file_path(path: &str) -> Result<FilePath, BackendError> {
    FilePath::parse(path).map_err(|error| of_file_error(&error.into()))
}

/// A filer's error, by what the caller should do.
fn of_file_error(error: &FileError) -> BackendError {
    let kind = match error {
        FileError::Filer(error) => of_filer_error(error),
        other => match status_of(other).as_u16() {
            408 => ErrorKind::TimedOut,
            429 | 503 => ErrorKind::Unavailable,
            507 => ErrorKind::NoSpace,
            400..=499 => ErrorKind::Invalid,
            _ => ErrorKind::Failed,
        },
    };
    BackendError::new(kind, error.to_string())
}

const fn of_filer_error(error: &FilerError) -> ErrorKind {
    match error {
        FilerError::NotFound(_) => ErrorKind::NotFound,
        FilerError::NotAFolder(_) => ErrorKind::NotADirectory,
        FilerError::IsAFolder(_) => ErrorKind::IsADirectory,
        FilerError::Exists(_) => ErrorKind::AlreadyExists,
        FilerError::NotEmpty(_) => ErrorKind::NotEmpty,
        FilerError::NameTooLong { .. }
        | FilerError::PathTooLong { .. }
        | FilerError::TooDeep { .. }
        | FilerError::BadName(_)
        | FilerError::IntoItself { .. }
        | FilerError::TooLarge { .. } => ErrorKind::Invalid,
        FilerError::Reserved | FilerError::Root => ErrorKind::PermissionDenied,
        FilerError::Corrupt(_) => ErrorKind::Failed,
        FilerError::Storage(_) => ErrorKind::Unavailable,
    }
}

/// What is said of an entry.
fn status_of_entry(name: &str, entry: &Entry) -> Status {
    let attributes = &entry.attributes;
    let folder = entry.is_folder();
    let owner = Some(attributes.user_name.as_str()).filter(|name| !name.is_empty());
    let group = attributes.group_names.first().map(String::as_str);
    Status {
        name: name.to_owned(),
        kind: if folder {
            FileKind::Directory
        } else {
            FileKind::File
        },
        len: entry.size(),
        modified_ms: attributes.mtime_ns / 1_000_000,
        accessed_ms: if folder {
            0
        } else {
            attributes.mtime_ns / 1_000_000
        },
        owner: Arc::from(owner.unwrap_or(OWNER)),
        group: Arc::from(group.unwrap_or(OWNER)),
        permission: u16::try_from(attributes.mode & PERMISSION_BITS).unwrap_or(0),
        replication: u16::from(!folder),
        block_bytes: if folder { 0 } else { BLOCK_BYTES },
        etag: (!folder).then(|| Arc::from(etag::of_entry(entry))),
    }
}

/// Attributes of what this caller makes.
fn attributes(caller: &Caller, permission: u16) -> Attributes {
    let now_ns = now_ns();
    Attributes {
        mode: u32::from(permission),
        user_name: caller.user.to_string(),
        group_names: vec![OWNER.to_owned()],
        mtime_ns: now_ns,
        crtime_ns: now_ns,
        extended: BTreeMap::new(),
        ..Attributes::default()
    }
}

fn listed(
    filer: &Filer,
    path: &FilePath,
    after: Option<Name>,
    limit: usize,
) -> Result<Listing, FilerError> {
    let entry = filer.find(path, now_ns())?;
    if !entry.is_folder() {
        return Ok(Listing {
            entries: Arc::from([status_of_entry("", &entry)]),
            more: false,
        });
    }
    let options = ListOptions {
        after,
        limit: Some(limit.saturating_add(1)),
        ..ListOptions::default()
    };
    let mut entries = Vec::new();
    for item in filer.list(path, options, now_ns())? {
        let (name, entry) = item?;
        entries.push(status_of_entry(name.as_str(), &entry));
    }
    let more = entries.len() > limit;
    entries.truncate(limit);
    Ok(Listing {
        entries: entries.into(),
        more,
    })
}

#[async_trait]
impl Backend for Images {
    fn kind(&self) -> &'static str {
        "images"
    }

    async fn status(&self, _: &Caller, path: &str, _: Freshness) -> Result<Status, BackendError> {
        Ok(status_of_entry("", &self.find(path).await?))
    }

    async fn list(
        &self,
        _: &Caller,
        path: &str,
        after: Option<&str>,
        limit: usize,
        _: Freshness,
    ) -> Result<Listing, BackendError> {
        let path = file_path(path)?;
        let after = after.map(Name::parse).transpose();
        let after = after.map_err(|error| of_file_error(&error.into()))?;
        self.run(move |filer| listed(filer, &path, after, limit))
            .await
    }

    async fn open(
        &self,
        _: &Caller,
        path: &str,
        _: Freshness,
    ) -> Result<Arc<dyn BackendFile>, BackendError> {
        let entry = self.find(path).await?;
        match entry.content() {
            None => Err(of_file_error(
                &FilerError::IsAFolder(file_path(path)?).into(),
            )),
            Some(content) => Ok(Arc::new(ImageFile::new(
                self.gateway()?,
                status_of_entry("", &entry),
                content.clone(),
            ))),
        }
    }

    async fn create(
        &self,
        caller: &Caller,
        path: &str,
        options: &CreateOptions,
    ) -> Result<Box<dyn BackendWriter>, BackendError> {
        let found = self.status(caller, path, Freshness::Now).await;
        match found {
            Ok(status) if status.is_dir() => {
                return Err(of_file_error(
                    &FilerError::IsAFolder(file_path(path)?).into(),
                ));
            }
            Ok(_) if !options.overwrite => {
                return Err(of_file_error(&FilerError::Exists(file_path(path)?).into()));
            }
            Err(error) if error.kind != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        if !options.create_parents {
            self.find(path::parent(path)).await?;
        }
        let begun = Begun::New {
            attributes: attributes(caller, options.permission),
            may_replace: options.overwrite,
            make_parents: options.create_parents,
        };
        Ok(Box::new(ImageWriter::new(
            self.gateway()?,
            file_path(path)?,
            begun,
        )))
    }

    async fn append(&self, _: &Caller, path: &str) -> Result<Box<dyn BackendWriter>, BackendError> {
        if self.find(path).await?.is_folder() {
            return Err(of_file_error(
                &FilerError::IsAFolder(file_path(path)?).into(),
            ));
        }
        Ok(Box::new(ImageWriter::new(
            self.gateway()?,
            file_path(path)?,
            Begun::More,
        )))
    }

    async fn make_dirs(
        &self,
        caller: &Caller,
        path: &str,
        permission: u16,
    ) -> Result<(), BackendError> {
        let path = file_path(path)?;
        if path.is_root() {
            return Ok(());
        }
        let attributes = attributes(caller, permission);
        let made = self.change_names(move |filer| {
            match filer.make_folder(&path, attributes, true, now_ns()) {
                Err(FilerError::Exists(at)) if !filer.find(&at, now_ns())?.is_folder() => {
                    Err(FilerError::Exists(at))
                }
                Ok(_) | Err(FilerError::Exists(_)) => Ok(()),
                Err(error) => Err(error),
            }
        });
        made.await
    }

    async fn rename(
        &self,
        _: &Caller,
        from: &str,
        to: &str,
        mode: RenameMode,
    ) -> Result<(), BackendError> {
        let (from, to) = (file_path(from)?, file_path(to)?);
        let renamed = self.change_names(move |filer| {
            let into = mode == RenameMode::Into && is_folder(filer, &to)?;
            let to = match from.name() {
                Some(name) if into => to.join(&name)?,
                _ => to,
            };
            let options = RenameOptions {
                may_replace: mode == RenameMode::Replace,
                make_parents: false,
            };
            filer.rename(&from, &to, options, now_ns())
        });
        renamed.await
    }

    async fn delete(&self, _: &Caller, path: &str, recursive: bool) -> Result<bool, BackendError> {
        let path = file_path(path)?;
        let deleted =
            self.change_names(
                move |filer| match filer.delete(&path, recursive, now_ns()) {
                    Ok(_) => Ok(true),
                    Err(FilerError::NotFound(_)) => Ok(false),
                    Err(error) => Err(error),
                },
            );
        deleted.await
    }

    async fn change(&self, _: &Caller, path: &str, change: &Change) -> Result<(), BackendError> {
        let new = match change {
            Change::Permission(_) | Change::Owner { .. } | Change::Times { .. } => change.clone(),
            // One copy is what is kept here, whatever is asked: as a folder or an object store has it.
            Change::Replication(_) => return self.find(path).await.map(drop),
            Change::ModifyAcl(_)
            | Change::RemoveAclEntries(_)
            | Change::RemoveDefaultAcl
            | Change::RemoveAcl
            | Change::SetAcl(_) => return Err(self.lacks(change.name(), path)),
        };
        let path = file_path(path)?;
        let changed = self.change_names(move |filer| {
            filer.update(&path, now_ns(), |entry| {
                apply(&new, &mut entry.attributes);
                Ok::<_, FilerError>(())
            })
        });
        changed.await.map(drop)
    }

    async fn summary(&self, _: &Caller, path: &str) -> Result<Summary, BackendError> {
        let path = file_path(path)?;
        let usage = self.run(move |filer| {
            let entry = filer.find(&path, now_ns())?;
            if entry.is_folder() {
                let usage = filer.usage(&path, now_ns())?;
                return Ok((usage.files, usage.folders + 1, usage.bytes));
            }
            Ok((1, 0, entry.size()))
        });
        let (files, directories, len) = usage.await?;
        Ok(Summary {
            files,
            directories,
            len,
            space_bytes: len,
            quota: -1,
            space_quota_bytes: -1,
        })
    }
}

fn is_folder(filer: &Filer, path: &FilePath) -> Result<bool, FilerError> {
    match filer.find(path, now_ns()) {
        Ok(entry) => Ok(entry.is_folder()),
        Err(FilerError::NotFound(_)) => Ok(false),
        Err(error) => Err(error),
    }
}

fn apply(change: &Change, attributes: &mut Attributes) {
    match change {
        Change::Permission(bits) => {
            attributes.mode = (attributes.mode & !PERMISSION_BITS) | u32::from(*bits);
        }
        Change::Owner { owner, group } => {
            if let Some(owner) = owner {
                attributes.user_name.clone_from(owner);
            }
            if let Some(group) = group {
                attributes.group_names = vec![group.clone()];
            }
        }
        Change::Times { modified_ms, .. } => {
            if let Some(ms) = modified_ms {
                attributes.mtime_ns = ms.saturating_mul(1_000_000);
            }
        }
        Change::Replication(_)
        | Change::ModifyAcl(_)
        | Change::RemoveAclEntries(_)
        | Change::RemoveDefaultAcl
        | Change::RemoveAcl
        | Change::SetAcl(_) => {}
    }
}
