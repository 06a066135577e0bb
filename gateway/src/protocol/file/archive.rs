//! Many files in one answer: `GET /folder/?archive=tar|zip|multipart`, and `POST /batch/get` with a list of paths.

use std::sync::Arc;

use moongate_filer::{Body, Entry, FilePath, Filer, FilerError};
use moongate_haystack::store::{Store, now_ns};
use tokio::sync::mpsc;

use super::Ask;
use super::export::{Export, HELD_BYTES, Item, WINDOW_LEN, Windows};
use super::paths::Wanted;
use crate::archive::Format;
use crate::files::{FileError, fid_of};
use crate::http::Response;
use crate::http::intake::IntakeError;
use crate::metrics::Operation;
use crate::protocol::batch::BUDGET_WAIT;
use crate::protocol::batch::outgoing::Outgoing;
use crate::protocol::batch::stored::locate_slow;
use crate::state::Gateway;

/// Windows that are found ahead of those that are sent.
const WINDOWS_AHEAD: usize = 2;
/// What a file takes in memory while it waits to be sorted, about: its name, its attributes, its chunk.
const SORTED_BYTES_EACH: u64 = 512;
/// Files that are sorted by place at once; more are sorted in parts of so many.
const SORTED_LEN_MAX: usize = 1 << 20;

/// In which order files are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// As asked, or as the folder lists them.
    Asked,
    /// As they are stored, so that each volume is read from front to back.
    Stored,
}

impl Order {
    /// What `order=` says.
    pub fn of(ask: &Ask<'_>) -> Result<Self, FileError> {
        match ask.query.get("order") {
            None | Some("" | "asked") => Ok(Self::Asked),
            Some("stored") => Ok(Self::Stored),
            Some(other) => Err(FileError::BadRequest(format!(
                "order={other:?} is neither asked nor stored"
            ))),
        }
    }
}

/// Sends a folder with its subtree.
pub async fn folder(
    gateway: &Arc<Gateway>,
    ask: Ask<'_>,
    format: &str,
) -> Result<Response, FileError> {
    let format = Format::by_word(format).ok_or_else(|| {
        FileError::BadRequest(format!("archive={format:?} is none of tar, zip, multipart"))
    })?;
    let order = Order::of(&ask)?;
    let folder = ask.target.path.clone();
    let name = folder
        .name()
        .map_or_else(|| "files".to_owned(), |name| name.to_string());
    let source =
        move |filer: &Filer, send: &mut dyn FnMut(Item) -> bool| -> Result<(), FilerError> {
            for item in filer.walk(&folder, now_ns())? {
                let (name, entry) = item?;
                if !entry.is_folder()
                    && !send(Item {
                        name,
                        entry: Ok(entry),
                    })
                {
                    break;
                }
            }
            Ok(())
        };
    send(gateway, format, &name, order, source).await
}

/// Sends the files of a list.
pub async fn list(
    gateway: &Arc<Gateway>,
    ask: Ask<'_>,
    wanted: Vec<Wanted>,
) -> Result<Response, FileError> {
    let format = match ask.query.get_set("format") {
        Some(word) => Format::by_word(word).ok_or_else(|| {
            FileError::BadRequest(format!("format={word:?} is none of tar, zip, multipart"))
        })?,
        None => {
            let accept = ask
                .headers
                .get(http::header::ACCEPT)
                .and_then(|v| v.to_str().ok());
            accept.and_then(Format::by_accept).unwrap_or(Format::Tar)
        }
    };
    let order = Order::of(&ask)?;
    let source = move |filer: &Filer, send: &mut dyn FnMut(Item) -> bool| {
        for wanted in wanted {
            let entry = found(filer, &wanted.path);
            if !send(Item {
                name: wanted.name(),
                entry,
            }) {
                break;
            }
        }
        Ok(())
    };
    send(gateway, format, "files", order, source).await
}

fn found(filer: &Filer, path: &FilePath) -> Result<Entry, String> {
    let entry = filer
        .find(path, now_ns())
        .map_err(|error| error.to_string())?;
    if entry.is_folder() {
        return Err(format!(
            "{path} is a folder: GET {path}/?archive=tar sends it"
        ));
    }
    Ok(entry)
}

/// Streams what a source finds, as an archive.
pub async fn send(
    gateway: &Arc<Gateway>,
    format: Format,
    name: &str,
    order: Order,
    source: impl FnOnce(&Filer, &mut dyn FnMut(Item) -> bool) -> Result<(), FilerError> + Send + 'static,
) -> Result<Response, FileError> {
    let sorted = if order == Order::Stored {
        SORTED_LEN_MAX as u64 * SORTED_BYTES_EACH / 4
    } else {
        0
    };
    let share = (HELD_BYTES + sorted).min(gateway.budget.total_bytes() / 4);
    let permit = gateway.budget.take(share, BUDGET_WAIT).await;
    let permit = permit.ok_or(IntakeError::Busy)?;
    let (outgoing, response) = Outgoing::new(format, name, gateway.budget.clone(), permit);
    let windows = windows(gateway, order, source);
    let export = Export::new(Arc::clone(gateway), outgoing, Operation::BatchGet);
    tokio::spawn(export.run(windows));
    Ok(response)
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

/// Files on their way into windows.
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
        if self.order == Order::Stored {
            let store = Arc::clone(&self.store);
            self.items.sort_by_cached_key(|item| place(&store, item));
        }
        let items = std::mem::take(&mut self.items);
        let mut items = items.into_iter();
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

/// Where a file's first needle stands; what has none comes first.
fn place(store: &Store, item: &Item) -> (u32, u64) {
    let content = item.entry.as_ref().ok().and_then(Entry::content);
    let first = match content.map(|content| &content.body) {
        Some(Body::Chunks(chunks)) => chunks.first(),
        _ => None,
    };
    first
        .and_then(|chunk| {
            let fid = fid_of(&chunk.needle);
            let (_, entry) = locate_slow(store, &fid).ok()?;
            Some((fid.volume.0, entry.offset))
        })
        .unwrap_or((0, 0))
}
