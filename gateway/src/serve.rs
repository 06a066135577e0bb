//! `moongate serve`: from a checked configuration to a drained shutdown.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, Weak};

use anyhow::Context as _;
use moongate_auth::tls::Tls;
use moongate_cache::{Cache, CacheConfig};
use moongate_disk::{EngineChoice, ReadEngine, RealDisk};
use moongate_haystack::store::{Store, StoreConfig, now_ns};
use moongate_haystack::volume::Durability;
use serde::Serialize;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use crate::config::{self, Config, IoEngine};
use crate::files::{Files, reclaim};
use crate::http::intake::{ByteBudget, IntakeLimits};
use crate::http::lane::NoLane;
use crate::http::server::{self, ServerLimits, Terms};
use crate::login::Login;
use crate::login::fid::FidTokens;
use crate::metrics::Metrics;
use crate::namespace::Namespace;
use crate::namespace::images::Images;
use crate::namespace::sharers::{self, Sharers};
use crate::policy::audit::Audit;
use crate::policy::gatekeeper::Gatekeeper;
use crate::policy::source::Policies;
use crate::protocol::image::lane::ImageLane;
use crate::protocol::webhdfs::Listings;
use crate::protocol::webhdfs::passthrough::NameNodes;
use crate::protocol::{admin, file, image};
use crate::state::Gateway;
use crate::tenancy;
use crate::transform::TransformPool;

/// Runs until SIGTERM or SIGINT, then drains.
pub fn run(config: Config) -> anyhow::Result<()> {
    raise_open_files_limit();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_name("gateway")
        .build()?;
    runtime.block_on(serve(config))
}

async fn serve(config: Config) -> anyhow::Result<()> {
    let image = bind(config.image.listen, "image.listen").await?;
    let file = bind(config.file.listen, "file.listen").await?;
    let admin = bind(config.admin.listen, "admin.listen").await?;
    let hdfs = bind_hdfs(&config).await?;
    let tls = config
        .tls
        .open()
        .context("opening the certificates ([tls])")?;
    let gateway = tokio::task::spawn_blocking(move || open(config)).await??;
    let mounted = gateway.namespace.mount_all(&gateway.config.mount);
    mounted
        .await
        .context("mounting what was added (moongate mount)")?;
    let policies = Arc::clone(gateway.namespace.gatekeeper().policies());
    policies.begin().await;
    tenancy::count::begin(&gateway).await;
    let (image_addr, file_addr, admin_addr) =
        (image.local_addr()?, file.local_addr()?, admin.local_addr()?);
    let _ = gateway.image_url.set(image_addr.to_string());
    if !gateway.config.image.public_url.is_empty() {
        let _ = gateway
            .public_url
            .set(gateway.config.image.public_url.clone());
    }
    let (stop, stopped) = watch::channel(false);
    let reclaiming = tokio::spawn(reclaim::run(Arc::clone(&gateway), stopped.clone()));
    let keys = tokio::spawn(tend_keys(Arc::clone(&gateway)));
    let counting = tokio::spawn(tenancy::count::run(Arc::clone(&gateway), stopped.clone()));
    let polled = stopped.clone();
    let polling = tokio::spawn(async move { policies.run(polled).await });
    let servers = [
        spawn(&gateway, image, Port::Image, &tls, stopped.clone()),
        spawn(&gateway, file, Port::File, &tls, stopped.clone()),
        spawn(&gateway, admin, Port::Admin, &tls, stopped.clone()),
    ];
    let hdfs = match hdfs {
        Some(ports) => Some(spawn_hdfs(&gateway, ports, &stopped)?),
        None => None,
    };
    let (hdfs_servers, hdfs_addrs) = hdfs.unzip();
    // Before anybody is told that it is ready: who stops it at once must find it listening for that.
    let mut signals = Signals::listen()?;
    announce(image_addr, file_addr, admin_addr, hdfs_addrs);
    signals.wait().await;
    tracing::info!("shutting down: finishing requests in flight");
    gateway.stopping.store(true, Ordering::Relaxed);
    let _ = stop.send(true);
    for server in servers
        .into_iter()
        .chain(hdfs_servers.into_iter().flatten())
    {
        server.await?;
    }
    keys.abort();
    reclaiming.await?;
    counting.await?;
    polling.await?;
    tokio::task::spawn_blocking(move || close(&gateway)).await??;
    tracing::info!("stopped");
    Ok(())
}

/// Notes what is durable, so that the next start need not look.
fn close(gateway: &Gateway) -> anyhow::Result<()> {
    let names = gateway.files.close();
    gateway.store.close().context("closing the volumes")?;
    names.context("closing the database of file names")
}

/// Keys of cookies and tokens are made anew in time.
async fn tend_keys(gateway: Arc<Gateway>) {
    if let Some(kerberos) = &gateway.login.kerberos {
        kerberos.tend().await;
    }
}

/// The one line on stdout: everything is bound, requests are answered.
#[derive(Serialize)]
struct Ready {
    ready: bool,
    image: String,
    file: String,
    admin: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    hdfs: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hdfs_data: Option<String>,
    pid: u32,
}

#[allow(clippy::print_stdout)]
fn announce(
    image: SocketAddr,
    file: SocketAddr,
    admin: SocketAddr,
    hdfs: Option<(SocketAddr, SocketAddr)>,
) {
    let ready = Ready {
        ready: true,
        image: image.to_string(),
        file: file.to_string(),
        admin: admin.to_string(),
        hdfs: hdfs.map(|(calls, _)| calls.to_string()),
        hdfs_data: hdfs.map(|(_, data)| data.to_string()),
        pid: std::process::id(),
    };
    println!("{}", serde_json::to_string(&ready).unwrap_or_default());
    match hdfs {
        Some((hdfs, hdfs_data)) => {
            tracing::info!(%image, %file, %admin, %hdfs, %hdfs_data, "ready");
        }
        None => tracing::info!(%image, %file, %admin, "ready"),
    }
}

/// The ports of `hdfs://`, if it is on: of calls, and of bytes.
async fn bind_hdfs(config: &Config) -> anyhow::Result<Option<(TcpListener, TcpListener)>> {
    let Some((calls, data)) = config.hdfs.addresses() else {
        return Ok(None);
    };
    let calls = bind(calls, "hdfs.listen").await?;
    let data = bind(data, "hdfs.data_listen").await?;
    Ok(Some((calls, data)))
}

type HdfsServers = ([tokio::task::JoinHandle<()>; 2], (SocketAddr, SocketAddr));

fn spawn_hdfs(
    gateway: &Arc<Gateway>,
    (calls, data): (TcpListener, TcpListener),
    stopped: &watch::Receiver<bool>,
) -> anyhow::Result<HdfsServers> {
    let addresses = (calls.local_addr()?, data.local_addr()?);
    let servers = crate::protocol::hdfs::spawn(gateway, calls, data, stopped)?;
    Ok((servers, addresses))
}

async fn bind(addr: SocketAddr, key: &str) -> anyhow::Result<TcpListener> {
    let socket = if addr.is_ipv4() {
        tokio::net::TcpSocket::new_v4()?
    } else {
        tokio::net::TcpSocket::new_v6()?
    };
    socket.set_reuseaddr(true)?;
    const BACKLOG: u32 = 4096;
    let listener = socket.bind(addr).and_then(|()| socket.listen(BACKLOG));
    listener.with_context(|| {
        format!(
            "cannot listen on {addr} ({key}): choose another address, or stop what listens there"
        )
    })
}

/// What asks the gateway to stop.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn listen() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn wait(&mut self) {
        tokio::select! { _ = self.terminate.recv() => {}, _ = self.interrupt.recv() => {} }
    }
}

fn open(config: Config) -> anyhow::Result<Arc<Gateway>> {
    let engine = engine(&config)?;
    let store = Store::open(Arc::new(RealDisk), store_config(&config))
        .context("opening the data folders")?;
    tracing::info!(
        io_engine = engine.name(),
        volumes = store.volumes().len(),
        "volumes opened"
    );
    let pinned_for = config.file.shards_pinned_for.duration();
    let files = Files::open(&names_folder(&config)?, pinned_for, now_ns())
        .context("opening the database of file names (file.names)")?;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let concurrency = if config.image.transform_concurrency == 0 {
        cores
    } else {
        config.image.transform_concurrency
    };
    let mounts_file = mounts_file(&config)?;
    let gatekeeper = Arc::new(gatekeeper(&config)?);
    let cache = Cache::open(cache_config(&config)).context("opening the cache ([cache])")?;
    let login =
        Login::new(&config, gatekeeper.policies()).context("preparing authentication ([auth])")?;
    let fid_tokens = FidTokens::open(&config).context("reading the secrets of image.jwt")?;
    let tenants = tenancy::open(&config.tenant).map_err(anyhow::Error::msg)?;
    Ok(Arc::new_cyclic(|gateway| Gateway {
        namespace: Namespace::new(
            Arc::new(Images::new(Weak::clone(gateway))),
            (cache, Sharers::of(&config.tenant)),
            mounts_file,
            Arc::clone(&gatekeeper),
        ),
        login,
        fid_tokens,
        tenants,
        namenodes: NameNodes::default(),
        listings: Listings::default(),
        budget: ByteBudget::new(config.limits.buffers_bytes_max.bytes()),
        intake: IntakeLimits::new(
            config.image.upload_bytes_max.bytes(),
            config.limits.body_stall_timeout.duration(),
        ),
        transforms: TransformPool::new(concurrency, config.image.transform_queue_max),
        metrics: Metrics::default(),
        image_connections: Arc::default(),
        file_connections: Arc::default(),
        hdfs_connections: Arc::default(),
        admin_connections: Arc::default(),
        public_url: OnceLock::new(),
        image_url: OnceLock::new(),
        stopping: AtomicBool::new(false),
        config,
        store,
        files,
        engine,
    }))
}

/// Where the names are kept.
fn names_folder(config: &Config) -> anyhow::Result<PathBuf> {
    if !config.file.names.as_os_str().is_empty() {
        return Ok(config.file.names.clone());
    }
    let first = config.haystack.data.first();
    Ok(first
        .context("haystack.data names no folder")?
        .join("filer"))
}

/// Where the mounts are kept that were added while the gateway ran.
fn mounts_file(config: &Config) -> anyhow::Result<PathBuf> {
    let first = config.haystack.data.first();
    let first = first.context("haystack.data names no folder")?;
    Ok(first.join("mounts.json"))
}

/// What decides who may do what, and writes it down.
fn gatekeeper(config: &Config) -> anyhow::Result<Gatekeeper> {
    let policy = &config.policy;
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host = host.trim();
    let mut dir = policy.cache_dir.clone();
    if dir.as_os_str().is_empty() {
        let first = config.haystack.data.first();
        dir = first
            .context("haystack.data names no folder")?
            .join("policies");
    }
    let audit = Audit::open(&config.audit, &policy.service, host)
        .context("opening the audit files (audit.dir)")?;
    let policies =
        Policies::new(policy, dir, host).context("preparing to ask Ranger Admin ([policy])")?;
    let policies = Arc::new(policies);
    Ok(Gatekeeper::new(policy, policies, audit))
}

fn cache_config(config: &Config) -> CacheConfig {
    let cache = &config.cache;
    CacheConfig {
        page_bytes: cache.page_bytes.bytes(),
        ram_bytes: cache.memory.bytes(),
        dirs: cache.dirs.clone(),
        disk_bytes: cache.disk_bytes_max.bytes(),
        buffers_bytes_max: cache.in_flight_bytes_max.bytes(),
        engine: engine_choice(config),
        shares: sharers::shares(&config.tenant),
        ..CacheConfig::default()
    }
}

const fn engine_choice(config: &Config) -> EngineChoice {
    match config.haystack.io_engine {
        IoEngine::Auto => EngineChoice::Auto,
        IoEngine::IoUring => EngineChoice::IoUring,
        IoEngine::Threads => EngineChoice::Threads,
    }
}

fn engine(config: &Config) -> anyhow::Result<ReadEngine> {
    ReadEngine::start(engine_choice(config), config.haystack.io_threads)
        .context("starting the I/O engine (haystack.io_engine)")
}

const fn durability(durability: config::Durability) -> Durability {
    match durability {
        config::Durability::Fsync => Durability::Fsync,
        config::Durability::Os => Durability::Os,
    }
}

fn store_config(config: &Config) -> StoreConfig {
    let haystack = &config.haystack;
    let collections = haystack.collections.keys();
    StoreConfig {
        dirs: haystack.data.clone(),
        volume_bytes_max: haystack.volume_bytes_max.bytes(),
        volumes_per_growth: haystack.volumes_per_growth,
        durability: durability(haystack.durability),
        collection_durability: collections
            .map(|name| (name.clone(), durability(haystack.durability_of(name))))
            .collect(),
        index_memory_bytes: haystack.index_memory.bytes(),
        vacuum_garbage_ratio: haystack.vacuum_garbage_ratio,
        vacuum_interval: haystack.vacuum_interval.duration(),
        vacuum_bytes_per_sec: haystack.vacuum_bytes_per_sec.bytes(),
        scrub_bytes_per_sec: haystack.scrub_bytes_per_sec.bytes(),
        commit_bytes_max: usize::try_from(haystack.commit_batch_bytes_max.bytes())
            .unwrap_or(usize::MAX),
        queue_len_max: haystack.queue_len_max,
        data_center: haystack.data_center.clone(),
        rack: haystack.rack.clone(),
        ..StoreConfig::new(Vec::new())
    }
}

fn server_limits(config: &Config) -> ServerLimits {
    let limits = &config.limits;
    ServerLimits {
        connections_max: limits.connections_max as u64,
        header_bytes_max: usize::try_from(limits.header_bytes_max.bytes()).unwrap_or(usize::MAX),
        header_timeout: limits.header_timeout.duration(),
        write_stall_timeout: limits.write_stall_timeout.duration(),
    }
}

/// What listens.
#[derive(Clone, Copy, Debug)]
enum Port {
    Image,
    File,
    Admin,
}

fn spawn(
    gateway: &Arc<Gateway>,
    listener: TcpListener,
    port: Port,
    tls: &Option<Arc<Tls>>,
    stopped: watch::Receiver<bool>,
) -> tokio::task::JoinHandle<()> {
    let stats = match port {
        Port::Image => &gateway.image_connections,
        Port::File => &gateway.file_connections,
        Port::Admin => &gateway.admin_connections,
    };
    let terms = Terms {
        limits: server_limits(&gateway.config),
        stats: Arc::clone(stats),
        tls: tls.clone(),
        drain_timeout: gateway.config.limits.drain_timeout.duration(),
    };
    let gateway = Arc::clone(gateway);
    // One arm a port: each service is a type of its own, and a request goes to it without a choice.
    match port {
        Port::Image => {
            let lane = ImageLane::new(Arc::clone(&gateway));
            let service = move |request, peer| image::serve(Arc::clone(&gateway), request, peer);
            tokio::spawn(server::serve(listener, terms, service, lane, stopped))
        }
        Port::File => {
            let service = move |request, peer| file::serve(Arc::clone(&gateway), request, peer);
            tokio::spawn(server::serve(listener, terms, service, NoLane, stopped))
        }
        Port::Admin => {
            let service = move |request, peer| admin::serve(Arc::clone(&gateway), request, peer);
            tokio::spawn(server::serve(listener, terms, service, NoLane, stopped))
        }
    }
}

/// Every connection and two files a volume take a descriptor: use what the system allows.
fn raise_open_files_limit() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        tracing::warn!(%error, "the limit of open files stays as it is");
    }
}
