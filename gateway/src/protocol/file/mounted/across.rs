//! A file that moves to another store: copied under a name of its own, read back and compared, given its name, and only then removed here.
//!
//! Killed between any two of these it is whole in one of the stores at least. Moved once more, what had arrived is compared and not copied again.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures::StreamExt as _;
use md5::{Digest as _, Md5};
use moongate_cache::{
    Backend as _, BackendError, BackendFile, BackendWriter, Caller, Change, CreateOptions,
    ErrorKind, Freshness, RenameMode, Status,
};
use parking_lot::Mutex;

use super::error::MountedError;
use crate::namespace::path as paths;
use crate::state::Gateway;

/// A move under way.
pub struct Across {
    pub gateway: Arc<Gateway>,
    /// In whose name.
    pub caller: Caller,
    /// Whether a file that is there is replaced.
    pub overwrite: bool,
}

/// Files that are on their way now, by the names that they have there: two who move one file would write to one.
static MOVING: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

/// A name on the way, taken for one move.
struct Way(String);

impl Way {
    fn take(name: String) -> Result<Self, BackendError> {
        if MOVING.lock().insert(name.clone()) {
            return Ok(Self(name));
        }
        let text = "the same move is under way already; try again later";
        Err(BackendError::new(ErrorKind::Unavailable, text))
    }
}

impl Drop for Way {
    fn drop(&mut self) {
        MOVING.lock().remove(&self.0);
    }
}

/// Length and CRC-32C of content.
type Sum = (u64, u32);

impl Across {
    /// Moves a file, to the end even if the client leaves meanwhile; of a folder only makes the folder there: what is in it is moved by
    /// whoever asks, one by one.
    ///
    /// # Errors
    /// Those of the stores; [`ErrorKind::AlreadyExists`] where another file is and is not to be replaced; [`ErrorKind::Changed`] of a source that
    /// changes meanwhile, which stays; what is in one store is renamed, not moved like this.
    pub async fn run(self, from: String, to: String) -> Result<(), MountedError> {
        if paths::within(&to, &from).is_some() {
            let text = format!("{from} cannot be moved to {to}, which is in it or the same");
            return Err(MountedError::BadRequest(text));
        }
        if !self.gateway.namespace.are_apart(&from, &to)? {
            let text = format!("{from} and {to} are in one store: ask without across=true");
            return Err(MountedError::BadRequest(text));
        }
        let moved = tokio::spawn(async move { self.carry_out(&from, &to).await }).await;
        let moved = moved.unwrap_or_else(|error| {
            let text = format!("the move broke off: {error}");
            Err(BackendError::new(ErrorKind::Failed, text))
        });
        Ok(moved?)
    }

    async fn carry_out(&self, from: &str, to: &str) -> Result<(), BackendError> {
        let namespace = &self.gateway.namespace;
        let source = namespace.status(&self.caller, from, Freshness::Now).await?;
        if source.is_dir() {
            let made = namespace.make_dirs(&self.caller, to, source.permission);
            return made.await;
        }
        let file = namespace.open(&self.caller, from, Freshness::Now).await?;
        if !self.has_arrived(&*file, to).await? {
            self.copy(&*file, from, to).await?;
        }
        self.check_same(&*file, from).await?;
        namespace.delete(&self.caller, from, false).await.map(drop)
    }

    /// Whether the target is this file already. Another one is in the way, unless it is to be replaced.
    async fn has_arrived(&self, file: &dyn BackendFile, to: &str) -> Result<bool, BackendError> {
        let namespace = &self.gateway.namespace;
        let there = match namespace.open(&self.caller, to, Freshness::Now).await {
            Err(error) if error.kind == ErrorKind::NotFound => return Ok(false),
            there => there?,
        };
        let is_as_long = there.status().len == file.status().len;
        if is_as_long && sum(&*there).await? == sum(file).await? {
            return Ok(true);
        }
        if self.overwrite {
            return Ok(false);
        }
        let text = format!("{to} is there already, and is another file");
        Err(BackendError::new(ErrorKind::AlreadyExists, text))
    }

    async fn copy(&self, file: &dyn BackendFile, from: &str, to: &str) -> Result<(), BackendError> {
        let namespace = &self.gateway.namespace;
        let way = Way::take(on_the_way(from, to))?;
        let mode = match self.overwrite {
            true => RenameMode::Replace,
            false => RenameMode::NoReplace,
        };
        let copied = async {
            self.copy_to(file, from, &way.0).await?;
            namespace.rename(&self.caller, &way.0, to, mode).await
        };
        if let Err(error) = copied.await {
            let removed = namespace.delete(&self.caller, &way.0, false).await;
            if let Err(error) = removed {
                tracing::debug!(%error, path = way.0, "what was copied in vain stays");
            }
            return Err(error);
        }
        // Another gateway that moves the same file writes to the same name: it is this one's copy that must be there.
        let there = namespace.status(&self.caller, to, Freshness::Now).await?;
        if there.len == file.status().len {
            return Ok(());
        }
        Err(not_there(from, to))
    }

    async fn copy_to(
        &self,
        file: &dyn BackendFile,
        from: &str,
        to: &str,
    ) -> Result<(), BackendError> {
        let namespace = &self.gateway.namespace;
        let status = file.status();
        let options = CreateOptions {
            overwrite: true,
            permission: status.permission,
            ..CreateOptions::default()
        };
        let mut writer = namespace.create(&self.caller, to, &options).await?;
        let sent = match carry(file, Some(&mut *writer)).await {
            Ok(sent) => sent,
            Err(error) => {
                writer.abort().await;
                return Err(error);
            }
        };
        writer.finish().await?;
        let copy = namespace.open(&self.caller, to, Freshness::Now).await?;
        if sent.0 != status.len || sum(&*copy).await? != sent {
            return Err(not_there(from, to));
        }
        self.keep_time(status, to).await;
        self.check_same(file, from).await
    }

    /// As `mv` does between file systems, where the store and the caller's rights allow it.
    async fn keep_time(&self, of: &Status, to: &str) {
        let change = Change::Times {
            modified_ms: Some(of.modified_ms),
            accessed_ms: None,
        };
        let kept = self.gateway.namespace.change(&self.caller, to, &change);
        if let Err(error) = kept.await {
            tracing::debug!(%error, path = to, "a moved file's time is that of its move");
        }
    }

    /// The source is still what was copied.
    async fn check_same(&self, file: &dyn BackendFile, from: &str) -> Result<(), BackendError> {
        let namespace = &self.gateway.namespace;
        let now = namespace.status(&self.caller, from, Freshness::Now).await?;
        if now.version() == file.status().version() {
            return Ok(());
        }
        let text = format!("{from} was changed while it was moved, and stays; move it again");
        Err(BackendError::new(ErrorKind::Changed, text))
    }
}

fn not_there(from: &str, to: &str) -> BackendError {
    let text = format!("{to}: what was written of {from}, which stays, is not what is there now");
    BackendError::new(ErrorKind::Failed, text)
}

/// Where a file is until it is whole: beside its target, always at the same name, so that what a killed move left is written over.
fn on_the_way(from: &str, to: &str) -> String {
    let sum = Md5::new().chain_update(from).chain_update([0]);
    let sum = sum.chain_update(to).finalize();
    let number = sum
        .iter()
        .fold(0u128, |number, byte| number << 8 | u128::from(*byte));
    paths::join(paths::parent(to), &format!(".moongate-mv-{number:032x}"))
}

async fn sum(file: &dyn BackendFile) -> Result<Sum, BackendError> {
    carry(file, None).await
}

/// Sums up all of a file, piece by piece, and writes it if there is where to.
async fn carry(
    file: &dyn BackendFile,
    mut writer: Option<&mut dyn BackendWriter>,
) -> Result<Sum, BackendError> {
    let mut pieces = file.read(0..file.status().len).await?;
    let mut so_far = (0, 0);
    while let Some(piece) = pieces.next().await {
        let piece = piece?;
        so_far.0 += piece.len() as u64;
        so_far.1 = crc32c::crc32c_append(so_far.1, &piece);
        if let Some(writer) = &mut writer {
            writer.write(piece).await?;
        }
    }
    Ok(so_far)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_on_its_way_is_beside_its_target_and_no_other_file_is_there() {
        let way = |from, to| on_the_way(from, to);
        assert!(way("/x", "/a/b").starts_with("/a/.moongate-mv-"));
        assert!(way("/x", "/b").starts_with("/.moongate-mv-"));
        assert_eq!(way("/x", "/a/b"), way("/x", "/a/b"));
        assert_ne!(way("/x", "/a/b"), way("/x", "/a/c"));
        assert_ne!(way("/x", "/a/b"), way("/y", "/a/b"));
    }

    #[test]
    fn one_file_is_moved_once_at_a_time() {
        let way = Way::take("/w".to_owned()).unwrap();
        assert!(Way::take("/w".to_owned()).is_err());
        drop(way);
        assert!(Way::take("/w".to_owned()).is_ok());
    }
}
