//! The mounts that were added while the gateway ran, in a JSON file that a crash leaves old or new, never torn.

use std::io::ErrorKind as IoKind;
use std::path::PathBuf;

use moongate_cache::{BackendError, ErrorKind};
use moongate_disk::{RealDisk, replace_file};
use serde::{Deserialize, Serialize};

use crate::config::MountConfig;

/// Where they are kept.
#[derive(Debug)]
pub struct Kept {
    file: PathBuf,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Content {
    mounts: Vec<MountConfig>,
}

impl Kept {
    /// In this file, which may not be there yet.
    pub const fn new(file: PathBuf) -> Self {
        Self { file }
    }

    /// What is kept.
    ///
    /// # Errors
    /// The file cannot be read or understood.
    pub fn load(&self) -> Result<Vec<MountConfig>, BackendError> {
        let bytes = match std::fs::read(&self.file) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == IoKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(self.failed(&error)),
        };
        let content: Content =
            serde_json::from_slice(&bytes).map_err(|error| self.failed(&error))?;
        Ok(content.mounts)
    }

    /// Keeps these instead.
    ///
    /// # Errors
    /// What the disk says; the file then holds the old ones or these.
    pub fn save(&self, mounts: &[MountConfig]) -> Result<(), BackendError> {
        let content = Content {
            mounts: mounts.to_vec(),
        };
        let bytes = serde_json::to_vec_pretty(&content).map_err(|error| self.failed(&error))?;
        replace_file(&RealDisk, &self.file, &bytes).map_err(|error| self.failed(&error))
    }

    fn failed(&self, error: &dyn std::fmt::Display) -> BackendError {
        let text = format!("the file of added mounts, {}: {error}", self.file.display());
        BackendError::new(ErrorKind::Failed, text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_saved_is_loaded() {
        let dir = tempfile::tempdir().unwrap();
        let kept = Kept::new(dir.path().join("mounts.json"));
        assert_eq!(kept.load().unwrap(), []);
        let mounts = vec![MountConfig {
            path: "/a".into(),
            store: "file:///tmp".into(),
            ..MountConfig::default()
        }];
        kept.save(&mounts).unwrap();
        assert_eq!(kept.load().unwrap(), mounts);
        std::fs::write(dir.path().join("mounts.json"), "{").unwrap();
        assert!(kept.load().unwrap_err().message.contains("mounts.json"));
    }
}
