//! A file as an entry of an archive: of one needle, of several chunks, or without any.

use bytes::Bytes;
use moongate_filer::{Body, Chunk, Content, Entry};
use moongate_haystack::HaystackError;
use moongate_haystack::needle::Needle;

use super::{Export, Item, NotSent, WINDOW_BYTES};
use crate::archive;
use crate::files::content::{self, read_needle};
use crate::protocol::batch::outgoing::Cut;

impl Export {
    /// Adds a file to the archive of which the one needle has been read.
    pub(super) async fn of_needle(
        &mut self,
        item: &Item,
        entry: &Entry,
        needle: &Needle,
    ) -> Result<(), NotSent> {
        let as_named = !needle.is_gzip() && needle.data().len() as u64 == entry.size();
        let data = if as_named {
            needle.data()
        } else {
            content::whole(&self.gateway, &content_of(entry)).await?
        };
        Ok(self.put(item, entry, data).await?)
    }

    /// Adds a file of several chunks, or without any. All are verified before its entry begins: afterwards there is no way to leave it out.
    pub(super) async fn of_content(&mut self, item: &Item, entry: &Entry) -> Result<(), NotSent> {
        let content = content_of(entry);
        if content.size <= WINDOW_BYTES {
            let data = content::whole(&self.gateway, &content).await?;
            return Ok(self.put(item, entry, data).await?);
        }
        self.verify(&content).await?;
        let name = self.outgoing.unique(item.name.clone().unwrap_or_default());
        self.outgoing.begin(&described(&name, entry));
        let mut at = 0;
        while at < content.size {
            let end = (at + WINDOW_BYTES).min(content.size);
            let permit = self.outgoing.pay(end - at).await?;
            let part = content::part(&self.gateway, &content, at..end).await;
            let part = part.map_err(|error| Cut(error.to_string()))?;
            self.outgoing.piece(part).await?;
            drop(permit);
            at = end;
        }
        Ok(self.outgoing.end(content.size)?)
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
        let name = self.outgoing.unique(item.name.clone().unwrap_or_default());
        self.outgoing.whole(&described(&name, entry), data).await
    }
}

fn content_of(entry: &Entry) -> Content {
    entry.content().cloned().unwrap_or_else(Content::empty)
}

/// The one chunk of a file that is all of one needle, and short enough to be read with others.
pub(super) fn single(entry: &Entry) -> Option<&Chunk> {
    let content = entry.content()?;
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
