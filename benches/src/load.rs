//! The load generator: keep-alive connections on one thread, each with one request in flight.
//!
//! It shares the machine with what it measures, so it is kept light: requests are plain bytes from a [`Source`],
//! responses are read into a reused buffer, and one thread drives all connections. Every response is checked; one wrong
//! answer fails the round, since a fast wrong answer is worth nothing.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use hdrhistogram::Histogram;
use tokio::net::TcpStream;
use tokio::task::{JoinHandle, LocalSet};

use crate::connection::{Failure, Source, converse};
use crate::process::Target;
use crate::procfs;

/// Longest latency that is told apart: a minute.
const LATENCY_US_MAX: u64 = 60_000_000;

/// How long a round goes on.
#[derive(Clone, Copy, Debug)]
pub enum Extent {
    /// Measures for `window`, after `warmup`.
    Timed {
        /// Not measured.
        warmup: Duration,
        /// Measured.
        window: Duration,
    },
    /// Measures until every source has ended.
    Exhaust,
}

/// What one round measured.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Round {
    /// Operations that ended in the window.
    pub operations: u64,
    /// Length of the window.
    pub elapsed: Duration,
    /// CPU time of the server in the window.
    pub server_cpu: Duration,
    /// Median latency.
    pub p50: Duration,
    /// 99th percentile of latency.
    pub p99: Duration,
}

/// Counts shared by the connections of one round.
pub struct Tally {
    operations: Cell<u64>,
    latency_us: RefCell<Histogram<u64>>,
    stopping: Cell<bool>,
}

impl Tally {
    fn new() -> Result<Rc<Self>> {
        let latency_us = RefCell::new(new_histogram()?);
        Ok(Rc::new(Self {
            operations: Cell::new(0),
            latency_us,
            stopping: Cell::new(false),
        }))
    }

    /// Counts one operation.
    pub fn record(&self, latency: Duration) {
        self.operations.set(self.operations.get() + 1);
        self.latency_us
            .borrow_mut()
            .saturating_record(latency.as_micros() as u64);
    }

    /// Whether the round is over.
    pub fn is_stopping(&self) -> bool {
        self.stopping.get()
    }

    fn reset(&self) {
        self.operations.set(0);
        self.latency_us.borrow_mut().reset();
    }
}

/// Latencies in microseconds, three digits.
///
/// # Errors
/// Never in practice: the bounds are constants.
pub fn new_histogram() -> Result<Histogram<u64>> {
    Ok(Histogram::new_with_bounds(1, LATENCY_US_MAX, 3)?)
}

/// Drives `target` with one connection for each source and measures.
///
/// # Errors
/// When a connection fails or any response is not as its source expects.
pub fn run(target: Target, extent: Extent, sources: Vec<Box<dyn Source>>) -> Result<Round> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    LocalSet::new().block_on(&runtime, drive(target, extent, sources))
}

async fn drive(target: Target, extent: Extent, sources: Vec<Box<dyn Source>>) -> Result<Round> {
    let tally = Tally::new()?;
    let mut connections = Vec::with_capacity(sources.len());
    for source in sources {
        let stream = TcpStream::connect(target.addr)
            .await
            .context("connecting")?;
        stream.set_nodelay(true)?;
        connections.push(tokio::task::spawn_local(converse(
            stream,
            source,
            Rc::clone(&tally),
        )));
    }
    match extent {
        Extent::Timed { warmup, window } => {
            timed(target, &tally, warmup, window, connections).await
        }
        Extent::Exhaust => exhausted(target, &tally, connections).await,
    }
}

type Connections = Vec<JoinHandle<Result<(), Failure>>>;

async fn timed(
    target: Target,
    tally: &Tally,
    warmup: Duration,
    window: Duration,
    connections: Connections,
) -> Result<Round> {
    tokio::time::sleep(warmup).await;
    tally.reset();
    let (begun, cpu) = (Instant::now(), procfs::cpu_time(target.pid)?);
    tokio::time::sleep(window).await;
    let round = finish(target, tally, begun, cpu);
    tally.stopping.set(true);
    join(connections).await?;
    round
}

async fn exhausted(target: Target, tally: &Tally, connections: Connections) -> Result<Round> {
    let (begun, cpu) = (Instant::now(), procfs::cpu_time(target.pid)?);
    join(connections).await?;
    finish(target, tally, begun, cpu)
}

fn finish(target: Target, tally: &Tally, begun: Instant, cpu: Duration) -> Result<Round> {
    let latency = tally.latency_us.borrow();
    Ok(Round {
        operations: tally.operations.get(),
        elapsed: begun.elapsed(),
        server_cpu: procfs::cpu_time(target.pid)?.saturating_sub(cpu),
        p50: Duration::from_micros(latency.value_at_quantile(0.50)),
        p99: Duration::from_micros(latency.value_at_quantile(0.99)),
    })
}

async fn join(connections: Connections) -> Result<()> {
    let total = connections.len();
    let mut failures = Vec::new();
    for connection in connections {
        if let Err(failure) = connection.await? {
            failures.push(failure);
        }
    }
    match failures.first() {
        Some(first) => bail!(
            "{} of {total} connections failed, the first: {first}",
            failures.len()
        ),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::connection::Expect;
    use crate::floor_http::{self, GetFloor, PutFloor};

    fn floor() -> Target {
        Target {
            addr: floor_http::spawn().unwrap(),
            pid: std::process::id(),
        }
    }

    /// Asks `left` times for the same thing.
    struct Repeat {
        request: &'static str,
        expect: Expect,
        left: u64,
    }

    impl Source for Repeat {
        fn next(&mut self, request: &mut Vec<u8>) -> Option<Expect> {
            self.left = self.left.checked_sub(1)?;
            request.extend_from_slice(self.request.as_bytes());
            Some(self.expect)
        }
    }

    fn repeat(request: &'static str, expect: Expect, left: u64) -> Vec<Box<dyn Source>> {
        vec![
            Box::new(Repeat {
                request,
                expect,
                left,
            }),
            Box::new(Repeat {
                request,
                expect,
                left,
            }),
        ]
    }

    #[test]
    fn every_request_of_every_connection_is_counted() {
        let expect = Expect {
            status: 200,
            body_bytes: Some(floor_http::BODY_BYTES),
            prefix: None,
        };
        let round = run(
            floor(),
            Extent::Exhaust,
            repeat("GET / HTTP/1.1\r\nHost: x\r\n\r\n", expect, 50),
        )
        .unwrap();
        assert_eq!(round.operations, 100);
        assert!(round.p50 <= round.p99 && round.p99 > Duration::ZERO);
    }

    #[test]
    fn a_timed_round_counts_its_window() {
        let extent = Extent::Timed {
            warmup: Duration::from_millis(5),
            window: Duration::from_millis(50),
        };
        for source in [GetFloor::boxed(), PutFloor::boxed()] {
            let round = run(floor(), extent, vec![source]).unwrap();
            assert!(round.operations > 0);
            assert!(round.elapsed >= Duration::from_millis(50));
        }
    }

    #[test]
    fn a_wrong_status_length_or_prefix_fails_the_round() {
        let request = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
        let wrong = [
            Expect::status(201),
            Expect {
                status: 200,
                body_bytes: Some(1),
                prefix: None,
            },
            Expect::body(floor_http::BODY_BYTES, *b"notthere"),
        ];
        for expect in wrong {
            let error = run(floor(), Extent::Exhaust, repeat(request, expect, 1)).unwrap_err();
            assert!(error.to_string().contains("GET / HTTP/1.1"), "{error}");
        }
    }

    #[test]
    fn a_closed_connection_fails_the_round() {
        let request = "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
        assert!(
            run(
                floor(),
                Extent::Exhaust,
                repeat(request, Expect::status(200), 2)
            )
            .is_err()
        );
    }
}
