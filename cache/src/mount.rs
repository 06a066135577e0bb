//! A mount as the cache sees it: an under store, its gate, and what is known of its names and files.

use std::fmt;
use std::sync::Arc;

use crate::backend::{
    Backend, BackendError, BackendFile, Caller, ErrorKind, Freshness, Listing, Status,
};
use crate::budget::Budget;
use crate::cache::Cache;
use crate::config::MountTerms;
use crate::files::{FileTable, FileVersion};
use crate::gate::Gate;
use crate::mutant::{self, Mutant};
use crate::names::{Known, Moment, NameBounds, Names, child};
use crate::single_flight::SingleFlight;

/// Entries asked of the under store at once, at least.
const LIST_ENTRIES_MIN: usize = 1000;

/// Who asks about which path.
type Asker = (Arc<str>, Arc<str>);
/// Likewise, after which name, and how many entries at most.
type ListAsker = (Asker, Option<Arc<str>>, usize);
/// An answer, and when it was asked for.
type Asked<T> = Result<(T, Moment), BackendError>;

/// A mount of the cache.
pub struct Mount {
    pub(crate) id: Arc<str>,
    pub(crate) under: Arc<dyn Backend>,
    pub(crate) terms: MountTerms,
    pub(crate) gate: Gate,
    pub(crate) names: Names,
    pub(crate) files: Arc<FileTable>,
    /// The mount's share of the budget: a store that hangs in the middle of its answers cannot hold all of it.
    pub(crate) buffers: Budget,
    pub(crate) cache: Arc<Cache>,
    statuses_asked: SingleFlight<Asker, Asked<Arc<Status>>>,
    opens_asked: SingleFlight<Asker, Asked<Arc<dyn BackendFile>>>,
    lists_asked: SingleFlight<ListAsker, Asked<Listing>>,
}

impl fmt::Debug for Mount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Mount({} over {:?})", self.id, self.under)
    }
}

impl Mount {
    pub(crate) fn new(
        cache: Arc<Cache>,
        id: Arc<str>,
        under: Arc<dyn Backend>,
        terms: MountTerms,
    ) -> Self {
        let (config, counters) = (&cache.config, &cache.counters);
        let bounds = NameBounds {
            statuses_bytes: config.statuses_bytes,
            listings_bytes: config.listings_bytes,
        };
        let clock = || config.clock.clone();
        let gate = Gate::new(Arc::clone(&id), &terms, clock(), Arc::clone(counters));
        Self {
            names: Names::new(bounds, terms.ttl, clock(), Arc::clone(counters)),
            gate,
            files: Arc::default(),
            buffers: Budget::new(config.buffers_bytes_max / 4),
            statuses_asked: SingleFlight::default(),
            opens_asked: SingleFlight::default(),
            lists_asked: SingleFlight::default(),
            id,
            under,
            terms,
            cache,
        }
    }

    /// What is at a path: known, or asked.
    pub(crate) async fn status(
        self: &Arc<Self>,
        caller: &Caller,
        path: &str,
        freshness: Freshness,
    ) -> Asked<Arc<Status>> {
        if (freshness == Freshness::Cached || mutant::is(Mutant::IgnoreNow))
            && let Some((known, moment)) = self.names.status(path)
        {
            let status = known.ok_or_else(|| BackendError::not_found(path))?;
            return Ok((status, moment));
        }
        self.cache.counters.name_misses.add(1);
        let came = self.names.moment();
        let question = |moment| Arc::clone(self).ask_status(caller.clone(), path.into(), moment);
        let usable = |asked| self.names.will_do(path, asked, came, freshness);
        let key = (Arc::clone(&caller.user), Arc::from(path));
        let now = || self.names.moment();
        self.statuses_asked.ask(key, usable, now, question).await
    }

    async fn ask_status(
        self: Arc<Self>,
        caller: Caller,
        path: Arc<str>,
        moment: Moment,
    ) -> Asked<Arc<Status>> {
        let asked = self.under.status(&caller, &path, Freshness::Now);
        let answer = self.gate.call(asked).await.map(Arc::new);
        self.saw(&path, answer.as_ref().map(Arc::clone), moment)
            .await;
        answer.map(|status| (status, moment))
    }

    /// Opens a file of which nothing is known: status and file in one round trip.
    pub(crate) async fn open_under(
        self: &Arc<Self>,
        caller: &Caller,
        path: &str,
        freshness: Freshness,
    ) -> Asked<Arc<dyn BackendFile>> {
        self.cache.counters.name_misses.add(1);
        let came = self.names.moment();
        let question = |moment| Arc::clone(self).ask_open(caller.clone(), path.into(), moment);
        let usable = |asked| self.names.will_do(path, asked, came, freshness);
        let key = (Arc::clone(&caller.user), Arc::from(path));
        let now = || self.names.moment();
        self.opens_asked.ask(key, usable, now, question).await
    }

    async fn ask_open(
        self: Arc<Self>,
        caller: Caller,
        path: Arc<str>,
        moment: Moment,
    ) -> Asked<Arc<dyn BackendFile>> {
        let asked = self.under.open(&caller, &path, Freshness::Now);
        let answer = self.gate.call(asked).await;
        let seen = answer.as_ref().map(|file| Arc::new(file.status().clone()));
        self.saw(&path, seen, moment).await;
        answer.map(|file| (file, moment))
    }

    /// Learns from an answer about a path; the pages of another version than the one seen are dropped.
    pub(crate) async fn saw(
        &self,
        path: &str,
        answer: Result<Arc<Status>, &BackendError>,
        moment: Moment,
    ) {
        let known: Known = match answer {
            Ok(status) => Some(status),
            Err(error) if error.kind == ErrorKind::NotFound => None,
            Err(_) => return,
        };
        let version = known.as_ref().filter(|s| !s.is_dir()).map(|s| s.version());
        self.names.learn(path, known, moment);
        if let Some(old) = self.files.take_unless(path, version.as_ref()) {
            self.cache.drop_version(&old);
        }
    }

    /// Entries of a folder: known, or asked.
    pub(crate) async fn list(
        self: &Arc<Self>,
        caller: &Caller,
        path: &str,
        after: Option<&str>,
        limit: usize,
        freshness: Freshness,
    ) -> Result<Listing, BackendError> {
        if freshness == Freshness::Cached
            && let Some(listing) = self.names.listing(path, after, limit)
        {
            return Ok(listing);
        }
        self.cache.counters.name_misses.add(1);
        let came = self.names.moment();
        let after: Option<Arc<str>> = after.map(Arc::from);
        let asker = (Arc::clone(&caller.user), Arc::from(path));
        let question = |moment| {
            let this = Arc::clone(self);
            this.ask_list(caller.clone(), path.into(), after.clone(), limit, moment)
        };
        let usable = |asked| self.names.will_do(path, asked, came, freshness);
        let (key, now) = ((asker, after.clone(), limit), || self.names.moment());
        let (listing, _) = self.lists_asked.ask(key, usable, now, question).await?;
        Ok(first(listing, limit))
    }

    async fn ask_list(
        self: Arc<Self>,
        caller: Caller,
        path: Arc<str>,
        after: Option<Arc<str>>,
        limit: usize,
        moment: Moment,
    ) -> Asked<Listing> {
        let limit = limit.max(LIST_ENTRIES_MIN);
        let asked = self
            .under
            .list(&caller, &path, after.as_deref(), limit, Freshness::Now);
        let answer = self.gate.call(asked).await;
        match &answer {
            Ok(listing) => {
                self.saw_listing(&path, after.as_deref(), listing, moment)
                    .await
            }
            Err(error) => self.saw(&path, Err(error), moment).await,
        }
        answer.map(|listing| (listing, moment))
    }

    /// A listing is worth as many statuses.
    async fn saw_listing(
        &self,
        path: &str,
        after: Option<&str>,
        listing: &Listing,
        moment: Moment,
    ) {
        let is_file = |entry: &Status| entry.name.is_empty();
        if listing.entries.iter().any(is_file) {
            return;
        }
        self.names.learn_listing(path, after, listing, moment);
        for entry in listing.entries.iter() {
            let status = Status {
                name: String::new(),
                ..entry.clone()
            };
            self.saw(&child(path, &entry.name), Ok(Arc::new(status)), moment)
                .await;
        }
    }

    /// The store says that a version is not there any more.
    pub(crate) async fn has_changed(&self, file: &Arc<FileVersion>) {
        self.names.forget(&file.path);
        file.forget_opened();
        let held = self.files.get(&file.path);
        if held.is_some_and(|held| Arc::ptr_eq(&held, file))
            && let Some(old) = self.files.take_unless(&file.path, None)
        {
            self.cache.drop_version(&old);
        }
    }
}

fn first(listing: Listing, limit: usize) -> Listing {
    match listing.entries.get(..limit) {
        Some(first) if first.len() < listing.entries.len() => Listing {
            entries: first.into(),
            more: true,
        },
        _ => listing,
    }
}
