//! What lies below a folder here, in order of its names; links are followed, and one that leads back to a folder above is a failure.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use super::address::join;
use super::part;

/// Folders within folders that a server takes.
const DEPTH_MAX: usize = 128;

/// A file to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalFile {
    /// Where it is.
    pub path: PathBuf,
    /// Its name there, below the folder that all goes to.
    pub name: String,
    /// Its length when it was found.
    pub bytes: u64,
    /// Unix seconds.
    pub mtime_secs: u64,
    /// Permissions.
    pub mode: u32,
}

impl LocalFile {
    /// A file that has been looked at.
    pub fn new(path: &Path, name: &str, metadata: &Metadata) -> Self {
        Self {
            path: path.to_owned(),
            name: name.to_owned(),
            bytes: metadata.len(),
            mtime_secs: mtime_secs(metadata),
            mode: metadata.mode() & 0o777,
        }
    }
}

/// When a file was changed, Unix seconds.
pub fn mtime_secs(metadata: &Metadata) -> u64 {
    let since = metadata
        .modified()
        .ok()
        .and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    since.map_or(0, |since| since.as_secs())
}

/// What a walk comes upon.
#[derive(Debug)]
pub enum Found {
    /// A file.
    File(LocalFile),
    /// A folder with nothing in it, by its name there.
    EmptyFolder(String),
    /// What cannot be sent, and why.
    Failed(PathBuf, String),
}

/// Whoever walks has been told to stop.
#[derive(Debug)]
pub struct Stop;

/// Tells `tell` of all at and below `path`, which is to have `name` there (empty: the folder that all goes to).
///
/// # Errors
/// [`Stop`], if `tell` said so.
pub fn walk(
    path: &Path,
    name: &str,
    tell: &mut dyn FnMut(Found) -> Result<(), Stop>,
) -> Result<(), Stop> {
    Walk {
        tell,
        above: Vec::new(),
    }
    .at(path, name)
}

struct Walk<'a> {
    tell: &'a mut dyn FnMut(Found) -> Result<(), Stop>,
    /// Device and inode of the folders that are being walked.
    above: Vec<(u64, u64)>,
}

impl Walk<'_> {
    fn at(&mut self, path: &Path, name: &str) -> Result<(), Stop> {
        match fs::metadata(path) {
            Ok(metadata) if metadata.is_dir() => self.folder(path, name, &metadata),
            Ok(metadata) if metadata.is_file() => {
                (self.tell)(Found::File(LocalFile::new(path, name, &metadata)))
            }
            Ok(_) => self.fail(path, "is no file and no folder"),
            Err(error) => self.fail(path, &error.to_string()),
        }
    }

    fn fail(&mut self, path: &Path, reason: &str) -> Result<(), Stop> {
        (self.tell)(Found::Failed(path.to_owned(), reason.to_owned()))
    }

    fn folder(&mut self, path: &Path, name: &str, metadata: &Metadata) -> Result<(), Stop> {
        let identity = (metadata.dev(), metadata.ino());
        if self.above.contains(&identity) {
            return self.fail(path, "is a link to a folder that it is in");
        }
        if self.above.len() >= DEPTH_MAX {
            return self.fail(path, "lies too deep: at most 128 folders within each other");
        }
        match names(path) {
            Err(error) => self.fail(path, &error.to_string()),
            Ok(names) if names.is_empty() => (self.tell)(Found::EmptyFolder(name.to_owned())),
            Ok(names) => {
                self.above.push(identity);
                let walked = names
                    .into_iter()
                    .try_for_each(|below| self.below(path, name, &below));
                self.above.pop();
                walked
            }
        }
    }

    fn below(&mut self, folder: &Path, name: &str, below: &std::ffi::OsStr) -> Result<(), Stop> {
        let path = folder.join(below);
        let Some(below) = below.to_str() else {
            return self.fail(
                &path,
                "its name is not UTF-8, which is all that a server takes: rename it",
            );
        };
        match name {
            "" => self.at(&path, below),
            name => self.at(&path, &join(name, below)),
        }
    }
}

/// Names in a folder, sorted; without the unfinished files of `get`.
fn names(folder: &Path) -> io::Result<Vec<std::ffi::OsString>> {
    let names = fs::read_dir(folder)?.map(|entry| Ok(entry?.file_name()));
    let mut names: Vec<_> = names.collect::<io::Result<_>>()?;
    names.retain(|name| !part::is_part(name));
    names.sort_unstable();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn tell_all(path: &Path, name: &str) -> Vec<String> {
        let mut told = Vec::new();
        walk(path, name, &mut |found| {
            told.push(match found {
                Found::File(file) => format!("{} {}", file.name, file.bytes),
                Found::EmptyFolder(name) => format!("{name}/"),
                Found::Failed(path, _) => format!("! {}", path.file_name().unwrap().display()),
            });
            Ok(())
        })
        .unwrap();
        told
    }

    #[test]
    fn files_come_in_order_with_their_names_there() {
        let root = tempfile::tempdir().unwrap();
        let path = |name: &str| root.path().join(name);
        fs::create_dir_all(path("b/empty")).unwrap();
        for name in ["a", "b/c", "z", ".moongate-part.1.2"] {
            fs::write(path(name), name).unwrap();
        }
        assert_eq!(
            tell_all(root.path(), ""),
            ["a 1", "b/c 3", "b/empty/", "z 1"]
        );
        assert_eq!(tell_all(&path("b"), "x"), ["x/c 3", "x/empty/"]);
        assert_eq!(tell_all(&path("a"), "n"), ["n 1"]);
    }

    #[test]
    fn links_are_followed_and_circles_end() {
        let root = tempfile::tempdir().unwrap();
        let path = |name: &str| root.path().join(name);
        fs::create_dir(path("a")).unwrap();
        fs::write(path("a/f"), "12").unwrap();
        symlink("a/f", path("link")).unwrap();
        symlink("..", path("a/up")).unwrap();
        symlink("nowhere", path("broken")).unwrap();
        assert_eq!(
            tell_all(root.path(), ""),
            ["a/f 2", "! up", "! broken", "link 2"]
        );
    }

    #[test]
    fn whoever_listens_can_stop_it() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("a"), "").unwrap();
        fs::write(root.path().join("b"), "").unwrap();
        let mut count = 0;
        let mut once = |_| {
            count += 1;
            Err(Stop)
        };
        assert!(walk(root.path(), "", &mut once).is_err());
        assert_eq!(count, 1);
    }
}
