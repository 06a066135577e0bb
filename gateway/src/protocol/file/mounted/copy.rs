//! Copies between any two places of the namespace: files, and folders with all that is in them.

use std::sync::Arc;

use futures::{StreamExt as _, TryStreamExt as _, stream};
use moongate_cache::backend::ByteStream;
use moongate_cache::{
    Backend as _, BackendError, BackendWriter, Caller, CreateOptions, ErrorKind, Freshness, Status,
};

use super::FOLDER_PERMISSION;
use super::error::MountedError;
use crate::namespace::path as paths;
use crate::namespace::walk::Walk;
use crate::state::Gateway;

/// Files of a folder that are copied at once: each costs some round trips.
const AT_ONCE: usize = 8;

/// A copy under way.
pub struct Copying {
    pub gateway: Arc<Gateway>,
    /// In whose name.
    pub caller: Caller,
    /// How old what is known of the source may be.
    pub freshness: Freshness,
    /// Whether files that are there are replaced.
    pub overwrite: bool,
}

impl Copying {
    /// Copies, to its end even if the client leaves meanwhile. A folder's copy is not atomic: what was copied before a failure stays.
    ///
    /// # Errors
    /// Those of the stores, and a target that is the source or in it.
    pub async fn run(self, from: String, to: String) -> Result<(), MountedError> {
        if paths::within(&to, &from).is_some() {
            let text = format!("{from} cannot be copied to {to}, which is in it or the same");
            return Err(MountedError::BadRequest(text));
        }
        let copied = tokio::spawn(async move { self.copy(&from, &to).await }).await;
        copied.unwrap_or_else(|error| {
            let text = format!("the copy broke off: {error}");
            Err(BackendError::new(ErrorKind::Failed, text).into())
        })
    }

    async fn copy(&self, from: &str, to: &str) -> Result<(), MountedError> {
        let found = self
            .gateway
            .namespace
            .status(&self.caller, from, self.freshness);
        let status = found.await.map_err(|error| match error.kind {
            ErrorKind::NotFound => {
                MountedError::BadRequest(format!("{from}: there is no such file"))
            }
            _ => error.into(),
        })?;
        if status.is_dir() {
            Ok(self.folder(from, to).await?)
        } else {
            Ok(self.file(from, to).await?)
        }
    }

    async fn folder(&self, from: &str, to: &str) -> Result<(), BackendError> {
        let namespace = &self.gateway.namespace;
        namespace
            .make_dirs(&self.caller, to, FOLDER_PERMISSION)
            .await?;
        let walk = Walk::of(namespace, &self.caller, from, self.freshness).await?;
        let entries = stream::try_unfold(walk, |mut walk| async move {
            let entry = walk.next().await?;
            Ok(entry.map(|entry| (entry, walk)))
        });
        let copy = |(path, status): (String, Status)| async move {
            let below = paths::within(&path, from).unwrap_or("/");
            let to = format!("{}{below}", to.trim_end_matches('/'));
            match status.is_dir() {
                true => {
                    namespace
                        .make_dirs(&self.caller, &to, FOLDER_PERMISSION)
                        .await
                }
                false => self.file(&path, &to).await,
            }
        };
        entries.try_for_each_concurrent(AT_ONCE, copy).await
    }

    /// Piece by piece: what is held of a file is one piece.
    async fn file(&self, from: &str, to: &str) -> Result<(), BackendError> {
        let namespace = &self.gateway.namespace;
        let file = namespace.open(&self.caller, from, self.freshness).await?;
        let options = CreateOptions {
            overwrite: self.overwrite,
            ..CreateOptions::default()
        };
        let mut writer = namespace.create(&self.caller, to, &options).await?;
        let carried = match file.read(0..file.status().len).await {
            Ok(pieces) => carry(pieces, &mut *writer).await,
            Err(error) => Err(error),
        };
        match carried {
            Ok(()) => writer.finish().await,
            Err(error) => {
                writer.abort().await;
                Err(error)
            }
        }
    }
}

async fn carry(mut pieces: ByteStream, writer: &mut dyn BackendWriter) -> Result<(), BackendError> {
    while let Some(piece) = pieces.next().await {
        writer.write(piece?).await?;
    }
    Ok(())
}
