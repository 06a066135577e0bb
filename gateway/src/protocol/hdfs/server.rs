//! Listeners of connections that are not HTTP, under the limits of all others.

use std::io::{self, IoSlice};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::OwnedWriteHalf;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::Hdfs;
use crate::http::server::{OpenConnection, PeerInfo};

/// The pause after an accept that failed for want of descriptors or memory.
const ACCEPT_PAUSE: Duration = Duration::from_millis(20);

/// Clients that are told at the same time that there are too many; more are closed without a word.
const REFUSALS_MAX: usize = 64;
const REFUSAL_WAIT: Duration = Duration::from_secs(2);
/// What they are told.
pub const TOO_MANY: &str =
    "the gateway has as many connections as it takes (limits.connections_max): try again later";

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

/// Serves a port until the gateway stops. Connections without work end then; the others are given the time to drain. A connection above
/// `limits.connections_max` is sent `refusal`.
pub async fn serve<F>(
    hdfs: Arc<Hdfs>,
    listener: TcpListener,
    mut stopped: watch::Receiver<bool>,
    refusal: Vec<u8>,
    talk: impl Fn(Arc<Hdfs>, Taken) -> F,
) where
    F: Future<Output = ()> + Send + 'static,
{
    let limits = &hdfs.gateway.config.limits;
    let (connections_max, drain_timeout) = (
        limits.connections_max as u64,
        limits.drain_timeout.duration(),
    );
    let stats = Arc::clone(&hdfs.gateway.hdfs_connections);
    let (refusal, mut refusals) = (Arc::<[u8]>::from(refusal), JoinSet::new());
    let mut connections = JoinSet::new();
    loop {
        let for_it = stopped.clone();
        tokio::select! {
            () = told(&mut stopped) => break,
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
            Some(_) = refusals.join_next(), if !refusals.is_empty() => {}
            accepted = listener.accept() => {
                let Ok((stream, addr)) = accepted else {
                    sleep(ACCEPT_PAUSE).await;
                    continue;
                };
                if stats.open.load(Ordering::Relaxed) >= connections_max {
                    stats.refused.fetch_add(1, Ordering::Relaxed);
                    if refusals.len() < REFUSALS_MAX {
                        refusals.spawn(turn_away(stream, Arc::clone(&refusal)));
                    }
                    continue;
                }
                stats.accepted.fetch_add(1, Ordering::Relaxed);
                let _ = stream.set_nodelay(true);
                let peer = PeerInfo { addr, tls: false };
                let (counted, work) = (OpenConnection::count(&stats), talk(Arc::clone(&hdfs), Taken { stream, peer, stopped: for_it }));
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

/// Tells a client that there are too many, and lets it hear that: to close with unread bytes in the socket would reset it.
async fn turn_away(mut stream: TcpStream, words: Arc<[u8]>) {
    let told = async {
        stream.write_all(&words).await?;
        stream.shutdown().await?;
        let mut ignored = [0; 1024];
        while stream.read(&mut ignored).await? > 0 {}
        io::Result::Ok(())
    };
    // A client that does not listen is not waited for.
    let _ = timeout(REFUSAL_WAIT, told).await;
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
