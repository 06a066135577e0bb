//! The tree as the gatekeeper looks at it, and the checks before each operation.

use std::borrow::Cow;

use async_trait::async_trait;
use moongate_cache::{AclStatus, BackendError, Caller, ErrorKind, Freshness, Listing, Status};

use super::Namespace;
use super::guard::Deed as Asked;
use crate::config::Authz;
use crate::policy::gatekeeper::{Deed, Pass, Tree};

/// Entries that are looked at together.
const PAGE_LEN: usize = 1000;

impl Namespace {
    /// Whether the caller may: asked before every operation, whatever the cache holds.
    ///
    /// # Errors
    /// [`ErrorKind::PermissionDenied`], and what the store says that is looked at.
    pub async fn may<'a>(
        &'a self,
        caller: &'a Caller,
        deed: Deed<'_>,
        path: &'a str,
    ) -> Result<Pass<'a>, BackendError> {
        self.gatekeeper.check(self, caller, deed, path).await
    }

    /// Whether anything is checked at a path.
    pub fn is_governed(&self, path: &str) -> bool {
        let authz = self.gatekeeper.authz(Tree::authz(self, path));
        !matches!(authz, Authz::None | Authz::Namenode | Authz::Auto)
    }

    /// Whether policies leave what they say nothing about to the store of a path, which is asked in the caller's name.
    pub fn leaves_to_store(&self, path: &str) -> bool {
        self.gatekeeper.authz(Tree::authz(self, path)) == Authz::Both && self.knows_callers(path)
    }
}

#[async_trait]
impl Tree for Namespace {
    async fn status(&self, caller: &Caller, path: &str) -> Result<Option<Status>, BackendError> {
        let table = self.table();
        let place = self.place(&table, path);
        match place
            .backend
            .status(caller, &place.inner, Freshness::Cached)
            .await
        {
            Ok(status) => Ok(Some(status)),
            // What leads to mounts is there without being anywhere.
            Err(error) if matches!(error.kind, ErrorKind::NotFound | ErrorKind::NotADirectory) => {
                let leads = table.below(path).next().is_some();
                Ok(leads.then(|| super::backend::folder_at(&table, path)))
            }
            Err(error) => Err(place.told(error)),
        }
    }

    async fn acl(&self, caller: &Caller, path: &str) -> Result<Option<AclStatus>, BackendError> {
        let place = self.place(&self.table(), path);
        match place.backend.acl(caller, &place.inner).await {
            Ok(list) => Ok(Some(list)),
            Err(error) if matches!(error.kind, ErrorKind::Unsupported | ErrorKind::NotFound) => {
                Ok(None)
            }
            Err(error) => Err(place.told(error)),
        }
    }

    async fn list(
        &self,
        caller: &Caller,
        path: &str,
        after: Option<&str>,
    ) -> Result<Listing, BackendError> {
        let place = self.place(&self.table(), path);
        let listed = place
            .backend
            .list(caller, &place.inner, after, PAGE_LEN, Freshness::Cached);
        listed.await.map_err(|error| place.told(error))
    }

    fn authz(&self, path: &str) -> Authz {
        let table = self.table();
        table
            .resolve(path)
            .map_or(Authz::Auto, |(mount, _)| mount.config.authz)
    }

    fn policy_path<'p>(&self, path: &'p str) -> Cow<'p, str> {
        let table = self.table();
        match table.resolve(path) {
            Some((mount, inner)) if !mount.config.policy_path.is_empty() => {
                let base = mount.config.policy_path.trim_end_matches('/');
                match (base, inner) {
                    ("", inner) => Cow::Borrowed(inner),
                    (base, "/") => Cow::Owned(base.to_owned()),
                    (base, inner) => Cow::Owned(format!("{base}{inner}")),
                }
            }
            _ => Cow::Borrowed(path),
        }
    }

    fn is_cached(&self, path: &str) -> bool {
        let table = self.table();
        table
            .resolve(path)
            .is_some_and(|(mount, _)| mount.cached.is_some())
    }

    fn store_root(&self, path: &str) -> String {
        let table = self.table();
        table
            .resolve(path)
            .map_or_else(|| "/".to_owned(), |(mount, _)| mount.path().to_owned())
    }

    fn knows_callers(&self, path: &str) -> bool {
        let table = self.table();
        let mount = table.resolve(path);
        mount.is_some_and(|(mount, _)| super::build::knows_callers(&mount.config))
    }

    async fn ask_store(
        &self,
        caller: &Caller,
        path: &str,
        is_dir: bool,
    ) -> Result<(), BackendError> {
        let place = self.place(&self.table(), path);
        let deed = if is_dir { Asked::List } else { Asked::Read };
        let asked = place.ask(caller, deed).await;
        asked.map_err(|error| place.told(error))
    }
}

/// What must be allowed for a change of what is known of a file.
pub(super) const fn deed_of(change: &moongate_cache::Change) -> Deed<'static> {
    use moongate_cache::Change;
    match change {
        Change::Owner { owner: Some(_), .. } => Deed::GiveAway,
        Change::Replication(_) | Change::Times { .. } => Deed::Write,
        Change::Permission(_)
        | Change::Owner { owner: None, .. }
        | Change::ModifyAcl(_)
        | Change::RemoveAclEntries(_)
        | Change::RemoveDefaultAcl
        | Change::RemoveAcl
        | Change::SetAcl(_) => Deed::Own,
    }
}
