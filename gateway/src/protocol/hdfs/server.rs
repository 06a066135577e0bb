//! Listeners of connections that are not HTTP, under the limits of all others.

use std::io::{self, IoSlice};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::net::tcp::OwnedWriteHalf;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::Hdfs;
use crate::http::server::PeerInfo;

/// The pause after an accept that failed for want of descriptors or memory.
const ACCEPT_PAUSE: Duration = Duration::from_millis(20);

/// A connection that was taken in.
#[derive(Debug)]
pub struct Taken {
    /// The socket.
    pub stream: TcpStream,
    /// Who is at its other end.
    pub peer: PeerInfo,
    /// Becomes true when the gateway stops.
    pub stopped: watch::Receiver<bool>,
}

/// Serves a port until the gateway stops. Connections without work end then; the others are given the time to drain.
pub async fn serve<F>(
    hdfs: Arc<Hdfs>,
    listener: TcpListener,
    mut stopped: watch::Receiver<bool>,
    talk: impl Fn(Arc<Hdfs>, Taken) -> F,
) where
    F: Future<Output = ()> + Send + 'static,
{
    let limits = &hdfs.gateway.config.limits;
    let (connections_max, drain_timeout) = (
        limits.connections_max as u64,
        limits.drain_timeout.duration(),
    );
    let open = Arc::new(AtomicU64::new(0));
    let mut connections = JoinSet::new();
    loop {
        let for_it = stopped.clone();
        tokio::select! {
            () = told(&mut stopped) => break,
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
            accepted = listener.accept() => {
                let Ok((stream, addr)) = accepted else {
                    sleep(ACCEPT_PAUSE).await;
                    continue;
                };
                if open.load(Ordering::Relaxed) >= connections_max {
                    continue;
                }
                let _ = stream.set_nodelay(true);
                let peer = PeerInfo { addr, tls: false };
                let (counted, work) = (Counted::new(&open), talk(Arc::clone(&hdfs), Taken { stream, peer, stopped: for_it }));
                connections.spawn(async move {
                    let _counted = counted;
                    work.await;
                });
            }
        }
    }
    drop(listener);
    let all = async { while connections.join_next().await.is_some() {} };
    if timeout(drain_timeout, all).await.is_err() {
        connections.shutdown().await;
    }
}

/// Waits until the gateway stops.
pub async fn told(stopped: &mut watch::Receiver<bool>) {
    let _ = stopped.wait_for(|stop| *stop).await;
}

/// A connection that is open.
struct Counted(Arc<AtomicU64>);

impl Counted {
    fn new(open: &Arc<AtomicU64>) -> Self {
        open.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(open))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Writes all of it, or gives up when the client takes nothing for `stall`.
///
/// # Errors
/// The connection is gone, or stalls.
pub async fn write_all(
    out: &mut OwnedWriteHalf,
    mut slices: &mut [IoSlice<'_>],
    stall: Duration,
) -> io::Result<()> {
    IoSlice::advance_slices(&mut slices, 0);
    while !slices.is_empty() {
        let wrote = timeout(stall, out.write_vectored(slices))
            .await
            .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
        if wrote == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        IoSlice::advance_slices(&mut slices, wrote);
    }
    Ok(())
}
