//! Small files that are read again when they have changed: key files, group files, certificates.
//!
//! Nothing is notified: whoever asks for the value has the files looked at, at most once a second. What cannot be read or understood
//! leaves the value as it was, with one line in the log for each change.

use std::fmt;
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use parking_lot::Mutex;

/// How often the files are looked at, at most.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// The largest file that is read, in bytes.
const FILE_BYTES_MAX: u64 = 16 << 20;

/// Why files gave no value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {reason}")]
pub struct FileError {
    /// The file.
    pub path: String,
    /// What is wrong with it, and what to do.
    pub reason: String,
}

impl FileError {
    /// About `path`.
    pub fn new(path: &Path, reason: impl fmt::Display) -> Self {
        Self {
            path: path.display().to_string(),
            reason: reason.to_string(),
        }
    }
}

type Parse<T> = Box<dyn Fn(&[Vec<u8>]) -> Result<T, FileError> + Send + Sync>;

/// A value made of one or more files, as they are now.
pub struct Watched<T> {
    paths: Vec<PathBuf>,
    parse: Parse<T>,
    value: ArcSwap<T>,
    seen: Mutex<Seen>,
}

/// What the files looked like when they were last read.
struct Seen {
    stamps: Vec<Option<Stamp>>,
    looked: Instant,
}

/// What changes when a file is written or another takes its place (a Kubernetes secret is a symbolic link that moves).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    device: u64,
    inode: u64,
    len_bytes: u64,
    changed_ns: i128,
}

impl<T> Watched<T> {
    /// Reads the files, in this order, and makes a value of their contents.
    ///
    /// # Errors
    /// A file that cannot be read, or what `parse` says.
    pub fn open(
        paths: Vec<PathBuf>,
        parse: impl Fn(&[Vec<u8>]) -> Result<T, FileError> + Send + Sync + 'static,
    ) -> Result<Self, FileError> {
        let stamps = stamps(&paths);
        let value = parse(&read_all(&paths)?)?;
        Ok(Self {
            paths,
            parse: Box::new(parse),
            value: ArcSwap::from_pointee(value),
            seen: Mutex::new(Seen {
                stamps,
                looked: Instant::now(),
            }),
        })
    }

    /// The value, of files not older than a second.
    pub fn get(&self) -> Arc<T> {
        if let Some(mut seen) = self.seen.try_lock()
            && seen.looked.elapsed() >= LOOK_INTERVAL
        {
            seen.looked = Instant::now();
            self.look(&mut seen);
        }
        self.value.load_full()
    }

    /// Looks at once, whenever it was last done.
    pub fn refresh(&self) {
        self.look(&mut self.seen.lock());
    }

    fn look(&self, seen: &mut Seen) {
        // Before the contents: what changes while they are read is read again.
        let stamps = stamps(&self.paths);
        if stamps == seen.stamps {
            return;
        }
        seen.stamps = stamps;
        match read_all(&self.paths).and_then(|files| (self.parse)(&files)) {
            Ok(value) => {
                self.value.store(Arc::new(value));
                tracing::info!(file = %self.name(), "read again: it has changed");
            }
            Err(error) => {
                tracing::warn!(%error, "a file has changed and cannot be used: what it said before stays in force");
            }
        }
    }

    fn name(&self) -> String {
        self.paths
            .first()
            .map(|path| path.display().to_string())
            .unwrap_or_default()
    }
}

impl<T> fmt::Debug for Watched<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Watched").field(&self.paths).finish()
    }
}

fn stamps(paths: &[PathBuf]) -> Vec<Option<Stamp>> {
    paths.iter().map(|path| Stamp::of(path)).collect()
}

impl Stamp {
    /// Of the file that is at a path now; `None` if there is none.
    pub fn of(path: &Path) -> Option<Self> {
        let metadata = std::fs::metadata(path).ok()?;
        Some(Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            len_bytes: metadata.len(),
            changed_ns: i128::from(metadata.ctime()) * 1_000_000_000
                + i128::from(metadata.ctime_nsec()),
        })
    }
}

fn read_all(paths: &[PathBuf]) -> Result<Vec<Vec<u8>>, FileError> {
    paths.iter().map(|path| read(path)).collect()
}

/// All of a small file.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, FileError> {
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(|error| FileError::new(path, error))?;
    file.take(FILE_BYTES_MAX + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| FileError::new(path, error))?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        let reason = format!("more than {FILE_BYTES_MAX} bytes: another file must be meant");
        return Err(FileError::new(path, reason));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watched(path: &Path) -> Result<Watched<u32>, FileError> {
        let name = path.to_owned();
        Watched::open(vec![path.to_owned()], move |files| {
            let text = String::from_utf8_lossy(&files[0]).into_owned();
            text.trim()
                .parse()
                .map_err(|error| FileError::new(&name, error))
        })
    }

    #[test]
    fn a_change_is_seen_and_a_mistake_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("n");
        assert!(watched(&path).is_err(), "it is not there");
        std::fs::write(&path, "1").unwrap();
        let value = watched(&path).unwrap();
        assert_eq!(*value.get(), 1);
        for (text, holds) in [("22", 22), ("no number", 22), ("333", 333)] {
            std::fs::write(&path, text).unwrap();
            value.refresh();
            assert_eq!(*value.get(), holds, "{text}");
        }
        std::fs::remove_file(&path).unwrap();
        value.refresh();
        assert_eq!(*value.get(), 333, "a file that is gone");
    }

    #[test]
    fn a_link_that_moves_is_a_change() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        std::fs::write(path("a"), "1").unwrap();
        std::fs::write(path("b"), "2").unwrap();
        std::os::unix::fs::symlink(path("a"), path("link")).unwrap();
        let value = watched(&path("link")).unwrap();
        std::os::unix::fs::symlink(path("b"), path("next")).unwrap();
        std::fs::rename(path("next"), path("link")).unwrap();
        value.refresh();
        assert_eq!(*value.get(), 2);
    }
}
