//! Training shards: a folder's samples, shuffled by a seed and dealt out, from a listing that is pinned while jobs read it.
//!
//! A sample is the files of a folder whose names agree up to their first dot (WebDataset's rule): `a.jpg`, `a.json`. The pinned listing is a
//! file beside the names ([`pin`]); while it is used, the contents that it names are kept even where their names are deleted.

pub mod permutation;
pub mod pin;

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use moongate_cache::BackendError;
use moongate_filer::{Entry, FilePath, Filer, FilerError, ListOptions, Name};
use moongate_haystack::store::now_ns;
use parking_lot::Mutex;

use self::pin::{Listed, Pin, PinWriter};

/// Listings that are kept open.
const OPEN_MAX: usize = 64;
/// Files of one sample that are gathered; a folder in which more names agree is no data set.
const SAMPLE_FILES_MAX: usize = 10_000;
const HOLD_PREFIX: &str = "shards ";

/// Why there is no listing.
#[derive(Debug, thiserror::Error)]
pub enum ShardsError {
    /// The names.
    #[error(transparent)]
    Filer(#[from] FilerError),
    /// The store that a part of the folder is in.
    #[error(transparent)]
    Store(#[from] BackendError),
    /// The listing's file.
    #[error("the pinned listing cannot be read or written: {0}")]
    Io(#[from] io::Error),
    /// No listing has this token (any more).
    #[error(
        "there is no listing {0}: it was not used for too long (file.shards_pinned_for); leave `at` out to pin the folder as it is now"
    )]
    Unknown(String),
    /// No data set.
    #[error(
        "more than {SAMPLE_FILES_MAX} files of {0} begin alike up to their first dot: that is no sample"
    )]
    Sample(String),
}

/// Where the names of folders are learned.
pub trait Folders {
    /// Shows the entries of a folder, in the order of their names.
    ///
    /// # Errors
    /// They cannot be listed, or are not taken.
    fn each(
        &self,
        folder: &FilePath,
        take: &mut dyn FnMut(Name, Entry) -> Result<(), ShardsError>,
    ) -> Result<(), ShardsError>;
}

impl Folders for Filer {
    fn each(
        &self,
        folder: &FilePath,
        take: &mut dyn FnMut(Name, Entry) -> Result<(), ShardsError>,
    ) -> Result<(), ShardsError> {
        for item in self.list(folder, ListOptions::default(), now_ns())? {
            let (name, entry) = item?;
            take(name, entry)?;
        }
        Ok(())
    }
}

/// All pinned listings.
#[derive(Debug)]
pub struct Shards {
    dir: PathBuf,
    filer: Arc<Filer>,
    keep_for: Duration,
    open: Mutex<HashMap<String, Arc<Pin>>>,
}

impl Shards {
    /// Keeps listings in this folder.
    pub fn open(dir: PathBuf, filer: Arc<Filer>, keep_for: Duration) -> Self {
        Self {
            dir,
            filer,
            keep_for,
            open: Mutex::default(),
        }
    }

    fn hold(&self, token: &str) -> Result<(), FilerError> {
        // A little longer than the file, so that no content goes before its listing.
        let secs = self.keep_for.as_secs().saturating_add(3600);
        self.filer
            .hold(&format!("{HOLD_PREFIX}{token}"), secs, now_ns())
    }

    fn path(&self, token: &str) -> PathBuf {
        self.dir.join(token)
    }

    /// Pins a folder as it is now; the token of the listing, and the listing.
    pub fn pin(
        &self,
        folders: &dyn Folders,
        folder: &FilePath,
    ) -> Result<(String, Arc<Pin>), ShardsError> {
        let token = format!("{:032x}", rand::random::<u128>());
        // Before the listing: what it will name must not be deleted meanwhile.
        self.hold(&token)?;
        let written = self.write(folders, folder, &self.path(&token));
        if let Err(error) = written {
            let _ = std::fs::remove_file(self.path(&token));
            self.filer.drop_hold(&format!("{HOLD_PREFIX}{token}"))?;
            return Err(error);
        }
        let pin = Arc::new(Pin::open(&self.path(&token))?);
        self.remember(&token, &pin);
        Ok((token, pin))
    }

    /// The listing of a token; from now on it is kept for the whole time again.
    pub fn at(&self, token: &str) -> Result<Arc<Pin>, ShardsError> {
        let unknown = || ShardsError::Unknown(token.to_owned());
        if token.len() != 32 || !token.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(unknown());
        }
        let path = self.path(token);
        let file = match std::fs::File::open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(unknown()),
            file => file?,
        };
        self.hold(token)?;
        file.set_modified(SystemTime::now())?;
        if let Some(pin) = self.open.lock().get(token) {
            return Ok(Arc::clone(pin));
        }
        let pin = Arc::new(Pin::open(&path)?);
        self.remember(token, &pin);
        Ok(pin)
    }

    fn remember(&self, token: &str, pin: &Arc<Pin>) {
        let mut open = self.open.lock();
        if open.len() >= OPEN_MAX {
            open.clear();
        }
        open.insert(token.to_owned(), Arc::clone(pin));
    }

    fn write(
        &self,
        folders: &dyn Folders,
        folder: &FilePath,
        path: &Path,
    ) -> Result<(), ShardsError> {
        let mut writer = PinWriter::create(path)?;
        let mut waiting = vec![folder.clone()];
        while let Some(next) = waiting.pop() {
            let inside = write_folder(folders, folder, &next, &mut writer)?;
            // The first of them is looked at next.
            waiting.extend(inside.into_iter().rev());
        }
        writer.finish()?;
        std::fs::File::open(&self.dir)?.sync_all()?;
        Ok(())
    }

    /// Forgets listings that were not used for long; a step of upkeep.
    pub fn expire(&self) -> io::Result<()> {
        let now = SystemTime::now();
        for file in std::fs::read_dir(&self.dir)? {
            let file = file?;
            let modified = file.metadata()?.modified()?;
            if now
                .duration_since(modified)
                .is_ok_and(|age| age > self.keep_for)
            {
                let token = file.file_name().to_string_lossy().into_owned();
                self.open.lock().remove(&token);
                std::fs::remove_file(file.path())?;
                if let Err(error) = self.filer.drop_hold(&format!("{HOLD_PREFIX}{token}")) {
                    tracing::warn!(%error, "the hold of an expired listing stays until it ends by itself");
                }
            }
        }
        Ok(())
    }
}

/// Writes the samples of one folder; returns the folders in it.
fn write_folder(
    folders: &dyn Folders,
    base: &FilePath,
    folder: &FilePath,
    writer: &mut PinWriter,
) -> Result<Vec<FilePath>, ShardsError> {
    let mut inside = Vec::new();
    let mut sample: Vec<Listed> = Vec::new();
    let mut key = String::new();
    folders.each(folder, &mut |name, entry| {
        let path = folder.join(&name)?;
        if entry.is_folder() {
            inside.push(path);
            return Ok(());
        }
        let stem = stem(name.as_str());
        if !sample.is_empty() && stem != key {
            writer.sample(&sample)?;
            sample.clear();
        }
        if sample.len() >= SAMPLE_FILES_MAX {
            return Err(ShardsError::Sample(folder.to_string()));
        }
        if sample.is_empty() {
            stem.clone_into(&mut key);
        }
        sample.push(Listed {
            name: below(base, &path),
            entry,
        });
        Ok(())
    })?;
    if !sample.is_empty() {
        writer.sample(&sample)?;
    }
    Ok(inside)
}

/// What the files of a sample have in common: all up to the first dot, but at least a character.
fn stem(name: &str) -> &str {
    let from = name.char_indices().nth(1).map_or(name.len(), |(at, _)| at);
    match name[from..].find('.') {
        Some(dot) => &name[..from + dot],
        None => name,
    }
}

fn below(base: &FilePath, path: &FilePath) -> String {
    let path = path.as_str();
    let below = if base.is_root() {
        path
    } else {
        path.strip_prefix(base.as_str()).unwrap_or(path)
    };
    below.trim_start_matches('/').to_owned()
}

/// Which samples, by their places in the shuffled order, a shard has: together all, none twice, sizes at most one apart.
pub fn range(samples: u64, shards: u64, shard: u64) -> std::ops::Range<u64> {
    let edge = |shard: u64| {
        u64::try_from(u128::from(samples) * u128::from(shard) / u128::from(shards.max(1)))
            .unwrap_or(samples)
    };
    edge(shard)..edge(shard.saturating_add(1)).min(samples)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_by_webdatasets_rule() {
        for (name, want) in [
            ("a.jpg", "a"),
            ("a.seg.png", "a"),
            ("a", "a"),
            (".hidden.txt", ".hidden"),
            ("", ""),
        ] {
            assert_eq!(stem(name), want, "{name}");
        }
    }

    #[test]
    fn shards_cover_all_once() {
        for (samples, shards) in [(10, 3), (0, 4), (3, 10), (1_000_003, 64)] {
            let mut at = 0;
            for shard in 0..shards {
                let range = range(samples, shards, shard);
                assert_eq!(range.start, at);
                at = range.end;
            }
            assert_eq!(at, samples);
        }
    }
}
