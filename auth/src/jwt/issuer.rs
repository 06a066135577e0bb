//! An issuer and its keys, as they are now.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use serde::Deserialize;

use super::claims::Required;
use super::jwk::{self, Algorithm, Key};
use super::rules::Mapping;
use crate::fetch::Fetch;
use crate::watched::{FileError, Watched};

/// Keys are asked for again behind a request when they are older.
const KEYS_FRESH: Duration = Duration::from_secs(600);
/// However many unknown key ids are shown: an issuer is asked at most so often.
const ASK_INTERVAL: Duration = Duration::from_secs(30);

/// Where keys come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeysFrom {
    /// `ISSUER/.well-known/openid-configuration`, which names the key set.
    Discovery,
    /// The key set itself.
    Url(String),
    /// A file with the key set, read again when it changes.
    File(PathBuf),
}

/// What makes an issuer's token good.
#[derive(Clone, Debug)]
pub struct IssuerConfig {
    /// What tokens must have as `iss`, byte for byte.
    pub name: String,
    /// Where its keys come from.
    pub keys: KeysFrom,
    /// Audience and leeway.
    pub required: Required,
    /// Algorithms, of those that its keys are for; empty: all of these.
    pub algorithms: Vec<Algorithm>,
    /// Whom a token stands for.
    pub mapping: Mapping,
}

/// An issuer.
pub struct Issuer {
    pub(super) config: IssuerConfig,
    keys: Keys,
}

enum Keys {
    File(Watched<Vec<Key>>),
    Remote(Remote),
}

struct Remote {
    fetch: Arc<dyn Fetch>,
    known: ArcSwap<Vec<Key>>,
    asked: Mutex<Asked>,
    /// One question at a time.
    asking: tokio::sync::Mutex<()>,
    ask_interval: Duration,
}

#[derive(Default)]
struct Asked {
    attempt: Option<Instant>,
    success: Option<Instant>,
    /// The last failure: each kind of it is logged once.
    failure: Option<String>,
}

impl std::fmt::Debug for Issuer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Issuer").field(&self.config.name).finish()
    }
}

impl Issuer {
    /// An issuer whose documents `fetch` brings. Nothing is fetched yet; a file is read.
    ///
    /// # Errors
    /// The key set's file.
    pub fn new(config: IssuerConfig, fetch: Arc<dyn Fetch>) -> Result<Arc<Self>, FileError> {
        Self::with_interval(config, fetch, ASK_INTERVAL)
    }

    /// As [`Self::new`], asked at most once in `ask_interval`.
    ///
    /// # Errors
    /// The key set's file.
    pub fn with_interval(
        config: IssuerConfig,
        fetch: Arc<dyn Fetch>,
        ask_interval: Duration,
    ) -> Result<Arc<Self>, FileError> {
        let keys = match &config.keys {
            KeysFrom::File(path) => Keys::File(watch(path.clone())?),
            KeysFrom::Discovery | KeysFrom::Url(_) => Keys::Remote(Remote {
                fetch,
                known: ArcSwap::default(),
                asked: Mutex::default(),
                asking: tokio::sync::Mutex::default(),
                ask_interval,
            }),
        };
        Ok(Arc::new(Self { config, keys }))
    }

    /// The keys that are known now.
    pub fn known(&self) -> Arc<Vec<Key>> {
        match &self.keys {
            Keys::File(file) => file.get(),
            Keys::Remote(remote) => remote.known.load_full(),
        }
    }

    /// Seconds since the keys came, and the last failure to get them: for who asks how the gateway does. `None` for a file.
    pub fn state(&self) -> Option<(Option<u64>, Option<String>)> {
        let Keys::Remote(remote) = &self.keys else {
            return None;
        };
        let asked = remote.asked.lock();
        let age = asked.success.map(|at| at.elapsed().as_secs());
        Some((age, asked.failure.clone()))
    }

    /// The keys with this name (all, for a token that names none). The issuer is asked where none is known.
    pub(super) async fn keys_named(self: &Arc<Self>, kid: Option<&str>) -> Arc<Vec<Key>> {
        let known = self.known();
        let Keys::Remote(remote) = &self.keys else {
            return known;
        };
        if known.iter().any(|key| is_named(key, kid)) {
            if remote.is_stale() {
                let issuer = Arc::clone(self);
                tokio::spawn(async move { issuer.ask().await });
            }
            return known;
        }
        self.ask().await;
        remote.known.load_full()
    }

    /// Asks for the keys, unless that was done a moment ago.
    pub async fn ask(&self) {
        let Keys::Remote(remote) = &self.keys else {
            return;
        };
        let _one = remote.asking.lock().await;
        if !remote.may_ask() {
            return;
        }
        match self.fetched(remote).await {
            Ok(keys) => {
                let mut asked = remote.asked.lock();
                asked.success = Some(Instant::now());
                if asked.failure.take().is_some() {
                    tracing::info!(issuer = %self.config.name, "the issuer's keys can be had again");
                }
                remote.known.store(Arc::new(keys));
            }
            Err(reason) => self.failed(remote, reason),
        }
    }

    fn failed(&self, remote: &Remote, reason: String) {
        let mut asked = remote.asked.lock();
        if asked.failure.as_ref() != Some(&reason) {
            let known = remote.known.load().len();
            tracing::warn!(issuer = %self.config.name, known, reason, "cannot get the issuer's keys: those known stay in force");
        }
        asked.failure = Some(reason);
    }

    async fn fetched(&self, remote: &Remote) -> Result<Vec<Key>, String> {
        let url = match &self.config.keys {
            KeysFrom::Url(url) => url.clone(),
            _ => self.discovered(remote).await?,
        };
        let set = remote.fetch.get(&url).await;
        let set = set.map_err(|reason| format!("{url}: {reason}"))?;
        jwk::parse_set(&set).map_err(|reason| format!("{url}: {reason}"))
    }

    /// Where the key set is, by OpenID Connect Discovery 1.0.
    async fn discovered(&self, remote: &Remote) -> Result<String, String> {
        #[derive(Deserialize)]
        struct Document {
            issuer: String,
            jwks_uri: String,
        }
        let name = self.config.name.trim_end_matches('/');
        let url = format!("{name}/.well-known/openid-configuration");
        let text = remote.fetch.get(&url).await;
        let text = text.map_err(|reason| format!("{url}: {reason}"))?;
        let document: Document =
            serde_json::from_slice(&text).map_err(|error| format!("{url}: {error}"))?;
        if document.issuer != self.config.name {
            return Err(format!("{url}: it is of the issuer {:?}", document.issuer));
        }
        check_url(&document.jwks_uri)?;
        Ok(document.jwks_uri)
    }
}

impl Remote {
    fn is_stale(&self) -> bool {
        let asked = self.asked.lock();
        let fresh = asked.success.is_some_and(|at| at.elapsed() < KEYS_FRESH);
        let just = asked
            .attempt
            .is_some_and(|at| at.elapsed() < self.ask_interval);
        !fresh && !just
    }

    /// Whether it is time; if so, it counts as done.
    fn may_ask(&self) -> bool {
        let mut asked = self.asked.lock();
        let due = asked
            .attempt
            .is_none_or(|at| at.elapsed() >= self.ask_interval);
        if due {
            asked.attempt = Some(Instant::now());
        }
        due
    }
}

/// Whether a token that names `kid` can be signed by `key`. A key without a name can be meant by any.
pub(super) fn is_named(key: &Key, kid: Option<&str>) -> bool {
    match (kid, key.kid.as_deref()) {
        (Some(kid), Some(own)) => kid == own,
        _ => true,
    }
}

fn watch(path: PathBuf) -> Result<Watched<Vec<Key>>, FileError> {
    let name = path.clone();
    Watched::open(vec![path], move |files| {
        let text = files.first().map(Vec::as_slice).unwrap_or_default();
        jwk::parse_set(text).map_err(|reason| FileError::new(&name, reason))
    })
}

/// What is wrong with an address that keys are to come from, if anything.
pub fn issuer_url_problem(url: &str) -> Option<String> {
    check_url(url).err()
}

/// Keys that come over a network in the clear can be anybody's.
///
/// # Errors
/// In words.
fn check_url(url: &str) -> Result<(), String> {
    let uri: http::Uri = url.parse().map_err(|_| format!("{url} is no URL"))?;
    let host = uri.host().unwrap_or_default();
    let address = host.trim_matches(['[', ']']).parse::<std::net::IpAddr>();
    let near = host == "localhost" || address.is_ok_and(|address| address.is_loopback());
    match uri.scheme_str() {
        Some("https") => Ok(()),
        Some("http") if near => Ok(()),
        _ => Err(format!(
            "{url}: keys are taken by https:// only (http:// from loopback)"
        )),
    }
}
