//! The listener: connections in, requests to a service, answers out; every resource that a client can
//! hold is bounded.
//!
//! | what a client may do | what ends it |
//! | --- | --- |
//! | connect and send nothing, or a head byte by byte | `header_timeout`, from the moment it is accepted |
//! | keep a connection open without a request | `header_timeout`, from the end of the last answer |
//! | send a huge head | 431 at `header_bytes_max`, or at 100 headers |
//! | send a body slowly | [`intake`](super::intake), which the service reads it with |
//! | stop reading an answer | `write_stall_timeout` |
//! | open too many connections | 503 at `connections_max` |

use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Request, StatusCode, header};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use moongate_auth::tls::{ClientCertificate, Tls};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::body::Response;
use super::json::error_json;
use super::lane::{self, Lane, Left};
use super::rewound::Rewound;
use super::socket::GuardedSocket;
use super::tls;
use super::watchdog::{InFlight, Order, Watchdog, Watched};

/// The pause after an accept that failed for want of descriptors or memory. Until some connection ends,
/// trying again at once would only burn the processor.
const ACCEPT_PAUSE: Duration = Duration::from_millis(20);
/// Clients above `connections_max` that are told so at the same time; more are dropped without a word.
const REFUSALS_MAX: u64 = 64;
/// The least that hyper accepts for a connection's buffer, in bytes.
const HEADER_BYTES_MIN: usize = 8 * 1024;
/// What a client above `connections_max` is told.
const REFUSAL: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

/// What a client may hold of the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerLimits {
    /// Connections open at the same time.
    pub connections_max: u64,
    /// The longest head of a request, in bytes, and the most that a connection buffers; at least 8 KiB.
    pub header_bytes_max: usize,
    /// How long a head may take to arrive, counted from the accept or from the end of the last answer:
    /// so it is the keep-alive idle time as well.
    pub header_timeout: Duration,
    /// How long a client may take nothing of an answer that waits for it.
    pub write_stall_timeout: Duration,
}

impl Default for ServerLimits {
    fn default() -> Self {
        Self {
            connections_max: 20_000,
            header_bytes_max: 64 * 1024,
            header_timeout: Duration::from_secs(30),
            write_stall_timeout: Duration::from_secs(30),
        }
    }
}

/// What the listener has done so far; shared with whoever reports it.
#[derive(Debug, Default)]
pub struct ConnectionStats {
    /// Connections that are open now.
    pub open: AtomicU64,
    /// Connections accepted and served, in all.
    pub accepted: AtomicU64,
    /// Connections turned away because of `connections_max`, in all.
    pub refused: AtomicU64,
    /// Accepts that failed, in all: out of descriptors, mostly.
    pub accept_errors: AtomicU64,
    /// Services that panicked, in all.
    pub panics: AtomicU64,
    /// Requests that the lane has answered, in all.
    pub by_lane: AtomicU64,
}

/// Who sent a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PeerInfo {
    /// The address of the other end of the connection.
    pub addr: SocketAddr,
    /// Whether it is encrypted. A client's certificate, if it showed one, is in the request's extensions.
    pub tls: bool,
}

/// On which terms a port is served.
#[derive(Debug)]
pub struct Terms {
    /// What a client may hold.
    pub limits: ServerLimits,
    /// What has been done is counted here.
    pub stats: Arc<ConnectionStats>,
    /// With it nothing else is spoken.
    pub tls: Option<Arc<Tls>>,
    /// How long requests in flight are given after a shutdown has begun.
    pub drain_timeout: Duration,
}

/// Serves `listener` until `shutdown` becomes true (or its sender is dropped), then drains: no more
/// connections are accepted, idle ones are closed, requests in flight get their answers, and what is
/// left after `drain_timeout` is cut. Returns when nothing is left.
///
/// A service whose client goes away is dropped at its next `.await`: what must be finished belongs in a
/// task of its own. A service that panics answers 500.
pub async fn serve<S, F, L>(
    listener: TcpListener,
    terms: Terms,
    service: S,
    lane: L,
    mut shutdown: watch::Receiver<bool>,
) where
    S: Fn(Request<Incoming>, PeerInfo) -> F + Clone + Send + 'static,
    F: Future<Output = Response> + Send + 'static,
    L: Lane,
{
    let mut connections = JoinSet::new();
    let mut refusals = JoinSet::new();
    let drain_timeout = terms.drain_timeout;
    let acceptor = Acceptor {
        stats: terms.stats,
        service,
        lane,
        tls: terms.tls,
        watchdog: Watchdog::start(terms.limits.header_timeout),
        limits: terms.limits,
        starved: AtomicBool::new(false),
    };
    loop {
        tokio::select! {
            () = told(&mut shutdown) => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, addr)) => acceptor.admit(stream, addr, &mut connections, &mut refusals),
                Err(error) => acceptor.recover(&error).await,
            },
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
            Some(_) = refusals.join_next(), if !refusals.is_empty() => {}
        }
    }
    drop(listener);
    acceptor.watchdog.finish_all();
    drain(connections, drain_timeout).await;
}

/// Waits until `shutdown` is true; a sender that is gone can never say so, and counts as that.
async fn told(shutdown: &mut watch::Receiver<bool>) {
    let _ = shutdown.wait_for(|stop| *stop).await;
}

async fn drain(mut connections: JoinSet<()>, drain_timeout: Duration) {
    let all = async { while connections.join_next().await.is_some() {} };
    if timeout(drain_timeout, all).await.is_err() {
        tracing::warn!(
            open = connections.len(),
            "connections cut: they outlasted the drain"
        );
        connections.shutdown().await;
    }
}

/// What a listener needs to take a connection in.
struct Acceptor<S, L> {
    limits: ServerLimits,
    stats: Arc<ConnectionStats>,
    service: S,
    lane: L,
    tls: Option<Arc<Tls>>,
    watchdog: Arc<Watchdog>,
    /// Whether the last accept failed: such a time is logged once, not at every attempt.
    starved: AtomicBool,
}

impl<S, F, L> Acceptor<S, L>
where
    S: Fn(Request<Incoming>, PeerInfo) -> F + Clone + Send + 'static,
    F: Future<Output = Response> + Send + 'static,
    L: Lane,
{
    fn admit(
        &self,
        stream: TcpStream,
        addr: SocketAddr,
        connections: &mut JoinSet<()>,
        refusals: &mut JoinSet<()>,
    ) {
        self.starved.store(false, Ordering::Relaxed);
        if self.stats.open.load(Ordering::Relaxed) >= self.limits.connections_max {
            self.stats.refused.fetch_add(1, Ordering::Relaxed);
            // A handshake for a refusal would cost more than the connection: the client sees it closed.
            if self.tls.is_none() && (refusals.len() as u64) < REFUSALS_MAX {
                refusals.spawn(refuse(GuardedSocket::new(
                    stream,
                    self.limits.write_stall_timeout,
                    None,
                )));
            }
            return;
        }
        self.stats.accepted.fetch_add(1, Ordering::Relaxed);
        let tls = self.tls.is_some();
        connections.spawn(self.connection(stream, PeerInfo { addr, tls }));
    }

    /// One connection, from its first byte to its last.
    fn connection(
        &self,
        stream: TcpStream,
        peer: PeerInfo,
    ) -> impl Future<Output = ()> + use<S, F, L> {
        let open = OpenConnection::count(&self.stats);
        let (limits, service) = (self.limits.clone(), self.service.clone());
        let lane = self.lane.clone();
        let watched = self.watchdog.enter();
        let tls = self.tls.clone();
        async move {
            if !speaks_in_time(&stream, &watched).await {
                return;
            }
            // Without this an answer in two packets waits for the client's delayed acknowledgement.
            let _ = stream.set_nodelay(true);
            let writing = Some(watched.writing());
            let socket = GuardedSocket::new(stream, limits.write_stall_timeout, writing);
            let talk = Talk {
                peer,
                limits: &limits,
                stats: &open.stats,
                watched: &watched,
                service,
                lane,
            };
            match tls {
                None => talk.begin(socket, None).await,
                // Boxed: TLS has kilobytes of state, which connections without it need not have room for.
                Some(tls) => Box::pin(talk.over_tls(&tls, socket)).await,
            }
        }
    }

    /// A failed accept concerns one client, or the whole process: then wait for better times.
    async fn recover(&self, error: &io::Error) {
        self.stats.accept_errors.fetch_add(1, Ordering::Relaxed);
        if matches!(
            error.kind(),
            io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset
        ) {
            return;
        }
        if !self.starved.swap(true, Ordering::Relaxed) {
            tracing::warn!(%error, "cannot accept connections for now");
        }
        sleep(ACCEPT_PAUSE).await;
    }
}

/// What one connection's requests are answered with.
struct Talk<'a, S, L> {
    peer: PeerInfo,
    limits: &'a ServerLimits,
    stats: &'a ConnectionStats,
    watched: &'a Watched,
    service: S,
    lane: L,
}

impl<S, F, L> Talk<'_, S, L>
where
    S: Fn(Request<Incoming>, PeerInfo) -> F,
    F: Future<Output = Response>,
    L: Lane,
{
    /// After a handshake, for which the client has as long as for a head.
    async fn over_tls(self, tls: &Tls, socket: GuardedSocket) {
        let mut handshake = pin!(tls::accept(tls, socket));
        let accepted = poll_fn(|cx| match self.watched.poll_order(cx) {
            Order::GoOn => handshake.as_mut().poll(cx).map(Some),
            Order::Finish | Order::Cut => Poll::Ready(None),
        });
        match accepted.await {
            Some(Ok((stream, certificate))) => self.begin(stream, certificate).await,
            Some(Err(error)) => {
                tracing::debug!(peer = %self.peer.addr, %error, "no TLS could be agreed on");
            }
            None => {}
        }
    }

    /// By the lane, as long as that goes on; then by hyper.
    async fn begin<I>(self, mut stream: I, certificate: Option<Arc<ClientCertificate>>)
    where
        I: AsyncRead + AsyncWrite + Unpin,
    {
        let mut ahead = Bytes::new();
        if self.lane.is_open() {
            let mut visit = self.lane.visit(self.peer, certificate.clone());
            match lane::drive(&mut stream, &self.lane, &mut visit, self.watched).await {
                Left::Ended => return,
                Left::Ahead(bytes) => ahead = bytes,
            }
        }
        self.over(Rewound::new(ahead, stream), certificate).await;
    }

    /// HTTP, to its end. Every request carries the client's certificate, if it showed one.
    async fn over<I>(self, stream: I, certificate: Option<Arc<ClientCertificate>>)
    where
        I: AsyncRead + AsyncWrite + Unpin,
    {
        let Talk {
            peer,
            limits,
            stats,
            watched,
            service,
            ..
        } = self;
        let handler = service_fn(move |mut request: Request<Incoming>| {
            let in_flight = watched.begin();
            if let Some(certificate) = &certificate {
                request.extensions_mut().insert(Arc::clone(certificate));
            }
            // To begin with, a service is a function: that may panic as well as its future.
            let running = catch_unwind(AssertUnwindSafe(|| service(request, peer)));
            answer(running.ok(), peer, stats, in_flight)
        });
        let connection = protocol(limits).serve_connection(TokioIo::new(stream), handler);
        let mut connection = pin!(connection);
        let mut finishing = false;
        let ended = poll_fn(|cx| {
            match watched.poll_order(cx) {
                Order::GoOn => {}
                Order::Finish if finishing => {}
                Order::Finish => {
                    finishing = true;
                    connection.as_mut().graceful_shutdown();
                }
                Order::Cut => return Poll::Ready(Ok(())),
            }
            connection.as_mut().poll(cx)
        });
        if let Err(error) = ended.await {
            tracing::debug!(peer = %peer.addr, %error, "connection ended");
        }
    }
}

/// Counts a connection as open for as long as it lives, however it ends.
/// One that is open, for as long as this is there.
#[derive(Debug)]
pub struct OpenConnection {
    stats: Arc<ConnectionStats>,
}

impl OpenConnection {
    /// Counts it.
    pub fn count(stats: &Arc<ConnectionStats>) -> Self {
        stats.open.fetch_add(1, Ordering::Relaxed);
        Self {
            stats: Arc::clone(stats),
        }
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.stats.open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Waits for the first byte, before hyper allocates its buffers: ten thousand silent connections then
/// cost little more than their sockets.
async fn speaks_in_time(stream: &TcpStream, watched: &Watched) -> bool {
    poll_fn(|cx: &mut Context<'_>| match watched.poll_order(cx) {
        Order::GoOn => stream.poll_read_ready(cx).map(|ready| ready.is_ok()),
        Order::Finish | Order::Cut => Poll::Ready(false),
    })
    .await
}

fn protocol(limits: &ServerLimits) -> http1::Builder {
    let header_bytes_max = limits.header_bytes_max.max(HEADER_BYTES_MIN);
    let mut protocol = http1::Builder::new();
    protocol
        // The watchdog does this for all connections together.
        .header_read_timeout(None)
        .max_buf_size(header_bytes_max)
        // SeaweedFS spells headers as Go does, and some of its clients compare them as they are.
        .title_case_headers(true);
    protocol
}

/// Runs a service to its answer, which is 500 if it panics (`None`: it did so already).
async fn answer<F>(
    running: Option<F>,
    peer: PeerInfo,
    stats: &ConnectionStats,
    in_flight: InFlight,
) -> Result<Response, Infallible>
where
    F: Future<Output = Response>,
{
    let Some(running) = running else {
        return Ok(internal_error(peer, stats));
    };
    let mut running = pin!(running);
    let response = poll_fn(|cx| {
        let polled = catch_unwind(AssertUnwindSafe(|| running.as_mut().poll(cx)));
        // A future that has panicked is never polled again: the answer is ready.
        polled.unwrap_or_else(|_| Poll::Ready(internal_error(peer, stats)))
    });
    let mut response = response.await;
    response.body_mut().hold(in_flight);
    Ok(response)
}

fn internal_error(peer: PeerInfo, stats: &ConnectionStats) -> Response {
    stats.panics.fetch_add(1, Ordering::Relaxed);
    tracing::error!(peer = %peer.addr, "a service panicked");
    let mut response = error_json(StatusCode::INTERNAL_SERVER_ERROR, "internal error");
    response
        .headers_mut()
        .insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}

/// Tells a client that there is no room, and waits briefly until it has heard.
async fn refuse(mut socket: GuardedSocket) {
    if socket.write_all(REFUSAL).await.is_ok() {
        let _ = socket.shutdown().await;
    }
}

#[cfg(test)]
mod tests;
