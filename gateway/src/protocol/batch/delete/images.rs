//! Images deleted by their ids, each volume's in one commit.

use std::collections::BTreeMap;
use std::sync::Arc;

use moongate_haystack::HaystackError;
use moongate_haystack::id::{Cookie, FileId, NeedleKey, VolumeId};
use moongate_haystack::volume::writer::{Done as Written, Outcome};

use crate::protocol::batch::stored;
use crate::protocol::image::manifest::Manifest;
use crate::protocol::image::write::take_back;
use crate::state::Gateway;

/// Larger records are no chunk manifests, and are not read to find out.
const MANIFEST_BYTES_MAX: u64 = 4 << 20;

/// Deletes the images, with the chunks of those that are lists of chunks; the length of each, or why it is not deleted, in their order.
pub async fn delete(gateway: &Arc<Gateway>, fids: &[FileId]) -> Vec<Result<u64, HaystackError>> {
    let mut manifests = manifests(gateway, fids).await;
    let mut lens = Vec::with_capacity(fids.len());
    for (at, outcome) in delete_all(gateway, fids).await.into_iter().enumerate() {
        lens.push(match outcome {
            Ok(Written::Deleted { size }) => Ok(match manifests.remove(&at) {
                None => u64::from(size),
                Some(manifest) => {
                    let chunks = manifest.chunks.iter();
                    let chunks: Vec<FileId> = chunks.filter_map(|it| it.fid.parse().ok()).collect();
                    take_back(gateway, &chunks).await;
                    manifest.len_bytes()
                }
            }),
            Ok(_) => Err(HaystackError::NotFound),
            Err(error) => Err(error),
        });
    }
    lens
}

/// Those of the images that are lists of chunks, by their number: their chunks go with them.
async fn manifests(gateway: &Arc<Gateway>, fids: &[FileId]) -> BTreeMap<usize, Manifest> {
    let mut places = stored::locate_all(gateway, fids).await;
    for place in &mut places {
        let large = place
            .as_ref()
            .is_ok_and(|(generation, entry)| generation.record_bytes(entry) > MANIFEST_BYTES_MAX);
        if large {
            *place = Err(HaystackError::NotFound);
        }
    }
    let needles = stored::read_all(gateway, fids, &places).await;
    let chunked = needles.into_iter().enumerate().filter_map(|(at, needle)| {
        // What is damaged is deleted all the same.
        let needle = needle.ok().filter(|needle| needle.is_chunk_manifest())?;
        Some((at, Manifest::of(&needle).ok()?))
    });
    chunked.collect()
}

/// Needles of one volume, and their numbers in the list.
type OfVolume = (Vec<usize>, Vec<(NeedleKey, Cookie)>);

/// Deletes the images, each volume's in one commit; the outcomes are in the order of the list.
async fn delete_all(gateway: &Arc<Gateway>, fids: &[FileId]) -> Vec<Outcome> {
    let mut by_volume: BTreeMap<VolumeId, OfVolume> = BTreeMap::new();
    for (at, fid) in fids.iter().enumerate() {
        let (places, needles) = by_volume.entry(fid.volume).or_default();
        places.push(at);
        needles.push((fid.key, fid.cookie));
    }
    let mut outcomes: Vec<Outcome> = fids.iter().map(|_| Err(HaystackError::NotFound)).collect();
    for (volume, (places, needles)) in by_volume {
        match gateway.store.delete_many(volume, needles).await {
            Ok(done) => places
                .into_iter()
                .zip(done)
                .for_each(|(at, one)| outcomes[at] = one),
            Err(error) => places
                .into_iter()
                .for_each(|at| outcomes[at] = Err(error.clone())),
        }
    }
    outcomes
}
