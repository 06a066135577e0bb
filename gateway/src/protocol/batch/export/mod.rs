//! Many images and files sent as one archive: a list, a folder with its subtree, a training shard.

mod file;
mod image;
mod named;

use std::sync::Arc;

use moongate_filer::Entry;
use moongate_haystack::HaystackError;
use moongate_haystack::id::FileId;
use moongate_haystack::needle::Needle;
use serde::Serialize;
use tokio::sync::mpsc;

pub use self::named::Named;
use self::named::Opened;
use super::outgoing::{Cut, Outgoing};
use super::stored::{Place, locate_all, read_all};
use crate::files::fid_of;
use crate::metrics::Operation;
use crate::state::Gateway;

/// Items that are looked up at once.
pub const WINDOW_LEN: usize = 512;
/// Records that are read at once. One that is longer is read alone, and charged on its own.
const WINDOW_BYTES: u64 = 4 << 20;
/// What is in the page cache is read so much at a time, so that it is still in the processor's cache when it is verified and copied out.
const WARM_BYTES: u64 = 256 << 10;
/// But at least so many, so that a disk has several reads to do side by side.
const SIDE_BY_SIDE_LEN: usize = 16;
/// What an export may hold but for large items: a window with what stands between its records, and what waits to be sent.
pub const HELD_BYTES: u64 = 16 << 20;

/// Something to be sent.
#[derive(Clone, Debug)]
pub struct Item {
    /// What it is called in the archive; `None`: as it is stored.
    pub name: Option<String>,
    /// Where its bytes are.
    pub source: Source,
}

/// Where an item's bytes are.
#[derive(Clone, Debug)]
pub enum Source {
    /// An image by its id.
    Image(FileId),
    /// A file of the gateway's own.
    File(Box<Entry>),
    /// A file of any store.
    Named(Arc<Named>),
    /// Nowhere: what was asked, and why it is not there.
    Missing {
        /// The path that was asked.
        path: String,
        /// In words.
        error: String,
    },
}

/// Items to be sent, some at a time, from whoever finds them; an error of the source itself cuts the archive.
pub type Windows = mpsc::Receiver<Result<Vec<Item>, String>>;

/// A line about what is missing from the archive.
#[derive(Serialize)]
struct Missing<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    fid: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    error: String,
}

/// Why an item is not in the archive.
enum NotSent {
    /// It is not there, or damaged: the archive goes on without it.
    Missing(String),
    /// The archive does not go on.
    Cut(Cut),
}

impl From<HaystackError> for NotSent {
    fn from(error: HaystackError) -> Self {
        Self::Missing(error.to_string())
    }
}

impl From<Cut> for NotSent {
    fn from(cut: Cut) -> Self {
        Self::Cut(cut)
    }
}

/// Sends windows of items as they come, then ends the archive.
pub struct Export {
    gateway: Arc<Gateway>,
    outgoing: Outgoing,
    operation: Operation,
}

impl Export {
    /// An export that is counted as this operation.
    pub const fn new(gateway: Arc<Gateway>, outgoing: Outgoing, operation: Operation) -> Self {
        Self {
            gateway,
            outgoing,
            operation,
        }
    }

    /// Sends everything that comes.
    pub async fn run(mut self, mut windows: Windows) {
        let sent = self.send_all(&mut windows).await;
        let metrics = &self.gateway.metrics;
        let (entries, failed) = (self.outgoing.entries, self.outgoing.failed());
        metrics.batch(self.operation, entries, failed, self.outgoing.bytes);
        self.outgoing.end_with(sent).await;
    }

    async fn send_all(&mut self, windows: &mut Windows) -> Result<(), Cut> {
        while let Some(items) = windows.recv().await {
            let items = items.map_err(Cut)?;
            let fids: Vec<FileId> = items
                .iter()
                .filter_map(|it| needle_of(&it.source))
                .collect();
            let places = locate_all(&self.gateway, &fids).await;
            let opened = named::open_all(&self.gateway, &items).await;
            let mut rest = Window {
                items: &items,
                fids: &fids,
                places: &places,
                opened: &opened,
            };
            while !rest.items.is_empty() {
                let window = rest.take();
                self.window(window).await?;
            }
            self.outgoing.pay_for_growth().await?;
        }
        Ok(())
    }

    /// Sends items of which those in one needle, and short ones of other stores, are read together.
    async fn window(&mut self, window: Window<'_>) -> Result<(), Cut> {
        let longest = window.places.iter().map(record_bytes).max().unwrap_or(0);
        let _permit = if longest > WINDOW_BYTES {
            Some(self.outgoing.pay(longest).await?)
        } else {
            None
        };
        let needles = read_all(&self.gateway, window.fids, window.places).await;
        let mut needles = needles.into_iter();
        let mut named = named::read_all(window.opened).await.into_iter();
        for item in window.items {
            let sent = if matches!(item.source, Source::Named(_)) {
                self.named(item, named.next()).await
            } else {
                let needle = needle_of(&item.source).and_then(|_| needles.next());
                self.item(item, needle).await
            };
            match sent {
                Ok(()) => {}
                Err(NotSent::Missing(error)) => self.missing(item, error),
                Err(NotSent::Cut(cut)) => return Err(cut),
            }
        }
        Ok(())
    }

    async fn item(
        &mut self,
        item: &Item,
        needle: Option<Result<Needle, HaystackError>>,
    ) -> Result<(), NotSent> {
        let needle = needle.transpose()?;
        match (&item.source, needle) {
            (Source::Image(fid), Some(needle)) => self.image(item, fid, &needle).await,
            (Source::Image(_), None) => Err(HaystackError::NotFound.into()),
            (Source::File(entry), Some(needle)) => self.of_needle(item, entry, &needle).await,
            (Source::File(entry), None) => self.of_content(item, entry).await,
            (Source::Missing { error, .. }, _) => Err(NotSent::Missing(error.clone())),
            (Source::Named(_), _) => self.named(item, None).await,
        }
    }

    fn missing(&mut self, item: &Item, error: String) {
        let (fid, path) = match &item.source {
            Source::Image(fid) => (Some(fid.to_string()), None),
            Source::Missing { path, .. } => (None, Some(path.as_str())),
            Source::Named(named) => (None, Some(named.path.as_str())),
            Source::File(_) => (None, None),
        };
        self.outgoing.missing(&Missing {
            fid,
            path,
            name: item.name.as_deref(),
            error,
        });
    }
}

/// Items, the places of those that are in one needle, and those of other stores as they were opened.
#[derive(Clone, Copy)]
struct Window<'a> {
    items: &'a [Item],
    fids: &'a [FileId],
    places: &'a [Place],
    opened: &'a [Opened],
}

impl Window<'_> {
    /// Takes from the front what is read together: at least one item, and a large one alone.
    fn take(&mut self) -> Self {
        let (mut items, mut needles, mut files, mut bytes) = (0, 0, 0, 0);
        for item in self.items {
            let needle = usize::from(needle_of(&item.source).is_some());
            let file = usize::from(matches!(item.source, Source::Named(_)));
            let places = self.places.iter().skip(needles).take(needle);
            let opened = self.opened.iter().skip(files).take(file);
            bytes += places.map(record_bytes).sum::<u64>();
            bytes += opened.map(named::held_bytes).sum::<u64>();
            let is_enough = items >= SIDE_BY_SIDE_LEN && bytes > WARM_BYTES;
            if items > 0 && (is_enough || bytes > WINDOW_BYTES) {
                break;
            }
            (items, needles, files) = (items + 1, needles + needle, files + file);
        }
        let front = Self {
            items: &self.items[..items],
            fids: &self.fids[..needles],
            places: &self.places[..needles],
            opened: &self.opened[..files],
        };
        *self = Self {
            items: &self.items[items..],
            fids: &self.fids[needles..],
            places: &self.places[needles..],
            opened: &self.opened[files..],
        };
        front
    }
}

fn record_bytes(place: &Place) -> u64 {
    place
        .as_ref()
        .map_or(0, |(generation, entry)| generation.record_bytes(entry))
}

/// The needle that an item is all of, so that it can be read with others.
fn needle_of(source: &Source) -> Option<FileId> {
    match source {
        Source::Image(fid) => Some(*fid),
        Source::File(entry) => file::single(entry).map(|chunk| fid_of(&chunk.needle)),
        Source::Named(_) | Source::Missing { .. } => None,
    }
}
