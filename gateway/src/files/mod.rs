//! Files by path: names in the filer, contents in the haystack. No HTTP in here but the bodies that content streams through.
//!
//! **Owns:** how a content becomes needles ([`store`]) and bytes again ([`content`]), and that what no name refers to any more is deleted
//! ([`reclaim`]), or never came to refer to ([`keys`], [`unnamed`]). **Refuses to own:** protocols, and what a path may be (the filer's).
//!
//! Content is written before its name and deleted after it: a crash between the two leaves bytes that nobody refers to, never a name
//! without its bytes. The next start finds and deletes them.

pub mod content;
pub mod copy;
mod error;
pub mod etag;
pub mod keys;
pub mod reclaim;
pub mod shards;
pub mod store;
pub mod unnamed;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use moongate_filer::{Filer, FilerError, RocksRows};
use moongate_haystack::id::{Cookie, FileId, NeedleKey, VolumeId};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

use self::keys::Keys;
use self::shards::Shards;

pub use error::FileError;

/// Listings that are made at once: each takes a thread until its client has read it, and the others need threads too.
const LISTINGS_MAX: usize = 64;
/// How long a listing waits for its turn.
const LISTING_WAIT: Duration = Duration::from_secs(5);

/// The names, and who waits for something to be deleted.
#[derive(Debug)]
pub struct Files {
    filer: Arc<Filer>,
    shards: Arc<Shards>,
    keys: Keys,
    /// Woken when content has been released.
    released: Notify,
    listings: Arc<Semaphore>,
}

impl Files {
    /// Opens the database of names in this folder, or makes it; listings pinned for training shards are kept in it as well, for this long.
    ///
    /// # Errors
    /// The folder cannot be read or written, or what is in it is damaged.
    pub fn open(dir: &Path, shards_pinned_for: Duration, now_ns: u64) -> anyhow::Result<Self> {
        for folder in [dir, &dir.join("names"), &dir.join("pins")] {
            make_folder(folder)
                .with_context(|| format!("making the folder {}", folder.display()))?;
        }
        let rows = RocksRows::open(&dir.join("names")).map_err(FilerError::from)?;
        let filer = Arc::new(Filer::open(Box::new(rows), now_ns)?);
        let shards = Shards::open(dir.join("pins"), Arc::clone(&filer), shards_pinned_for);
        Ok(Self {
            keys: Keys::new(filer.leases()?),
            filer,
            shards: Arc::new(shards),
            released: Notify::new(),
            listings: Arc::new(Semaphore::new(LISTINGS_MAX)),
        })
    }

    /// Keys for contents.
    pub const fn keys(&self) -> &Keys {
        &self.keys
    }

    /// Notes that all is named or gone, where it is. No content may be stored after it.
    ///
    /// # Errors
    /// The database of names fails.
    pub fn close(&self) -> Result<(), FilerError> {
        self.keys.close(&self.filer)
    }

    /// The listings that training shards are read from.
    pub const fn shards(&self) -> &Arc<Shards> {
        &self.shards
    }

    /// The filer itself, for threads that may wait.
    pub const fn filer(&self) -> &Arc<Filer> {
        &self.filer
    }

    /// Waits for the turn of a listing; it lasts until the permit is dropped. `None`: too many clients read theirs too slowly.
    pub async fn listing_turn(&self) -> Option<OwnedSemaphorePermit> {
        let turn = Arc::clone(&self.listings).acquire_owned();
        tokio::time::timeout(LISTING_WAIT, turn).await.ok()?.ok()
    }

    /// Runs something on the filer where waiting for a disk holds up nobody.
    ///
    /// # Errors
    /// What the work says; [`FilerError::Storage`] if it panicked.
    pub async fn run<T, E>(
        &self,
        work: impl FnOnce(&Filer) -> Result<T, E> + Send + 'static,
    ) -> Result<T, FileError>
    where
        T: Send + 'static,
        E: Send + 'static,
        FileError: From<E>,
    {
        let filer = Arc::clone(&self.filer);
        match tokio::task::spawn_blocking(move || work(&filer)).await {
            Ok(done) => Ok(done?),
            Err(error) => Err(FilerError::Storage(error.to_string().into()).into()),
        }
    }

    /// As [`Self::run`], for changes that may have released content.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub async fn change<T, E>(
        &self,
        work: impl FnOnce(&Filer) -> Result<T, E> + Send + 'static,
    ) -> Result<T, FileError>
    where
        T: Send + 'static,
        E: Send + 'static,
        FileError: From<E>,
    {
        let done = self.run(work).await;
        self.released.notify_one();
        done
    }
}

/// Makes a folder that a loss of power does not take away again.
fn make_folder(folder: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(folder)?;
    match folder.canonicalize()?.parent() {
        Some(parent) => std::fs::File::open(parent)?.sync_all(),
        None => Ok(()),
    }
}

/// A needle as the haystack names it.
pub const fn fid_of(needle: &moongate_filer::Needle) -> FileId {
    FileId {
        volume: VolumeId(needle.volume),
        key: NeedleKey(needle.key),
        cookie: Cookie(needle.cookie),
    }
}

/// A needle as the filer names it.
pub const fn needle_of(fid: &FileId) -> moongate_filer::Needle {
    moongate_filer::Needle {
        volume: fid.volume.0,
        key: fid.key.0,
        cookie: fid.cookie.0,
    }
}
