//! Whether a caller may see what the cache holds. The cache gives its answers to everybody; a store that knows users is asked in the
//! caller's own name first, and its yes is believed for as long as the mount's other answers are.

use std::sync::Arc;
use std::time::Duration;

use moka::sync::Cache;
use moongate_cache::{Backend, BackendError, BackendFile, Caller, Freshness};

/// Answers that are remembered.
const KNOWN_MAX: u64 = 1 << 17;

/// What a caller wants to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deed {
    /// To know of it.
    Look,
    /// To know the names in it.
    List,
    /// To read its bytes.
    Read,
}

fn key(caller: &Caller, path: &str, deed: Deed) -> String {
    format!("{}\0{}{path}", caller.user, deed as u8)
}

/// Asks a store, and remembers what it allowed.
#[derive(Debug)]
pub struct Guard {
    store: Arc<dyn Backend>,
    allowed: Cache<String, ()>,
}

impl Guard {
    /// Over a store that decides by caller.
    pub fn new(store: Arc<dyn Backend>, ttl: Duration) -> Self {
        let allowed = Cache::builder()
            .max_capacity(KNOWN_MAX)
            .time_to_live(ttl)
            .build();
        Self { store, allowed }
    }

    /// Whether the caller may.
    ///
    /// # Errors
    /// What the store says to this caller.
    pub async fn check(&self, caller: &Caller, path: &str, deed: Deed) -> Result<(), BackendError> {
        let key = key(caller, path, deed);
        if self.allowed.contains_key(&key) {
            return Ok(());
        }
        ask(&*self.store, caller, path, deed).await?;
        self.allowed.insert(key, ());
        Ok(())
    }

    /// Opens a file for a caller who may read it. The store is asked by the open file, which needs the answer for its reads anyway.
    ///
    /// # Errors
    /// What the store says to this caller; then that of `opening`.
    pub async fn open(
        &self,
        caller: &Caller,
        path: &str,
        opening: impl Future<Output = Result<Arc<dyn BackendFile>, BackendError>>,
    ) -> Result<Arc<dyn BackendFile>, BackendError> {
        let key = key(caller, path, Deed::Read);
        if self.allowed.contains_key(&key) {
            return opening.await;
        }
        match opening.await {
            Ok(file) => {
                file.prove().await?;
                self.allowed.insert(key, ());
                Ok(file)
            }
            // That it is not there is not for everybody to know.
            Err(error) => {
                self.check(caller, path, Deed::Read).await?;
                Err(error)
            }
        }
    }
}

/// Whether a store lets the caller.
///
/// # Errors
/// What it says.
pub async fn ask(
    store: &dyn Backend,
    caller: &Caller,
    path: &str,
    deed: Deed,
) -> Result<(), BackendError> {
    match deed {
        Deed::Look => drop(store.status(caller, path, Freshness::Now).await?),
        Deed::List => drop(store.list(caller, path, None, 1, Freshness::Now).await?),
        Deed::Read => {
            let file = store.open(caller, path, Freshness::Now).await?;
            file.prove().await?;
        }
    }
    Ok(())
}
