//! The simulated disk as a [`Disk`].

use super::SimDisk;
use super::file::SimFile;
use super::names::normal;
use crate::{Disk, DiskFile, OpenMode, Space};
use std::io;
use std::path::Path;
use std::sync::Arc;

impl Disk for SimDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        let id = self.state.lock().open(path, mode)?;
        Ok(Arc::new(SimFile::new(&self.state, id, mode)))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let (from, to) = (normal(from)?, normal(to)?);
        self.state
            .lock()
            .change_names(|names| names.rename(from, to))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let path = normal(path)?;
        self.state.lock().change_names(|names| names.remove(path))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        self.state.lock().names()?.list(&normal(dir)?)
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        let path = normal(path)?;
        let state = self.state.lock();
        let names = state.names()?;
        Ok(names.find(&path).is_some() || names.is_directory(&path))
    }

    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        let dir = normal(dir)?;
        self.state
            .lock()
            .change_names(|names| names.create_directory(&dir))
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let dir = normal(dir)?;
        self.state.lock().change_names(|names| names.sync(&dir))
    }

    fn space(&self, dir: &Path) -> io::Result<Space> {
        let state = self.state.lock();
        state.names()?.check_directory(&normal(dir)?)?;
        Ok(state.space())
    }
}
