//! Files of a batch that are in mounts: each is written to its store, several side by side.

use std::sync::Arc;

use bytes::Bytes;
use futures::{StreamExt as _, stream};
use moongate_cache::{BackendError, Caller, ErrorKind, Status};
use moongate_filer::FilePath;

use super::line;
use crate::protocol::batch::answer::Broken;
use crate::protocol::batch::upload::Outcome;
use crate::protocol::file::mounted::{self, status_of};
use crate::state::Gateway;

/// Files that are written at once: each costs some round trips to its store.
const AT_ONCE: usize = 16;

/// Where they go.
pub(super) struct Mounted {
    pub gateway: Arc<Gateway>,
    pub caller: Caller,
}

/// A file that waits to be stored.
pub(super) struct Ready {
    /// As it is called in the archive.
    pub name: String,
    pub path: FilePath,
    pub data: Bytes,
    pub crc32c: u32,
}

impl Mounted {
    /// Whether a path is in a mount.
    pub fn has(&self, path: &FilePath) -> bool {
        self.gateway.namespace.is_mounted(path.as_str())
    }

    /// Writes files. The batch is broken by a store that would take none of the next either.
    pub async fn store(&self, ready: Vec<Ready>) -> (Vec<Outcome>, Option<Broken>) {
        let writing: Vec<_> = ready.into_iter().map(|file| self.one(file)).collect();
        let mut written = stream::iter(writing).buffered(AT_ONCE);
        let (mut outcomes, mut broken) = (Vec::new(), None);
        while let Some(outcome) = written.next().await {
            outcomes.push(outcome.map_err(|error| {
                let text = error.to_string();
                if ends_the_batch(error.kind) {
                    broken.get_or_insert_with(|| Broken {
                        status: status_of(error.kind),
                        error: text.clone(),
                        offset: None,
                    });
                }
                text
            }));
        }
        (outcomes, broken)
    }

    async fn one(&self, file: Ready) -> Result<(Vec<u8>, u64), BackendError> {
        let (path, data) = (file.path.as_str(), file.data);
        let stored: Status = mounted::store(&self.gateway, &self.caller, path, data).await?;
        let tag = mounted::tag(&stored);
        let crc32c = Some(file.crc32c);
        Ok(line(&file.name, stored.len, tag.trim_matches('"'), crc32c))
    }
}

/// Whether no other file of the batch will fare better.
const fn ends_the_batch(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::NoSpace | ErrorKind::Unavailable | ErrorKind::TimedOut
    )
}
