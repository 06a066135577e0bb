//! One tree of all stores: the gateway's own files at `/`, and what is mounted over it.
//!
//! **Owns:** that nobody does what they may not ([`Namespace::may`], before every operation), which mount a path belongs to ([`table`]), what a mount's settings make ([`build`]), that mounts come and go while the gateway
//! runs and are kept ([`kept`]), and the gateway's own files seen as a store ([`images`]). It is itself a [`moongate_cache::Backend`]: each
//! protocol is a thin adapter over it. **Refuses to own:** HTTP, and who a caller is.
//!
//! **Life of a call:** the table in force is taken (it never changes; another takes its place), the longest mount gets the call with the
//! path as it sees it, and an error comes back in the paths of whoever asked.

mod backend;
mod build;
mod governed;
mod guard;
pub mod images;
mod kept;
mod listing;
pub mod path;
mod readers;
mod refusing;
pub mod sharers;
mod subtree;
pub mod table;
mod told;
pub mod walk;

use std::path::PathBuf;
use std::sync::Arc;

use arc_swap::ArcSwap;
use moongate_cache::{Backend, BackendError, Cache, ErrorKind};
use tokio::sync::Mutex;

use self::images::Images;
use self::kept::Kept;
use self::refusing::Refusing;
use self::sharers::Sharers;
use self::table::{Mount, Origin, Table};
use crate::config::MountConfig;
use crate::policy::gatekeeper::Gatekeeper;

/// Most mounts of one gateway.
const MOUNTS_MAX: usize = 10_000;

/// The tree. See the module.
#[derive(Debug)]
pub struct Namespace {
    root: Arc<Images>,
    table: ArcSwap<Table>,
    cache: Arc<Cache>,
    sharers: Sharers,
    kept: Kept,
    gatekeeper: Arc<Gatekeeper>,
    /// One change at a time.
    changing: Mutex<()>,
}

impl Namespace {
    /// The gateway's own files, and nothing mounted yet. What is added later is kept in `file`.
    pub fn new(
        root: Arc<Images>,
        (cache, sharers): (Arc<Cache>, Sharers),
        file: PathBuf,
        gatekeeper: Arc<Gatekeeper>,
    ) -> Self {
        Self {
            root,
            table: ArcSwap::default(),
            cache,
            sharers,
            kept: Kept::new(file),
            gatekeeper,
            changing: Mutex::new(()),
        }
    }

    /// Mounts what the configuration names, then what was added while the gateway ran. A store that cannot be opened is mounted all the
    /// same, and says why to whoever asks.
    ///
    /// # Errors
    /// The file of kept mounts cannot be read.
    pub async fn mount_all(&self, configured: &[MountConfig]) -> Result<(), BackendError> {
        let _alone = self.changing.lock().await;
        let kept = self.kept.load()?;
        let all = configured.iter().map(|config| (config, Origin::Config));
        let mut mounts: Vec<Arc<Mount>> = Vec::new();
        for (config, origin) in all.chain(kept.iter().map(|config| (config, Origin::Admin))) {
            if mounts.iter().any(|mount| mount.path() == config.path) {
                tracing::warn!(
                    path = config.path,
                    "this mount was added, and stands in the configuration too, which wins"
                );
                continue;
            }
            mounts.push(Arc::new(self.mounted(config.clone(), origin).await));
        }
        self.table.store(Arc::new(Table::new(mounts)));
        Ok(())
    }

    async fn mounted(&self, config: MountConfig, origin: Origin) -> Mount {
        match self.opened(config.clone(), origin).await {
            Ok(mount) => mount,
            Err(error) => {
                tracing::error!(path = config.path, store = config.store, %error, "a mount could not be opened");
                Mount {
                    backend: Arc::new(Refusing::new(error.message.clone())),
                    cached: None,
                    guard: None,
                    since_ms: now_ms(),
                    refused: Some(error.message),
                    config,
                    origin,
                }
            }
        }
    }

    async fn opened(&self, config: MountConfig, origin: Origin) -> Result<Mount, BackendError> {
        let store = build::store(&config).await?;
        let cached = config
            .cache
            .then(|| build::cached(&self.cache, &config, Arc::clone(&store), &self.sharers));
        let backend = match &cached {
            Some(cached) => Arc::clone(cached) as Arc<dyn Backend>,
            None => Arc::clone(&store),
        };
        Ok(Mount {
            guard: build::guard(&config, &store),
            backend,
            cached,
            since_ms: now_ms(),
            refused: None,
            config,
            origin,
        })
    }

    /// Mounts a store while the gateway runs, and keeps that.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`], [`ErrorKind::AlreadyExists`], and what the store says that cannot be opened.
    pub async fn add(&self, config: MountConfig) -> Result<Arc<Mount>, BackendError> {
        let config = build::checked(config)
            .map_err(|wrong| BackendError::new(ErrorKind::Invalid, wrong.join("; ")))?;
        let _alone = self.changing.lock().await;
        let table = self.table.load_full();
        if table.at(&config.path).is_some() {
            let text = format!(
                "{}: something is mounted there already: remove it first",
                config.path
            );
            return Err(BackendError::new(ErrorKind::AlreadyExists, text));
        }
        if table.all().len() >= MOUNTS_MAX {
            let text = format!("there are {MOUNTS_MAX} mounts already: remove some");
            return Err(BackendError::new(ErrorKind::Invalid, text));
        }
        let path = config.path.clone();
        let table = table.with(self.opened(config, Origin::Admin).await?);
        self.keep(&table)?;
        let mount = table.at(&path).cloned();
        self.table.store(Arc::new(table));
        tracing::info!(path, "mounted");
        mount.ok_or_else(|| BackendError::not_found(&path))
    }

    /// Takes a mount away. What is open stays readable.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`]; [`ErrorKind::Invalid`] for one that stands in the configuration.
    pub async fn remove(&self, sought: &str) -> Result<Arc<Mount>, BackendError> {
        let sought = path::normal(sought)?;
        let _alone = self.changing.lock().await;
        let table = self.table.load_full();
        let mount = table.at(&sought).cloned().ok_or_else(|| {
            let text =
                format!("{sought}: nothing is mounted there; moongate mount ls shows what is");
            BackendError::new(ErrorKind::NotFound, text)
        })?;
        if mount.origin == Origin::Config {
            let text = format!(
                "{sought}: this mount stands in the configuration file: take it out there and start again"
            );
            return Err(BackendError::new(ErrorKind::Invalid, text));
        }
        let table = table.without(&sought);
        self.keep(&table)?;
        self.table.store(Arc::new(table));
        tracing::info!(path = sought, "unmounted");
        Ok(mount)
    }

    fn keep(&self, table: &Table) -> Result<(), BackendError> {
        let added: Vec<MountConfig> = table
            .all()
            .iter()
            .filter(|mount| mount.origin == Origin::Admin)
            .map(|mount| mount.config.clone())
            .collect();
        self.kept.save(&added)
    }

    /// The table in force.
    pub fn table(&self) -> Arc<Table> {
        self.table.load_full()
    }

    /// What decides who may do what.
    pub const fn gatekeeper(&self) -> &Arc<Gatekeeper> {
        &self.gatekeeper
    }

    /// The cache of all mounts.
    pub const fn cache(&self) -> &Arc<Cache> {
        &self.cache
    }

    /// Whether a path is served by a mount, or leads to one: then it is not (only) the filer's.
    pub fn is_mounted(&self, path: &str) -> bool {
        self.table.load().resolve(path).is_some()
    }
}

/// What is wrong with a mount's settings; none if nothing.
pub fn problems(config: &MountConfig) -> Vec<String> {
    build::checked(config.clone()).err().unwrap_or_default()
}

/// What stands for a folder of which nothing is known but its name.
#[cfg(test)]
pub fn folder_status(name: &str) -> moongate_cache::Status {
    listing::folder(name, 0)
}

/// Milliseconds since 1970.
pub fn now_ms() -> u64 {
    moongate_haystack::store::now_ns() / 1_000_000
}
