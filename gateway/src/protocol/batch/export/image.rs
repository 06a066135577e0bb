//! An image as an entry of an archive: its head, its bytes, its name.

use bytes::Bytes;
use moongate_haystack::HaystackError;
use moongate_haystack::id::FileId;
use moongate_haystack::needle::Needle;

use super::{Export, Item, NotSent};
use crate::archive::{Entry, names};
use crate::protocol::batch::outgoing::Cut;
use crate::protocol::image::load::{load_fid, unpacked};
use crate::protocol::image::manifest::Manifest;

/// Permissions of every entry.
const MODE: u32 = 0o644;

impl Export {
    /// Adds an image to the archive.
    pub(super) async fn image(
        &mut self,
        item: &Item,
        fid: &FileId,
        needle: &Needle,
    ) -> Result<(), NotSent> {
        if needle.is_chunk_manifest() {
            return self.chunked(item, fid, needle).await;
        }
        let data = unpacked(needle).await?;
        let name = self.name(item, fid, needle);
        let entry = entry(&name, needle, data.len() as u64);
        Ok(self.outgoing.whole(&entry, data).await?)
    }

    /// A large object in chunks. All are verified before its entry begins: afterwards there is no way to leave it out.
    async fn chunked(&mut self, item: &Item, fid: &FileId, needle: &Needle) -> Result<(), NotSent> {
        let manifest = Manifest::of(needle).map_err(|e| NotSent::Missing(e.to_string()))?;
        self.verify_chunks(&manifest).await?;
        let name = self.name(item, fid, needle);
        let len = manifest.len_bytes();
        self.outgoing.begin(&entry(&name, needle, len));
        for chunk in &manifest.chunks {
            let data = self.chunk(&chunk.fid).await;
            let data = data.map_err(|error| Cut(error.to_string()))?;
            self.outgoing.piece(data).await?;
        }
        Ok(self.outgoing.end(len)?)
    }

    /// That all chunks are there, sound, and follow each other without a gap.
    async fn verify_chunks(&self, manifest: &Manifest) -> Result<(), NotSent> {
        let mut at = 0;
        for chunk in &manifest.chunks {
            let len = self.chunk(&chunk.fid).await?.len() as u64;
            if chunk.offset != at || chunk.size != len {
                let text = format!("the chunk manifest does not fit its chunks at offset {at}");
                return Err(NotSent::Missing(text));
            }
            at += len;
        }
        let said = manifest.len_bytes();
        if at == said {
            return Ok(());
        }
        let text = format!("the chunk manifest says {said} bytes, its chunks have {at}");
        Err(NotSent::Missing(text))
    }

    async fn chunk(&self, fid: &str) -> Result<Bytes, HaystackError> {
        let fid = fid.parse().map_err(|_| HaystackError::NotFound)?;
        unpacked(&load_fid(&self.gateway, &fid, false).await?).await
    }

    fn name(&mut self, item: &Item, fid: &FileId, needle: &Needle) -> String {
        let name = match &item.name {
            Some(name) => name.clone(),
            None => stored_name(needle).unwrap_or_else(|| by_fid(fid, needle)),
        };
        self.outgoing.unique(name)
    }
}

/// The name that an image was stored with. One that was sent to its id alone has that as its name, which says nothing.
fn stored_name(needle: &Needle) -> Option<String> {
    let name = names::safe(&String::from_utf8_lossy(needle.name()));
    let is_fid = name.contains(',') && name.parse::<FileId>().is_ok();
    (!name.is_empty() && !is_fid).then_some(name)
}

/// What an archive says of an image.
fn entry<'a>(name: &'a str, needle: &'a Needle, size_bytes: u64) -> Entry<'a> {
    let appended_secs = needle.appended_at_ns / 1_000_000_000;
    Entry {
        name,
        size_bytes,
        mtime_secs: needle.last_modified_secs.unwrap_or(appended_secs),
        mode: MODE,
        mime: std::str::from_utf8(needle.mime()).unwrap_or_default(),
        crc32: None,
    }
}

/// The name of an image that was stored without one.
fn by_fid(fid: &FileId, needle: &Needle) -> String {
    let mime = std::str::from_utf8(needle.mime()).unwrap_or_default();
    let mime = mime.split(';').next().unwrap_or_default().trim();
    let ext = match mime {
        "image/jpeg" => Some("jpg"),
        "image/png" => Some("png"),
        "image/webp" => Some("webp"),
        "image/tiff" => Some("tif"),
        "text/plain" => Some("txt"),
        "" | "application/octet-stream" => None,
        other => mime_guess::get_mime_extensions_str(other).and_then(|all| all.first().copied()),
    };
    ext.map_or_else(|| fid.to_string(), |ext| format!("{fid}.{ext}"))
}
