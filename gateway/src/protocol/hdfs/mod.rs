//! `hdfs://` itself: the gateway as NameNode and DataNode over the namespace, for clients of Hadoop as they are.
//!
//! **Owns:** frames ([`frame`]) and connections of Hadoop's RPC ([`connection`]), the calls to a NameNode ([`calls`]), the port of bytes ([`data`])
//! and the tokens between the two ([`token`]). **Refuses to own:** files: each call is one to the namespace, as WebHDFS's are, whose table of
//! errors, order of names and blocks are shared.
//!
//! **Life of a read:** `getBlockLocations` opens the file in the caller's name and tells its blocks, each with a token that says whose
//! read it is of which version of which file. With it a client comes to the data port, where packets are made of cached pages as its socket
//! takes them. What is answered and what is refused: docs/hdfs.md.

pub mod calls;
pub mod connection;
pub mod data;
pub mod frame;
pub mod opened;
pub mod proto;
pub mod refused;
pub mod server;
pub mod token;

use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use self::opened::Opened;
use self::token::Tokens;
use crate::state::Gateway;

/// What both ports share.
#[derive(Debug)]
pub struct Hdfs {
    gateway: Arc<Gateway>,
    tokens: Tokens,
    opened: Opened,
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
/// The data port has no address.
pub fn spawn(
    gateway: &Arc<Gateway>,
    calls: TcpListener,
    data: TcpListener,
    stopped: &watch::Receiver<bool>,
) -> std::io::Result<[JoinHandle<()>; 2]> {
    let hdfs = Arc::new(Hdfs {
        gateway: Arc::clone(gateway),
        tokens: Tokens::new(),
        opened: Opened::default(),
        data_port: data.local_addr()?.port(),
    });
    let rpc = server::serve(Arc::clone(&hdfs), calls, stopped.clone(), connection::talk);
    let bytes = server::serve(hdfs, data, stopped.clone(), data::talk);
    Ok([tokio::spawn(rpc), tokio::spawn(bytes)])
}
