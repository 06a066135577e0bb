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
        if !self.by_store
            && let (Some(folder), Some(entry)) =
                (self.tree.status(self.caller, &parent).await?, status)
            && !native::sticky_allows(&permissions_of(&folder), &entry.owner, &self.caller.user)
        {
            return Err(self.refusal(path, FsAction::WRITE));
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
            self.access(path, FsAction::READ).await?;
            return self.ask_store(path, false).await;
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
            if files {
                self.ask_store(&folder, true).await?;
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
                if action == FsAction::ALL {
                    self.sticky_entries(&folder, &page.entries).await?;
                }
                for entry in page.entries.iter().filter(|entry| files || entry.is_dir()) {
                    let inner = paths::join(&folder, &entry.name);
                    if entry.is_dir() {
                        todo.push(inner);
                    } else {
                        self.access(&inner, FsAction::READ).await?;
                        self.ask_store(&inner, false).await?;
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

    /// Whether these may be taken out of a folder that its own permissions decide about: out of a sticky one everybody takes their own only.
    async fn sticky_entries(
        &mut self,
        folder: &str,
        entries: &[Status],
    ) -> Result<(), BackendError> {
        let by_policy = self.last.as_ref().is_some_and(|last| last.by_policy);
        if self.by_store || by_policy || entries.is_empty() {
            return Ok(());
        }
        let Some(status) = self.tree.status(self.caller, folder).await? else {
            return Ok(());
        };
        let of = permissions_of(&status);
        let user = &self.caller.user;
        match entries
            .iter()
            .find(|entry| !native::sticky_allows(&of, &entry.owner, user))
        {
            Some(entry) => Err(self.refusal(&paths::join(folder, &entry.name), FsAction::WRITE)),
            None => Ok(()),
        }
    }

    /// What is sent as one stream is asked about before it begins, where the NameNode decides.
    async fn ask_store(&self, path: &str, is_dir: bool) -> Result<(), BackendError> {
        match self.by_store {
            true => self.tree.ask_store(self.caller, path, is_dir).await,
            false => Ok(()),
        }
    }

    /// Only its owner changes what a file is; only a superuser gives it away.
    pub(super) fn own(
        &mut self,
        deed: Deed<'_>,
        status: Option<&Status>,
    ) -> Result<(), BackendError> {
        let is_owner = status.is_none_or(|status| *status.owner == *self.caller.user);
        if self.by_store || (is_owner && matches!(deed, Deed::Own)) {
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

/// Without the access control list, which has no say about what is sticky.
fn permissions_of(status: &Status) -> Permissions<'_> {
    Permissions {
        owner: &status.owner,
        group: &status.group,
        mode: status.permission,
        acl: &[],
    }
}
