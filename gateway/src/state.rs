//! What every request can reach.

use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::AtomicBool;

use moongate_auth::tenants::Tenants;
use moongate_disk::ReadEngine;
use moongate_haystack::store::Store;

use crate::config::Config;
use crate::files::Files;
use crate::http::intake::{ByteBudget, IntakeLimits};
use crate::http::server::ConnectionStats;
use crate::login::Login;
use crate::login::fid::FidTokens;
use crate::metrics::Metrics;
use crate::namespace::Namespace;
use crate::protocol::webhdfs::Listings;
use crate::protocol::webhdfs::passthrough::NameNodes;
use crate::transform::TransformPool;

/// The parts of a running gateway.
pub struct Gateway {
    /// Settings, checked.
    pub config: Config,
    /// Tells who calls.
    pub login: Login,
    /// Who shares the gateway.
    pub tenants: Tenants,
    /// Checks and makes tokens of single file ids.
    pub fid_tokens: FidTokens,
    /// Images.
    pub store: Arc<Store>,
    /// Files by path.
    pub files: Files,
    /// The tree of all mounts, with the files by path at its root.
    pub namespace: Namespace,
    /// Asks NameNodes what only they know.
    pub namenodes: NameNodes,
    /// Folders that are being listed batch by batch.
    pub listings: Listings,
    /// Reads that have to wait for a disk.
    pub engine: ReadEngine,
    /// Bounds all request and large response bodies in memory.
    pub budget: ByteBudget,
    /// Bounds one request body.
    pub intake: IntakeLimits,
    /// Resizes and crops.
    pub transforms: TransformPool,
    /// Counters.
    pub metrics: Metrics,
    /// Connections of the image port.
    pub image_connections: Arc<ConnectionStats>,
    /// Connections of the file port.
    pub file_connections: Arc<ConnectionStats>,
    /// Connections of both ports of `hdfs://`.
    pub hdfs_connections: Arc<ConnectionStats>,
    /// Connections of the admin port.
    pub admin_connections: Arc<ConnectionStats>,
    /// Address that clients are given, known once the image port is bound.
    pub public_url: OnceLock<String>,
    /// Address of the image port.
    pub image_url: OnceLock<String>,
    /// Set when a shutdown has begun: not ready any more.
    pub stopping: AtomicBool,
}

impl Gateway {
    /// `host:port` of the image port, as it is bound.
    pub fn url(&self) -> &str {
        self.image_url.get().map_or("", String::as_str)
    }

    /// The addresses that an answer gives to a client: as configured, else as bound, else (bound to all interfaces) the
    /// host that the client itself asked.
    pub fn urls<'a>(&'a self, asked: Option<&'a str>) -> Urls<'a> {
        let url = asked
            .filter(|_| self.config.image.listen.ip().is_unspecified())
            .unwrap_or(self.url());
        Urls {
            url,
            public_url: self.public_url.get().map_or(url, String::as_str),
        }
    }
}

/// Where clients reach the image port.
#[derive(Clone, Copy, Debug)]
pub struct Urls<'a> {
    /// From inside.
    pub url: &'a str,
    /// From outside.
    pub public_url: &'a str,
}
