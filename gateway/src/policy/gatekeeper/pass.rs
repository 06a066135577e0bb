//! What lets an operation be tried that the store decides about: it is written down once the store has answered.

use moongate_auth::policy::FsAction;
use moongate_cache::{BackendError, ErrorKind};

use super::checking::{Checked, Checking};

/// Leave to do what was asked for. Where the NameNode still decides, [`Pass::used`] tells what it said; dropped without that, it was allowed.
#[derive(Default)]
pub struct Pass<'a>(Option<Pending<'a>>);

struct Pending<'a> {
    checking: Checking<'a>,
    reads: bool,
    allowed: bool,
}

impl<'a> Pass<'a> {
    /// For what nobody decides about any more.
    pub(super) const fn free() -> Self {
        Self(None)
    }

    /// For what the store decides about.
    pub(super) const fn of(checking: Checking<'a>, reads: bool) -> Self {
        Self(Some(Pending {
            checking,
            reads,
            allowed: true,
        }))
    }

    /// Ends it with what the store said.
    pub fn used<T>(mut self, done: &Result<T, BackendError>) {
        let refused = done.as_ref().err();
        if let Some(pending) = &mut self.0
            && refused.is_some_and(|error| error.kind == ErrorKind::PermissionDenied)
        {
            pending.refused();
        }
    }
}

impl Pending<'_> {
    /// Whatever policies allowed, it was the store that said no.
    fn refused(&mut self) {
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
