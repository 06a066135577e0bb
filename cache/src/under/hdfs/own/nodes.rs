//! DataNodes: connections to them that are kept, and which of them have failed lately.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use super::idle::Idle;
use super::socket;

/// DataNodes close an idle connection after 4 s (`dfs.datanode.socket.reuse.keepalive`).
const KEPT: Duration = Duration::from_secs(3);
const KEPT_OF_ONE_MAX: usize = 8;
const KEPT_MAX: usize = 64;
/// How long one that has failed is asked after all others.
const DEAD_FOR: Duration = Duration::from_secs(60);
/// Most that are remembered so.
const DEAD_MAX: usize = 4096;

/// Host and port.
pub(super) type Address = (Arc<str>, u16);

/// All that are known of a cluster.
#[derive(Debug)]
pub(super) struct Nodes {
    idle: Idle<Address, TcpStream>,
    dead: Mutex<HashMap<Address, Instant>>,
    silence: Duration,
}

impl Nodes {
    /// `silence`: the longest wait for one.
    pub(super) fn new(silence: Duration) -> Self {
        Self {
            idle: Idle::new(KEPT, KEPT_OF_ONE_MAX, KEPT_MAX),
            dead: Mutex::default(),
            silence,
        }
    }

    pub(super) const fn silence(&self) -> Duration {
        self.silence
    }

    /// A connection that was kept.
    pub(super) fn kept(&self, to: &Address) -> Option<TcpStream> {
        self.idle.take(to, socket::is_open)
    }

    /// A new one.
    pub(super) async fn connect(&self, to: &Address) -> io::Result<TcpStream> {
        let connecting = socket::connect((&*to.0, to.1));
        match timeout(self.silence, connecting).await {
            Ok(connected) => connected,
            Err(_) => Err(io::ErrorKind::TimedOut.into()),
        }
    }

    /// Keeps one for the next read.
    pub(super) fn keep(&self, to: Address, stream: TcpStream) {
        self.idle.put(to, stream);
    }

    /// It has failed.
    pub(super) fn bury(&self, node: &Address) {
        let mut dead = self.dead.lock();
        dead.retain(|_, since| since.elapsed() < DEAD_FOR);
        if dead.len() < DEAD_MAX {
            dead.insert(node.clone(), Instant::now());
        }
    }

    /// It has failed lately.
    pub(super) fn is_dead(&self, node: &Address) -> bool {
        let dead = self.dead.lock();
        dead.get(node)
            .is_some_and(|since| since.elapsed() < DEAD_FOR)
    }

    /// It answers.
    pub(super) fn revive(&self, node: &Address) {
        self.dead.lock().remove(node);
    }
}
