//! From a file id to its needle: found, read, verified.

use std::io::Read as _;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use flate2::read::MultiGzDecoder;
use moongate_haystack::HaystackError;
use moongate_haystack::id::{FileId, NeedleKey};
use moongate_haystack::index::Entry;
use moongate_haystack::needle::Needle;
use moongate_haystack::store::now_ns;
use moongate_haystack::volume::{Generation, Located, Volume};
use tokio::sync::Semaphore;

use super::path::ObjectPath;
use crate::http::intake::BudgetPermit;
use crate::state::Gateway;

/// A read of at least so many bytes takes a share of the buffer budget; smaller ones are bounded by the connections.
const BUDGETED_BYTES: u64 = 256 << 10;
const BUDGET_WAIT: Duration = Duration::from_secs(5);
const IDENTITY_BYTES_MAX: u64 = 1 << 30;
/// Look-ups in RocksDB at once, each on a thread that keeps memory of its own for a while; more wait for their turn.
static LOOKUPS: Semaphore = Semaphore::const_new(8);

/// Finds, reads and verifies the needle that an object URL names.
pub async fn load(
    gateway: &Arc<Gateway>,
    object: &ObjectPath<'_>,
    with_deleted: bool,
) -> Result<Needle, HaystackError> {
    load_fid(gateway, &object.fid, with_deleted).await
}

/// Finds, reads and verifies a needle.
pub async fn load_fid(
    gateway: &Arc<Gateway>,
    fid: &FileId,
    with_deleted: bool,
) -> Result<Needle, HaystackError> {
    let (generation, entry) = find(gateway, fid, with_deleted).await?;
    let record = read_record(gateway, &generation, &entry).await?;
    let needle = generation
        .decode(fid.key, &entry, record)
        .inspect_err(|error| {
            gateway
                .store
                .bad_needles()
                .report(fid.volume, fid.key, error);
        })?;
    visible(needle, fid).ok_or(HaystackError::NotFound)
}

/// The same for a needle of a volume whose record takes no share of the buffer budget. Nothing is reported: `None` says that [`load_fid`] is to be asked, for
/// the needle or for what is wrong with it.
pub async fn load_small(
    gateway: &Arc<Gateway>,
    volume: &Arc<Volume>,
    fid: &FileId,
) -> Option<Needle> {
    let (generation, entry) = locate(volume, fid.key, false).await.ok()?;
    let len_bytes = generation.record_bytes(&entry);
    if len_bytes >= BUDGETED_BYTES {
        return None;
    }
    let record = read_bytes(gateway, &generation, entry.offset, len_bytes as usize).await;
    let needle = generation.decode(fid.key, &entry, record.ok()?.into());
    visible(needle.ok()?, fid)
}

/// Where a needle lies.
async fn find(
    gateway: &Gateway,
    fid: &FileId,
    with_deleted: bool,
) -> Result<(Arc<Generation>, Entry), HaystackError> {
    let volume = gateway
        .store
        .volume(fid.volume)
        .ok_or(HaystackError::VolumeNotFound(fid.volume))?;
    locate(&volume, fid.key, with_deleted).await
}

/// A needle, unless the URL's cookie is not its own or it has expired.
fn visible(needle: Needle, fid: &FileId) -> Option<Needle> {
    let hidden = needle.header.cookie != fid.cookie
        || (!needle.ttl.is_none() && needle.expired(now_ns() / 1_000_000_000));
    (!hidden).then_some(needle)
}

async fn locate(
    volume: &Arc<Volume>,
    key: NeedleKey,
    with_deleted: bool,
) -> Result<(Arc<Generation>, Entry), HaystackError> {
    match volume.locate(key) {
        Located::Here(generation, entry) => return Ok((generation, entry)),
        Located::Absent if !with_deleted => return Err(HaystackError::NotFound),
        Located::Absent | Located::Unknown => {}
    }
    let _turn = LOOKUPS.acquire().await;
    let volume = Arc::clone(volume);
    let found = tokio::task::spawn_blocking(move || volume.locate_slow(key, with_deleted)).await;
    found
        .map_err(|e| HaystackError::Storage(e.to_string().into()))??
        .ok_or(HaystackError::NotFound)
}

/// A record with its share of the buffer budget, which it gives back when the last slice of it is sent.
struct Budgeted {
    record: Vec<u8>,
    _permit: BudgetPermit,
}

impl AsRef<[u8]> for Budgeted {
    fn as_ref(&self) -> &[u8] {
        &self.record
    }
}

async fn read_record(
    gateway: &Gateway,
    generation: &Arc<Generation>,
    entry: &Entry,
) -> Result<Bytes, HaystackError> {
    let len_bytes = generation.record_bytes(entry);
    let len = usize::try_from(len_bytes).unwrap_or(usize::MAX);
    if len_bytes < BUDGETED_BYTES {
        let record = read_bytes(gateway, generation, entry.offset, len).await;
        return record.map(Bytes::from);
    }
    let permit = gateway.budget.take(len_bytes, BUDGET_WAIT).await;
    let _permit = permit.ok_or(HaystackError::Busy)?;
    let record = read_bytes(gateway, generation, entry.offset, len).await?;
    Ok(Bytes::from_owner(Budgeted { record, _permit }))
}

/// Reads on this thread what is in memory, else where waiting does not hold up others.
pub async fn read_bytes(
    gateway: &Gateway,
    generation: &Arc<Generation>,
    offset: u64,
    len: usize,
) -> Result<Vec<u8>, HaystackError> {
    let record = match generation.dat.try_read_now(offset, len) {
        Ok(Some(record)) => Ok(record),
        Ok(None) => {
            let dat = Arc::clone(&generation.dat);
            Box::pin(gateway.engine.read(dat, offset, len)).await
        }
        Err(error) => Err(error),
    };
    record.map_err(|e| HaystackError::from_io(generation.table.volume, &e))
}

/// A needle's bytes as they were uploaded: what is stored as gzip is unpacked, off the request's thread.
///
/// # Errors
/// The stored gzip is damaged, or unpacks to more than 1 GiB.
pub async fn unpacked(needle: &Needle) -> Result<Bytes, HaystackError> {
    let data = needle.data();
    if !needle.is_gzip() {
        return Ok(data);
    }
    let unpacked = tokio::task::spawn_blocking(move || unpack(&data)).await;
    let unpacked = unpacked.map_err(|e| HaystackError::Storage(e.to_string().into()))?;
    unpacked.map_err(|e| {
        HaystackError::Storage(format!("the stored gzip cannot be unpacked: {e}").into())
    })
}

/// Unpacks gzip, up to a bound.
pub fn unpack(gzip: &[u8]) -> std::io::Result<Bytes> {
    let mut out = Vec::new();
    MultiGzDecoder::new(gzip)
        .take(IDENTITY_BYTES_MAX + 1)
        .read_to_end(&mut out)?;
    if out.len() as u64 > IDENTITY_BYTES_MAX {
        Err(std::io::Error::other("it unpacks to more than 1 GiB"))
    } else {
        Ok(out.into())
    }
}
