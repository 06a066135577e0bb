//! From whoever finds what is to be sent to an archive of it: a window at a time, in the order asked or as it is stored.

use std::sync::Arc;

use moongate_cache::{BackendError, Freshness};
use moongate_filer::{Body, Filer, FilerError};
use moongate_haystack::id::FileId;
use moongate_haystack::store::Store;
use tokio::sync::mpsc;

use super::BUDGET_WAIT;
use super::export::{Export, HELD_BYTES, Item, Named, Source, WINDOW_LEN, Windows};
use super::list::ListError;
use super::outgoing::Outgoing;
use super::stored::locate_slow;
use crate::archive::Format;
use crate::files::fid_of;
use crate::http::Response;
use crate::http::intake::IntakeError;
use crate::http::query::Query;
use crate::metrics::Operation;
use crate::namespace::walk::Walk;
use crate::state::Gateway;

/// Windows that are found ahead of those that are sent.
const WINDOWS_AHEAD: usize = 2;
/// What an item takes in memory while it waits to be sorted, about: its name, its attributes, its chunk.
const SORTED_BYTES_EACH: u64 = 512;
/// Items that are sorted by place at once; more are sorted in parts of so many.
const SORTED_LEN_MAX: usize = 1 << 20;
/// Of these, so many are sorted, and sent, before the others.
const SORTED_FIRST_LEN: usize = 8 * WINDOW_LEN;

/// In which order items are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// As asked, or as the folder lists them.
    Asked,
    /// As they are stored, so that each volume is read from front to back.
    Stored,
}

impl Order {
    /// What `order=` says.
    ///
    /// # Errors
    /// It says another word.
    pub fn of(query: &Query<'_>) -> Result<Self, ListError> {
        match query.get("order") {
            None | Some("" | "asked") => Ok(Self::Asked),
            Some("stored") => Ok(Self::Stored),
            Some(other) => Err(ListError::Mistake(format!(
                "order={other:?} is neither asked nor stored"
            ))),
        }
    }
}

/// Streams what a source finds, as an archive.
///
/// # Errors
/// Too much is in flight.
pub async fn send(
    gateway: &Arc<Gateway>,
    format: Format,
    name: &str,
    order: Order,
    source: impl FnOnce(&Filer, &mut dyn FnMut(Item) -> bool) -> Result<(), FilerError> + Send + 'static,
) -> Result<Response, IntakeError> {
    let sorted = if order == Order::Stored {
        SORTED_LEN_MAX as u64 * SORTED_BYTES_EACH / 4
    } else {
        0
    };
    send_windows(gateway, format, name, sorted, || {
        windows(gateway, order, source)
    })
    .await
}

/// Streams a folder of the namespace with its subtree, whichever stores it spans, as an archive.
///
/// # Errors
/// As [`send`].
pub async fn send_tree(
    gateway: &Arc<Gateway>,
    format: Format,
    name: &str,
    folder: Named,
) -> Result<Response, IntakeError> {
    send_windows(gateway, format, name, 0, || tree(gateway, folder)).await
}

async fn send_windows(
    gateway: &Arc<Gateway>,
    format: Format,
    name: &str,
    sorted: u64,
    windows: impl FnOnce() -> Windows,
) -> Result<Response, IntakeError> {
    let share = (HELD_BYTES + sorted).min(gateway.budget.total_bytes() / 4);
    let permit = gateway.budget.take(share, BUDGET_WAIT).await;
    let permit = permit.ok_or(IntakeError::Busy)?;
    let (outgoing, response) = Outgoing::new(format, name, gateway.budget.clone(), permit);
    let export = Export::new(Arc::clone(gateway), outgoing, Operation::BatchGet);
    tokio::spawn(export.run(windows()));
    Ok(response)
}

/// Walks a folder of the namespace.
fn tree(gateway: &Arc<Gateway>, folder: Named) -> Windows {
    let (sender, receiver) = mpsc::channel(WINDOWS_AHEAD);
    let gateway = Arc::clone(gateway);
    tokio::spawn(async move {
        if let Err(error) = walk(&gateway, &folder, &sender).await {
            // Nobody is there to be told if it fails.
            let _ = sender.send(Err(error.to_string())).await;
        }
    });
    receiver
}

async fn walk(
    gateway: &Gateway,
    folder: &Named,
    sender: &mpsc::Sender<Result<Vec<Item>, String>>,
) -> Result<(), BackendError> {
    let (namespace, caller) = (&gateway.namespace, &folder.caller);
    let mut walk = Walk::of(namespace, caller, &folder.path, Freshness::Cached).await?;
    let mut items = Vec::new();
    while let Some((path, status)) = walk.next().await? {
        if status.is_dir() {
            continue;
        }
        items.push(Item {
            name: Some(walk.relative(&path).to_owned()),
            source: Source::Named(Arc::new(Named {
                path,
                caller: caller.clone(),
            })),
        });
        if items.len() == WINDOW_LEN && sender.send(Ok(std::mem::take(&mut items))).await.is_err() {
            return Ok(());
        }
    }
    let _ = sender.send(Ok(items)).await;
    Ok(())
}

/// Runs a source on a thread of its own.
fn windows(
    gateway: &Arc<Gateway>,
    order: Order,
    source: impl FnOnce(&Filer, &mut dyn FnMut(Item) -> bool) -> Result<(), FilerError> + Send + 'static,
) -> Windows {
    let (sender, receiver) = mpsc::channel(WINDOWS_AHEAD);
    let (filer, store) = (
        Arc::clone(gateway.files.filer()),
        Arc::clone(&gateway.store),
    );
    tokio::task::spawn_blocking(move || {
        let mut gathering = Gathering {
            sender,
            order,
            store,
            items: Vec::new(),
        };
        let ended = source(&filer, &mut |item| gathering.push(item));
        match ended {
            Ok(()) => drop(gathering.flush()),
            Err(error) => drop(gathering.sender.blocking_send(Err(error.to_string()))),
        }
    });
    receiver
}

/// Items on their way into windows.
struct Gathering {
    sender: mpsc::Sender<Result<Vec<Item>, String>>,
    order: Order,
    store: Arc<Store>,
    items: Vec<Item>,
}

impl Gathering {
    /// False when nobody takes them any more.
    fn push(&mut self, item: Item) -> bool {
        self.items.push(item);
        let full = match self.order {
            Order::Asked => WINDOW_LEN,
            Order::Stored => SORTED_LEN_MAX,
        };
        self.items.len() < full || self.flush()
    }

    fn flush(&mut self) -> bool {
        let items = std::mem::take(&mut self.items);
        match self.order {
            Order::Asked => self.send(items.into_iter()),
            Order::Stored => self.send_sorted(items),
        }
    }

    /// Those that come first are on their way while the others are sorted.
    fn send_sorted(&self, items: Vec<Item>) -> bool {
        let place = |(n, item): (usize, &Item)| (place(&self.store, item), n);
        let mut places: Vec<_> = items.iter().enumerate().map(place).collect();
        let mut items: Vec<Option<Item>> = items.into_iter().map(Some).collect();
        let first_len = places.len().min(SORTED_FIRST_LEN);
        if first_len < places.len() {
            places.select_nth_unstable(first_len);
        }
        let (first, rest) = places.split_at_mut(first_len);
        [first, rest].into_iter().all(|part| {
            part.sort_unstable();
            self.send(part.iter().filter_map(|(_, n)| items.get_mut(*n)?.take()))
        })
    }

    fn send(&self, mut items: impl Iterator<Item = Item>) -> bool {
        loop {
            let window: Vec<Item> = items.by_ref().take(WINDOW_LEN).collect();
            if window.is_empty() {
                return true;
            }
            if self.sender.blocking_send(Ok(window)).is_err() {
                return false;
            }
        }
    }
}

/// Where an item's first needle stands; what has none comes first.
fn place(store: &Store, item: &Item) -> (u32, u64) {
    first_needle(&item.source)
        .and_then(|fid| {
            let (_, entry) = locate_slow(store, &fid).ok()?;
            Some((fid.volume.0, entry.offset))
        })
        .unwrap_or((0, 0))
}

fn first_needle(source: &Source) -> Option<FileId> {
    let entry = match source {
        Source::Image(fid) => return Some(*fid),
        Source::File(entry) => entry,
        Source::Named(_) | Source::Missing { .. } => return None,
    };
    match &entry.content()?.body {
        Body::Chunks(chunks) => Some(fid_of(&chunks.first()?.needle)),
        Body::Inline(_) => None,
    }
}
