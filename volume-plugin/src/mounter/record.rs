//! What is to be mounted where, a folder a mount, so that a mounter that starts anew goes on where the last one ended.
//!
//! ```text
//! STATE/<hash of the target>/record.toml   what was asked for
//!                            mnt/          where the FUSE daemon mounts; the target is a bind of it
//!                            ro/           the same, read only, once that is needed
//!                            tls/          the tenant's certificate, key and authority
//! ```

use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::error::{Error, Result};

/// One mount.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The volume's id, as CSI has it.
    pub id: String,
    /// gluster's name of the volume, or `volume/folder/in/it`.
    pub volume: String,
    /// Hosts that tell where its bricks are.
    pub servers: Vec<String>,
    /// Mount options.
    pub flags: Vec<String>,
    /// Where it is wanted.
    pub target: PathBuf,
    /// The tenant's certificate lies beside it.
    pub tls: bool,
    /// Devices (`major:minor`) of daemons that died, whose mounts are not all replaced yet.
    #[serde(default)]
    pub dead: Vec<String>,
}

/// A tenant's certificate, key and authority, PEM.
#[derive(Clone, PartialEq, Eq)]
pub struct Keys {
    /// The certificate.
    pub certificate: Vec<u8>,
    /// Its key.
    pub key: Vec<u8>,
    /// Who signed the servers' certificates.
    pub authority: Vec<u8>,
}

/// The folder of all records.
#[derive(Debug, Clone)]
pub struct Records {
    folder: PathBuf,
}

impl Records {
    /// Over a folder that need not be there.
    #[must_use]
    pub fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// The folder of all.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The folder of one target.
    #[must_use]
    pub fn home(&self, target: &Path) -> PathBuf {
        use std::os::unix::ffi::OsStrExt;
        let hash = Sha256::digest(target.as_os_str().as_bytes());
        let hex: String = hash
            .iter()
            .take(16)
            .map(|byte| format!("{byte:02x}"))
            .collect();
        self.folder.join(hex)
    }

    /// What was asked for at a target.
    ///
    /// # Errors
    /// `Internal` where it cannot be read.
    pub fn read(&self, target: &Path) -> Result<Option<Record>> {
        read(&self.home(target))
    }

    /// All of them. One that cannot be read is passed over, and said.
    ///
    /// # Errors
    /// `Internal` where the folder cannot be read.
    pub fn all(&self) -> Result<Vec<Record>> {
        let entries = match std::fs::read_dir(&self.folder) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(|error| at(&self.folder, &error))?,
        };
        let mut records = Vec::new();
        for entry in entries.flatten() {
            match read(&entry.path()) {
                Ok(record) => records.extend(record),
                Err(error) => tracing::warn!(%error, "a record of a mount is passed over"),
            }
        }
        Ok(records)
    }

    /// Writes one, whole or not at all.
    ///
    /// # Errors
    /// `Internal` where it cannot be written.
    pub fn write(&self, record: &Record) -> Result<()> {
        let home = self.home(&record.target);
        make(&home)?;
        let text = toml::to_string(record).map_err(|error| Error::Internal(error.to_string()))?;
        replace(&home, "record.toml", text.as_bytes())
    }

    /// Puts a tenant's certificate beside the record.
    ///
    /// # Errors
    /// `Internal` where it cannot be written.
    pub fn write_keys(&self, target: &Path, keys: &Keys) -> Result<()> {
        let folder = self.home(target).join("tls");
        make(&folder)?;
        replace(&folder, "cert.pem", &keys.certificate)?;
        replace(&folder, "key.pem", &keys.key)?;
        replace(&folder, "ca.pem", &keys.authority)
    }

    /// Forgets a target. Nothing may be mounted below its folder any more.
    ///
    /// # Errors
    /// `Internal` where it cannot be removed.
    pub fn remove(&self, target: &Path) -> Result<()> {
        let home = self.home(target);
        // Never a whole tree: what is mounted there by mistake would be emptied.
        for file in ["tls/cert.pem", "tls/key.pem", "tls/ca.pem"] {
            gone(&home, std::fs::remove_file(home.join(file)))?;
        }
        for folder in ["tls", "mnt", "ro"] {
            gone(&home, std::fs::remove_dir(home.join(folder)))?;
        }
        gone(&home, std::fs::remove_file(home.join("record.toml")))?;
        gone(&home, std::fs::remove_dir(&home))
    }
}

fn read(home: &Path) -> Result<Option<Record>> {
    let path = home.join("record.toml");
    let text = match std::fs::read_to_string(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        text => text.map_err(|error| at(&path, &error))?,
    };
    toml::from_str(&text)
        .map(Some)
        .map_err(|error| Error::Internal(format!("{}: {error}", path.display())))
}

/// A folder for root alone.
///
/// # Errors
/// `Internal` where it cannot be made.
pub fn make(folder: &Path) -> Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true).mode(0o700);
    builder.create(folder).map_err(|error| at(folder, &error))
}

fn replace(folder: &Path, name: &str, bytes: &[u8]) -> Result<()> {
    use std::io::Write;
    let (new, path) = (folder.join(format!("{name}.new")), folder.join(name));
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    let written = options
        .open(&new)
        .and_then(|mut file| file.write_all(bytes))
        .and_then(|()| std::fs::rename(&new, &path));
    written.map_err(|error| at(&path, &error))
}

fn gone(home: &Path, removed: std::io::Result<()>) -> Result<()> {
    match removed {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(at(home, &error)),
        _ => Ok(()),
    }
}

fn at(path: &Path, error: &std::io::Error) -> Error {
    Error::Internal(format!("{}: {error}", path.display()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_written_found_and_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let records = Records::new(folder.path().join("state"));
        assert_eq!(records.all().unwrap(), []);
        let record = Record {
            id: "v".to_owned(),
            volume: "v".to_owned(),
            servers: vec!["a".to_owned()],
            flags: vec!["acl".to_owned()],
            target: PathBuf::from("/t"),
            tls: true,
            dead: vec!["0:44".to_owned()],
        };
        records.write(&record).unwrap();
        let keys = Keys {
            certificate: vec![1],
            key: vec![2],
            authority: vec![3],
        };
        records.write_keys(&record.target, &keys).unwrap();
        assert_eq!(
            records.read(Path::new("/t")).unwrap().as_ref(),
            Some(&record)
        );
        assert_eq!(records.all().unwrap(), [record]);
        for _ in 0..2 {
            records.remove(Path::new("/t")).unwrap();
        }
        assert_eq!(records.all().unwrap(), []);
        assert_eq!(
            std::fs::read_dir(folder.path().join("state"))
                .unwrap()
                .count(),
            0
        );
    }
}
