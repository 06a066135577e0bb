//! Many needles put in one commit.

use std::sync::Arc;

use moongate_haystack::id::{Cookie, FileId, NeedleKey};
use moongate_haystack::needle::Draft;
use moongate_haystack::store::layout::Wish;

use super::answer::Broken;
use super::errors::ends_the_batch;
use crate::protocol::image::error::ImageError;
use crate::protocol::image::master;
use crate::state::Gateway;

/// The outcome of each draft, and why the batch cannot go on, if so. Without outcomes none is stored.
pub async fn put_all(
    gateway: &Arc<Gateway>,
    wish: &Wish,
    drafts: Vec<Draft>,
    fsync: bool,
) -> (Vec<Result<FileId, String>>, Option<Broken>) {
    if drafts.is_empty() {
        return (Vec::new(), None);
    }
    let count = drafts.len() as u64;
    let assigned = match master::assign(
        gateway,
        Wish {
            count,
            ..wish.clone()
        },
    )
    .await
    {
        Ok(assigned) => assigned.fid,
        Err(error) => return (Vec::new(), Some(error.into())),
    };
    // Cookies of their own: who knows one image's id must not know its neighbour's.
    let puts: Vec<(NeedleKey, Cookie, Draft)> = (assigned.key.0..)
        .zip(drafts)
        .map(|(key, draft)| (NeedleKey(key), Cookie(rand::random()), draft))
        .collect();
    let fid = |(key, cookie, _): &(NeedleKey, Cookie, Draft)| FileId {
        volume: assigned.volume,
        key: *key,
        cookie: *cookie,
    };
    let fids: Vec<FileId> = puts.iter().map(fid).collect();
    let outcomes = match gateway.store.put_many(assigned.volume, puts, fsync).await {
        Ok(outcomes) => outcomes,
        Err(error) => return (Vec::new(), Some(ImageError::from(error).into())),
    };
    let worst = outcomes
        .iter()
        .filter_map(|outcome| outcome.as_ref().err())
        .find(|error| ends_the_batch(error));
    let broken = worst.map(|error| ImageError::from(error.clone()).into());
    let each = fids
        .into_iter()
        .zip(outcomes)
        .map(|(fid, outcome)| outcome.map(|_| fid).map_err(|error| error.to_string()));
    (each.collect(), broken)
}
