//! Commits of an upload: what waits for one, and what its entries came to.

use std::sync::Arc;
use std::time::Duration;

use moongate_haystack::id::{Cookie, FileId, NeedleKey};
use moongate_haystack::needle::Draft;
use moongate_haystack::store::OPS_PER_ENTRY_MAX;
use moongate_haystack::store::layout::Wish;
use moongate_haystack::volume::writer::Outcome;
use serde::Serialize;
use tokio::time::Instant;

use super::super::error::ImageError;
use super::super::master;
use super::super::write::Stored;
use super::answer::{Answer, Broken};
use super::errors::ends_the_batch;
use crate::state::Gateway;

/// Data that one commit gathers.
pub const GATHER_BYTES: u64 = 1 << 20;
/// An image waits at most so long for others to share its commit.
const GATHER_TIME: Duration = Duration::from_millis(20);

/// What a commit came to, in the order of its entries, and whether the batch can go on.
pub type Committed = (Vec<Told>, Result<(), Broken>);

/// Entries that wait for a commit, or for those before them.
#[derive(Default)]
pub struct Gathered {
    items: Vec<Waiting>,
    data_bytes: u64,
    /// Bytes of the upload when the first came.
    read_from: u64,
    since: Option<Instant>,
}

/// An entry that waits.
pub enum Waiting {
    /// To be stored.
    File(Stored, Draft),
    /// To be told in its turn.
    Told(Told),
}

impl Gathered {
    /// Whether it is enough for a commit. `read_bytes`: how much of the upload is read.
    pub fn is_full(&self, read_bytes: u64) -> bool {
        if self.items.is_empty() {
            return false;
        }
        // Slices of the upload keep all of it in memory, what was passed over too.
        let held = self.data_bytes.max(read_bytes - self.read_from);
        held >= GATHER_BYTES || self.items.len() >= OPS_PER_ENTRY_MAX
    }

    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// When the first has waited long enough for others.
    pub fn due(&self) -> Option<Instant> {
        self.since.map(|since| since + GATHER_TIME)
    }

    /// Adds an entry.
    pub fn push(&mut self, waiting: Waiting, read_bytes: u64) {
        if self.since.is_none() {
            (self.since, self.read_from) = (Some(Instant::now()), read_bytes);
        }
        if let Waiting::File(_, draft) = &waiting {
            self.data_bytes += draft.data.len() as u64;
        }
        self.items.push(waiting);
    }
}

/// What became of an entry.
pub enum Told {
    /// It is durable.
    Stored {
        fid: FileId,
        stored: Stored,
    },
    Failed {
        name: String,
        error: String,
    },
    /// It is not to be stored.
    Refused {
        name: String,
        why: String,
        harmless: bool,
    },
}

/// A stored entry's line.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct StoredLine<'a> {
    name: &'a str,
    fid: String,
    size: u64,
    e_tag: &'a str,
}

/// The line of an entry that is not stored: it failed, or nothing is lost by it.
#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
enum Why<'a> {
    Error(&'a str),
    Skipped(&'a str),
}

#[derive(Serialize)]
struct OtherLine<'a> {
    name: &'a str,
    #[serde(flatten)]
    why: Why<'a>,
}

impl Told {
    /// Adds its line, and counts it.
    pub fn tell(&self, answer: &mut Answer) {
        let (name, why) = match self {
            Self::Stored { fid, stored } => {
                answer.totals.done += 1;
                answer.totals.bytes += stored.size;
                return answer.line(&StoredLine {
                    name: &stored.name,
                    fid: fid.to_string(),
                    size: stored.size,
                    e_tag: &stored.e_tag,
                });
            }
            Self::Refused {
                name,
                why,
                harmless: true,
            } => (name, Why::Skipped(why)),
            Self::Refused { name, why, .. } => (name, Why::Error(why)),
            Self::Failed { name, error } => (name, Why::Error(error)),
        };
        answer.totals.failed += u64::from(matches!(why, Why::Error(_)));
        answer.line(&OtherLine { name, why });
    }
}

/// Stores what was gathered, in one commit.
pub async fn commit(
    gateway: Arc<Gateway>,
    wish: Wish,
    gathered: Gathered,
    fsync: bool,
) -> Committed {
    let mut drafts = Vec::with_capacity(gathered.items.len());
    let mut waiting = Vec::with_capacity(gathered.items.len());
    for item in gathered.items {
        waiting.push(match item {
            Waiting::File(stored, draft) => {
                drafts.push(draft);
                Ok(stored)
            }
            Waiting::Told(told) => Err(told),
        });
    }
    let (outcomes, broken) = store(&gateway, wish, drafts, fsync).await;
    let mut outcomes = outcomes.into_iter();
    let told = waiting.into_iter().map(|item| match item {
        Err(told) => told,
        Ok(stored) => match outcomes.next() {
            Some(Ok(fid)) => Told::Stored { fid, stored },
            Some(Err(error)) => Told::Failed {
                name: stored.name,
                error,
            },
            None => Told::Failed {
                name: stored.name,
                error: broken
                    .as_ref()
                    .map_or_else(String::new, |broken| broken.error.clone()),
            },
        },
    });
    let told = told.collect();
    (told, broken.map_or(Ok(()), Err))
}

/// The outcome of each draft, and why the batch cannot go on, if so. Without outcomes none is stored.
async fn store(
    gateway: &Arc<Gateway>,
    wish: Wish,
    drafts: Vec<Draft>,
    fsync: bool,
) -> (Vec<Result<FileId, String>>, Option<Broken>) {
    if drafts.is_empty() {
        return (Vec::new(), None);
    }
    let count = drafts.len() as u64;
    let assigned = match master::assign(gateway, Wish { count, ..wish }).await {
        Ok(assigned) => assigned.fid,
        Err(error) => return (Vec::new(), Some(error.into())),
    };
    // Cookies of their own: who knows one image's id must not know its neighbour's.
    let puts: Vec<(NeedleKey, Cookie, Draft)> = (assigned.key.0..)
        .zip(drafts)
        .map(|(key, draft)| (NeedleKey(key), Cookie(rand::random()), draft))
        .collect();
    let fids: Vec<FileId> = puts
        .iter()
        .map(|(key, cookie, _)| FileId {
            volume: assigned.volume,
            key: *key,
            cookie: *cookie,
        })
        .collect();
    match gateway.store.put_many(assigned.volume, puts, fsync).await {
        Ok(outcomes) => of_outcomes(fids, outcomes),
        Err(error) => (Vec::new(), Some(ImageError::from(error).into())),
    }
}

fn of_outcomes(
    fids: Vec<FileId>,
    outcomes: Vec<Outcome>,
) -> (Vec<Result<FileId, String>>, Option<Broken>) {
    let worst = outcomes
        .iter()
        .find_map(|outcome| outcome.as_ref().err().filter(|error| ends_the_batch(error)))
        .cloned();
    let each = fids
        .into_iter()
        .zip(outcomes)
        .map(|(fid, outcome)| outcome.map(|_| fid).map_err(|error| error.to_string()));
    (
        each.collect(),
        worst.map(|error| ImageError::from(error).into()),
    )
}
