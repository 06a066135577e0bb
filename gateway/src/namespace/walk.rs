//! All that is below a folder of the namespace, whichever stores it spans.

use std::future::Future;
use std::sync::Arc;

use moongate_cache::{Backend as _, BackendError, Caller, ErrorKind, Freshness, Status};

use super::{Namespace, path};

/// Entries that are asked of a store at once.
const PAGE_LEN: usize = 1000;
/// Folders within folders that are followed.
const DEPTH_MAX: usize = 256;

/// A walk: folder by folder, in the order of names, a folder before what is in it. It holds one page of each folder on its way down.
#[derive(Debug)]
pub struct Walk<'a> {
    namespace: &'a Namespace,
    caller: &'a Caller,
    freshness: Freshness,
    root: String,
    levels: Vec<Level>,
}

/// A folder on the way down.
#[derive(Debug)]
struct Level {
    folder: String,
    entries: Arc<[Status]>,
    /// The entry that comes next.
    next: usize,
    /// More come after this name.
    after: Option<String>,
}

impl<'a> Walk<'a> {
    /// Begins one.
    ///
    /// # Errors
    /// The folder cannot be listed, or is a file.
    pub async fn of(
        namespace: &'a Namespace,
        caller: &'a Caller,
        folder: &str,
        freshness: Freshness,
    ) -> Result<Self, BackendError> {
        let mut walk = Self {
            namespace,
            caller,
            freshness,
            root: folder.to_owned(),
            levels: Vec::new(),
        };
        let first = walk.level(folder.to_owned(), None).await?;
        if first.entries.first().is_some_and(is_itself) {
            let text = format!("{folder} is a file, not a folder");
            return Err(BackendError::new(ErrorKind::NotADirectory, text));
        }
        walk.levels.push(first);
        Ok(walk)
    }

    /// The next entry, with its path; `None` at the end.
    ///
    /// # Errors
    /// A folder cannot be listed. What is deeper than any real tree is an error too: to leave it out would be a lie.
    pub async fn next(&mut self) -> Result<Option<(String, Status)>, BackendError> {
        while let Some(level) = self.levels.last_mut() {
            let Some(status) = level.entries.get(level.next).cloned() else {
                let Some(after) = level.after.take() else {
                    self.levels.pop();
                    continue;
                };
                let folder = std::mem::take(&mut level.folder);
                let next = self.level(folder, Some(after)).await?;
                if let Some(level) = self.levels.last_mut() {
                    *level = next;
                }
                continue;
            };
            level.next += 1;
            // Gone since it was listed, and a file of its name come.
            if is_itself(&status) {
                continue;
            }
            let path = path::join(&level.folder, &status.name);
            if status.is_dir() {
                self.enter(&path).await?;
            }
            return Ok(Some((path, status)));
        }
        Ok(None)
    }

    /// What an entry's path is below the folder that is walked.
    pub fn relative<'p>(&self, path: &'p str) -> &'p str {
        path::within(path, &self.root)
            .unwrap_or(path)
            .trim_start_matches('/')
    }

    async fn enter(&mut self, folder: &str) -> Result<(), BackendError> {
        if self.levels.len() >= DEPTH_MAX {
            let text = format!("{folder}: folders are nested more than {DEPTH_MAX} deep");
            return Err(BackendError::new(ErrorKind::Invalid, text));
        }
        match self.level(folder.to_owned(), None).await {
            Ok(level) => self.levels.push(level),
            Err(error) if error.kind == ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    fn level(
        &self,
        folder: String,
        after: Option<String>,
    ) -> impl Future<Output = Result<Level, BackendError>> + Send + use<'a> {
        let (namespace, caller, freshness) = (self.namespace, self.caller, self.freshness);
        async move {
            let listed = namespace.list(caller, &folder, after.as_deref(), PAGE_LEN, freshness);
            let listed = listed.await?;
            let last = listed.entries.last().filter(|_| listed.more);
            Ok(Level {
                after: last.map(|last| last.name.clone()),
                entries: Arc::clone(&listed.entries),
                next: 0,
                folder,
            })
        }
    }
}

/// A file is listed as itself, without a name.
fn is_itself(status: &Status) -> bool {
    status.name.is_empty()
}
