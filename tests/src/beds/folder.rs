//! A folder of a bed's own, which does not outlive the test program, however that ends.

use std::io::ErrorKind;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// Its input ends when the test program has ended or has dropped the folder. Servers that end with the program may still write for a moment.
const REMOVE: &str = "trap '' INT TERM HUP; cat; \
    for i in 1 2 3 4 5 6 7 8 9; do rm -rf -- \"$1\" && break; sleep 0.2; done";

/// A temporary folder. One that is kept in a `static` is never dropped, so that a small shell looks after it.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    remover: Child,
}

impl Folder {
    /// A fresh folder whose name begins so.
    pub fn new(prefix: &str) -> Folder {
        let folder = tempfile::TempDir::with_prefix(prefix).expect("a temporary folder");
        let path = folder.keep();
        let remover = Command::new("sh")
            .args(["-c", REMOVE, "remover"])
            .arg(&path)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // Not of the test program's group: what ends all of that leaves it to do its work.
            .process_group(0)
            .spawn()
            .expect("sh can be run");
        Folder { path, remover }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(self.remover.stdin.take());
        let _ = self.remover.wait();
        match std::fs::remove_dir_all(&self.path) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                eprintln!("{}: {error}", self.path.display());
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Folder;

    #[test]
    fn a_folder_goes_with_all_that_is_in_it() {
        let folder = Folder::new("moongate-folder-");
        let path = folder.path().to_owned();
        std::fs::create_dir_all(path.join("a/b")).expect("an own folder");
        std::fs::write(path.join("a/b/c"), "x").expect("an own folder");
        drop(folder);
        assert!(!path.exists());
    }
}
