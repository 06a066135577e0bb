//! The files' own permissions: the folders on the way, then the file.

use std::sync::Arc;

use moongate_auth::native::{self, Entry, Of, Permissions};
use moongate_auth::policy::FsAction;
use moongate_cache::{AclStatus, BackendError, Status};

use super::checking::Checking;
use crate::namespace::path as paths;

impl Checking<'_> {
    /// Whether the file's own permissions allow it, and those of the folders on the way.
    pub(super) async fn native(
        &self,
        path: &str,
        status: &Status,
        action: FsAction,
    ) -> Result<bool, BackendError> {
        Ok(self.passes(path).await? && self.allows(path, status, action).await?)
    }

    /// Whether the caller may pass every folder of the store above a path.
    pub(super) async fn passes(&self, path: &str) -> Result<bool, BackendError> {
        let root = self.tree.store_root(path);
        let mut at = path;
        while at != root && at != "/" {
            at = paths::parent(at);
            if let Some(status) = self.tree.status(self.caller, at).await?
                && status.is_dir()
                && !self.allows(at, &status, FsAction::EXECUTE).await?
            {
                return Ok(false);
            }
        }
        Ok(true)
    }

    async fn allows(
        &self,
        path: &str,
        status: &Status,
        action: FsAction,
    ) -> Result<bool, BackendError> {
        let list = self.list_of(path).await?;
        let entries = list.as_deref().map_or_else(Vec::new, entries);
        let of = Permissions {
            owner: &status.owner,
            group: &status.group,
            mode: status.permission,
            acl: &entries,
        };
        Ok(native::allows(&of, &self.caller.user, &self.groups, action))
    }

    async fn list_of(&self, path: &str) -> Result<Option<Arc<AclStatus>>, BackendError> {
        let acls = &self.keeper.acls;
        if let Some(known) = acls.get(path) {
            return Ok(known);
        }
        let list = self.tree.acl(self.caller, path).await?;
        let list = list.filter(|list| !list.entries.is_empty()).map(Arc::new);
        acls.insert(path.to_owned(), list.clone());
        Ok(list)
    }
}

/// The entries that count for access; what a folder hands down does not.
fn entries(list: &AclStatus) -> Vec<Entry<'_>> {
    let own = list.entries.iter().filter(|entry| !entry.is_default);
    let known = own.filter_map(|entry| {
        let of = match entry.kind.as_str() {
            "user" if !entry.name.is_empty() => Of::User(&entry.name),
            "group" => Of::Group(&entry.name),
            _ => return None,
        };
        let bits = entry.permission.unwrap_or(0);
        Some(Entry { of, bits })
    });
    known.collect()
}
