//! A clock that tests move: programs run under libfaketime see the time that it tells.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;

/// Where Debian's package `faketime` puts the library, below a folder for each architecture.
const LIBRARIES: &str = "/usr/lib";
const LIBRARY: &str = "faketime/libfaketimeMT.so.1";

/// The time of day, for programs that are started with [`Clock::envs`]. How long something takes is not changed.
#[derive(Debug)]
pub struct Clock {
    folder: TempDir,
    library: PathBuf,
    ahead: Duration,
}

impl Clock {
    /// A clock that tells the right time.
    #[track_caller]
    pub fn right() -> Clock {
        let clock = Clock {
            folder: TempDir::with_prefix("moongate-clock-").expect("a temporary folder"),
            library: library(),
            ahead: Duration::ZERO,
        };
        clock.tell();
        clock
    }

    /// The environment of a program that goes by this clock.
    pub fn envs(&self) -> Vec<(String, String)> {
        let text = |path: &Path| path.display().to_string();
        [
            ("LD_PRELOAD", text(&self.library)),
            ("FAKETIME_TIMESTAMP_FILE", text(&self.file())),
            // It is to be seen at once that the clock was moved.
            ("FAKETIME_NO_CACHE", "1".to_owned()),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
            ("DONT_FAKE_MONOTONIC", "1".to_owned()),
            ("NO_FAKE_STAT", "1".to_owned()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .to_vec()
    }

    /// Moves it forward.
    pub fn advance(&mut self, by: Duration) {
        self.ahead += by;
        self.tell();
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("clock")
    }

    /// In one step, so that nobody reads half of it.
    fn tell(&self) {
        let new = self.folder.path().join("new");
        fs::write(&new, format!("+{}\n", self.ahead.as_secs())).expect("a file can be written");
        fs::rename(new, self.file()).expect("a file can be renamed");
    }
}

#[track_caller]
fn library() -> PathBuf {
    let folders = fs::read_dir(LIBRARIES).expect("a folder of libraries");
    folders
        .flatten()
        .map(|folder| folder.path().join(LIBRARY))
        .find(|library| library.is_file())
        .expect("libfaketime is missing: scripts/install.sh faketime installs it")
}
