//! Who was known by what they showed, for the rest of the second: a job sends the same token with each of its thousands of requests a second.
//!
//! What is remembered is the whole of what was found out, groups and tenant too, and only until the second is over by the clock: so whatever ends a
//! credential is noticed as it would be without this, at most a second later. Each thread has a table of its own, of which a place is taken
//! by whoever comes last.

use std::cell::RefCell;
use std::hash::BuildHasher as _;
use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};

use foldhash::quality::RandomState;

use super::Known;
use super::shown::Shown;

/// Places of a thread's table.
const PLACES: usize = 256;
/// What is longer is looked at each time.
const TEXT_BYTES_MAX: usize = 4096;

/// One of the gateways of this process: tests have several.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Id(u64);

impl Id {
    pub(super) fn new() -> Self {
        static TAKEN: AtomicU64 = AtomicU64::new(0);
        Self(TAKEN.fetch_add(1, Ordering::Relaxed))
    }
}

struct Remembered {
    by: Id,
    second: u64,
    kind: u8,
    text: Box<str>,
    known: Known,
}

#[derive(Default)]
struct Table {
    places: Vec<Option<Remembered>>,
    hasher: RandomState,
}

impl Table {
    fn place(&mut self, kind: u8, text: &str) -> Option<&mut Option<Remembered>> {
        if self.places.is_empty() {
            self.places.resize_with(PLACES, || None);
        }
        let place = self.hasher.hash_one((kind, text)) as usize % PLACES;
        self.places.get_mut(place)
    }
}

thread_local! {
    static TABLE: RefCell<Table> = RefCell::default();
}

/// Who showed this a moment ago.
pub(super) fn known(by: Id, shown: Shown<'_>) -> Option<Known> {
    let (kind, text) = repeatable(shown)?;
    let second = second();
    TABLE.with_borrow_mut(|table| {
        let held = table.place(kind, text)?.as_ref()?;
        let holds = held.by == by
            && held.second == second
            && held.kind == kind
            && is_same(Some(&held.text), Some(text));
        holds.then(|| held.known.clone())
    })
}

/// Remembers who showed this, if it is what is shown again.
pub(super) fn remember(by: Id, shown: Shown<'_>, known: &Known) {
    let Some((kind, text)) = repeatable(shown) else {
        return;
    };
    let held = Remembered {
        by,
        second: second(),
        kind,
        text: text.into(),
        known: known.clone(),
    };
    TABLE.with_borrow_mut(|table| {
        if let Some(place) = table.place(kind, text) {
            *place = Some(held);
        }
    });
}

/// A ticket is for one request; a delegation token may be cancelled, and is not to be good for one moment more.
fn repeatable(shown: Shown<'_>) -> Option<(u8, &str)> {
    let (kind, text) = match shown {
        Shown::Bearer(text) => (0, text),
        Shown::Basic(text) => (1, text),
        Shown::Cookie(text) => (2, text),
        Shown::Ticket(_) | Shown::Token(_) | Shown::Other(_) => return None,
    };
    (text.len() <= TEXT_BYTES_MAX).then_some((kind, text))
}

/// Seconds since 1970.
pub fn second() -> u64 {
    crate::namespace::now_ms() / 1000
}

/// Whether two credentials are the same, in a time that tells nothing of where they differ: behind a proxy, a connection has many users.
pub fn is_same(known: Option<&str>, shown: Option<&str>) -> bool {
    let (Some(known), Some(shown)) = (known, shown) else {
        return known.is_none() && shown.is_none();
    };
    let (known, shown) = (known.as_bytes(), shown.as_bytes());
    let differs = |(a, b): (&u8, &u8)| a ^ b;
    let differences = known
        .iter()
        .zip(shown)
        .map(differs)
        .fold(0, |all, one| all | one);
    known.len() == shown.len() && black_box(differences) == 0
}

#[cfg(test)]
mod tests {
    use moongate_auth::Method;

    use super::super::simple;
    use super::*;

    #[test]
    fn the_same_is_the_same_to_the_last_byte() {
        assert!(is_same(None, None));
        assert!(is_same(Some("Bearer a"), Some("Bearer a")));
        for (known, shown) in [
            (None, Some("")),
            (Some(""), None),
            (Some("Bearer a"), Some("Bearer b")),
            (Some("Bearer a"), Some("Bearer ")),
            (Some("Bearer a"), Some("Bearer aa")),
            (Some("bearer a"), Some("Bearer a")),
        ] {
            assert!(!is_same(known, shown), "{known:?} {shown:?}");
        }
    }

    #[test]
    fn only_the_very_same_is_remembered() {
        let (one, other) = (Id::new(), Id::new());
        let ann = Known::new(simple::identity("ann", Method::Jwt));
        let user = |by, shown| known(by, shown).map(|known| known.identity.user.to_string());
        // The second may end between the two.
        let holds = || {
            remember(one, Shown::Bearer("t"), &ann);
            user(one, Shown::Bearer("t")).as_deref() == Some("ann")
        };
        assert!((0..100).any(|_| holds()));
        for (by, shown) in [
            (other, Shown::Bearer("t")),
            (one, Shown::Bearer("u")),
            (one, Shown::Basic("t")),
            (one, Shown::Cookie("t")),
        ] {
            assert_eq!(user(by, shown), None, "{shown:?}");
        }
        for never in [Shown::Ticket("t"), Shown::Token("t"), Shown::Other("t")] {
            remember(one, never, &ann);
            assert_eq!(user(one, never), None, "{never:?}");
        }
        let long = "x".repeat(TEXT_BYTES_MAX + 1);
        remember(one, Shown::Bearer(&long), &ann);
        assert_eq!(user(one, Shown::Bearer(&long)), None);
    }
}
