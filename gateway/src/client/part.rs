//! Files while they are fetched: under a name of their own until they are whole; and which names may be written at all.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, UNIX_EPOCH};

use parking_lot::Mutex;

/// What the names of unfinished files begin with.
const PREFIX: &str = ".moongate-part.";
/// An unfinished file that nobody holds is removed when it is older: between being made and being locked it is young.
const STALE_AFTER: Duration = Duration::from_secs(10);

static NUMBER: AtomicU64 = AtomicU64::new(0);

/// Whether a name is that of an unfinished file.
pub fn is_part(name: &OsStr) -> bool {
    name.as_encoded_bytes().starts_with(PREFIX.as_bytes())
}

/// The path below a folder that a server's name stands for. `None` for one that would lead elsewhere: with an empty part, `.`, `..`,
/// a NUL, or a root.
pub fn below(folder: &Path, name: &str) -> Option<PathBuf> {
    let fits = |part: &str| !matches!(part, "" | "." | "..") && !part.contains('\0');
    name.split('/').all(fits).then(|| folder.join(name))
}

/// A file that is being written beside the place where it will be. Dropped before it is finished it is removed.
#[derive(Debug)]
pub struct Part {
    /// To write to; locked, so that another process knows that it is in use.
    pub file: File,
    path: PathBuf,
    target: PathBuf,
    finished: bool,
}

impl Part {
    /// Gives it its name and time.
    ///
    /// # Errors
    /// Those of the rename: the name may be a folder's.
    pub fn finish(mut self, mtime_secs: u64) -> io::Result<()> {
        if mtime_secs > 0 {
            let time = UNIX_EPOCH.checked_add(Duration::from_secs(mtime_secs));
            // A time is a courtesy: some file systems keep none.
            let _ = time.map(|time| self.file.set_modified(time));
        }
        fs::rename(&self.path, &self.target)?;
        self.finished = true;
        Ok(())
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        if !self.finished {
            // It is only ours, and whoever comes next removes it too.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Makes folders, and unfinished files in them.
#[derive(Debug, Default)]
pub struct Parts {
    /// Folders that are there, and free of what a killed run has left.
    ready: Mutex<HashSet<PathBuf>>,
}

impl Parts {
    /// Begins a file that is to be at `target`.
    ///
    /// # Errors
    /// Those of making its folder and it.
    pub fn begin(&self, target: &Path) -> io::Result<Part> {
        let folder = match target.parent() {
            None => return Err(io::ErrorKind::IsADirectory.into()),
            Some(folder) if folder.as_os_str().is_empty() => Path::new("."),
            Some(folder) => folder,
        };
        self.make_ready(folder)?;
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = folder.join(format!("{PREFIX}{}.{number}", std::process::id()));
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .open(&path)?;
        let part = Part {
            file,
            path,
            target: target.to_owned(),
            finished: false,
        };
        part.file.try_lock()?;
        Ok(part)
    }

    fn make_ready(&self, folder: &Path) -> io::Result<()> {
        if self.ready.lock().contains(folder) {
            return Ok(());
        }
        fs::create_dir_all(folder)?;
        if self.ready.lock().insert(folder.to_owned()) {
            sweep(folder);
        }
        Ok(())
    }
}

/// Removes what a killed run has left. What cannot be removed does no harm.
fn sweep(folder: &Path) {
    let Ok(entries) = fs::read_dir(folder) else {
        return;
    };
    for entry in entries.filter_map(Result::ok) {
        if is_part(&entry.file_name()) && is_stale(&entry.path()) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

fn is_stale(path: &Path) -> bool {
    let Ok(file) = File::open(path) else {
        return false;
    };
    let age = file
        .metadata()
        .and_then(|metadata| metadata.modified())
        .ok();
    let old = age
        .and_then(|time| time.elapsed().ok())
        .is_some_and(|age| age > STALE_AFTER);
    old && file.try_lock().is_ok()
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_that_lead_elsewhere_are_refused() {
        let folder = Path::new("/here");
        for name in [
            "",
            "..",
            "a/../b",
            "/etc/passwd",
            "a//b",
            "./a",
            "a/",
            "a\0b",
        ] {
            assert_eq!(below(folder, name), None, "{name:?}");
        }
        for name in ["a", "a/b.jpg", "..a/b..", "a\\b", "猫/.x"] {
            assert_eq!(below(folder, name), Some(folder.join(name)));
        }
    }

    #[test]
    fn a_file_appears_when_it_is_whole() {
        let root = tempfile::tempdir().unwrap();
        let target = root.path().join("a/b");
        let parts = Parts::default();
        let mut part = parts.begin(&target).unwrap();
        part.file.write_all(b"abc").unwrap();
        assert!(!target.exists());
        part.finish(1_000_000_000).unwrap();
        assert_eq!(fs::read(&target).unwrap(), b"abc");
        let time = fs::metadata(&target).unwrap().modified().unwrap();
        assert_eq!(time, UNIX_EPOCH + Duration::from_secs(1_000_000_000));
        drop(parts.begin(&target).unwrap());
        assert_eq!(fs::read_dir(root.path().join("a")).unwrap().count(), 1);
    }

    #[test]
    fn what_a_killed_run_left_is_removed_and_what_is_in_use_is_not() {
        let root = tempfile::tempdir().unwrap();
        let long_ago = UNIX_EPOCH + Duration::from_secs(1);
        let left = |name: &str| {
            let file = File::create(root.path().join(name)).unwrap();
            file.set_modified(long_ago).unwrap();
            file
        };
        left(".moongate-part.1.1");
        let used = left(".moongate-part.1.2");
        used.lock().unwrap();
        left("other");
        File::create(root.path().join(".moongate-part.1.3")).unwrap();
        Parts::default()
            .begin(&root.path().join("x"))
            .unwrap()
            .finish(0)
            .unwrap();
        let mut names: Vec<_> = fs::read_dir(root.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        names.sort();
        assert_eq!(
            names,
            [".moongate-part.1.2", ".moongate-part.1.3", "other", "x"]
        );
    }

    proptest! {
        #[test]
        fn nothing_leaves_the_folder(name in "[./a\\\\]{0,8}") {
            if let Some(path) = below(Path::new("/here"), &name) {
                prop_assert!(path.starts_with("/here"));
                let plain = path.components().all(|part| matches!(part, std::path::Component::Normal(_) | std::path::Component::RootDir));
                prop_assert!(plain);
            }
        }
    }
}
