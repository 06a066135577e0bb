//! `POST /folder/?batch`: many files in one body, stored under the folder.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use hyper::body::Incoming;
use md5::{Digest as _, Md5};
use moongate_cache::Caller;
use moongate_filer::{Attributes, Chunk, Entry, FilePath, Filer, FilerError, PutOptions};
use moongate_haystack::id::FileId;
use moongate_haystack::needle::Draft;
use moongate_haystack::store::now_ns;
use moongate_haystack::ttl::Ttl;
use parking_lot::Mutex;
use serde::Serialize;

use super::Ask;
use super::error::status_of;
use super::upload::Wish;
use crate::files::store::{self, Stored};
use crate::files::{FileError, etag, needle_of};
use crate::http::Response;
use crate::http::intake::BudgetPermit;
use crate::policy::gatekeeper::Deed;
use crate::policy::own;
use crate::protocol::batch::BUDGET_WAIT;
use crate::protocol::batch::answer::Broken;
use crate::protocol::batch::entries::File;
use crate::protocol::batch::puts::put_all;
use crate::protocol::batch::upload::{self, Outcome, Sink};
use crate::protocol::image::load::unpack;
use crate::state::Gateway;

/// Files of an atomic batch: they are named in one change.
const ATOMIC_MAX: usize = 500_000;
/// What a file of an atomic batch takes in memory until its end, about.
const ATOMIC_BYTES_EACH: u64 = 1024;

/// Stores the entries of a tar or of a form under the folder.
pub async fn upload(
    gateway: &Arc<Gateway>,
    ask: Ask<'_>,
    body: Incoming,
) -> Result<Response, FileError> {
    let sink = Folder {
        gateway: Arc::clone(gateway),
        folder: ask.target.path.clone(),
        wish: Wish::of(gateway, &ask)?,
        atomic: ask.query.is_true("atomic"),
        pending: Mutex::default(),
        caller: own::caller(),
    };
    Ok(upload::run(gateway, ask.headers, body, sink).await?)
}

/// Stores files under paths below a folder.
struct Folder {
    gateway: Arc<Gateway>,
    folder: FilePath,
    wish: Wish,
    atomic: bool,
    /// Of an atomic batch: stored, and not named yet.
    pending: Mutex<Pending>,
    caller: Option<Caller>,
}

#[derive(Default)]
struct Pending {
    entries: Vec<(FilePath, Entry)>,
    stored: Vec<Stored>,
    permits: Vec<BudgetPermit>,
}

/// A file that waits to be stored.
struct Ready {
    /// As it is called in the archive.
    name: String,
    path: FilePath,
    data: Bytes,
    crc32c: u32,
    attributes: Attributes,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct StoredLine<'a> {
    name: &'a str,
    size: u64,
    e_tag: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    crc32c: Option<String>,
}

impl Sink for Folder {
    type Ready = Ready;

    async fn prepare(&self, file: File) -> Result<Ready, String> {
        let path = self.path(&file.name).map_err(|error| error.to_string())?;
        let may = own::may_as(
            &self.gateway,
            self.caller.as_ref(),
            Deed::Create,
            path.as_str(),
        );
        may.await.map_err(|error| error.to_string())?;
        let mut data = file.data;
        if file.gzip {
            let unpacked = tokio::task::spawn_blocking(move || unpack(&data)).await;
            let unpacked = unpacked.map_err(|error| error.to_string())?;
            data = unpacked.map_err(|error| format!("its gzip cannot be unpacked: {error}"))?;
        }
        if let Some(md5) = &file.md5 {
            let is_right = BASE64
                .decode(md5)
                .is_ok_and(|md5| md5 == Md5::digest(&data).as_slice());
            if !is_right {
                return Err("its data does not match its Content-MD5".into());
            }
        }
        let mut attributes = self
            .wish
            .attributes(file.mime.as_deref().unwrap_or_default());
        if let Some(secs) = file.mtime_secs {
            attributes.mtime_ns = secs.saturating_mul(1_000_000_000);
        }
        Ok(Ready {
            name: file.name,
            path,
            crc32c: crc32c::crc32c(&data),
            data,
            attributes,
        })
    }

    fn held_bytes(ready: &Ready) -> u64 {
        ready.data.len() as u64
    }

    async fn store(self: Arc<Self>, ready: Vec<Ready>) -> (Vec<Outcome>, Option<Broken>) {
        let (stored, broken) = self.store_contents(&ready).await;
        let mut named: Vec<(FilePath, Entry)> = Vec::with_capacity(stored.len());
        let mut outcomes: Vec<Result<usize, String>> = Vec::with_capacity(ready.len());
        let mut kept = Vec::with_capacity(stored.len());
        for (file, content) in ready.iter().zip(stored) {
            outcomes.push(content.map(|stored| {
                let entry = Entry::file(file.attributes.clone(), stored.content());
                named.push((file.path.clone(), entry));
                kept.push(stored);
                named.len() - 1
            }));
        }
        let lines: Vec<(Vec<u8>, u64)> = ready
            .iter()
            .zip(&outcomes)
            .filter_map(|(file, outcome)| {
                Some(line(&file.name, &named.get(*outcome.as_ref().ok()?)?.1))
            })
            .collect();
        let failures = match self.name_all(named, kept).await {
            Ok(failures) => failures,
            Err(broken) => return (Vec::new(), Some(broken)),
        };
        let mut lines = lines.into_iter().zip(failures);
        let outcomes = outcomes.into_iter().map(|outcome| {
            outcome?;
            match lines.next() {
                Some((line, None)) => Ok(line),
                Some((_, Some(error))) => Err(error),
                None => Err(String::new()),
            }
        });
        (outcomes.collect(), broken)
    }

    fn is_atomic(&self) -> bool {
        self.atomic
    }

    async fn complete(self: Arc<Self>) -> Result<(), Broken> {
        let Pending {
            entries,
            stored,
            permits,
        } = std::mem::take(&mut *self.pending.lock());
        let put = self
            .gateway
            .files
            .change(move |filer| filer.put_many(entries, PutOptions::default(), now_ns()));
        put.await.map_err(|error| broken(&error))?;
        stored.into_iter().for_each(Stored::keep);
        drop(permits);
        Ok(())
    }
}

impl Folder {
    /// Where an entry goes. Archives call their files `./a`, and some `/a`: both are below the folder.
    fn path(&self, name: &str) -> Result<FilePath, FilerError> {
        let mut below = name.trim_start_matches('/');
        while let Some(rest) = below.strip_prefix("./") {
            below = rest.trim_start_matches('/');
        }
        if below.is_empty() || below.ends_with('/') {
            return Err(FilerError::BadName("an entry needs a file name"));
        }
        let folder = self.folder.as_str().trim_end_matches('/');
        FilePath::parse(&format!("{folder}/{below}"))
    }

    /// Stores contents: small ones many a commit, large ones each by itself.
    async fn store_contents(
        &self,
        ready: &[Ready],
    ) -> (Vec<Result<Stored, String>>, Option<Broken>) {
        let terms = &self.wish.terms;
        let is_small =
            |file: &&Ready| !file.data.is_empty() && file.data.len() <= terms.chunk_bytes;
        let drafts = ready.iter().filter(is_small).map(draft).collect();
        let (fids, broken) = put_all(&self.gateway, &terms.wish, drafts, false).await;
        let mut fids = fids.into_iter();
        let mut stored = Vec::with_capacity(ready.len());
        for file in ready {
            if is_small(&file) {
                let Some(fid) = fids.next() else { break };
                stored.push(fid.map(|fid| self.small(file, &fid)));
            } else {
                let large = store::bytes(&self.gateway, terms, file.data.clone()).await;
                stored.push(large.map_err(|error| error.to_string()));
            }
        }
        (stored, broken)
    }

    fn small(&self, file: &Ready, fid: &FileId) -> Stored {
        let chunk = Chunk {
            needle: needle_of(fid),
            offset: 0,
            bytes: file.data.len() as u64,
            modified_ns: now_ns(),
            md5: None,
            crc32c: Some(file.crc32c),
        };
        Stored::of(&self.gateway, vec![chunk])
    }

    /// Gives names to contents; why it failed, for each.
    async fn name_all(
        &self,
        entries: Vec<(FilePath, Entry)>,
        stored: Vec<Stored>,
    ) -> Result<Vec<Option<String>>, Broken> {
        if self.atomic {
            return self.put_off(entries, stored).await;
        }
        let failures = self
            .gateway
            .files
            .change(move |filer| put_each(filer, entries))
            .await;
        let failures = failures.map_err(|error| broken(&error))?;
        for (stored, failure) in stored.into_iter().zip(&failures) {
            if failure.is_none() {
                stored.keep();
            }
        }
        Ok(failures)
    }

    /// Keeps entries for the end of an atomic batch.
    async fn put_off(
        &self,
        entries: Vec<(FilePath, Entry)>,
        stored: Vec<Stored>,
    ) -> Result<Vec<Option<String>>, Broken> {
        let count = entries.len();
        let permit = self
            .gateway
            .budget
            .take(count as u64 * ATOMIC_BYTES_EACH, BUDGET_WAIT)
            .await;
        let permit = permit.ok_or_else(Broken::busy)?;
        let mut pending = self.pending.lock();
        if pending.entries.len() + count > ATOMIC_MAX {
            return Err(Broken::bad(
                format!("an atomic batch has at most {ATOMIC_MAX} files: send it in parts"),
                None,
            ));
        }
        pending.entries.extend(entries);
        pending.stored.extend(stored);
        pending.permits.push(permit);
        Ok(vec![None; count])
    }
}

fn draft(file: &Ready) -> Draft {
    Draft {
        data: file.data.clone(),
        name: Bytes::new(),
        mime: Bytes::copy_from_slice(file.attributes.mime.as_bytes()),
        pairs: Bytes::new(),
        last_modified_secs: Some(file.attributes.mtime_ns / 1_000_000_000),
        ttl: Ttl::NONE,
        gzip: false,
        chunk_manifest: false,
        checksum: file.crc32c,
    }
}

/// Puts all at once; where one cannot be, each by itself, so that the others are.
fn put_each(
    filer: &Filer,
    entries: Vec<(FilePath, Entry)>,
) -> Result<Vec<Option<String>>, FilerError> {
    if entries.is_empty() {
        return Ok(Vec::new());
    }
    let now_ns = now_ns();
    match filer.put_many(entries.clone(), PutOptions::default(), now_ns) {
        Ok(_) => return Ok(vec![None; entries.len()]),
        Err(error @ (FilerError::Storage(_) | FilerError::Corrupt(_))) => return Err(error),
        Err(_) => {}
    }
    let options = PutOptions {
        durable: false,
        ..PutOptions::default()
    };
    let one = |(path, entry): (FilePath, Entry)| {
        filer
            .put(&path, entry, options, now_ns)
            .err()
            .map(|error| error.to_string())
    };
    let failures = entries.into_iter().map(one).collect();
    filer.sync()?;
    Ok(failures)
}

fn broken(error: &FileError) -> Broken {
    Broken {
        status: status_of(error),
        error: error.to_string(),
        offset: None,
    }
}

fn line(name: &str, entry: &Entry) -> (Vec<u8>, u64) {
    let crc32c = entry.content().and_then(etag::crc32c_of);
    let line = StoredLine {
        name,
        size: entry.size(),
        e_tag: &etag::of_entry(entry),
        crc32c: crc32c.map(|crc| format!("{crc:08x}")),
    };
    (serde_json::to_vec(&line).unwrap_or_default(), entry.size())
}
