//! `[[mount]]`, `[cache]` and `[webhdfs]`: the trees of other stores, and how they are read. Doc comments here become `docs/config.md`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::policy::Authz;
use super::units::{ByteSize, Span};

/// A store at a path of the namespace. Mounts may nest: the longest path wins. What is mounted is read and written through the file
/// port, by plain HTTP and by WebHDFS. More can be added while the gateway runs: `moongate mount add`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields, expecting = "a section of keys")]
pub struct MountConfig {
    /// Where it appears, such as `"/warehouse"`. At `/` it hides the gateway's own files by path.
    pub path: String,
    /// What appears there: `hdfs://namenode:8020/folder` (the authority may be the name of an HA pair, told by `hadoop_conf` or
    /// `hadoop`), `s3://bucket/prefix`, or `file:///folder`.
    pub store: String,
    /// Keep what is read in the cache. Without it every read goes to the store.
    pub cache: bool,
    /// How long the cache believes what it knows of names, lengths and times before it asks the store again.
    pub ttl: Span,
    /// Most bytes that are fetched ahead of one sequential reader.
    pub read_ahead: ByteSize,
    /// How long one call to the store may take before it is given up.
    pub timeout: Span,
    /// Most calls to the store at once; others wait for their turn. A store that hangs holds up no other mount.
    pub calls_max: usize,
    /// Answer that nothing may be changed.
    pub read_only: bool,
    /// Who decides what a caller may do here: `ranger` (policies), `native` (owner, group, mode and access control list, as in HDFS), `both`
    /// (policies, then the files' own; of an HDFS with `impersonate`, the NameNode decides those), `namenode` (the NameNode, asked in the
    /// caller's name: needs `impersonate`), `none`; `auto`: as `policy.authz` says.
    pub authz: Authz,
    /// What `path` is called in policies, such as `"/data"`. Empty: as it is called here.
    pub policy_path: String,
    /// HDFS: folder with `core-site.xml` and `hdfs-site.xml`. Empty: none is read.
    pub hadoop_conf: PathBuf,
    /// HDFS: keys of Hadoop's configuration, over those of `hadoop_conf`: `{ "dfs.nameservices" = "pair", … }`.
    pub hadoop: BTreeMap<String, String>,
    /// HDFS with Kerberos: who the gateway is, such as `"moongate/host@REALM"`. Empty: simple authentication.
    pub principal: String,
    /// HDFS with Kerberos: file with the principal's keys.
    pub keytab: PathBuf,
    /// HDFS: act as the caller (`doAs`), so that HDFS's own permissions hold. Otherwise all calls are made as the gateway's user.
    pub impersonate: bool,
    /// HDFS: whether anybody truncates files (`hdfs dfs -truncate`), which is the one way to change bytes of a file under its reader. It costs each
    /// read one more round trip to the NameNode, after its last bytes have come. `false` where nobody does.
    pub truncates: bool,
    /// HDFS: address of the NameNode's own WebHDFS, such as `"http://namenode:9870"`, for what is not in its RPC protocol here:
    /// extended attributes, snapshots, storage policies. Empty: those answer UnsupportedOperationException.
    pub webhdfs: String,
    /// S3: address of the server. Empty: Amazon's.
    pub endpoint: String,
    /// S3: region. Empty: as the environment says, else `us-east-1`.
    pub region: String,
    /// S3: put the bucket into the path instead of the host name, as most servers other than Amazon's want it.
    pub path_style: bool,
    /// S3: file with the keys, as the AWS tools have it (`[default]`, `aws_access_key_id = …`, `aws_secret_access_key = …`). Empty:
    /// the usual chain of environment, profile and instance.
    pub credentials: PathBuf,
    /// S3: the profile of that file.
    pub profile: String,
    /// S3: do not sign requests: for public buckets.
    pub anonymous: bool,
}

impl Default for MountConfig {
    fn default() -> Self {
        Self {
            path: String::new(),
            store: String::new(),
            cache: true,
            ttl: Span::from_secs(30),
            read_ahead: ByteSize::mib(32),
            timeout: Span::from_secs(60),
            calls_max: 64,
            read_only: false,
            authz: Authz::Auto,
            policy_path: String::new(),
            hadoop_conf: PathBuf::new(),
            hadoop: BTreeMap::new(),
            principal: String::new(),
            keytab: PathBuf::new(),
            impersonate: true,
            truncates: true,
            webhdfs: String::new(),
            endpoint: String::new(),
            region: String::new(),
            path_style: false,
            credentials: PathBuf::new(),
            profile: "default".to_owned(),
            anonymous: false,
        }
    }
}

/// The read cache over the mounts: pages in memory, and on disks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields, expecting = "a section of keys")]
pub struct CacheSection {
    /// Memory for pages.
    pub memory: ByteSize,
    /// Folders for pages, each on a disk of its own. `[]`: memory only. What is in them is warm again after a restart.
    pub dirs: Vec<PathBuf>,
    /// Most bytes in all those folders together.
    pub disk_bytes_max: ByteSize,
    /// Size of a page: a power of two. Pages on disk that have another size are thrown away.
    pub page_bytes: ByteSize,
    /// Most memory for bytes on their way from the stores, all readers together.
    pub in_flight_bytes_max: ByteSize,
}

impl Default for CacheSection {
    fn default() -> Self {
        Self {
            memory: ByteSize::mib(512),
            dirs: Vec::new(),
            disk_bytes_max: ByteSize::gib(16),
            page_bytes: ByteSize::mib(1),
            in_flight_bytes_max: ByteSize::mib(256),
        }
    }
}

#[cfg(test)]
pub(super) fn names(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({"type": "array", "format": "names"})
}

/// WebHDFS, on the file port under `/webhdfs/v1`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields, expecting = "a section of keys")]
pub struct WebHdfsConfig {
    /// Who calls that does not say so (`user.name=`).
    pub anonymous_user: String,
    /// Users that may act as others (`doas=`).
    #[cfg_attr(test, schemars(schema_with = "names"))]
    pub proxy_users: Vec<String>,
    /// `host:port` that redirects and block locations name. Empty: the host that the client asked.
    pub public_host: String,
    /// Whether JSON answers say what they are (`Content-Type: application/json`).
    pub json_content_type: JsonContentType,
}

impl Default for WebHdfsConfig {
    fn default() -> Self {
        Self {
            anonymous_user: "dr.who".to_owned(),
            proxy_users: Vec::new(),
            public_host: String::new(),
            json_content_type: JsonContentType::default(),
        }
    }
}

/// Whether JSON answers say what they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum JsonContentType {
    /// All but those to `User-Agent: Java/…`: the client of Hadoop 3.5 (Spark 4.3) fails on the header, and no Java client needs it.
    #[default]
    NotToJava,
    /// All.
    Always,
    /// None.
    Never,
}
