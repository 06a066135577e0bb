//! Copies of files: each has needles of its own, so that deleting one leaves the other.

use std::sync::Arc;

use moongate_filer::{Body, Chunk, Content, Entry};
use moongate_haystack::store::now_ns;

use super::FileError;
use super::content::read_needle;
use super::store::{self, Stored, Terms};
use crate::state::Gateway;

/// Copies a content; what it stored is deleted again unless a name refers to the copy ([`Copied::after`]).
pub struct Copied {
    content: Content,
    stored: Vec<Stored>,
}

impl Copied {
    /// The copy.
    pub fn content(&self) -> Content {
        self.content.clone()
    }

    /// As of [`Stored::after`].
    pub fn after<T>(self, named: &Result<T, FileError>) {
        let stored = self.stored.into_iter();
        stored.for_each(|stored| stored.after(named));
    }
}

/// Copies the content of a file, chunk by chunk.
///
/// # Errors
/// A chunk cannot be read, or the disk is full.
pub async fn content(
    gateway: &Arc<Gateway>,
    terms: &Terms,
    entry: &Entry,
) -> Result<Copied, FileError> {
    let Some(content) = entry.content() else {
        return Ok(Copied {
            content: Content::empty(),
            stored: Vec::new(),
        });
    };
    let Body::Chunks(chunks) = &content.body else {
        return Ok(Copied {
            content: content.clone(),
            stored: Vec::new(),
        });
    };
    let mut stored = Vec::with_capacity(chunks.len());
    let mut copies = Vec::with_capacity(chunks.len());
    for chunk in chunks {
        let data = read_needle(gateway, &chunk.needle, 0, chunk.bytes).await?;
        let terms = Terms {
            chunk_bytes: data.len().max(1),
            ..terms.clone()
        };
        let copy = store::bytes(gateway, &terms, data).await?;
        let needle = copy.chunks().first().map(|copy| copy.needle);
        stored.push(copy);
        let needle =
            needle.ok_or_else(|| FileError::Conflict("an empty chunk cannot be copied".into()))?;
        copies.push(Chunk {
            needle,
            modified_ns: chunk.modified_ns.min(now_ns()),
            ..chunk.clone()
        });
    }
    let content = Content {
        size: content.size,
        body: Body::Chunks(copies),
    };
    Ok(Copied { content, stored })
}
