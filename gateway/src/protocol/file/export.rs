//! Many files sent as one archive: a folder with its subtree, a list of paths, a training shard.

use std::sync::Arc;

use bytes::Bytes;
use moongate_filer::{Body, Content, Entry};
use moongate_haystack::HaystackError;
use moongate_haystack::id::FileId;
use moongate_haystack::needle::Needle;
use serde::Serialize;
use tokio::sync::mpsc;

use crate::archive;
use crate::files::content::{self, read_needle};
use crate::files::fid_of;
use crate::metrics::Operation;
use crate::protocol::batch::outgoing::{Cut, Outgoing};
use crate::protocol::batch::stored::{locate_all, read_all};
use crate::state::Gateway;

/// Files that are looked up at once.
pub const WINDOW_LEN: usize = 512;
/// Bytes that are read at once.
const WINDOW_BYTES: u64 = 4 << 20;
/// What an export may hold but for large files: a window, and what waits to be sent.
pub const HELD_BYTES: u64 = 16 << 20;

/// A file to be sent.
#[derive(Clone, Debug)]
pub struct Item {
    /// What it is called in the archive.
    pub name: String,
    /// The file, or why there is none.
    pub entry: Result<Entry, String>,
}

/// Files to be sent, some at a time, from whoever finds them; an error of the source itself cuts the archive.
pub type Windows = mpsc::Receiver<Result<Vec<Item>, String>>;

#[derive(Serialize)]
struct Missing<'a> {
    name: &'a str,
    error: String,
}

/// Sends windows of files as they come, then ends the archive.
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
            let mut rest = &items[..];
            while !rest.is_empty() {
                let (window, after) = rest.split_at(window_len(rest));
                self.window(window).await?;
                rest = after;
            }
            self.outgoing.pay_for_growth().await?;
        }
        Ok(())
    }

    /// Sends files of which those in one needle are read together.
    async fn window(&mut self, items: &[Item]) -> Result<(), Cut> {
        let fids: Vec<FileId> = items
            .iter()
            .filter_map(|item| Some(fid_of(&single(item)?.needle)))
            .collect();
        let places = locate_all(&self.gateway, &fids).await;
        let mut needles = read_all(&self.gateway, &fids, &places).await.into_iter();
        for item in items {
            let sent = match &item.entry {
                Err(error) => Err(HaystackError::Storage(error.as_str().into())),
                Ok(entry) => match single(item) {
                    Some(chunk) => {
                        let needle = needles.next().unwrap_or(Err(HaystackError::NotFound));
                        self.of_needle(item, entry, needle, chunk.bytes).await?
                    }
                    None => self.of_content(item, entry).await?,
                },
            };
            if let Err(error) = sent {
                self.outgoing.missing(&Missing {
                    name: &item.name,
                    error: error.to_string(),
                });
            }
        }
        Ok(())
    }

    async fn of_needle(
        &mut self,
        item: &Item,
        entry: &Entry,
        needle: Result<Needle, HaystackError>,
        bytes: u64,
    ) -> Result<Result<(), HaystackError>, Cut> {
        let data = match needle {
            Ok(needle) if needle.is_gzip() || needle.data().len() as u64 != bytes => {
                let content = entry.content().cloned().unwrap_or_else(Content::empty);
                content::whole(&self.gateway, &content).await
            }
            Ok(needle) => Ok(needle.data()),
            Err(error) => Err(error),
        };
        match data {
            Ok(data) => Ok(Ok(self.put(item, entry, data).await?)),
            Err(error) => Ok(Err(error)),
        }
    }

    /// A file of several chunks, or without any. All are verified before its entry begins: afterwards there is no way to leave it out.
    async fn of_content(
        &mut self,
        item: &Item,
        entry: &Entry,
    ) -> Result<Result<(), HaystackError>, Cut> {
        let content = entry.content().cloned().unwrap_or_else(Content::empty);
        if content.size <= WINDOW_BYTES {
            return match content::whole(&self.gateway, &content).await {
                Ok(data) => Ok(Ok(self.put(item, entry, data).await?)),
                Err(error) => Ok(Err(error)),
            };
        }
        if let Err(error) = self.verify(&content).await {
            return Ok(Err(error));
        }
        let name = self.outgoing.unique(item.name.clone());
        self.outgoing.begin(&described(&name, entry));
        let mut at = 0;
        while at < content.size {
            let end = (at + WINDOW_BYTES).min(content.size);
            let permit = self.outgoing.pay(end - at).await?;
            let part = content::part(&self.gateway, &content, at..end).await;
            self.outgoing
                .piece(part.map_err(|error| Cut(error.to_string()))?)
                .await?;
            drop(permit);
            at = end;
        }
        self.outgoing.end(content.size)?;
        Ok(Ok(()))
    }

    async fn verify(&self, content: &Content) -> Result<(), HaystackError> {
        let Body::Chunks(chunks) = &content.body else {
            return Ok(());
        };
        for chunk in chunks {
            read_needle(&self.gateway, &chunk.needle, 0, chunk.bytes).await?;
        }
        Ok(())
    }

    async fn put(&mut self, item: &Item, entry: &Entry, data: Bytes) -> Result<(), Cut> {
        let name = self.outgoing.unique(item.name.clone());
        self.outgoing.whole(&described(&name, entry), data).await
    }
}

/// The one chunk of a file that is all of one needle, and short enough to be read with others.
fn single(item: &Item) -> Option<&moongate_filer::Chunk> {
    let content = item.entry.as_ref().ok()?.content()?;
    match &content.body {
        Body::Chunks(chunks) => match &chunks[..] {
            [one] if one.offset == 0 && one.bytes == content.size && one.bytes <= WINDOW_BYTES => {
                Some(one)
            }
            _ => None,
        },
        Body::Inline(_) => None,
    }
}

/// How many items are read at once: at least one, and a large one alone.
fn window_len(items: &[Item]) -> usize {
    let mut bytes = 0;
    let fits = items.iter().take_while(|item| {
        bytes += single(item).map_or(0, |chunk| chunk.bytes);
        bytes <= WINDOW_BYTES
    });
    fits.count().clamp(1, WINDOW_LEN)
}

fn described<'a>(name: &'a str, entry: &'a Entry) -> archive::Entry<'a> {
    archive::Entry {
        name,
        size_bytes: entry.size(),
        mtime_secs: entry.attributes.mtime_ns / 1_000_000_000,
        mode: entry.attributes.mode & 0o777,
        mime: &entry.attributes.mime,
        crc32: None,
    }
}
