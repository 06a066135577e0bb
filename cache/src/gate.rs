//! The one way to an under store: so many calls at once, each for so long, and none while its breaker is open.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::backend::{BackendError, ErrorKind};
use crate::clock::Clock;
use crate::config::MountTerms;
use crate::policy::breaker::Breaker;
use crate::stats::Counters;

/// A mount's pool, timeout and breaker.
#[derive(Debug)]
pub struct Gate {
    mount: Arc<str>,
    places: Arc<Semaphore>,
    timeout: Duration,
    breaker: Mutex<Breaker>,
    clock: Clock,
    counters: Arc<Counters>,
}

/// A place in the pool, given back when dropped.
#[derive(Debug)]
pub struct Pass {
    counters: Arc<Counters>,
    _place: OwnedSemaphorePermit,
}

impl Drop for Pass {
    fn drop(&mut self) {
        self.counters.under_calls_now.sub(1);
    }
}

impl Gate {
    pub(crate) fn new(
        mount: Arc<str>,
        terms: &MountTerms,
        clock: Clock,
        counters: Arc<Counters>,
    ) -> Self {
        Self {
            mount,
            places: Arc::new(Semaphore::new(terms.calls_max.max(1))),
            timeout: terms.timeout,
            breaker: Mutex::new(Breaker::new(terms.breaker_failures, terms.breaker_pause)),
            clock,
            counters,
        }
    }

    /// One call: refused, cut off or let through.
    pub(crate) async fn call<T>(
        &self,
        work: impl Future<Output = Result<T, BackendError>>,
    ) -> Result<T, BackendError> {
        let _pass = self.enter().await?;
        self.within(work).await
    }

    /// A place in the pool, for a stream.
    pub(crate) async fn enter(&self) -> Result<Pass, BackendError> {
        let checked = self.breaker.lock().check(self.clock.now());
        checked.map_err(|wait| self.refused(wait))?;
        let place = Arc::clone(&self.places).acquire_owned();
        let place = match tokio::time::timeout(self.timeout, place).await {
            Ok(Ok(place)) => place,
            Ok(Err(_)) | Err(_) => return Err(self.busy()),
        };
        // The breaker may have opened while we waited in line behind the calls that opened it.
        self.admit()?;
        self.counters.under_calls.add(1);
        self.counters.under_calls_now.add(1);
        Ok(Pass {
            counters: Arc::clone(&self.counters),
            _place: place,
        })
    }

    /// An answer in time; the breaker learns from it.
    pub(crate) async fn within<T>(
        &self,
        work: impl Future<Output = Result<T, BackendError>>,
    ) -> Result<T, BackendError> {
        let start = self.clock.now();
        let result = match tokio::time::timeout(self.timeout, work).await {
            Ok(result) => result,
            Err(_) => Err(self.timed_out()),
        };
        let took = self.clock.now().saturating_sub(start);
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.counters.under_micros.add(micros);
        self.learn(result.as_ref().err());
        result
    }

    fn learn(&self, error: Option<&BackendError>) {
        let mut breaker = self.breaker.lock();
        if error.is_none_or(|e| !e.is_transient()) {
            breaker.succeeded();
            return;
        }
        self.counters.under_failures.add(1);
        let was_open = breaker.is_open();
        breaker.failed(self.clock.now());
        if breaker.is_open() && !was_open {
            tracing::warn!(mount = %self.mount, why = ?error, "the under store fails; it is left alone for a while");
        }
    }

    fn admit(&self) -> Result<(), BackendError> {
        let admitted = self.breaker.lock().admit(self.clock.now());
        admitted.map_err(|wait| self.refused(wait))
    }

    fn refused(&self, wait: Duration) -> BackendError {
        self.counters.refused_calls.add(1);
        let text = format!(
            "the store behind {} does not answer; retry after {} s",
            self.mount,
            wait.as_secs().max(1)
        );
        BackendError::new(ErrorKind::Unavailable, text)
    }

    fn busy(&self) -> BackendError {
        let text = format!(
            "all connections to the store behind {} are busy; retry later, or raise the mount's calls_max",
            self.mount
        );
        BackendError::new(ErrorKind::Unavailable, text)
    }

    fn timed_out(&self) -> BackendError {
        let text = format!(
            "the store behind {} has not answered for {} s; retry later",
            self.mount,
            self.timeout.as_secs_f32()
        );
        BackendError::new(ErrorKind::TimedOut, text)
    }
}
