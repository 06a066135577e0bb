//! Gives back what names no longer refer to: one task, in small steps, resumed after a crash.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use moongate_filer::{FilerError, Needle};
use moongate_haystack::HaystackError;
use moongate_haystack::id::{Cookie, NeedleKey, VolumeId};
use moongate_haystack::store::now_ns;

use super::{FileError, fid_of};
use crate::state::Gateway;

/// Rows that a sweep looks at in one step.
const ROWS_PER_STEP: usize = 1000;
/// Needles that are deleted in one step.
const NEEDLES_PER_STEP: usize = 1000;
/// Files whose life has ended are looked for so often, and what failed is tried again.
const INTERVAL: Duration = Duration::from_secs(10);

/// Runs until the gateway stops.
pub async fn run(gateway: Arc<Gateway>, stopped: tokio::sync::watch::Receiver<bool>) {
    let unnamed = tokio::spawn(super::unnamed::run(Arc::clone(&gateway)));
    released(gateway, stopped).await;
    unnamed.abort();
}

async fn released(gateway: Arc<Gateway>, mut stopped: tokio::sync::watch::Receiver<bool>) {
    loop {
        match step(&gateway).await {
            Ok(true) => {}
            Ok(false) => {
                tokio::select! {
                    () = gateway.files.released.notified() => {}
                    () = tokio::time::sleep(INTERVAL) => expire(&gateway).await,
                    () = told(&mut stopped) => {}
                }
            }
            Err(error) => {
                tracing::warn!(%error, "deleted files' space could not be given back; it is tried again");
                tokio::time::sleep(INTERVAL).await;
            }
        }
        if *stopped.borrow() {
            return;
        }
    }
}

/// Waits until the gateway stops.
async fn told(stopped: &mut tokio::sync::watch::Receiver<bool>) {
    let _ = stopped.wait_for(|stop| *stop).await;
}

/// Forgets listings that no job has used for long.
async fn expire(gateway: &Arc<Gateway>) {
    let shards = Arc::clone(gateway.files.shards());
    if let Ok(Err(error)) = tokio::task::spawn_blocking(move || shards.expire()).await {
        tracing::warn!(%error, "expired listings of training shards could not be removed");
    }
}

/// One step; whether there is more to do now.
async fn step(gateway: &Arc<Gateway>) -> Result<bool, FileError> {
    let (swept, released) = gateway
        .files
        .run(|filer| {
            let now_ns = now_ns();
            let trash = filer.sweep(ROWS_PER_STEP)?;
            let expired = filer.sweep_expired(ROWS_PER_STEP, now_ns)?;
            let released = filer.released(NEEDLES_PER_STEP, now_ns)?;
            Ok::<_, FilerError>((trash.more || expired.more, released))
        })
        .await?;
    if released.is_empty() {
        return Ok(swept);
    }
    let needles: Vec<Needle> = released
        .iter()
        .flat_map(|row| row.needles.iter().copied())
        .collect();
    delete_all(gateway, &needles).await?;
    let sequences: Vec<u64> = released.iter().map(|row| row.sequence).collect();
    gateway
        .files
        .run(move |filer| filer.forget(&sequences))
        .await?;
    Ok(true)
}

/// Deletes needles, each volume's in one commit. One that is gone already was deleted by a step that a crash cut short.
pub(super) async fn delete_all(
    gateway: &Arc<Gateway>,
    needles: &[Needle],
) -> Result<(), HaystackError> {
    let mut by_volume: BTreeMap<u32, Vec<(NeedleKey, Cookie)>> = BTreeMap::new();
    for needle in needles {
        let keys = by_volume.entry(needle.volume).or_default();
        keys.push((NeedleKey(needle.key), Cookie(needle.cookie)));
    }
    for (volume, keys) in by_volume {
        for keys in keys.chunks(moongate_haystack::store::OPS_PER_ENTRY_MAX) {
            let outcomes = match gateway
                .store
                .delete_many(VolumeId(volume), keys.to_vec())
                .await
            {
                Err(HaystackError::VolumeNotFound(_)) => continue,
                outcomes => outcomes?,
            };
            for ((key, cookie), outcome) in keys.iter().zip(outcomes) {
                match outcome {
                    Ok(_) | Err(HaystackError::NotFound) => {}
                    // Damaged, or another's by now: nothing that a repetition would mend.
                    Err(
                        error @ (HaystackError::Damaged { .. } | HaystackError::CookieMismatch(_)),
                    ) => {
                        let fid = fid_of(&Needle {
                            volume,
                            key: key.0,
                            cookie: cookie.0,
                        });
                        tracing::warn!(%fid, %error, "a deleted file's needle stays behind");
                    }
                    Err(error) => return Err(error),
                }
            }
        }
    }
    Ok(())
}
