//! Contents written: bytes become needles, a chunk at a time, durable before anything refers to them.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use hyper::body::Incoming;
use md5::{Digest as _, Md5};
use moongate_filer::{Chunk, Content, FilerError, Needle};
use moongate_haystack::HaystackError;
use moongate_haystack::id::{Cookie, FileId};
use moongate_haystack::needle::Draft;
use moongate_haystack::store::layout::Wish;
use moongate_haystack::store::now_ns;
use moongate_haystack::ttl::Ttl;

use super::keys::InUse;
use super::{FileError, fid_of, needle_of};
use crate::http::arriving::Arriving;
use crate::http::intake::{BudgetPermit, IntakeError};
use crate::protocol::batch::BUDGET_WAIT;
use crate::state::Gateway;

/// Longer chunks are hashed off the request's thread.
const HASH_INLINE_BYTES_MAX: usize = 256 << 10;

/// Where and how content is stored.
#[derive(Clone, Debug)]
pub struct Terms {
    /// Which volumes.
    pub wish: Wish,
    /// Longest chunk, bytes.
    pub chunk_bytes: usize,
    /// Media type, kept in each needle so that a file's first chunk tells it to SeaweedFS's tools.
    pub mime: Bytes,
}

/// Content that is stored, or is being stored, and has no name yet. Unless it is [`Stored::keep`]t, its needles are deleted again.
pub struct Stored {
    gateway: Arc<Gateway>,
    chunks: Vec<Chunk>,
    in_use: Vec<InUse>,
    /// MD5 of all of it, where this module stored it.
    pub md5: [u8; 16],
}

impl Stored {
    fn nothing(gateway: &Arc<Gateway>) -> Self {
        Self {
            gateway: Arc::clone(gateway),
            chunks: Vec::new(),
            in_use: Vec::new(),
            md5: [0; 16],
        }
    }

    /// Content of one chunk, to be made before its needle is stored: who is no longer listened to has it deleted all the same. Its MD5 is
    /// not known.
    pub fn of(gateway: &Arc<Gateway>, chunk: Chunk, in_use: InUse) -> Self {
        let mut stored = Self::nothing(gateway);
        stored.add(chunk, in_use);
        stored
    }

    fn add(&mut self, chunk: Chunk, in_use: InUse) {
        self.chunks.push(chunk);
        self.in_use.push(in_use);
    }

    /// Its length.
    pub fn size(&self) -> u64 {
        self.chunks.iter().map(|chunk| chunk.bytes).sum()
    }

    /// A copy of the chunks, for a name that is being tried.
    pub fn chunks(&self) -> Vec<Chunk> {
        self.chunks.clone()
    }

    /// The content it makes.
    pub fn content(&self) -> Content {
        Content::chunks(self.chunks())
    }

    /// A name refers to it now.
    pub fn keep(mut self) {
        self.chunks.clear();
        self.in_use.drain(..).for_each(InUse::settle);
    }

    /// What a change of names has come to: to be told where the change was made, for who asked for it may be gone by then.
    pub fn after<T>(mut self, named: &Result<T, FileError>) {
        match named {
            Ok(_) => self.keep(),
            // It may be named after all: that is for the next start to tell.
            Err(FileError::Filer(FilerError::Storage(_))) => self.chunks.clear(),
            Err(_) => {}
        }
    }
}

impl Drop for Stored {
    fn drop(&mut self) {
        let needles: Vec<_> = self.chunks.drain(..).map(|chunk| chunk.needle).collect();
        if needles.is_empty() {
            return;
        }
        let (gateway, in_use) = (Arc::clone(&self.gateway), std::mem::take(&mut self.in_use));
        tokio::spawn(async move {
            let mut all_gone = true;
            for needle in needles {
                all_gone &= delete(&gateway, &needle).await;
            }
            if all_gone {
                in_use.into_iter().for_each(InUse::settle);
            }
        });
    }
}

/// Deletes a needle that nobody names; whether it is gone.
async fn delete(gateway: &Gateway, needle: &Needle) -> bool {
    let fid = fid_of(needle);
    match gateway.store.delete(fid, None).await {
        Ok(_) | Err(HaystackError::NotFound | HaystackError::VolumeNotFound(_)) => true,
        Err(error) => {
            tracing::warn!(%fid, %error, "content of a failed upload stays until the next start");
            false
        }
    }
}

/// Stores a body of any length, holding one chunk of it at a time.
///
/// # Errors
/// The client stalls or leaves, the disk is full, too much is in flight.
pub async fn body(
    gateway: &Arc<Gateway>,
    terms: &Terms,
    body: Incoming,
    declared: Option<u64>,
) -> Result<Stored, FileError> {
    let mut arriving = Arriving::new(body, &gateway.intake);
    let mut storing = Storing::new(gateway, terms);
    let mut chunk = Filling::default();
    while let Some(mut piece) = arriving.next().await? {
        while !piece.is_empty() {
            let room = terms.chunk_bytes - chunk.len();
            let taken = piece.split_to(piece.len().min(room));
            let asked = tokio::time::Instant::now();
            chunk.push(gateway, terms, taken, declared).await?;
            if chunk.len() == terms.chunk_bytes {
                storing.chunk(chunk.take()).await?;
                arriving.forgive(asked);
            }
        }
    }
    if declared.is_some_and(|declared| declared != arriving.received_bytes()) {
        return Err(IntakeError::Truncated.into());
    }
    if chunk.len() > 0 {
        storing.chunk(chunk.take()).await?;
    }
    Ok(storing.finish())
}

/// Stores bytes that are in memory.
///
/// # Errors
/// The disk is full, too much waits for it.
pub async fn bytes(
    gateway: &Arc<Gateway>,
    terms: &Terms,
    mut bytes: Bytes,
) -> Result<Stored, FileError> {
    let mut storing = Storing::new(gateway, terms);
    while !bytes.is_empty() {
        let chunk = bytes.split_to(bytes.len().min(terms.chunk_bytes));
        storing.chunk(chunk).await?;
    }
    Ok(storing.finish())
}

/// A chunk that is filling up, and its share of the byte budget.
#[derive(Default)]
struct Filling {
    /// The first piece as it came: mostly the only one.
    first: Option<Bytes>,
    buffer: BytesMut,
    permit: Option<BudgetPermit>,
}

impl Filling {
    fn len(&self) -> usize {
        self.first.as_ref().map_or(self.buffer.len(), Bytes::len)
    }

    async fn push(
        &mut self,
        gateway: &Gateway,
        terms: &Terms,
        piece: Bytes,
        declared: Option<u64>,
    ) -> Result<(), FileError> {
        if self.permit.is_none() {
            let most = declared.unwrap_or(u64::MAX).min(terms.chunk_bytes as u64);
            let permit = gateway
                .budget
                .take(most.max(piece.len() as u64), BUDGET_WAIT)
                .await;
            self.permit = Some(permit.ok_or(IntakeError::Busy)?);
        }
        match self.first.take() {
            None if self.buffer.is_empty() => self.first = Some(piece),
            first => {
                self.buffer.extend_from_slice(&first.unwrap_or_default());
                self.buffer.extend_from_slice(&piece);
            }
        }
        Ok(())
    }

    fn take(&mut self) -> Bytes {
        match self.first.take() {
            Some(first) => first,
            None => self.buffer.split().freeze(),
        }
    }
}

/// A content on its way into needles.
struct Storing<'a> {
    terms: &'a Terms,
    stored: Stored,
    md5: Md5,
    at: u64,
}

impl<'a> Storing<'a> {
    fn new(gateway: &Arc<Gateway>, terms: &'a Terms) -> Self {
        Self {
            terms,
            stored: Stored::nothing(gateway),
            md5: Md5::new(),
            at: 0,
        }
    }

    async fn chunk(&mut self, data: Bytes) -> Result<(), FileError> {
        let len = data.len() as u64;
        let hashed = self.hash(data.clone()).await?;
        let gateway = Arc::clone(&self.stored.gateway);
        let taken = gateway.files.keys().take(&gateway, &self.terms.wish, 1);
        let taken = taken.await?;
        let fid = FileId {
            volume: taken.volume,
            key: taken.first,
            cookie: Cookie(rand::random()),
        };
        let now_ns = now_ns();
        let chunk = Chunk {
            needle: needle_of(&fid),
            offset: self.at,
            bytes: len,
            modified_ns: now_ns,
            md5: Some(hashed.md5),
            crc32c: Some(hashed.crc32c),
        };
        self.stored.add(chunk, taken.in_use);
        let draft = Draft {
            data,
            name: Bytes::new(),
            mime: self.terms.mime.clone(),
            pairs: Bytes::new(),
            last_modified_secs: Some(now_ns / 1_000_000_000),
            ttl: Ttl::NONE,
            gzip: false,
            chunk_manifest: false,
            checksum: hashed.crc32c,
        };
        gateway.store.put(fid, draft, None, false).await?;
        self.at += len;
        Ok(())
    }

    async fn hash(&mut self, data: Bytes) -> Result<Hashed, FileError> {
        let (mut whole, is_first) = (std::mem::take(&mut self.md5), self.at == 0);
        let short = data.len() <= HASH_INLINE_BYTES_MAX;
        let work = move || {
            whole.update(&data);
            // The MD5 of a first chunk is that of the whole so far: most files are one chunk.
            let md5 = if is_first {
                whole.clone().finalize()
            } else {
                Md5::digest(&data)
            };
            let hashed = Hashed {
                md5: md5.into(),
                crc32c: crc32c::crc32c(&data),
            };
            (whole, hashed)
        };
        let (whole, hashed) = if short {
            work()
        } else {
            let done = tokio::task::spawn_blocking(work).await;
            done.map_err(|error| {
                FileError::BadRequest(format!("the body could not be hashed: {error}"))
            })?
        };
        self.md5 = whole;
        Ok(hashed)
    }

    fn finish(mut self) -> Stored {
        self.stored.md5 = self.md5.finalize().into();
        self.stored
    }
}

struct Hashed {
    md5: [u8; 16],
    crc32c: u32,
}
