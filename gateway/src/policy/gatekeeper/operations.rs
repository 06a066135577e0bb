//! The checks of operations that ask about more than one path.

use moongate_auth::native::{self, Permissions};
use moongate_auth::policy::FsAction;
use moongate_cache::{BackendError, ErrorKind, RenameMode, Status};

use super::Deed;
use super::checking::{Checked, Checking};
use crate::namespace::path as paths;

/// Folders that one operation on a tree looks into.
const FOLDERS_MAX: usize = 1_000_000;

impl Checking<'_> {
    /// To make what is not there: the closest folder that is, and no word against the name itself.
    pub(super) async fn make(&mut self, path: &str) -> Result<(), BackendError> {
        self.not_denied(path, FsAction::WRITE).await?;
        let ancestor = self.closest(path).await?;
        self.access(&ancestor, FsAction::WRITE).await
    }

    pub(super) async fn closest(&self, path: &str) -> Result<String, BackendError> {
        let mut at = paths::parent(path);
        while at != "/" && self.tree.status(self.caller, at).await?.is_none() {
            at = paths::parent(at);
        }
        Ok(at.to_owned())
    }

    pub(super) async fn rename(
        &mut self,
        to: &str,
        mode: RenameMode,
        status: Option<&Status>,
    ) -> Result<(), BackendError> {
        let from = self.path;
        self.change_in_parent(from, status).await?;
        self.not_denied(from, FsAction::READ_WRITE).await?;
        let target = self.tree.status(self.caller, to).await?;
        let into = mode == RenameMode::Into && target.as_ref().is_some_and(Status::is_dir);
        let to = if into {
            paths::join(to, paths::name(from))
        } else {
            to.to_owned()
        };
        self.traverse(&to, false).await?;
        if !into && target.is_some() {
            self.change_in_parent(&to, target.as_ref()).await?;
        }
        self.make(&to).await
    }

    pub(super) async fn delete(&mut self, status: Option<&Status>) -> Result<(), BackendError> {
        let path = self.path;
        let Some(found) = status else {
            return Ok(());
        };
        self.change_in_parent(path, status).await?;
        self.not_denied(path, FsAction::WRITE).await?;
        if !found.is_dir() {
            return Ok(());
        }
        self.below(path, true, FsAction::ALL, false).await
    }

    /// To take an entry out of its folder.
    pub(super) async fn change_in_parent(
        &mut self,
        path: &str,
        status: Option<&Status>,
    ) -> Result<(), BackendError> {
        let parent = paths::parent(path).to_owned();
        if let (Some(folder), Some(entry)) = (self.tree.status(self.caller, &parent).await?, status)
        {
            let of = Permissions {
                owner: &folder.owner,
                group: &folder.group,
                mode: folder.permission,
                acl: &[],
            };
            if !native::sticky_allows(&of, &entry.owner, &self.caller.user) {
                return Err(self.refusal(path, FsAction::WRITE));
            }
        }
        self.access(&parent, FsAction::WRITE).await
    }

    /// A folder and those in it, from the top down; with `files`, what they hold too. An empty one is not asked about when it is deleted.
    pub(super) async fn below(
        &mut self,
        path: &str,
        is_dir: bool,
        action: FsAction,
        files: bool,
    ) -> Result<(), BackendError> {
        if !is_dir {
            return self.access(path, FsAction::READ).await;
        }
        let mut todo = vec![path.to_owned()];
        let mut seen = 0;
        while let Some(folder) = todo.pop() {
            seen += 1;
            if seen > FOLDERS_MAX {
                let text = format!(
                    "{path}: more than {FOLDERS_MAX} folders are in it: take them one by one"
                );
                return Err(BackendError::new(ErrorKind::Invalid, text));
            }
            let mut asked = action != FsAction::ALL;
            if asked {
                self.access(&folder, action).await?;
            }
            let mut after: Option<String> = None;
            loop {
                let page = self
                    .tree
                    .list(self.caller, &folder, after.as_deref())
                    .await?;
                if !asked && !page.entries.is_empty() {
                    self.access(&folder, action).await?;
                    asked = true;
                }
                for entry in page.entries.iter().filter(|entry| files || entry.is_dir()) {
                    let inner = paths::join(&folder, &entry.name);
                    if entry.is_dir() {
                        todo.push(inner);
                    } else {
                        self.access(&inner, FsAction::READ).await?;
                    }
                }
                after = page.entries.last().map(|entry| entry.name.clone());
                if !page.more || after.is_none() {
                    break;
                }
            }
        }
        Ok(())
    }

    /// Only its owner changes what a file is; only a superuser gives it away.
    pub(super) fn own(
        &mut self,
        deed: Deed<'_>,
        status: Option<&Status>,
    ) -> Result<(), BackendError> {
        let is_owner = status.is_none_or(|status| *status.owner == *self.caller.user);
        if is_owner && matches!(deed, Deed::Own) {
            return Ok(());
        }
        let path = self.path.to_owned();
        self.last = Some(Checked {
            path: path.clone(),
            action: FsAction::WRITE,
            decision: None,
            by_policy: false,
        });
        Err(self.refusal(&path, FsAction::WRITE))
    }
}
