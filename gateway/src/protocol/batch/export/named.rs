//! A file of any store as an entry of an archive: by its path in the namespace, through the cache where its mount has one.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures::future::BoxFuture;
use futures::{StreamExt as _, stream};
use moongate_cache::backend::ByteStream;
use moongate_cache::{
    Backend as _, BackendError, BackendFile, Caller, ErrorKind, Freshness, Status,
};

use super::{Export, Item, NotSent, Source, WINDOW_BYTES};
use crate::archive::Entry;
use crate::protocol::batch::outgoing::Cut;
use crate::state::Gateway;

/// Files that are opened, and short ones that are read, side by side: each may cost a round trip to its store.
const AT_ONCE: usize = 16;

/// A file by its path.
#[derive(Clone, Debug)]
pub struct Named {
    /// In the namespace, in its normal form.
    pub path: String,
    /// Who asks.
    pub caller: Caller,
}

/// A file that is open, at the version that is sent.
#[derive(Clone)]
pub(super) struct Held {
    gateway: Arc<Gateway>,
    named: Arc<Named>,
    file: Arc<dyn BackendFile>,
}

/// What is open, or why it is not.
pub(super) type Opened = Result<Held, String>;

/// What is sent of a file.
pub(super) enum Found {
    /// Short, and read.
    Whole(Status, Bytes),
    /// To be streamed.
    Long(Held),
}

impl Held {
    async fn open(
        gateway: Arc<Gateway>,
        named: Arc<Named>,
        freshness: Freshness,
    ) -> Result<Self, BackendError> {
        let opened = gateway
            .namespace
            .open(&named.caller, &named.path, freshness);
        let file = opened.await?;
        Ok(Self {
            gateway,
            named,
            file,
        })
    }

    /// The file as it is now: the cache knew it as what it is no longer.
    async fn anew(self) -> Result<Self, BackendError> {
        Self::open(self.gateway, self.named, Freshness::Now).await
    }

    fn status(&self) -> &Status {
        self.file.status()
    }

    /// A short one whole, a long one not yet.
    async fn read(self) -> Result<Found, BackendError> {
        let status = self.status().clone();
        if status.len > WINDOW_BYTES {
            return Ok(Found::Long(self));
        }
        let bytes = whole(&*self.file, status.len).await?;
        Ok(Found::Whole(status, bytes))
    }

    /// The first bytes, and those that follow.
    async fn begin(&self) -> Result<(Option<Bytes>, ByteStream), BackendError> {
        let mut pieces = self.file.read(0..self.status().len).await?;
        let first = pieces.next().await.transpose()?;
        Ok((first, pieces))
    }
}

/// Opens those of the items that are named so, in their order.
pub(super) fn open_all(gateway: &Arc<Gateway>, items: &[Item]) -> BoxFuture<'static, Vec<Opened>> {
    let named: Vec<Arc<Named>> = items.iter().filter_map(of_item).collect();
    let opening = named
        .into_iter()
        .map(|named| open(Arc::clone(gateway), named));
    let opening: Vec<_> = opening.collect();
    Box::pin(stream::iter(opening).buffered(AT_ONCE).collect())
}

async fn open(gateway: Arc<Gateway>, named: Arc<Named>) -> Opened {
    let opened = Held::open(gateway, named, Freshness::Cached).await;
    opened.map_err(|error| error.to_string())
}

fn of_item(item: &Item) -> Option<Arc<Named>> {
    match &item.source {
        Source::Named(named) => Some(Arc::clone(named)),
        _ => None,
    }
}

/// Bytes that a file takes while others are read with it.
pub(super) fn held_bytes(opened: &Opened) -> u64 {
    opened.as_ref().map_or(0, |held| held.status().len)
}

/// Reads the short ones, in their order.
pub(super) fn read_all(opened: &[Opened]) -> BoxFuture<'static, Vec<Result<Found, String>>> {
    let reading: Vec<_> = opened.iter().cloned().map(read).collect();
    Box::pin(stream::iter(reading).buffered(AT_ONCE).collect())
}

async fn read(opened: Opened) -> Result<Found, String> {
    let held = opened?;
    let found = match held.clone().read().await {
        Err(error) if error.kind == ErrorKind::Changed => match held.anew().await {
            Ok(held) => held.read().await,
            Err(error) => Err(error),
        },
        found => found,
    };
    found.map_err(|error| error.to_string())
}

async fn whole(file: &dyn BackendFile, len: u64) -> Result<Bytes, BackendError> {
    let mut pieces = file.read(0..len).await?;
    let mut bytes = BytesMut::new();
    while let Some(piece) = pieces.next().await {
        let piece = piece?;
        if bytes.is_empty() && piece.len() as u64 == len {
            return Ok(piece);
        }
        bytes.extend_from_slice(&piece);
    }
    Ok(bytes.freeze())
}

impl Export {
    /// Adds a file to the archive.
    pub(super) async fn named(
        &mut self,
        item: &Item,
        found: Option<Result<Found, String>>,
    ) -> Result<(), NotSent> {
        let passed_over = || Err("it was passed over".to_owned());
        match found
            .unwrap_or_else(passed_over)
            .map_err(NotSent::Missing)?
        {
            Found::Long(held) => self.long(item, held).await,
            Found::Whole(status, bytes) if bytes.len() as u64 == status.len => {
                let name = self.outgoing.unique(item.name.clone().unwrap_or_default());
                let entry = described(&name, &status);
                Ok(self.outgoing.whole(&entry, bytes).await?)
            }
            Found::Whole(status, bytes) => {
                let text = format!("{} of its {} bytes came", bytes.len(), status.len);
                Err(NotSent::Missing(text))
            }
        }
    }

    /// Its first bytes come before its entry begins: afterwards there is no way to leave it out, and what fails cuts the archive.
    async fn long(&mut self, item: &Item, mut held: Held) -> Result<(), NotSent> {
        let missing = |error: BackendError| NotSent::Missing(error.to_string());
        let begun = match held.begin().await {
            Err(error) if error.kind == ErrorKind::Changed => {
                held = held.anew().await.map_err(missing)?;
                held.begin().await
            }
            begun => begun,
        };
        let (first, pieces) = begun.map_err(missing)?;
        let status = held.status();
        let name = self.outgoing.unique(item.name.clone().unwrap_or_default());
        self.outgoing.begin(&described(&name, status));
        if let Some(first) = first {
            self.outgoing.piece(first).await?;
        }
        self.rest(pieces).await?;
        Ok(self.outgoing.end(status.len)?)
    }

    async fn rest(&mut self, mut pieces: ByteStream) -> Result<(), Cut> {
        while let Some(piece) = pieces.next().await {
            let piece = piece.map_err(|error| Cut(error.to_string()))?;
            self.outgoing.piece(piece).await?;
        }
        Ok(())
    }
}

fn described<'a>(name: &'a str, status: &Status) -> Entry<'a> {
    Entry {
        name,
        size_bytes: status.len,
        mtime_secs: status.modified_ms / 1000,
        mode: u32::from(status.permission) & 0o777,
        mime: mime_guess::from_path(name).first_raw().unwrap_or_default(),
        crc32: None,
    }
}
