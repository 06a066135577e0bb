//! `hdfs://` itself: the gateway as NameNode and DataNode over the namespace, for clients of Hadoop as they are.
//!
//! **Owns:** connections of Hadoop's RPC ([`connection`]), the calls to a NameNode ([`calls`]), the port of bytes ([`data`])
//! and the tokens between the two ([`token`]). **Refuses to own:** files: each call is one to the namespace, as WebHDFS's are, whose table of
//! errors, order of names and blocks are shared.
//!
//! **Life of a read:** `getBlockLocations` opens the file in the caller's name and tells its blocks, each with a token that says whose
//! read it is of which version of which file. With it a client comes to the data port, where packets are made of cached pages as its socket
//! takes them. **Of a write:** `create` begins the file in its store and gives its writer a lease ([`lease`]); its blocks come to the data port one
//! after the other, each packet checked, handed to the store, then answered; `complete` ends it. What is answered and what is refused: docs/hdfs.md.

pub mod calls;
pub mod connection;
pub mod data;
pub mod lease;
pub mod opened;
mod owners;
pub mod refused;
mod sasl;
pub mod security;
pub mod server;
pub mod token;

pub use moongate_hdfs_wire::{frame, proto};

use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use self::lease::Leases;
use self::opened::Opened;
use self::owners::Owners;
use self::security::Security;
use self::token::Tokens;
use crate::state::Gateway;

/// What both ports share.
#[derive(Debug)]
pub struct Hdfs {
    gateway: Arc<Gateway>,
    tokens: Tokens,
    owners: Owners,
    opened: Opened,
    leases: Leases,
    security: Security,
    /// Where the bytes are.
    data_port: u16,
}

impl std::fmt::Debug for Gateway {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gateway").finish_non_exhaustive()
    }
}

/// Serves both ports until the gateway stops.
///
/// # Errors
/// The data port has no address, the keytab lacks the key that is configured, or the shared secret cannot be used.
pub fn spawn(
    gateway: &Arc<Gateway>,
    calls: TcpListener,
    data: TcpListener,
    stopped: &watch::Receiver<bool>,
) -> std::io::Result<[JoinHandle<()>; 2]> {
    let hdfs = Arc::new(Hdfs {
        gateway: Arc::clone(gateway),
        tokens: Tokens::of_file(&gateway.config.hdfs.secret_file)?,
        owners: Owners::new(&gateway.config.hdfs.gateways),
        opened: Opened::default(),
        leases: Leases::new(
            gateway.config.hdfs.lease_soft_limit.duration(),
            gateway.config.hdfs.lease_hard_limit.duration(),
        ),
        security: Security::of(gateway)?,
        data_port: data.local_addr()?.port(),
    });
    let (rpc, stop) = (Arc::clone(&hdfs), stopped.clone());
    let rpc = async move {
        let calls = server::serve(
            Arc::clone(&rpc),
            calls,
            stop.clone(),
            connection::too_many(),
            connection::talk,
        );
        tokio::join!(calls, rpc.leases.watch(stop));
    };
    let stop = stopped.clone();
    let bytes = async move {
        server::serve(Arc::clone(&hdfs), data, stop, data::too_many(), data::talk).await;
        hdfs.leases.close_all().await;
    };
    Ok([tokio::spawn(rpc), tokio::spawn(bytes)])
}
