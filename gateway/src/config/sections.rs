//! The sections of the file but `[haystack]`: listeners, limits, log. Doc comments here are the reference that users
//! read: `docs/config.md` is made from them.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use serde::{Deserialize, Deserializer, Serialize, de};

use super::tokens::FidJwtConfig;
use super::units::{ByteSize, Span};

const fn loopback(port: u16) -> SocketAddr {
    SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), port)
}

/// An address, with an error that says what one looks like.
fn address<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SocketAddr, D::Error> {
    let text = String::deserialize(deserializer)?;
    let accepted = "an IP address and a port such as \"127.0.0.1:9333\", \"[::1]:9333\" or \"0.0.0.0:9333\" (all interfaces)";
    text.parse()
        .map_err(|_| de::Error::custom(format!("{text:?} is not {accepted}")))
}

/// As [`address`], or nothing.
fn address_or_none<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<SocketAddr>, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text.is_empty() {
        return Ok(None);
    }
    address(de::value::StringDeserializer::new(text)).map(Some)
}

fn shown_or_empty<S: serde::Serializer>(
    address: &Option<SocketAddr>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let shown = address.map(|address| address.to_string());
    serializer.serialize_str(&shown.unwrap_or_default())
}

#[cfg(test)]
fn address_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({"type": "string", "format": "address"})
}

/// The image port: SeaweedFS's master and volume HTTP calls, on one address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields, expecting = "a section of keys")]
#[allow(
    missing_docs,
    reason = "a section is documented on its own type, from where the reference takes it"
)]
pub struct ImageConfig {
    /// Address to listen on. Port 0 takes a free one, and the log tells which.
    #[serde(deserialize_with = "address")]
    #[cfg_attr(test, schemars(schema_with = "address_schema"))]
    pub listen: SocketAddr,
    /// `host:port` that clients are told to use, in the answers to assign and lookup. Empty: the address bound; when
    /// `listen` is all interfaces, the host that the client asked.
    pub public_url: String,
    /// Largest upload accepted; a larger one is refused with 400 before it is read.
    pub upload_bytes_max: ByteSize,
    /// Longest list of images that one call downloads or deletes (`POST /batch/get`, `/batch/delete`): a file id takes about 20
    /// bytes, with a name 60. A batch upload may have any length.
    pub batch_list_bytes_max: ByteSize,
    /// Most pixels of an image that is resized or cropped on read, and of the result. Told from the image's header,
    /// so a decompression bomb costs nothing.
    pub transform_pixels_max: u64,
    /// Most memory for one image being resized or cropped. Up to `transform_concurrency` of them run at once.
    pub transform_memory_max: ByteSize,
    /// How many images are resized or cropped at once. 0: as many as there are CPU cores.
    pub transform_concurrency: usize,
    /// How many more may wait for their turn; beyond it the answer is 503 with `Retry-After`.
    pub transform_queue_max: usize,
    /// Answer browsers' cross-origin requests (`Access-Control-Allow-Origin: *`), as SeaweedFS does.
    pub cors: bool,
    pub jwt: FidJwtConfig,
}

impl Default for ImageConfig {
    fn default() -> Self {
        Self {
            listen: loopback(9333),
            public_url: String::new(),
            upload_bytes_max: ByteSize::mib(256),
            batch_list_bytes_max: ByteSize::mib(64),
            transform_pixels_max: 100_000_000,
            transform_memory_max: ByteSize::mib(512),
            transform_concurrency: 0,
            transform_queue_max: 256,
            cors: true,
            jwt: FidJwtConfig::default(),
        }
    }
}

/// The file port: directories of files by name. The names are kept in RocksDB, the contents in the volumes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields, expecting = "a section of keys")]
pub struct FileConfig {
    /// Address to listen on. Port 0 takes a free one, and the log tells which.
    #[serde(deserialize_with = "address")]
    #[cfg_attr(test, schemars(schema_with = "address_schema"))]
    pub listen: SocketAddr,
    /// Folder of the database of names. Empty: `filer` in the first folder of `haystack.data`.
    pub names: PathBuf,
    /// A file is stored in chunks of this length, each a needle; a shorter file is one needle. A request may ask for
    /// shorter ones (`maxMB`).
    pub chunk_bytes: ByteSize,
    /// Collection of volumes that contents go to, unless a request names another.
    pub collection: String,
    /// How long a listing that training shards are read from stays as it is after it was last used (`at`): so long the
    /// contents that it names are kept, even of files that are deleted.
    pub shards_pinned_for: Span,
}

impl Default for FileConfig {
    fn default() -> Self {
        Self {
            listen: loopback(8888),
            names: PathBuf::new(),
            chunk_bytes: ByteSize::mib(4),
            collection: String::new(),
            shards_pinned_for: Span::from_secs(24 * 60 * 60),
        }
    }
}

/// The operator's port: health, metrics, status.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields, expecting = "a section of keys")]
pub struct AdminConfig {
    /// Address to listen on.
    #[serde(deserialize_with = "address")]
    #[cfg_attr(test, schemars(schema_with = "address_schema"))]
    pub listen: SocketAddr,
}

impl Default for AdminConfig {
    fn default() -> Self {
        Self {
            listen: loopback(9320),
        }
    }
}

/// `hdfs://` itself: the gateway as NameNode and DataNode, for clients of Hadoop as they are (docs/hdfs.md). Off without `listen`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields, expecting = "a section of keys")]
pub struct HdfsConfig {
    /// Address that clients name in `hdfs://HOST:PORT`, usually port 8020. Port 0 takes a free one, and the log tells which. Empty: off.
    #[serde(
        deserialize_with = "address_or_none",
        serialize_with = "shown_or_empty"
    )]
    #[cfg_attr(test, schemars(schema_with = "address_schema"))]
    pub listen: Option<SocketAddr>,
    /// Address of the bytes of files; clients are told it. Empty: port 9866 beside `listen`, or a free one where that is port 0.
    #[serde(
        deserialize_with = "address_or_none",
        serialize_with = "shown_or_empty"
    )]
    #[cfg_attr(test, schemars(schema_with = "address_schema"))]
    pub data_listen: Option<SocketAddr>,
    /// How long a client that writes a file may be silent before another one may have the file. Clients say every 30 s that they are there.
    pub lease_soft_limit: Span,
    /// How long a client that writes a file may be silent before the gateway closes the file in its stead, with what has come.
    pub lease_hard_limit: Span,
    /// Principal that clients have tickets for, a key of `auth.kerberos.keytab`: `nn/HOST` or `hdfs/HOST`, what they have as
    /// `dfs.namenode.kerberos.principal`. Empty: the first such key.
    pub principal: String,
    /// How calls may be protected where clients log in by a ticket or a token, Hadoop's `hadoop.rpc.protection`: `"authentication"`,
    /// `"integrity"`, `"privacy"`. Clients choose of what is named. Empty: authentication only.
    #[cfg_attr(test, schemars(schema_with = "super::mount::names"))]
    pub rpc_protection: Vec<Protection>,
    /// `HOST:PORT` of the data ports of all gateways that clients have under one logical name, this one among them, the same list at each. Blocks are told at
    /// several of them, first at the one that is to keep the block's pages, so that a reader goes on where one dies. Empty: it is alone, and is told by the
    /// address by which the client came.
    #[cfg_attr(test, schemars(schema_with = "super::mount::names"))]
    pub gateways: Vec<String>,
    /// File with the secret that seals what clients are told of blocks, at least 32 characters, the same at all of `gateways`: whoever knows it reads all
    /// files. Empty: a secret of this process.
    pub secret_file: PathBuf,
}

/// How a connection is protected once it is known who is at its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Protection {
    /// Not at all.
    Authentication,
    /// Nobody can change what is sent.
    Integrity,
    /// Nobody can read it either.
    Privacy,
}

impl Default for HdfsConfig {
    /// The limits are HDFS's own.
    fn default() -> Self {
        Self {
            listen: None,
            data_listen: None,
            lease_soft_limit: Span::from_secs(60),
            lease_hard_limit: Span::from_secs(20 * 60),
            principal: String::new(),
            rpc_protection: Vec::new(),
            gateways: Vec::new(),
            secret_file: PathBuf::new(),
        }
    }
}

impl HdfsConfig {
    /// Both addresses, if it is on: of calls, and of bytes.
    pub fn addresses(&self) -> Option<(SocketAddr, SocketAddr)> {
        const DATA_PORT: u16 = 9866;
        let listen = self.listen?;
        let port = if listen.port() == 0 { 0 } else { DATA_PORT };
        let beside = SocketAddr::new(listen.ip(), port);
        Some((listen, self.data_listen.unwrap_or(beside)))
    }
}

/// Bounds that keep one client, or many, from taking all of the machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields, expecting = "a section of keys")]
pub struct LimitsConfig {
    /// Most connections at once, over all ports; further ones get 503.
    pub connections_max: usize,
    /// Most bytes of a request's line and headers; beyond it the answer is 431.
    pub header_bytes_max: ByteSize,
    /// How long a client may take to send a request's headers, and how long an idle connection is kept.
    pub header_timeout: Span,
    /// How long an upload may go without a byte arriving.
    pub body_stall_timeout: Span,
    /// How long an answer may go without the client taking a byte.
    pub write_stall_timeout: Span,
    /// Most memory for the bodies of all requests in flight; beyond it uploads get 429 and
    /// large reads 503, with `Retry-After`. At least
    /// `image.upload_bytes_max`, or the largest upload could never be taken.
    pub buffers_bytes_max: ByteSize,
    /// On SIGTERM, how long requests in flight are given to finish.
    pub drain_timeout: Span,
}

impl Default for LimitsConfig {
    fn default() -> Self {
        Self {
            connections_max: 16_384,
            header_bytes_max: ByteSize::kib(64),
            header_timeout: Span::from_secs(30),
            body_stall_timeout: Span::from_secs(30),
            write_stall_timeout: Span::from_secs(60),
            buffers_bytes_max: ByteSize::gib(1),
            drain_timeout: Span::from_secs(30),
        }
    }
}

/// What is written to standard error.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields, expecting = "a section of keys")]
pub struct LogConfig {
    /// How a line looks: `text` for people, `json` for log collectors.
    pub format: LogFormat,
    /// The least important line that is written.
    pub level: LogLevel,
    /// Which requests get an access line.
    pub access: AccessLog,
}

/// How a log line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase", expecting = "text or json, in quotes")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// How important a log line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// A person must look.
    Error,
    /// Odd, but served.
    Warn,
    /// State changes.
    #[default]
    Info,
    /// Each step, for finding a fault.
    Debug,
    /// Everything.
    Trace,
}

/// Which requests get an access line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum AccessLog {
    /// None.
    Off,
    /// Those answered with 400 or above.
    #[default]
    Errors,
    /// All.
    All,
}
