//! What is known of names: statuses, absences and listings, each as old as the mount's TTL allows at most.

mod listings;
mod statuses;

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use crate::backend::{Freshness, Listing, Status};
use crate::clock::Clock;
use crate::mutant::{self, Mutant};
use crate::policy::epochs::Epochs;
use crate::stats::Counters;
use listings::Listings;
use statuses::Statuses;

/// When a question was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// See [`Epochs`].
    pub ticket: u64,
    /// By the cache's clock.
    pub at: Duration,
}

/// An answer about a path: what is there, or that nothing is.
pub type Known = Option<Arc<Status>>;

/// Bounds of a mount's memory of names, in bytes.
#[derive(Clone, Copy, Debug)]
pub struct NameBounds {
    pub(crate) statuses_bytes: u64,
    pub(crate) listings_bytes: u64,
}

/// What is known of one mount's names.
#[derive(Debug)]
pub struct Names {
    statuses: Statuses,
    listings: Listings,
    epochs: Mutex<Epochs>,
    ttl: Duration,
    clock: Clock,
    counters: Arc<Counters>,
}

impl Names {
    pub(crate) fn new(
        bounds: NameBounds,
        ttl: Duration,
        clock: Clock,
        counters: Arc<Counters>,
    ) -> Self {
        Self {
            statuses: Statuses::new(bounds.statuses_bytes),
            listings: Listings::new(bounds.listings_bytes),
            epochs: Mutex::default(),
            ttl,
            clock,
            counters,
        }
    }

    /// Now.
    pub(crate) fn moment(&self) -> Moment {
        // The clock first: an answer must not seem younger than it is.
        let at = self.clock.now();
        let ticket = self.epochs.lock().ticket();
        Moment { ticket, at }
    }

    /// Whether an answer about `path` that was asked for at `moment` may still be given.
    pub(crate) fn is_fresh(&self, path: &str, moment: Moment) -> bool {
        (self.age(moment) < self.ttl || mutant::is(Mutant::NeverTooOld))
            && self.is_current(path, moment)
    }

    /// Whether nothing has been changed through us at `path` since `moment`.
    pub(crate) fn is_current(&self, path: &str, moment: Moment) -> bool {
        mutant::is(Mutant::BelieveRaces) || self.epochs.lock().is_current(path, moment.ticket)
    }

    fn age(&self, moment: Moment) -> Duration {
        self.clock.now().saturating_sub(moment.at)
    }

    /// Whether an answer that is being asked for since `asked` will do for who came at `came`.
    pub(crate) fn will_do(
        &self,
        path: &str,
        asked: Moment,
        came: Moment,
        freshness: Freshness,
    ) -> bool {
        match freshness {
            Freshness::Now => asked.ticket > came.ticket,
            Freshness::Cached => asked.ticket > came.ticket || self.is_fresh(path, asked),
        }
    }

    /// What is at a path, if that is known and fresh.
    pub(crate) fn status(&self, path: &str) -> Option<(Known, Moment)> {
        let (known, moment) = self.statuses.get(path)?;
        if !self.is_fresh(path, moment) {
            return None;
        }
        self.counters.name_hit(self.age(moment));
        Some((known, moment))
    }

    /// Whether what is at a path is known and fresh.
    pub(crate) fn knows(&self, path: &str) -> bool {
        let known = self.statuses.get(path);
        known.is_some_and(|(_, moment)| self.is_fresh(path, moment))
    }

    /// Learns what was at a path at a moment.
    pub(crate) fn learn(&self, path: &str, known: Known, moment: Moment) {
        self.statuses.put(path, known, moment);
    }

    /// Entries of a folder, if they are known and fresh.
    pub(crate) fn listing(&self, path: &str, after: Option<&str>, limit: usize) -> Option<Listing> {
        let (listing, moment) = self.listings.get(path, after, limit)?;
        if !self.is_fresh(path, moment) {
            return None;
        }
        self.counters.name_hit(self.age(moment));
        Some(listing)
    }

    /// Learns the entries that come after `after`.
    pub(crate) fn learn_listing(
        &self,
        path: &str,
        after: Option<&str>,
        listing: &Listing,
        moment: Moment,
    ) {
        let still_good = |earlier| self.is_fresh(path, earlier);
        self.listings.put(path, after, listing, moment, still_good);
    }

    /// What was at a path is not known any more.
    pub(crate) fn forget(&self, path: &str) {
        let mut epochs = self.epochs.lock();
        epochs.mark(path);
    }

    /// Nor what was anywhere below it.
    pub(crate) fn forget_tree(&self, path: &str) {
        self.epochs.lock().mark_tree(path);
    }

    /// Nor what the folders above it look like.
    pub(crate) fn forget_parents(&self, path: &str) {
        let mut epochs = self.epochs.lock();
        for parent in parents(path) {
            epochs.mark(parent);
        }
    }
}

/// The folders above a path, nearest first: `/a/b` has `/a` and `/`.
pub fn parents(path: &str) -> impl Iterator<Item = &str> {
    let mut rest = path;
    std::iter::from_fn(move || {
        if rest == "/" {
            return None;
        }
        let cut = rest.rfind('/')?;
        rest = if cut == 0 { "/" } else { rest.get(..cut)? };
        Some(rest)
    })
}

/// The path of a name in a folder.
pub fn child(folder: &str, name: &str) -> String {
    if folder == "/" {
        format!("/{name}")
    } else {
        format!("{folder}/{name}")
    }
}

#[cfg(test)]
mod tests;
