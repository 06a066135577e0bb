//! One clock for all connections of a listener: it ends those that wait too long for a head, and tells all of them of a shutdown.
//!
//! A timer that is set and cleared for every request costs as much as parsing it. Here a request costs two additions: a connection counts its
//! turns, and the watchdog looks every now and then whether a connection has been in the same waiting turn for too long.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::task::Context;
use std::time::Duration;

use atomic_waker::AtomicWaker;
use parking_lot::Mutex;
use tokio::time::{Instant, MissedTickBehavior, interval};

/// Looks at each connection in one `header_timeout`: a timeout comes late by at most two of these parts.
const LOOKS: u32 = 8;
const LOOK_INTERVAL_MIN: Duration = Duration::from_millis(5);
const LOOK_INTERVAL_MAX: Duration = Duration::from_secs(5);

/// What a connection is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// Serve.
    GoOn,
    /// Answer the request in flight, if any, then close.
    Finish,
    /// Close: no head came in time.
    Cut,
}

/// What watchdog and connection share.
#[derive(Debug, Default)]
struct Vitals {
    /// Even while the connection waits for a head, odd from a request's head to the end of its answer.
    turns: AtomicU64,
    /// The client has not taken all of an answer yet: [`super::socket`] has a deadline for that.
    writing: AtomicBool,
    order: AtomicU8,
    waker: AtomicWaker,
}

impl Vitals {
    fn give(&self, order: Order) {
        self.order.fetch_max(order as u8, Ordering::Release);
        self.waker.wake();
    }
}

/// A connection as the watchdog saw it last.
#[derive(Debug)]
struct Seen {
    vitals: Arc<Vitals>,
    turns: u64,
    since: Instant,
}

/// Watches over the connections of one listener.
#[derive(Debug)]
pub(super) struct Watchdog {
    seen: Mutex<HashMap<u64, Seen>>,
    next: AtomicU64,
    header_timeout: Duration,
}

impl Watchdog {
    /// Starts to watch; ends when the last holder of the handle has gone.
    pub(super) fn start(header_timeout: Duration) -> Arc<Self> {
        let watchdog = Arc::new(Self::new(header_timeout));
        tokio::spawn(look_again(Arc::downgrade(&watchdog), header_timeout));
        watchdog
    }

    fn new(header_timeout: Duration) -> Self {
        Self {
            seen: Mutex::default(),
            next: AtomicU64::new(0),
            header_timeout,
        }
    }

    /// Watches a new connection, which waits for its first head.
    pub(super) fn enter(self: &Arc<Self>) -> Watched {
        let vitals = Arc::new(Vitals::default());
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let seen = Seen {
            vitals: Arc::clone(&vitals),
            turns: 0,
            since: Instant::now(),
        };
        self.seen.lock().insert(id, seen);
        Watched {
            watchdog: Arc::clone(self),
            id,
            vitals,
        }
    }

    /// Tells every connection to finish.
    pub(super) fn finish_all(&self) {
        for seen in self.seen.lock().values() {
            seen.vitals.give(Order::Finish);
        }
    }

    fn look(&self, now: Instant) {
        for seen in self.seen.lock().values_mut() {
            let turns = seen.vitals.turns.load(Ordering::Relaxed);
            let busy = turns % 2 == 1 || seen.vitals.writing.load(Ordering::Relaxed);
            let waits = !busy && turns == seen.turns;
            if !waits {
                (seen.turns, seen.since) = (turns, now);
            } else if now.duration_since(seen.since) >= self.header_timeout {
                seen.vitals.give(Order::Cut);
            }
        }
    }
}

async fn look_again(watchdog: Weak<Watchdog>, header_timeout: Duration) {
    let every = (header_timeout / LOOKS).clamp(LOOK_INTERVAL_MIN, LOOK_INTERVAL_MAX);
    let mut looks = interval(every);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let now = looks.tick().await;
        let Some(watchdog) = watchdog.upgrade() else {
            return;
        };
        watchdog.look(now);
    }
}

/// A connection's side.
#[derive(Debug)]
pub(super) struct Watched {
    watchdog: Arc<Watchdog>,
    id: u64,
    vitals: Arc<Vitals>,
}

impl Watched {
    /// What to do now; the task is woken when that changes.
    pub(super) fn poll_order(&self, cx: &Context<'_>) -> Order {
        self.vitals.waker.register(cx.waker());
        match self.vitals.order.load(Ordering::Acquire) {
            0 => Order::GoOn,
            1 => Order::Finish,
            _ => Order::Cut,
        }
    }

    /// Whether the connection is to be closed after the answer in flight.
    pub(super) fn is_finishing(&self) -> bool {
        self.vitals.order.load(Ordering::Acquire) != Order::GoOn as u8
    }

    /// For the socket to say when it waits for the client to read.
    pub(super) fn writing(&self) -> Writing {
        Writing(Arc::clone(&self.vitals))
    }

    /// A head has come.
    pub(super) fn begin(&self) -> InFlight {
        self.vitals.turns.fetch_add(1, Ordering::Relaxed);
        InFlight(Arc::clone(&self.vitals))
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.watchdog.seen.lock().remove(&self.id);
    }
}

/// Tells the watchdog whether an answer waits for the client to take it.
#[derive(Debug)]
pub(super) struct Writing(Arc<Vitals>);

impl Writing {
    pub(super) fn set(&self, blocked: bool) {
        self.0.writing.store(blocked, Ordering::Relaxed);
    }
}

/// A request that is being answered; when it is dropped the connection waits for the next head.
#[derive(Debug)]
pub(super) struct InFlight(Arc<Vitals>);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.turns.fetch_add(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(8);

    fn order(watched: &Watched) -> Order {
        watched.poll_order(&Context::from_waker(Waker::noop()))
    }

    #[test]
    fn only_who_waits_is_cut() {
        let watchdog = Arc::new(Watchdog::new(TIMEOUT));
        let (idle, busy, writing) = (watchdog.enter(), watchdog.enter(), watchdog.enter());
        let orders = || [&idle, &busy, &writing].map(order);
        let (request, start) = (busy.begin(), Instant::now());
        writing.writing().set(true);
        watchdog.look(start);
        watchdog.look(start + TIMEOUT - TIMEOUT / 10);
        assert_eq!(orders(), [Order::GoOn; 3]);
        watchdog.look(start + TIMEOUT);
        assert_eq!(orders(), [Order::Cut, Order::GoOn, Order::GoOn]);
        drop(request);
        writing.writing().set(false);
        watchdog.look(start + TIMEOUT + TIMEOUT / 10);
        assert_eq!(orders()[1..], [Order::GoOn; 2]);
        watchdog.look(start + TIMEOUT * 3);
        assert_eq!(orders(), [Order::Cut; 3]);
    }

    #[test]
    fn each_request_begins_the_wait_anew() {
        let watchdog = Arc::new(Watchdog::new(TIMEOUT));
        let watched = watchdog.enter();
        let start = Instant::now();
        for look in 1..20 {
            drop(watched.begin());
            watchdog.look(start + TIMEOUT * look);
        }
        assert_eq!(order(&watched), Order::GoOn);
    }

    #[test]
    fn a_shutdown_reaches_all_and_no_one_is_kept() {
        let watchdog = Arc::new(Watchdog::new(TIMEOUT));
        let watched = watchdog.enter();
        watchdog.finish_all();
        assert_eq!(order(&watched), Order::Finish);
        drop(watched);
        assert!(watchdog.seen.lock().is_empty());
    }
}
