//! A file that somebody has open, and the under store's file behind it once that is needed.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

use crate::backend::{BackendError, BackendFile, Caller, ErrorKind, Status};
use crate::files::FileVersion;
use crate::mount::Mount;
use crate::mutant::{self, Mutant};
use crate::ram::RamTier;
use crate::stats::Found;

/// An open file.
pub struct OpenFile {
    pub(crate) mount: Arc<Mount>,
    pub(crate) file: Arc<FileVersion>,
    pub(crate) caller: Caller,
    pub(crate) status: Arc<Status>,
    under: Mutex<Option<Arc<dyn BackendFile>>>,
    /// Whether a read found pages neither in memory nor on disk.
    missed: AtomicBool,
}

impl fmt::Debug for OpenFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OpenFile({:?})", self.file)
    }
}

impl OpenFile {
    pub(crate) fn new(
        mount: Arc<Mount>,
        file: Arc<FileVersion>,
        caller: Caller,
        status: Arc<Status>,
        under: Option<Arc<dyn BackendFile>>,
    ) -> Self {
        if let Some(under) = &under {
            file.set_opened(&caller.user, under);
        }
        Self {
            mount,
            file,
            caller,
            status,
            under: Mutex::new(under),
            missed: AtomicBool::new(false),
        }
    }

    /// A read has looked for a page.
    pub(crate) fn looked(&self, found: Found) {
        self.mount.cache.counters.looked(found);
        if found == Found::Under {
            self.missed.store(true, Ordering::Relaxed);
        }
    }

    /// Whether a read has found a page nowhere.
    pub(crate) fn has_missed(&self) -> bool {
        self.missed.load(Ordering::Relaxed)
    }

    /// The memory that holds its pages.
    pub(crate) fn ram(&self) -> &RamTier {
        self.mount.cache.ram_of(&self.file)
    }

    /// The under store's file, opened if it is not. It is of this very version.
    pub(crate) async fn under(&self) -> Result<Arc<dyn BackendFile>, BackendError> {
        if self.file.may_be_another() && !mutant::is(Mutant::TrustTheOpenFile) {
            return Err(changed(&self.file.path));
        }
        let held = self.under.lock().clone();
        if let Some(under) = held.or_else(|| self.file.opened_by(&self.caller.user)) {
            return Ok(under);
        }
        let (mount, path) = (&self.mount, &self.file.path);
        let moment = mount.names.moment();
        let opened = mount.under.open_known(&self.caller, path, &self.status);
        let opened = match mount.gate.within(opened).await {
            Err(error) if error.kind == ErrorKind::NotFound => return Err(changed(path)),
            other => other?,
        };
        if opened.status().version() != self.file.version && !mutant::is(Mutant::TrustTheOpenFile) {
            let seen = Arc::new(opened.status().clone());
            mount.saw(path, Ok(seen), moment).await;
            return Err(changed(path));
        }
        self.file.set_opened(&self.caller.user, &opened);
        *self.under.lock() = Some(Arc::clone(&opened));
        Ok(opened)
    }

    /// Asks the under store whether this caller may read the file.
    pub(crate) async fn prove(&self) -> Result<(), BackendError> {
        let gate = &self.mount.gate;
        let _pass = gate.enter().await?;
        let under = self.under().await?;
        let proven = gate.within(under.prove()).await;
        if let Err(error) = &proven {
            self.forget_under();
            if error.kind == ErrorKind::Changed {
                self.mount.has_changed(&self.file).await;
            }
        }
        proven
    }

    /// The under store's file was of no use: the next read opens it again.
    pub(crate) fn forget_under(&self) {
        *self.under.lock() = None;
        self.file.forget_opened();
    }
}

/// The file is not any more what was opened.
pub fn changed(path: &str) -> BackendError {
    let text = format!("{path}: the file has changed since it was opened; open it again");
    BackendError::new(ErrorKind::Changed, text)
}
