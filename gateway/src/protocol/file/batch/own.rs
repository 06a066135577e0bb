//! Files of a batch that are the gateway's own: contents many a commit, then names in one change.

use std::sync::Arc;

use bytes::Bytes;
use moongate_filer::{Attributes, Chunk, Entry, FilePath, Filer, FilerError, PutOptions};
use moongate_haystack::id::FileId;
use moongate_haystack::needle::Draft;
use moongate_haystack::store::now_ns;
use moongate_haystack::ttl::Ttl;
use parking_lot::Mutex;

use super::line;
use crate::files::store::{self, Stored, Terms};
use crate::files::{FileError, etag, needle_of};
use crate::http::intake::BudgetPermit;
use crate::protocol::batch::BUDGET_WAIT;
use crate::protocol::batch::answer::Broken;
use crate::protocol::batch::puts::Puts;
use crate::protocol::batch::upload::Outcome;
use crate::protocol::file::error::status_of;
use crate::state::Gateway;

/// Files of an atomic batch: they are named in one change.
const ATOMIC_MAX: usize = 500_000;
/// What a file of an atomic batch takes in memory until its end, about.
const ATOMIC_BYTES_EACH: u64 = 1024;

/// Where they go.
pub(super) struct Own {
    pub gateway: Arc<Gateway>,
    pub terms: Terms,
    pub atomic: bool,
    /// Of an atomic batch: stored, and not named yet.
    pub pending: Mutex<Pending>,
}

#[derive(Default)]
pub(super) struct Pending {
    entries: Vec<(FilePath, Entry)>,
    stored: Vec<Stored>,
    permits: Vec<BudgetPermit>,
}

/// A file that waits to be stored.
pub(super) struct Ready {
    /// As it is called in the archive.
    pub name: String,
    pub path: FilePath,
    pub data: Bytes,
    pub crc32c: u32,
    pub attributes: Attributes,
}

impl Own {
    /// Stores files, and names them or keeps them for the end. As of [`Sink::store`](crate::protocol::batch::upload::Sink::store).
    pub async fn store(&self, ready: Vec<Ready>) -> (Vec<Outcome>, Option<Broken>) {
        if ready.is_empty() {
            return (Vec::new(), None);
        }
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
                Some(line_of(&file.name, &named.get(*outcome.as_ref().ok()?)?.1))
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

    /// Names all files of an atomic batch.
    pub async fn complete(&self) -> Result<(), Broken> {
        let Pending {
            entries,
            stored,
            permits,
        } = std::mem::take(&mut *self.pending.lock());
        let put = self.gateway.files.change(move |filer| {
            let named = filer.put_many(entries, PutOptions::default(), now_ns());
            let named = named.map_err(FileError::from);
            stored.into_iter().for_each(|stored| stored.after(&named));
            named
        });
        put.await.map_err(|error| broken(&error))?;
        drop(permits);
        Ok(())
    }

    /// Stores contents: small ones many a commit, large ones each by itself.
    async fn store_contents(
        &self,
        ready: &[Ready],
    ) -> (Vec<Result<Stored, String>>, Option<Broken>) {
        let terms = &self.terms;
        let is_small =
            |file: &&Ready| !file.data.is_empty() && file.data.len() <= terms.chunk_bytes;
        let (small, broken) = self
            .store_small(ready.iter().filter(is_small).collect())
            .await;
        let mut small = small.into_iter();
        let mut stored = Vec::with_capacity(ready.len());
        for file in ready {
            if is_small(&file) {
                let Some(small) = small.next() else { break };
                stored.push(small);
            } else {
                let large = store::bytes(&self.gateway, terms, file.data.clone()).await;
                stored.push(large.map_err(|error| error.to_string()));
            }
        }
        (stored, broken)
    }

    async fn store_small(
        &self,
        files: Vec<&Ready>,
    ) -> (Vec<Result<Stored, String>>, Option<Broken>) {
        if files.is_empty() {
            return (Vec::new(), None);
        }
        let (gateway, wish) = (&self.gateway, &self.terms.wish);
        let taken = match gateway.files.keys().take(gateway, wish, files.len()).await {
            Ok(taken) => taken,
            Err(error) => return (Vec::new(), Some(broken(&error))),
        };
        let drafts = files.iter().map(|file| draft(file)).collect();
        let puts = Puts::new(taken.volume, taken.first, drafts);
        let stored: Vec<Stored> = files
            .iter()
            .zip(puts.fids())
            .map(|(file, fid)| Stored::of(gateway, chunk(file, &fid), taken.in_use.clone()))
            .collect();
        taken.in_use.settle();
        let (outcomes, broken) = puts.store(gateway, false).await;
        let stored = stored.into_iter().zip(outcomes);
        (
            stored
                .map(|(stored, outcome)| outcome.map(|_| stored))
                .collect(),
            broken,
        )
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
        let failures = self.gateway.files.change(move |filer| {
            let failures = put_each(filer, entries).map_err(FileError::from);
            match &failures {
                Ok(each) => {
                    let named = stored.into_iter().zip(each);
                    named
                        .filter(|(_, failure)| failure.is_none())
                        .for_each(|(stored, _)| stored.keep());
                }
                Err(_) => stored
                    .into_iter()
                    .for_each(|stored| stored.after(&failures)),
            }
            failures
        });
        failures.await.map_err(|error| broken(&error))
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

/// All of a file as one chunk.
fn chunk(file: &Ready, fid: &FileId) -> Chunk {
    Chunk {
        needle: needle_of(fid),
        offset: 0,
        bytes: file.data.len() as u64,
        modified_ns: now_ns(),
        md5: None,
        crc32c: Some(file.crc32c),
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

fn line_of(name: &str, entry: &Entry) -> (Vec<u8>, u64) {
    let crc32c = entry.content().and_then(etag::crc32c_of);
    line(name, entry.size(), &etag::of_entry(entry), crc32c)
}
