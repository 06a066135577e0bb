//! Leave to do the same thing with the same name again and again, without asking each time.

use std::sync::{Arc, Weak};

use moongate_auth::policy::{FsAction, Snapshot};
use moongate_cache::Caller;

use super::Gatekeeper;
use super::checking::{Checking, Word};
use super::names::Nothing;

/// That a caller may do something to a name. It was decided by the policies of one version; policies go by the time of day too, so whoever
/// keeps it asks anew when the second is over.
#[derive(Debug, Default)]
pub struct Leave {
    /// Weak: policies that are in force no more are not to stay because somebody remembers what they said.
    pub(super) snapshot: Option<Weak<Snapshot>>,
    /// What is written down each time.
    pub(super) line: Option<Arc<[u8]>>,
}

impl Gatekeeper {
    /// As [`Self::check_name`], for who does it more than once. Nothing is counted or written down, and `None` is no refusal: it is to be
    /// asked in the other way.
    pub fn leave(&self, caller: &Caller, path: &str, action: FsAction) -> Option<Leave> {
        let mut checking = Checking::new(self, &Nothing, caller, self.config.authz(), path);
        let allowed = self.superusers.include(&caller.user, &checking.groups)
            || matches!(checking.ask_policies(path, None, action), Word::Allow);
        let event = checking.event(true, false);
        allowed.then(|| Leave {
            line: event.map(|event| self.audit.line_of(&event)),
            snapshot: checking.snapshot.as_ref().map(Arc::downgrade),
        })
    }

    /// Whether it was given by the policies that are in force now.
    pub fn holds(&self, leave: &Leave) -> bool {
        self.policies.is_current(leave.snapshot.as_ref())
    }

    /// It is used: that is counted and written down.
    pub fn used(&self, leave: &Leave) {
        Self::count(&self.counts.policy_allowed);
        if let Some(line) = &leave.line {
            self.audit.take_line(line, None);
        }
    }

    /// It is used to read: that is counted, and written down by the note.
    pub fn used_to_read(self: &Arc<Self>, leave: &Leave) -> Option<super::Note> {
        Self::count(&self.counts.policy_allowed);
        let line = leave.line.as_ref()?;
        Some(super::Note::new(self, Arc::clone(line)))
    }
}
