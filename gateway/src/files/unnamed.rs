//! Deletes what an upload that was cut short left behind: content that was stored, and that no name came to refer to. Only under keys that
//! were taken for files before this start ([`super::keys`]): what is being uploaded now is under others.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use moongate_filer::Needle;
use moongate_haystack::HaystackError;
use moongate_haystack::id::NeedleKey;
use moongate_haystack::store::Store;
use moongate_haystack::volume::Volume;

use super::FileError;
use super::reclaim::delete_all;
use crate::state::Gateway;

/// Looks at what the last runs left, once. What fails is tried again at the next start.
pub async fn run(gateway: Arc<Gateway>) {
    let leases = gateway.files.keys().before().to_vec();
    if leases.is_empty() {
        return;
    }
    match give_back(&gateway, leases).await {
        Ok(0) => {}
        Ok(needles) => {
            tracing::info!(needles, "content of uploads that were cut short is deleted");
        }
        Err(error) => {
            tracing::warn!(%error, "content of uploads that were cut short stays until the next start");
        }
    }
}

/// How many needles were deleted.
async fn give_back(gateway: &Arc<Gateway>, leases: Vec<Range<u64>>) -> Result<usize, FileError> {
    let (shared, keys) = (Arc::clone(gateway), leases.clone());
    let unnamed = gateway.files.run(move |filer| {
        let found = stored(&shared.store, &keys)?;
        let stop = || shared.stopping.load(Ordering::Relaxed);
        Ok::<_, FileError>(filer.unnamed(found, &stop)?)
    });
    let Some(unnamed) = unnamed.await? else {
        return Ok(0);
    };
    delete_all(gateway, &unnamed).await?;
    let ended: Vec<u64> = leases.into_iter().map(|keys| keys.start).collect();
    let forgotten = gateway.files.run(move |filer| filer.end_leases(&ended));
    forgotten.await?;
    Ok(unnamed.len())
}

/// The needles that there are under these keys, in any volume.
fn stored(store: &Store, leases: &[Range<u64>]) -> Result<Vec<Needle>, HaystackError> {
    let mut found = Vec::new();
    for mounted in store.volumes().values() {
        for lease in leases {
            let keys = NeedleKey(lease.start)..NeedleKey(lease.end);
            for key in mounted.volume.live_keys(keys)? {
                found.extend(needle(&mounted.volume, key)?);
            }
        }
    }
    Ok(found)
}

/// A needle as the names would have it; `None` if it is damaged, for then nobody can be sure of its cookie.
fn needle(volume: &Volume, key: NeedleKey) -> Result<Option<Needle>, HaystackError> {
    match volume.read(key) {
        Ok(needle) => Ok(Some(Needle {
            volume: volume.id().0,
            key: key.0,
            cookie: needle.header.cookie.0,
        })),
        Err(HaystackError::NotFound | HaystackError::Damaged { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}
