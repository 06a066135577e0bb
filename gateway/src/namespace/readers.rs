//! Who may read which file, for the rest of the second: a job reads thousands of ranges of the same file a second, each of which is opened.
//!
//! Only what policies alone allowed is remembered, and it is good for the very same caller, path, mounts and policies. Each thread has a table
//! of its own, of which a place is taken by whoever comes last.

use std::cell::RefCell;
use std::hash::BuildHasher as _;
use std::sync::{Arc, Weak};

use foldhash::fast::RandomState;
use moongate_cache::Caller;

use super::table::Table;
use crate::login::remembered::second;
use crate::policy::gatekeeper::Leave;

/// Places of a thread's table.
const PLACES: usize = 128;

struct Reader {
    /// The mounts: another table is another gateway, or what is at the path may be another store. Weak, so that what was taken away goes.
    mounts: Weak<Table>,
    second: u64,
    caller: Caller,
    path: Box<str>,
    leave: Arc<Leave>,
}

#[derive(Default)]
struct Readers {
    places: Vec<Option<Reader>>,
    hasher: RandomState,
}

impl Readers {
    fn place(&mut self, caller: &Caller, path: &str) -> Option<&mut Option<Reader>> {
        if self.places.is_empty() {
            self.places.resize_with(PLACES, || None);
        }
        let place = self.hasher.hash_one((&*caller.user, path)) as usize % PLACES;
        self.places.get_mut(place)
    }
}

thread_local! {
    static READERS: RefCell<Readers> = RefCell::default();
}

/// The leave that was given a moment ago. Whether it still holds is for the gatekeeper to say.
pub(super) fn leave(mounts: &Arc<Table>, caller: &Caller, path: &str) -> Option<Arc<Leave>> {
    let second = second();
    READERS.with_borrow_mut(|readers| {
        let held = readers.place(caller, path)?.as_ref()?;
        let is_it = held.second == second
            && std::ptr::eq(held.mounts.as_ptr(), Arc::as_ptr(mounts))
            && *held.path == *path
            && held.caller == *caller;
        is_it.then(|| Arc::clone(&held.leave))
    })
}

/// Remembers what was given when the second was this one.
pub(super) fn remember(
    mounts: &Arc<Table>,
    caller: &Caller,
    path: &str,
    second: u64,
    leave: Leave,
) {
    let reader = Reader {
        mounts: Arc::downgrade(mounts),
        second,
        caller: caller.clone(),
        path: path.into(),
        leave: Arc::new(leave),
    };
    READERS.with_borrow_mut(|readers| {
        if let Some(place) = readers.place(caller, path) {
            *place = Some(reader);
        }
    });
}

#[cfg(test)]
mod tests {
    use moongate_cache::Who;

    use super::*;

    #[test]
    fn only_the_very_same_is_known() {
        let (ours, theirs) = (Arc::new(Table::default()), Arc::new(Table::default()));
        let (ann, bob) = (Caller::new("ann"), Caller::new("bob"));
        let with_group: Caller = Who {
            groups: Some(Arc::new(["staff".into()])),
            ..Who::new("ann")
        }
        .into();
        let opens = |mounts, caller: &Caller, path| leave(mounts, caller, path).is_some();
        // The second may end between the two.
        let holds = || {
            remember(&ours, &ann, "/m/f", second(), Leave::default());
            opens(&ours, &ann, "/m/f")
        };
        assert!((0..100).any(|_| holds()));
        assert!(!opens(&theirs, &ann, "/m/f"));
        assert!(!opens(&ours, &bob, "/m/f"));
        assert!(!opens(&ours, &ann.doing("OPEN"), "/m/f"));
        assert!(!opens(&ours, &with_group, "/m/f"));
        assert!(!opens(&ours, &ann, "/m/g"));
        remember(&ours, &ann, "/m/f", second() - 1, Leave::default());
        assert!(!opens(&ours, &ann, "/m/f"), "the second is over");
    }
}
