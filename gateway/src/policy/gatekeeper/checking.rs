//! The checks of one operation, in the order in which HDFS's plugin makes them; the first that is not passed refuses.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Instant;

use moongate_auth::Groups;
use moongate_auth::policy::{Access, Decision, FsAction, Outcome, Request, Snapshot};
use moongate_cache::{BackendError, Caller, ErrorKind, Status};

use super::{Deed, Gatekeeper, Pass, Tree};
use crate::config::{Authz, PolicyFail};
use crate::namespace::{now_ms, path as paths};
use crate::policy::audit::Event;

/// HDFS's name of the refusal.
const CLASS: &str = "org.apache.hadoop.security.AccessControlException";

/// One operation being checked.
pub(super) struct Checking<'a> {
    pub(super) keeper: &'a Gatekeeper,
    pub(super) tree: &'a dyn Tree,
    pub(super) caller: &'a Caller,
    pub(super) groups: Groups,
    authz: Authz,
    /// Whether the NameNode decides what policies do not: it is asked in the caller's name when the operation is made.
    pub(super) by_store: bool,
    pub(super) path: &'a str,
    pub(super) snapshot: Option<Arc<Snapshot>>,
    /// The caller's address, as policies have it.
    address: Option<String>,
    /// What is at `path`, once it was asked.
    found: Option<Option<Status>>,
    begun: Instant,
    /// What was checked last.
    pub(super) last: Option<Checked>,
}

/// A check that was made.
pub(super) struct Checked {
    pub(super) path: String,
    pub(super) action: FsAction,
    pub(super) decision: Option<Decision>,
    /// Whether a policy decided, not the file's own permissions.
    pub(super) by_policy: bool,
}

/// An answer of policies, or that the file's own permissions are to be asked.
pub(super) enum Word {
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
        let snapshot = uses_policies.then(|| keeper.policies.current()).flatten();
        let address = snapshot.as_ref().and(caller.address);
        Self {
            keeper,
            tree,
            caller,
            groups: groups.map_or(Groups::Unknown, |groups| Groups::Known(Arc::clone(groups))),
            authz,
            by_store: authz == Authz::Both && tree.knows_callers(path),
            path,
            snapshot,
            address: address.map(|address| address.to_string()),
            found: None,
            begun: Instant::now(),
            last: None,
        }
    }

    /// Makes them all, and writes down what came of it.
    pub(super) async fn run(mut self, deed: Deed<'_>) -> Result<Pass<'a>, BackendError> {
        let done = if self
            .keeper
            .superusers
            .include(&self.caller.user, &self.groups)
        {
            Ok(())
        } else {
            self.checks(deed).await
        };
        let reads = matches!(deed, Deed::Read);
        match done {
            Ok(()) if self.by_store || reads => Ok(Pass::of(self, reads)),
            Ok(()) => {
                self.write_down(true, reads);
                Ok(Pass::free())
            }
            Err(error) => {
                self.write_down(false, reads);
                Err(error)
            }
        }
    }

    async fn checks(&mut self, deed: Deed<'_>) -> Result<(), BackendError> {
        let path = self.path;
        let status = self.tree.status(self.caller, path).await?;
        self.found = Some(status.clone());
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
            Deed::Write | Deed::Check(_) if status.is_none() => Ok(()),
            Deed::Check(action) => self.access(path, action).await,
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
    pub(super) async fn traverse(&mut self, path: &str, is_dir: bool) -> Result<(), BackendError> {
        if self.by_store && self.goes_native() {
            return Ok(());
        }
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
    pub(super) async fn not_denied(
        &mut self,
        path: &str,
        action: FsAction,
    ) -> Result<(), BackendError> {
        if self.authz == Authz::Native || self.goes_native() {
            return Ok(());
        }
        let status = self.status(path).await?;
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

    /// What is at a path: of the one that everything is about it is known.
    async fn status(&self, path: &str) -> Result<Option<Status>, BackendError> {
        match &self.found {
            Some(found) if path == self.path => Ok(found.clone()),
            _ => self.tree.status(self.caller, path).await,
        }
    }

    /// Whether there are no policies, and the files' own permissions stand in for them.
    fn goes_native(&self) -> bool {
        self.snapshot.is_none()
            && self.authz != Authz::Native
            && self.keeper.config.fail == PolicyFail::Native
    }

    /// One check.
    pub(super) async fn access(
        &mut self,
        path: &str,
        action: FsAction,
    ) -> Result<(), BackendError> {
        let status = self.status(path).await?;
        let counts = &self.keeper.counts;
        match self.ask_policies(path, status.as_ref(), action) {
            Word::Allow => Gatekeeper::count(&counts.policy_allowed),
            Word::Deny => return Err(self.refusal(path, action)),
            Word::AskNative if self.by_store => Gatekeeper::count(&counts.namenode_asked),
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

    pub(super) fn ask_policies(
        &mut self,
        path: &str,
        status: Option<&Status>,
        action: FsAction,
    ) -> Word {
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
        snapshot.decide(&Request {
            path: &self.tree.policy_path(path),
            is_file: status.is_some_and(|status| !status.is_dir()),
            user: &self.caller.user,
            groups: &self.groups,
            owner: status.map(|status| &*status.owner),
            access: Access::Fs(action),
            action: self.caller.operation,
            client_ip: self.address.as_deref(),
            time_ms: i64::try_from(now_ms()).unwrap_or(i64::MAX),
            tags: &[],
        })
    }

    /// A refusal, counted.
    pub(super) fn refusal(&self, path: &str, action: FsAction) -> BackendError {
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

    /// Whether a file may be read because policies say so, whatever becomes of its status: until other policies or another second come.
    pub(super) fn was_policies_alone(&self) -> bool {
        let is_file = matches!(&self.found, Some(Some(status)) if !status.is_dir());
        let decision = self.last.as_ref().and_then(|last| last.decision.as_ref());
        let allowed = decision.is_some_and(|decision| decision.outcome == Outcome::Allow);
        let by_owner = self.snapshot.as_ref().is_none_or(|of| of.names_owner());
        is_file && allowed && !by_owner && !self.by_store
    }

    pub(super) fn write_down(&self, allowed: bool, reads: bool) {
        if let Some(event) = self.event(allowed, reads) {
            self.keeper.audit.take(&event);
        }
    }

    /// What is to be written down, if anything is.
    pub(super) fn event(&self, allowed: bool, reads: bool) -> Option<Event<'_>> {
        if !self.keeper.audit.is_on() {
            return None;
        }
        let last = self.last.as_ref()?;
        let decision = last.decision.as_ref();
        if !decision.is_none_or(|decision| decision.audited) {
            return None;
        }
        Some(Event {
            caller: self.caller,
            path: self.path,
            checked: &last.path,
            action: last.action,
            allowed,
            policy: decision
                .filter(|_| last.by_policy)
                .and_then(|decision| decision.policy),
            zone: decision.and_then(|decision| decision.zone.as_deref()),
            took_ms: u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX),
            cached: reads.then(|| self.tree.is_cached(self.path)),
        })
    }
}
