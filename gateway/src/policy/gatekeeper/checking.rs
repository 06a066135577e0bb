//! The checks of one operation, in the order in which HDFS's plugin makes them; the first that is not passed refuses.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Instant;

use moongate_auth::Groups;
use moongate_auth::native::{self, Permissions};
use moongate_auth::policy::{Access, Decision, FsAction, Outcome, Request, Snapshot};
use moongate_cache::{BackendError, Caller, ErrorKind, RenameMode, Status};

use super::{Deed, Gatekeeper, Tree};
use crate::config::{Authz, PolicyFail};
use crate::namespace::{now_ms, path as paths};
use crate::policy::audit::Event;

/// Folders that one operation on a tree looks into.
const FOLDERS_MAX: usize = 1_000_000;
/// HDFS's name of the refusal.
const CLASS: &str = "org.apache.hadoop.security.AccessControlException";

/// One operation being checked.
pub(super) struct Checking<'a> {
    pub(super) keeper: &'a Gatekeeper,
    pub(super) tree: &'a dyn Tree,
    pub(super) caller: &'a Caller,
    pub(super) groups: Groups,
    authz: Authz,
    path: &'a str,
    snapshot: Option<Arc<Snapshot>>,
    begun: Instant,
    /// What was checked last.
    last: Option<Checked>,
}

/// A check that was made.
struct Checked {
    path: String,
    action: FsAction,
    decision: Option<Decision>,
    /// Whether a policy decided, not the file's own permissions.
    by_policy: bool,
}

/// An answer of policies, or that the file's own permissions are to be asked.
enum Word {
    Allow,
    Deny,
    AskNative,
}

impl<'a> Checking<'a> {
    pub(super) fn new(
        keeper: &'a Gatekeeper,
        tree: &'a dyn Tree,
        caller: &'a Caller,
        authz: Authz,
        path: &'a str,
    ) -> Self {
        let uses_policies = matches!(authz, Authz::Ranger | Authz::Both);
        let groups = caller.groups.as_ref();
        Self {
            keeper,
            tree,
            caller,
            groups: groups.map_or(Groups::Unknown, |groups| Groups::Known(Arc::clone(groups))),
            authz,
            path,
            snapshot: uses_policies.then(|| keeper.policies.current()).flatten(),
            begun: Instant::now(),
            last: None,
        }
    }

    /// Makes them all, and writes down what came of it.
    pub(super) async fn run(mut self, deed: Deed<'_>) -> Result<(), BackendError> {
        let done = if self
            .keeper
            .superusers
            .include(&self.caller.user, &self.groups)
        {
            Ok(())
        } else {
            self.checks(deed).await
        };
        self.write_down(done.is_ok(), matches!(deed, Deed::Read));
        done
    }

    async fn checks(&mut self, deed: Deed<'_>) -> Result<(), BackendError> {
        let path = self.path;
        let status = self.tree.status(self.caller, path).await?;
        let is_dir = status.as_ref().is_some_and(Status::is_dir);
        self.traverse(path, is_dir).await?;
        match deed {
            Deed::Look => Ok(()),
            Deed::List if !is_dir => Ok(()),
            Deed::List => self.access(path, FsAction::READ_EXECUTE).await,
            Deed::Read | Deed::ReadTree | Deed::Summary if status.is_none() => Ok(()),
            Deed::Read if is_dir => self.access(path, FsAction::READ_EXECUTE).await,
            Deed::Read => self.access(path, FsAction::READ).await,
            Deed::ReadTree => self.below(path, is_dir, FsAction::READ_EXECUTE, true).await,
            Deed::Summary => {
                self.below(path, is_dir, FsAction::READ_EXECUTE, false)
                    .await
            }
            Deed::Write if status.is_none() => Ok(()),
            Deed::Write => self.access(path, FsAction::WRITE).await,
            Deed::Create if status.is_some() => self.access(path, FsAction::WRITE).await,
            Deed::MakeDirs if is_dir => Ok(()),
            Deed::Create | Deed::MakeDirs => self.make(path).await,
            Deed::Rename(to, mode) => self.rename(to, mode, status.as_ref()).await,
            Deed::Delete => self.delete(status.as_ref()).await,
            Deed::Own | Deed::GiveAway => self.own(deed, status.as_ref()),
        }
    }

    /// The way to it: only a word against it refuses, or the folders' own permissions where no policies are asked.
    async fn traverse(&mut self, path: &str, is_dir: bool) -> Result<(), BackendError> {
        if self.authz == Authz::Native || self.goes_native() {
            return match self.passes(path).await? {
                true => Ok(()),
                false => Err(self.refusal(paths::parent(path), FsAction::EXECUTE)),
            };
        }
        let folder = if is_dir { path } else { paths::parent(path) };
        self.not_denied(folder, FsAction::EXECUTE).await
    }

    /// Refuses if policies say no, or there are none where there must be.
    async fn not_denied(&mut self, path: &str, action: FsAction) -> Result<(), BackendError> {
        if self.authz == Authz::Native || self.goes_native() {
            return Ok(());
        }
        let status = self.tree.status(self.caller, path).await?;
        let before = self.last.take();
        match self.ask_policies(path, status.as_ref(), action) {
            Word::Deny => Err(self.refusal(path, action)),
            // It is no check of its own: what is written down is the one that decides.
            Word::Allow | Word::AskNative => {
                self.last = before;
                Ok(())
            }
        }
    }

    /// Whether there are no policies, and the files' own permissions stand in for them.
    fn goes_native(&self) -> bool {
        self.snapshot.is_none()
            && self.authz != Authz::Native
            && self.keeper.config.fail == PolicyFail::Native
    }

    /// One check.
    async fn access(&mut self, path: &str, action: FsAction) -> Result<(), BackendError> {
        let status = self.tree.status(self.caller, path).await?;
        let counts = &self.keeper.counts;
        match self.ask_policies(path, status.as_ref(), action) {
            Word::Allow => Gatekeeper::count(&counts.policy_allowed),
            Word::Deny => return Err(self.refusal(path, action)),
            Word::AskNative => {
                let allowed = match &status {
                    Some(status) => self.native(path, status, action).await?,
                    None => false,
                };
                if !allowed {
                    Gatekeeper::count(&counts.native_denied);
                    return Err(self.refused(path, action));
                }
                Gatekeeper::count(&counts.native_allowed);
            }
        }
        Ok(())
    }

    fn ask_policies(&mut self, path: &str, status: Option<&Status>, action: FsAction) -> Word {
        let mut checked = Checked {
            path: path.to_owned(),
            action,
            decision: None,
            by_policy: false,
        };
        let uses_policies = matches!(self.authz, Authz::Ranger | Authz::Both);
        let decision = self
            .snapshot
            .as_ref()
            .map(|snapshot| self.decide(snapshot, path, status, action));
        let word = match decision.as_ref().map(|decision| decision.outcome) {
            _ if !uses_policies || self.goes_native() => Word::AskNative,
            Some(Outcome::Allow) => Word::Allow,
            Some(Outcome::Undetermined) if self.authz == Authz::Both => Word::AskNative,
            Some(Outcome::Deny | Outcome::Undetermined) | None => Word::Deny,
        };
        let outcome = decision.as_ref().map(|decision| decision.outcome);
        checked.by_policy = !matches!(outcome, None | Some(Outcome::Undetermined));
        checked.decision = decision;
        // On the way to something, no word is no refusal.
        let passes = action == FsAction::EXECUTE && outcome == Some(Outcome::Undetermined);
        self.last = Some(checked);
        if passes && matches!(word, Word::Deny) {
            Word::AskNative
        } else {
            word
        }
    }

    fn decide(
        &self,
        snapshot: &Snapshot,
        path: &str,
        status: Option<&Status>,
        action: FsAction,
    ) -> Decision {
        let address = self.caller.address.map(|address| address.to_string());
        snapshot.decide(&Request {
            path: &self.tree.policy_path(path),
            is_file: status.is_some_and(|status| !status.is_dir()),
            user: &self.caller.user,
            groups: &self.groups,
            owner: status.map(|status| &*status.owner),
            access: Access::Fs(action),
            action: self.caller.operation,
            client_ip: address.as_deref(),
            time_ms: i64::try_from(now_ms()).unwrap_or(i64::MAX),
            tags: &[],
        })
    }

    /// To make what is not there: the closest folder that is, and no word against the name itself.
    async fn make(&mut self, path: &str) -> Result<(), BackendError> {
        self.not_denied(path, FsAction::WRITE).await?;
        let ancestor = self.closest(path).await?;
        self.access(&ancestor, FsAction::WRITE).await
    }

    async fn closest(&self, path: &str) -> Result<String, BackendError> {
        let mut at = paths::parent(path);
        while at != "/" && self.tree.status(self.caller, at).await?.is_none() {
            at = paths::parent(at);
        }
        Ok(at.to_owned())
    }

    async fn rename(
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

    async fn delete(&mut self, status: Option<&Status>) -> Result<(), BackendError> {
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
    async fn change_in_parent(
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
    async fn below(
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
    fn own(&mut self, deed: Deed<'_>, status: Option<&Status>) -> Result<(), BackendError> {
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

    /// A refusal, counted.
    fn refusal(&self, path: &str, action: FsAction) -> BackendError {
        let counts = &self.keeper.counts;
        let by_policy = self.last.as_ref().is_some_and(|last| last.by_policy);
        let of: &AtomicU64 = match (by_policy, self.snapshot.is_some()) {
            (true, _) => &counts.policy_denied,
            (false, true) => &counts.undecided_denied,
            (false, false) if self.authz == Authz::Native => &counts.native_denied,
            (false, false) => &counts.undecided_denied,
        };
        Gatekeeper::count(of);
        self.refused(path, action)
    }

    fn refused(&self, path: &str, action: FsAction) -> BackendError {
        let user = &self.caller.user;
        let text = format!("Permission denied: user={user}, access={action}, inode=\"{path}\"");
        BackendError::of_class(ErrorKind::PermissionDenied, CLASS, text)
    }

    fn write_down(&self, allowed: bool, reads: bool) {
        let audit = &self.keeper.audit;
        if !audit.is_on() {
            return;
        }
        let Some(last) = &self.last else {
            return;
        };
        let decision = last.decision.as_ref();
        if !decision.is_none_or(|decision| decision.audited) {
            return;
        }
        audit.take(&Event {
            caller: self.caller,
            path: self.path,
            checked: &last.path,
            action: last.action,
            allowed,
            policy: decision
                .filter(|_| last.by_policy)
                .and_then(|decision| decision.policy),
            zone: decision
                .and_then(|decision| decision.zone.as_deref())
                .map(str::to_owned),
            took_ms: u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX),
            cached: reads.then(|| self.tree.is_cached(self.path)),
        });
    }
}

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
struct Nothing;

#[async_trait::async_trait]
impl Tree for Nothing {
    async fn status(&self, _: &Caller, _: &str) -> Result<Option<Status>, BackendError> {
        Ok(None)
    }

    async fn acl(
        &self,
        _: &Caller,
        _: &str,
    ) -> Result<Option<moongate_cache::AclStatus>, BackendError> {
        Ok(None)
    }

    async fn list(
        &self,
        _: &Caller,
        _: &str,
        _: Option<&str>,
    ) -> Result<moongate_cache::Listing, BackendError> {
        Ok(moongate_cache::Listing::default())
    }

    fn authz(&self, _: &str) -> Authz {
        Authz::Auto
    }

    fn policy_path(&self, path: &str) -> String {
        path.to_owned()
    }

    fn is_cached(&self, _: &str) -> bool {
        false
    }

    fn store_root(&self, _: &str) -> String {
        "/".to_owned()
    }
}
