//! What lets an operation be tried: it is written down once the store has answered, or the first bytes are read.

use std::sync::Arc;

use moongate_auth::policy::FsAction;
use moongate_cache::{BackendError, ErrorKind};

use super::checking::{Checked, Checking};
use super::{Gatekeeper, Leave, Note};

/// Leave to do what was asked for. Where the NameNode still decides, [`Pass::used`] tells what it said; dropped without that, it was allowed.
#[derive(Default)]
pub struct Pass<'a>(Option<Pending<'a>>);

struct Pending<'a> {
    checking: Checking<'a>,
    reads: bool,
    allowed: bool,
}

impl<'a> Pass<'a> {
    /// For what nobody decides about any more, and nothing is left to be written of.
    pub(super) const fn free() -> Self {
        Self(None)
    }

    /// For what the store decides about, or a read.
    pub(super) const fn of(checking: Checking<'a>, reads: bool) -> Self {
        Self(Some(Pending {
            checking,
            reads,
            allowed: true,
        }))
    }

    /// Ends it with what the store said.
    pub fn used<T>(mut self, done: &Result<T, BackendError>) {
        if let Some(pending) = &mut self.0 {
            pending.told(done);
        }
    }

    /// Ends it with what the store said to the opening of a file. What is to be written of the read is left to the note; with the leave
    /// it may be opened again, if that does not have to be asked for.
    pub fn opened<T>(
        mut self,
        keeper: &Arc<Gatekeeper>,
        done: &Result<T, BackendError>,
    ) -> (Option<Note>, Option<Leave>) {
        if let Some(pending) = &mut self.0 {
            pending.told(done);
        }
        if done.is_err() {
            return (None, None);
        }
        let Some(Pending { checking, .. }) = self.0.take() else {
            return (None, None);
        };
        let line = checking
            .event(true, true)
            .map(|event| keeper.audit.line_of(&event));
        let note = line.clone().map(|line| Note::new(keeper, line));
        let snapshot = checking.snapshot.as_ref();
        let leave = snapshot
            .filter(|_| checking.was_policies_alone())
            .map(|snapshot| Leave {
                snapshot: Some(Arc::downgrade(snapshot)),
                line,
            });
        (note, leave)
    }
}

impl Pending<'_> {
    /// Whatever policies allowed, it may be the store that says no.
    fn told<T>(&mut self, done: &Result<T, BackendError>) {
        let refused = done.as_ref().err();
        if refused.is_none_or(|error| error.kind != ErrorKind::PermissionDenied) {
            return;
        }
        self.allowed = false;
        let path = self.checking.path;
        let last = self.checking.last.get_or_insert_with(|| Checked {
            path: path.to_owned(),
            action: FsAction::EXECUTE,
            decision: None,
            by_policy: false,
        });
        last.by_policy = false;
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        if let Some(pending) = &self.0 {
            pending.checking.write_down(pending.allowed, pending.reads);
        }
    }
}
