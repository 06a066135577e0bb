//! Many needles put in one commit.

use std::sync::Arc;

use moongate_haystack::id::{Cookie, FileId, NeedleKey, VolumeId};
use moongate_haystack::needle::Draft;
use moongate_haystack::store::layout::Wish;

use super::answer::Broken;
use super::errors::ends_the_batch;
use crate::protocol::image::error::ImageError;
use crate::protocol::image::master;
use crate::state::Gateway;

/// The outcome of each draft, and why the batch cannot go on, if so. Without outcomes none is stored.
type Outcomes = (Vec<Result<FileId, String>>, Option<Broken>);

/// Needles to be put in one volume, under keys in a row.
pub struct Puts {
    volume: VolumeId,
    puts: Vec<(NeedleKey, Cookie, Draft)>,
}

impl Puts {
    /// Each draft with a key, and a cookie of its own: who knows one image's id must not know its neighbour's.
    pub fn new(volume: VolumeId, first: NeedleKey, drafts: Vec<Draft>) -> Self {
        let puts = (first.0..)
            .zip(drafts)
            .map(|(key, draft)| (NeedleKey(key), Cookie(rand::random()), draft));
        Self {
            volume,
            puts: puts.collect(),
        }
    }

    /// What they will be called.
    pub fn fids(&self) -> Vec<FileId> {
        let fid = |(key, cookie, _): &(NeedleKey, Cookie, Draft)| FileId {
            volume: self.volume,
            key: *key,
            cookie: *cookie,
        };
        self.puts.iter().map(fid).collect()
    }

    /// Stores them, in one commit.
    pub async fn store(self, gateway: &Gateway, fsync: bool) -> Outcomes {
        let fids = self.fids();
        let outcomes = match gateway.store.put_many(self.volume, self.puts, fsync).await {
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
}

/// Stores images under keys that are handed out for them.
pub async fn put_all(
    gateway: &Arc<Gateway>,
    wish: &Wish,
    drafts: Vec<Draft>,
    fsync: bool,
) -> Outcomes {
    if drafts.is_empty() {
        return (Vec::new(), None);
    }
    let wish = Wish {
        count: drafts.len() as u64,
        ..wish.clone()
    };
    match master::assign(gateway, wish).await {
        Ok(assigned) => {
            let puts = Puts::new(assigned.fid.volume, assigned.fid.key, drafts);
            puts.store(gateway, fsync).await
        }
        Err(error) => (Vec::new(), Some(error.into())),
    }
}
