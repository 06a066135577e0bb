//! Whether a caller may do what is asked: the checks that a NameNode with Ranger's plugin makes for each operation.
//!
//! Each check asks policies, and where they say nothing the file's own permissions. On top of HDFS, what a policy denies by name is not
//! made, replaced, moved or deleted either, though HDFS would only ask about its parent.

mod checking;
mod leave;
mod names;
mod native;
mod note;
mod operations;
mod pass;

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use moka::sync::Cache;
use moongate_auth::native::Superusers;
use moongate_auth::policy::FsAction;
use moongate_cache::{AclStatus, BackendError, Caller, Listing, RenameMode, Status};

use self::checking::Checking;
pub use self::leave::Leave;
pub use self::note::Note;
pub use self::pass::Pass;
use super::audit::Audit;
use super::source::Policies;
use crate::config::{Authz, PolicyConfig};

/// Access control lists that are remembered, and for how long.
const ACLS_MAX: u64 = 1 << 16;
const ACL_TTL: Duration = Duration::from_secs(30);

/// What is asked for.
#[derive(Clone, Copy, Debug)]
pub enum Deed<'a> {
    /// To know of it.
    Look,
    /// To know the names in it.
    List,
    /// To read its bytes.
    Read,
    /// To read all that is in it.
    ReadTree,
    /// To make or replace a file.
    Create,
    /// To change the bytes of a file that is there.
    Write,
    /// To make a folder.
    MakeDirs,
    /// To move it.
    Rename(&'a str, RenameMode),
    /// To delete it.
    Delete,
    /// To change its permissions, times or group.
    Own,
    /// To give it to somebody else.
    GiveAway,
    /// To add up all that is in it.
    Summary,
    /// To be told whether this would be allowed.
    Check(FsAction),
}

/// The files that are asked about, as they are, for whoever may see them.
#[async_trait]
pub trait Tree: Send + Sync {
    /// What is at a path; `None` if nothing is.
    async fn status(&self, caller: &Caller, path: &str) -> Result<Option<Status>, BackendError>;
    /// The access control list of a path; `None` if the store has none.
    async fn acl(&self, caller: &Caller, path: &str) -> Result<Option<AclStatus>, BackendError>;
    /// Entries of a folder after a name.
    async fn list(
        &self,
        caller: &Caller,
        path: &str,
        after: Option<&str>,
    ) -> Result<Listing, BackendError>;
    /// Who decides about a path.
    fn authz(&self, path: &str) -> Authz;
    /// What a path is called in policies.
    fn policy_path<'p>(&self, path: &'p str) -> Cow<'p, str>;
    /// Whether the bytes of a path are read through the cache.
    fn is_cached(&self, path: &str) -> bool;
    /// The folder at which the store of a path begins.
    fn store_root(&self, path: &str) -> String;
    /// Whether the store of a path decides by caller: an HDFS that is asked in the caller's name.
    fn knows_callers(&self, path: &str) -> bool;
    /// Asks such a store whether the caller may read a file, or the names in a folder.
    async fn ask_store(
        &self,
        caller: &Caller,
        path: &str,
        is_dir: bool,
    ) -> Result<(), BackendError>;
}

/// Answers by kind.
#[derive(Debug, Default)]
pub struct DecisionCounts {
    /// A policy allowed.
    pub policy_allowed: AtomicU64,
    /// A policy denied.
    pub policy_denied: AtomicU64,
    /// The file's own permissions allowed.
    pub native_allowed: AtomicU64,
    /// The file's own permissions refused.
    pub native_denied: AtomicU64,
    /// Nobody said anything, or there were no policies: refused.
    pub undecided_denied: AtomicU64,
    /// Policies said nothing: left to the NameNode, asked in the caller's name.
    pub namenode_asked: AtomicU64,
}

/// Decides. See the module.
#[derive(Debug)]
pub struct Gatekeeper {
    pub(super) config: PolicyConfig,
    policies: Arc<Policies>,
    audit: Audit,
    superusers: Superusers,
    acls: Cache<String, Option<Arc<AclStatus>>>,
    counts: DecisionCounts,
}

impl Gatekeeper {
    /// Over these policies.
    pub fn new(config: &PolicyConfig, policies: Arc<Policies>, audit: Audit) -> Self {
        Self {
            config: config.clone(),
            policies,
            audit,
            superusers: Superusers {
                users: config.superusers.clone(),
                groups: config.supergroups.clone(),
            },
            acls: Cache::builder()
                .max_capacity(ACLS_MAX)
                .time_to_live(ACL_TTL)
                .build(),
            counts: DecisionCounts::default(),
        }
    }

    /// The policies.
    pub const fn policies(&self) -> &Arc<Policies> {
        &self.policies
    }

    /// What is written down.
    pub const fn audit(&self) -> &Audit {
        &self.audit
    }

    /// Answers so far.
    pub const fn counts(&self) -> &DecisionCounts {
        &self.counts
    }

    /// Who decides about a mount, or the gateway's own files.
    pub fn authz(&self, mount: Authz) -> Authz {
        match mount {
            Authz::Auto => self.config.authz(),
            said => said,
        }
    }

    /// Whether the caller may; what was asked and answered is written down, at the latest when the pass is dropped.
    ///
    /// # Errors
    /// [`moongate_cache::ErrorKind::PermissionDenied`] in HDFS's words; what the store says that is looked at.
    pub async fn check<'a>(
        &'a self,
        tree: &'a dyn Tree,
        caller: &'a Caller,
        deed: Deed<'_>,
        path: &'a str,
    ) -> Result<Pass<'a>, BackendError> {
        let authz = self.authz(tree.authz(path));
        if matches!(authz, Authz::None | Authz::Namenode | Authz::Auto) {
            return Ok(Pass::free());
        }
        Checking::new(self, tree, caller, authz, path)
            .run(deed)
            .await
    }

    /// Whether the gateway's own files and images are governed.
    pub fn governs_own(&self) -> bool {
        !matches!(
            self.config.authz(),
            Authz::None | Authz::Namenode | Authz::Auto
        )
    }

    /// Whether the caller may use what is no file, but has a name in policies: a collection. Nobody owns it: what no policy allows is refused.
    ///
    /// # Errors
    /// [`moongate_cache::ErrorKind::PermissionDenied`]
    pub fn check_name(
        &self,
        caller: &Caller,
        path: &str,
        action: FsAction,
    ) -> Result<(), BackendError> {
        names::check_name(self, caller, path, action)
    }

    fn count(of: &AtomicU64) {
        of.fetch_add(1, Ordering::Relaxed);
    }
}
