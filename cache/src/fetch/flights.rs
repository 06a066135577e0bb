//! What is being brought in of one file: which pages, by which streams, and for how many readers.
//!
//! A *run* is a stream of the under store over consecutive pages. It goes on as far as its readers want it to (its *goal*) and ends at its
//! *limit*, when it meets a page that is here already or comes from elsewhere, or when its last reader has gone.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::Notify;

use super::fill::Fill;

/// A run of one file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RunId(u64);

/// A page on its way, and by which run; none: from the disk tier.
#[derive(Clone, Debug)]
pub struct Claim {
    pub(crate) fill: Arc<Fill>,
    pub(crate) run: Option<RunId>,
}

#[derive(Debug)]
struct Run {
    id: RunId,
    /// The page that comes next.
    next: u64,
    /// The first page that nobody wants yet.
    goal: u64,
    /// The first page that is not its own.
    limit: u64,
    readers: u32,
    wake: Arc<Notify>,
}

/// What a run does next.
#[derive(Debug)]
pub enum Step {
    /// Brings this page.
    Bring(u64, Arc<Fill>),
    /// Waits to be woken: nobody wants more yet.
    Wait,
    /// Ends.
    End,
}

/// Pages of one file on their way.
#[derive(Debug, Default)]
pub struct Flights {
    last: u64,
    runs: Vec<Run>,
    claims: HashMap<u64, Claim>,
}

impl Flights {
    pub(crate) fn claim(&self, page: u64) -> Option<&Claim> {
        self.claims.get(&page)
    }

    pub(crate) fn runs(&self) -> usize {
        self.runs.len()
    }

    /// Lets a run that has come to its goal at `page` bring that too.
    pub(crate) fn extend(&mut self, page: u64) -> Option<Claim> {
        let run = self
            .runs
            .iter_mut()
            .find(|run| run.goal == page && page < run.limit && run.readers > 0)?;
        run.goal += 1;
        run.wake.notify_one();
        let id = run.id;
        Some(self.add(page, Some(id)))
    }

    /// A new run that begins with `page`, with one reader.
    pub(crate) fn start(&mut self, page: u64, limit: u64) -> (RunId, Arc<Notify>, Claim) {
        self.last += 1;
        let id = RunId(self.last);
        let wake = Arc::new(Notify::new());
        self.runs.push(Run {
            id,
            next: page,
            goal: page + 1,
            limit: limit.max(page + 1),
            readers: 1,
            wake: Arc::clone(&wake),
        });
        (id, wake, self.add(page, Some(id)))
    }

    /// A page that comes from the disk tier.
    pub(crate) fn start_from_disk(&mut self, page: u64) -> Claim {
        self.add(page, None)
    }

    fn add(&mut self, page: u64, run: Option<RunId>) -> Claim {
        let fill = Arc::default();
        let claim = Claim { fill, run };
        self.claims.insert(page, claim.clone());
        claim
    }

    /// One more reader.
    pub(crate) fn join(&mut self, id: RunId) {
        if let Some(run) = self.run_mut(id) {
            run.readers += 1;
        }
    }

    /// One reader less.
    pub(crate) fn leave(&mut self, id: RunId) {
        if let Some(run) = self.run_mut(id) {
            run.readers = run.readers.saturating_sub(1);
            if run.readers == 0 {
                run.wake.notify_one();
            }
        }
    }

    /// Whether nobody reads a run any more.
    pub(crate) fn is_left(&self, id: RunId) -> bool {
        let run = self.runs.iter().find(|run| run.id == id);
        run.is_none_or(|run| run.readers == 0)
    }

    /// What a run does next.
    pub(crate) fn step(&mut self, id: RunId) -> Step {
        let Some(run) = self.run_mut(id) else {
            return Step::End;
        };
        if run.readers == 0 || run.next >= run.limit {
            return Step::End;
        }
        let (next, goal) = (run.next, run.goal);
        match self.claims.get(&next) {
            Some(claim) if next < goal => Step::Bring(next, Arc::clone(&claim.fill)),
            // Somebody else has it: the run's claims are without gaps.
            Some(_) => Step::End,
            None => Step::Wait,
        }
    }

    /// A page of a run has come, and is held elsewhere now.
    pub(crate) fn arrived(&mut self, id: RunId, page: u64) {
        self.claims.remove(&page);
        if let Some(run) = self.run_mut(id) {
            run.next = page + 1;
        }
    }

    /// A page from the disk tier has come, or not.
    pub(crate) fn left_disk(&mut self, page: u64) {
        self.claims.remove(&page);
    }

    /// A run ends; the pages that it owes.
    pub(crate) fn end(&mut self, id: RunId) -> Vec<Arc<Fill>> {
        self.runs.retain(|run| run.id != id);
        let mut owed = Vec::new();
        self.claims.retain(|_, claim| {
            let stays = claim.run != Some(id);
            if !stays {
                owed.push(Arc::clone(&claim.fill));
            }
            stays
        });
        owed
    }

    fn run_mut(&mut self, id: RunId) -> Option<&mut Run> {
        self.runs.iter_mut().find(|run| run.id == id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page_of(step: &Step) -> Option<u64> {
        match step {
            Step::Bring(page, _) => Some(*page),
            Step::Wait | Step::End => None,
        }
    }

    #[test]
    fn a_run_goes_as_far_as_is_wanted() {
        let mut flights = Flights::default();
        let (run, _, _) = flights.start(3, 6);
        assert_eq!(page_of(&flights.step(run)), Some(3));
        assert!(flights.claim(3).is_some() && flights.extend(5).is_none());
        flights.arrived(run, 3);
        assert!(matches!(flights.step(run), Step::Wait));
        assert!(flights.extend(4).is_some());
        assert_eq!(page_of(&flights.step(run)), Some(4));
        assert!(flights.extend(5).is_some() && flights.extend(6).is_none());
        flights.arrived(run, 4);
        flights.arrived(run, 5);
        assert!(matches!(flights.step(run), Step::End));
    }

    #[test]
    fn a_run_that_meets_another_ends() {
        let mut flights = Flights::default();
        let (first, _, _) = flights.start(0, 9);
        let (_, _, _) = flights.start(1, 9);
        flights.arrived(first, 0);
        assert!(matches!(flights.step(first), Step::End));
    }

    #[test]
    fn a_run_without_readers_ends_and_owes_its_pages() {
        let mut flights = Flights::default();
        let (run, _, _) = flights.start(0, 9);
        flights.extend(1);
        flights.join(run);
        flights.leave(run);
        assert!(!flights.is_left(run));
        flights.leave(run);
        assert!(flights.extend(2).is_none());
        assert!(matches!(flights.step(run), Step::End));
        assert!(flights.is_left(run));
        assert_eq!(flights.end(run).len(), 2);
        assert!(flights.claim(0).is_none() && flights.runs() == 0);
    }
}
