//! `POST /batch/delete`: many images deleted, many a commit, one line each.

use std::collections::BTreeMap;
use std::sync::Arc;

use http::HeaderMap;
use hyper::body::Incoming;
use moongate_haystack::HaystackError;
use moongate_haystack::id::{Cookie, FileId, NeedleKey, VolumeId};
use moongate_haystack::volume::writer::{Done as Written, Outcome};
use serde::Serialize;

use super::super::error::ImageError;
use super::super::manifest::Manifest;
use super::super::write::take_back;
use super::list::{self, List};
use crate::http::Response;
use crate::metrics::Operation;
use crate::protocol::batch::answer::{Answer, Done, Gone};
use crate::protocol::batch::stored;
use crate::state::Gateway;

/// Images that are deleted at once.
const WINDOW_LEN: usize = 512;
/// Larger records are no chunk manifests, and are not read to find out.
const MANIFEST_BYTES_MAX: u64 = 4 << 20;

/// Deletes the images of a list.
pub async fn delete(
    gateway: &Arc<Gateway>,
    headers: &HeaderMap,
    body: Incoming,
) -> Result<Response, ImageError> {
    let list = list::read(gateway, headers, body).await?;
    let (answer, head) = Answer::new(Done::Deleted, gateway.budget.clone());
    tokio::spawn(run(Arc::clone(gateway), list, answer));
    Ok(head.await.map_err(|_| {
        HaystackError::Storage("the deletes ended without an answer: see the log".into())
    })?)
}

#[derive(Serialize)]
struct DeletedLine {
    fid: String,
    size: u64,
}

#[derive(Serialize)]
struct FailedLine {
    fid: String,
    error: String,
}

async fn run(gateway: Arc<Gateway>, list: List, mut answer: Answer) {
    let mut gone = Ok(());
    for wanted in list.wanted.chunks(WINDOW_LEN) {
        let fids: Vec<FileId> = wanted.iter().map(|wanted| wanted.fid).collect();
        gone = window(&gateway, &fids, &mut answer).await;
        if gone.is_err() {
            break;
        }
    }
    let totals = answer.totals;
    let metrics = &gateway.metrics;
    metrics.batch(
        Operation::BatchDelete,
        totals.done,
        totals.failed,
        totals.bytes,
    );
    if gone.is_ok() {
        answer.end(None).await;
    }
}

async fn window(gateway: &Arc<Gateway>, fids: &[FileId], answer: &mut Answer) -> Result<(), Gone> {
    let mut manifests = manifests(gateway, fids).await;
    let outcomes = delete_all(gateway, fids).await;
    for (at, (fid, outcome)) in fids.iter().zip(outcomes).enumerate() {
        match outcome {
            Ok(Written::Deleted { size }) => {
                let manifest = manifests.remove(&at);
                let size = manifest
                    .as_ref()
                    .map_or(u64::from(size), Manifest::len_bytes);
                if let Some(manifest) = manifest {
                    let chunks: Vec<FileId> = manifest
                        .chunks
                        .iter()
                        .filter_map(|chunk| chunk.fid.parse().ok())
                        .collect();
                    take_back(gateway, &chunks).await;
                }
                answer.totals.done += 1;
                answer.totals.bytes += size;
                answer.line(&DeletedLine {
                    fid: fid.to_string(),
                    size,
                });
            }
            Ok(_) => failed(fid, &HaystackError::NotFound, answer),
            Err(error) => failed(fid, &error, answer),
        }
    }
    answer.flush().await
}

fn failed(fid: &FileId, error: &HaystackError, answer: &mut Answer) {
    answer.totals.failed += 1;
    answer.line(&FailedLine {
        fid: fid.to_string(),
        error: error.to_string(),
    });
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
