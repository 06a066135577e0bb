//! What stands at a mount whose store could not be opened: it says why to whoever asks, and holds up nobody else.

use std::sync::Arc;

use async_trait::async_trait;
use moongate_cache::{
    Backend, BackendError, BackendFile, BackendWriter, Caller, CreateOptions, ErrorKind, Freshness,
    Listing, RenameMode, Status, Summary,
};

/// Refuses everything.
#[derive(Clone, Debug)]
pub struct Refusing {
    why: String,
}

impl Refusing {
    /// For this reason.
    pub fn new(why: impl Into<String>) -> Self {
        Self { why: why.into() }
    }

    fn refuse<T>(&self) -> Result<T, BackendError> {
        let text = format!("this mount could not be opened: {}", self.why);
        Err(BackendError::new(ErrorKind::Unavailable, text))
    }
}

#[async_trait]
impl Backend for Refusing {
    fn kind(&self) -> &'static str {
        "refused"
    }

    async fn status(&self, _: &Caller, _: &str, _: Freshness) -> Result<Status, BackendError> {
        self.refuse()
    }

    async fn list(
        &self,
        _: &Caller,
        _: &str,
        _: Option<&str>,
        _: usize,
        _: Freshness,
    ) -> Result<Listing, BackendError> {
        self.refuse()
    }

    async fn open(
        &self,
        _: &Caller,
        _: &str,
        _: Freshness,
    ) -> Result<Arc<dyn BackendFile>, BackendError> {
        self.refuse()
    }

    async fn create(
        &self,
        _: &Caller,
        _: &str,
        _: &CreateOptions,
    ) -> Result<Box<dyn BackendWriter>, BackendError> {
        self.refuse()
    }

    async fn make_dirs(&self, _: &Caller, _: &str, _: u16) -> Result<(), BackendError> {
        self.refuse()
    }

    async fn rename(
        &self,
        _: &Caller,
        _: &str,
        _: &str,
        _: RenameMode,
    ) -> Result<(), BackendError> {
        self.refuse()
    }

    async fn delete(&self, _: &Caller, _: &str, _: bool) -> Result<bool, BackendError> {
        self.refuse()
    }

    async fn summary(&self, _: &Caller, _: &str) -> Result<Summary, BackendError> {
        self.refuse()
    }
}
