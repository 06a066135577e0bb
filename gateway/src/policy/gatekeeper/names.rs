//! What is no file, but has a name in policies.

use std::borrow::Cow;

use async_trait::async_trait;
use moongate_auth::policy::FsAction;
use moongate_cache::{AclStatus, BackendError, Caller, Listing, Status};

use super::checking::{Checking, Word};
use super::{Gatekeeper, Tree};
use crate::config::Authz;

/// See [`Gatekeeper::check_name`].
pub(super) fn check_name(
    keeper: &Gatekeeper,
    caller: &Caller,
    path: &str,
    action: FsAction,
) -> Result<(), BackendError> {
    let mut checking = Checking::new(keeper, &Nothing, caller, keeper.config.authz(), path);
    let allowed = keeper.superusers.include(&caller.user, &checking.groups)
        || matches!(checking.ask_policies(path, None, action), Word::Allow);
    checking.write_down(allowed, false);
    if allowed {
        Gatekeeper::count(&keeper.counts.policy_allowed);
        return Ok(());
    }
    Err(checking.refusal(path, action))
}

/// A tree of names that are no files.
pub(super) struct Nothing;

#[async_trait]
impl Tree for Nothing {
    async fn status(&self, _: &Caller, _: &str) -> Result<Option<Status>, BackendError> {
        Ok(None)
    }

    async fn acl(&self, _: &Caller, _: &str) -> Result<Option<AclStatus>, BackendError> {
        Ok(None)
    }

    async fn list(&self, _: &Caller, _: &str, _: Option<&str>) -> Result<Listing, BackendError> {
        Ok(Listing::default())
    }

    fn authz(&self, _: &str) -> Authz {
        Authz::Auto
    }

    fn policy_path<'p>(&self, path: &'p str) -> Cow<'p, str> {
        Cow::Borrowed(path)
    }

    fn is_cached(&self, _: &str) -> bool {
        false
    }

    fn store_root(&self, _: &str) -> String {
        "/".to_owned()
    }

    fn knows_callers(&self, _: &str) -> bool {
        false
    }

    async fn ask_store(&self, _: &Caller, _: &str, _: bool) -> Result<(), BackendError> {
        Ok(())
    }
}
