//! The secrets on disk: one file, replaced whole, synced, readable by its owner only, and locked while it is changed, so that several
//! gateways may share it. What another gateway has changed is seen within a second.

use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::secrets::Secrets;

/// How long the file is believed to be as it was.
const LOOK_EVERY: Duration = Duration::from_secs(1);
const FILE_BYTES_MAX: u64 = 64 << 20;

/// How long things are good, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifetimes {
    /// A cookie.
    pub cookie_ms: i64,
    /// A token that is not renewed.
    pub token_renew_ms: i64,
    /// A token however often it is renewed.
    pub token_max_ms: i64,
    /// A key as the one that signs.
    pub roll_ms: i64,
}

/// The secrets, as the file has them.
#[derive(Debug)]
pub struct Kept {
    path: PathBuf,
    lifetimes: Lifetimes,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    secrets: Arc<Secrets>,
    stamp: Option<Stamp>,
    looked: Instant,
}

/// What changes when a file is replaced: device, inode, time and length.
type Stamp = (u64, u64, i64, i64, u64);

impl Kept {
    /// Opens the file, or makes it with a first key.
    ///
    /// # Errors
    /// It cannot be read, locked or written, or holds something else.
    pub fn open(path: PathBuf, lifetimes: Lifetimes, now_ms: i64) -> io::Result<Self> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let kept = Self {
            path,
            lifetimes,
            state: Mutex::new(State {
                secrets: Arc::default(),
                stamp: None,
                looked: Instant::now(),
            }),
        };
        kept.tend(now_ms)?;
        Ok(kept)
    }

    /// How long things are good.
    pub const fn lifetimes(&self) -> &Lifetimes {
        &self.lifetimes
    }

    /// What is known now.
    pub fn secrets(&self) -> Arc<Secrets> {
        let mut state = self.state.lock();
        if state.looked.elapsed() >= LOOK_EVERY {
            state.looked = Instant::now();
            let stamp = stamp(&self.path);
            if stamp.is_some() && stamp != state.stamp {
                match read(&self.path) {
                    Ok(secrets) => {
                        state.secrets = Arc::new(secrets);
                        state.stamp = stamp;
                    }
                    // What is known is still true of all that it was made with.
                    Err(error) => {
                        tracing::warn!(file = %self.path.display(), %error, "the secrets cannot be read again")
                    }
                }
            }
        }
        Arc::clone(&state.secrets)
    }

    /// Reads anew, and makes a key if it is time for one.
    ///
    /// # Errors
    /// As of [`Self::open`].
    pub fn tend(&self, now_ms: i64) -> io::Result<()> {
        let wants = |secrets: &Secrets| secrets.wants_key(now_ms, self.lifetimes.roll_ms);
        if self.path.exists() && !wants(&self.secrets()) {
            return Ok(());
        }
        self.change(|secrets| {
            if wants(secrets) {
                secrets.roll(now_ms, &self.lifetimes, rand::random());
            }
            Ok(())
        })?
        .map_err(|error: io::Error| error)
    }

    /// Changes the secrets as all gateways know them. What `change` refuses is not kept.
    ///
    /// # Errors
    /// The outer one: the file cannot be locked, read or written. The inner one is `change`'s.
    pub fn change<T, E>(
        &self,
        change: impl FnOnce(&mut Secrets) -> Result<T, E>,
    ) -> io::Result<Result<T, E>> {
        let mut state = self.state.lock();
        let lock = private(OpenOptions::new().create(true).truncate(false).write(true))
            .open(self.path.with_extension("lock"))?;
        lock.lock()?;
        let mut secrets = match read(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Secrets::default(),
            read => read?,
        };
        let before = secrets.clone();
        let done = change(&mut secrets);
        if done.is_ok() && secrets != before {
            replace(&self.path, &secrets)?;
        }
        if done.is_ok() {
            state.secrets = Arc::new(secrets);
            state.stamp = stamp(&self.path);
        }
        Ok(done)
    }
}

fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    options.mode(0o600)
}

fn stamp(path: &Path) -> Option<Stamp> {
    let data = std::fs::metadata(path).ok()?;
    Some((
        data.dev(),
        data.ino(),
        data.mtime(),
        data.mtime_nsec(),
        data.len(),
    ))
}

fn read(path: &Path) -> io::Result<Secrets> {
    let len = std::fs::metadata(path)?.len();
    if len > FILE_BYTES_MAX {
        return Err(io::Error::other(format!("{} is too large", path.display())));
    }
    serde_json::from_slice(&std::fs::read(path)?)
        .map_err(|error| io::Error::other(format!("{}: {error}", path.display())))
}

/// Written beside, synced, put in its place, and the folder synced: after a crash it is the old one or the new one.
fn replace(path: &Path, secrets: &Secrets) -> io::Result<()> {
    let beside = path.with_extension("new");
    let mut file =
        private(OpenOptions::new().create(true).truncate(true).write(true)).open(&beside)?;
    file.set_permissions(Permissions::from_mode(0o600))?;
    file.write_all(&serde_json::to_vec(secrets)?)?;
    file.sync_all()?;
    std::fs::rename(&beside, path)?;
    match path.parent() {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::secrets::SECRET_BYTES;
    use super::*;

    const LIFETIMES: Lifetimes = Lifetimes {
        cookie_ms: 100,
        token_renew_ms: 1000,
        token_max_ms: 7000,
        roll_ms: 1000,
    };

    #[test]
    fn two_gateways_share_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("auth/secrets.json");
        let one = Kept::open(path.clone(), LIFETIMES, 0).unwrap();
        let two = Kept::open(path.clone(), LIFETIMES, 10).unwrap();
        assert_eq!(one.secrets().keys, two.secrets().keys);
        assert_eq!(one.secrets().keys[0].token.len(), SECRET_BYTES);
        assert_ne!(one.secrets().keys[0].token, one.secrets().keys[0].cookie);
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        two.change(|secrets| {
            secrets.cancelled.insert("x".into(), 99_999);
            Ok::<_, ()>(())
        })
        .unwrap()
        .unwrap();
        let refused = two.change(|secrets| {
            secrets.cancelled.clear();
            Err::<(), _>("no")
        });
        assert_eq!(refused.unwrap(), Err("no"));
        // Whoever changes reads first.
        one.tend(1000).unwrap();
        assert_eq!(one.secrets().keys.len(), 2);
        let waited = Instant::now();
        while one.secrets().cancelled.is_empty() || two.secrets().keys.len() != 2 {
            assert!(waited.elapsed() < Duration::from_secs(10));
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    #[test]
    fn what_is_no_such_file_is_not_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secrets.json");
        std::fs::write(&path, "{}x").unwrap();
        assert!(Kept::open(path.clone(), LIFETIMES, 0).is_err());
        assert_eq!(std::fs::read(&path).unwrap(), b"{}x");
    }
}
