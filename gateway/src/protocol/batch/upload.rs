//! Uploads of many files in one body: read, gathered, stored many a commit, and told one line each once they are durable.
//!
//! What is stored, and where, is a [`Sink`]'s: images under file ids, or files under paths.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;
use hyper::body::Incoming;
use moongate_haystack::HaystackError;
use moongate_haystack::store::OPS_PER_ENTRY_MAX;
use serde::Serialize;
use tokio::time::Instant;

use super::BUDGET_WAIT;
use super::answer::{Answer, Broken, Done, Gone};
use super::entries::{Bounds, Entries, File, Item};
use crate::archive::ArchiveReader;
use crate::http::Response;
use crate::http::arriving::Arriving;
use crate::http::intake::{BudgetPermit, IntakeError};
use crate::metrics::Operation;
use crate::protocol::image::error::ImageError;
use crate::state::Gateway;

/// Data that one commit gathers.
const GATHER_BYTES: u64 = 1 << 20;
/// A file waits at most so long for others to share its commit.
const GATHER_TIME: Duration = Duration::from_millis(20);
/// What an upload may hold but for large files: one commit being gathered, one being written, and the reader's own.
const HELD_BYTES: u64 = 2 * GATHER_BYTES + ArchiveReader::HELD_BYTES_MAX;
/// After damage this much more of the body is read and thrown away, so that a client that sends all before it reads gets its answer.
const DRAIN_BYTES_MAX: u64 = 256 << 20;

/// Stores the files of an upload.
pub trait Sink: Send + Sync + 'static {
    /// A file that is ready to be stored.
    type Ready: Send + 'static;

    /// Checks a file and makes it ready; `Err` says why it is not taken.
    fn prepare(&self, file: File) -> impl Future<Output = Result<Self::Ready, String>> + Send;

    /// Bytes that a file holds while it waits.
    fn held_bytes(ready: &Self::Ready) -> u64;

    /// Stores files together: what became of each, in order, and why the batch cannot go on, if so. Files without an outcome are not
    /// stored.
    fn store(
        self: Arc<Self>,
        ready: Vec<Self::Ready>,
    ) -> impl Future<Output = (Vec<Outcome>, Option<Broken>)> + Send;

    /// Whether nothing counts until all does. Then lines wait for [`Self::complete`].
    fn is_atomic(&self) -> bool {
        false
    }

    /// All files have been stored: lets them count.
    fn complete(self: Arc<Self>) -> impl Future<Output = Result<(), Broken>> + Send {
        async { Ok(()) }
    }
}

/// What became of a file: its line, and its length; or why it is not stored.
pub type Outcome = Result<(Vec<u8>, u64), String>;

/// Starts an upload; returns when its answer begins.
///
/// # Errors
/// The headers announce nothing that can be read, or too much is in flight.
pub async fn run<S: Sink>(
    gateway: &Arc<Gateway>,
    headers: &HeaderMap,
    body: Incoming,
    sink: S,
) -> Result<Response, ImageError> {
    let budget = gateway.budget.clone();
    let bounds = Bounds {
        file_bytes_max: gateway.config.image.upload_bytes_max.bytes(),
        budget: budget.clone(),
    };
    let body = Arriving::new(body, &gateway.intake);
    let entries = Entries::of(headers, body, bounds)?;
    let share = HELD_BYTES.min(budget.total_bytes() / 2);
    let permit = budget.take(share, BUDGET_WAIT).await;
    let permit = permit.ok_or(IntakeError::Busy)?;
    let (answer, head) = Answer::new(Done::Stored, budget);
    let run = Run {
        gateway: Arc::clone(gateway),
        sink: Arc::new(sink),
        entries,
        answer,
        held: Vec::new(),
        gathered: Gathered::default(),
        committing: None,
        _permit: permit,
    };
    // A task of its own: it outlives the head of the answer, and a client that leaves must not stop it between two steps.
    tokio::spawn(run.run());
    Ok(head.await.map_err(|_| {
        HaystackError::Storage("the upload ended without an answer: see the log".into())
    })?)
}

/// What a commit came to, in the order of its entries, and whether the batch can go on.
type Committed = (Vec<Told>, Result<(), Broken>);

/// One upload.
struct Run<S: Sink> {
    gateway: Arc<Gateway>,
    sink: Arc<S>,
    entries: Entries,
    answer: Answer,
    /// Of an atomic batch: what will be told at its end.
    held: Vec<Told>,
    gathered: Gathered<S::Ready>,
    committing: Option<Pin<Box<dyn Future<Output = Committed> + Send>>>,
    _permit: BudgetPermit,
}

/// Why an upload goes no further.
enum Ended {
    Broken(Broken),
    Gone,
}

impl From<Gone> for Ended {
    fn from(_: Gone) -> Self {
        Self::Gone
    }
}

impl From<Broken> for Ended {
    fn from(broken: Broken) -> Self {
        Self::Broken(broken)
    }
}

impl<S: Sink> Run<S> {
    async fn run(mut self) {
        let mut outcome = self.store_all().await;
        // What came before the end, or the damage, is stored and told.
        if !matches!(outcome, Err(Ended::Gone)) {
            let rest = self.settle().await;
            outcome = outcome.and(rest);
        }
        if self.sink.is_atomic() && !matches!(outcome, Err(Ended::Gone)) {
            outcome = self.complete(outcome).await;
        }
        let totals = self.answer.totals;
        let metrics = &self.gateway.metrics;
        metrics.batch(
            Operation::BatchPut,
            totals.done,
            totals.failed,
            totals.bytes,
        );
        let broken = match outcome {
            Ok(()) => None,
            Err(Ended::Gone) => return,
            Err(Ended::Broken(broken)) => Some(broken),
        };
        if broken.is_some() {
            self.drain().await;
        }
        self.answer.end(broken).await;
    }

    /// Ends an atomic batch: all of it counts, or nothing does.
    async fn complete(&mut self, outcome: Result<(), Ended>) -> Result<(), Ended> {
        let failed = self.held.iter().find_map(Told::failure);
        let outcome = match (outcome, failed) {
            (Ok(()), Some(error)) => Err(Broken::bad(
                format!("nothing is stored, since one entry cannot be: {error}"),
                None,
            )
            .into()),
            (Ok(()), None) => Arc::clone(&self.sink).complete().await.map_err(Ended::from),
            (broken, _) => broken,
        };
        for told in std::mem::take(&mut self.held) {
            let told = if outcome.is_ok() { told } else { told.undone() };
            told.tell(&mut self.answer);
            self.answer.flush().await?;
        }
        outcome
    }

    /// Reads entries and commits them, the next while the last are being written.
    async fn store_all(&mut self) -> Result<(), Ended> {
        loop {
            while !self.gathered.is_full(self.entries.read_bytes()) {
                let Some(item) = self.entries.ready()? else {
                    break;
                };
                self.take(item).await;
            }
            if self.gathered.is_full(self.entries.read_bytes()) {
                self.finish_commit().await?;
                self.begin_commit();
            }
            let due = self.gathered.due().filter(|_| self.committing.is_none());
            tokio::select! {
                biased;
                committed = under_way(&mut self.committing) => self.tell(committed).await?,
                () = reached(due) => self.begin_commit(),
                item = self.entries.next() => match item? {
                    Some(item) => self.take(item).await,
                    None => return Ok(()),
                }
            }
        }
    }

    /// Commits and tells what is left.
    async fn settle(&mut self) -> Result<(), Ended> {
        self.finish_commit().await?;
        self.begin_commit();
        self.finish_commit().await
    }

    async fn finish_commit(&mut self) -> Result<(), Ended> {
        if self.committing.is_none() {
            return Ok(());
        }
        let asked = Instant::now();
        let committed = under_way(&mut self.committing).await;
        let told = self.tell(committed).await;
        self.entries.body().forgive(asked);
        told
    }

    fn begin_commit(&mut self) {
        if self.gathered.items.is_empty() {
            return;
        }
        let gathered = std::mem::take(&mut self.gathered);
        self.committing = Some(Box::pin(commit(Arc::clone(&self.sink), gathered.items)));
    }

    /// Makes an entry ready.
    async fn take(&mut self, item: Item) {
        let waiting = match item {
            Item::Refused {
                name,
                why,
                harmless,
            } => Waiting::Told(Told::Refused {
                name,
                why,
                harmless,
            }),
            Item::File(file) => {
                let name = file.name.clone();
                match self.sink.prepare(file).await {
                    Ok(ready) => Waiting::File(name, ready),
                    Err(why) => Waiting::Told(Told::Refused {
                        name,
                        why,
                        harmless: false,
                    }),
                }
            }
        };
        let held_bytes = match &waiting {
            Waiting::File(_, ready) => S::held_bytes(ready),
            Waiting::Told(_) => 0,
        };
        self.gathered
            .push(waiting, held_bytes, self.entries.read_bytes());
    }

    /// Adds the lines of a commit to the answer.
    async fn tell(&mut self, (mut told, outcome): Committed) -> Result<(), Ended> {
        self.committing = None;
        if self.sink.is_atomic() {
            self.held.append(&mut told);
            return Ok(outcome?);
        }
        for one in told {
            one.tell(&mut self.answer);
        }
        self.answer.flush().await?;
        Ok(outcome?)
    }

    /// Reads what the client still sends, and throws it away.
    async fn drain(&mut self) {
        let body = self.entries.body();
        let end = body.received_bytes().saturating_add(DRAIN_BYTES_MAX);
        while body.received_bytes() < end && matches!(body.next().await, Ok(Some(_))) {}
    }
}

async fn under_way(
    committing: &mut Option<Pin<Box<dyn Future<Output = Committed> + Send>>>,
) -> Committed {
    match committing {
        Some(committing) => committing.await,
        None => std::future::pending().await,
    }
}

async fn reached(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}

/// Entries that wait for a commit, or for those before them.
struct Gathered<R> {
    items: Vec<Waiting<R>>,
    data_bytes: u64,
    /// Bytes of the upload when the first came.
    read_from: u64,
    since: Option<Instant>,
}

/// An entry that waits.
enum Waiting<R> {
    /// To be stored.
    File(String, R),
    /// To be told in its turn.
    Told(Told),
}

impl<R> Default for Gathered<R> {
    fn default() -> Self {
        Self {
            items: Vec::new(),
            data_bytes: 0,
            read_from: 0,
            since: None,
        }
    }
}

impl<R> Gathered<R> {
    /// Whether it is enough for a commit. `read_bytes`: how much of the upload is read.
    fn is_full(&self, read_bytes: u64) -> bool {
        if self.items.is_empty() {
            return false;
        }
        // Slices of the upload keep all of it in memory, what was passed over too.
        let held = self.data_bytes.max(read_bytes - self.read_from);
        held >= GATHER_BYTES || self.items.len() >= OPS_PER_ENTRY_MAX
    }

    /// When the first has waited long enough for others.
    fn due(&self) -> Option<Instant> {
        self.since.map(|since| since + GATHER_TIME)
    }

    fn push(&mut self, waiting: Waiting<R>, held_bytes: u64, read_bytes: u64) {
        if self.since.is_none() {
            (self.since, self.read_from) = (Some(Instant::now()), read_bytes);
        }
        self.data_bytes += held_bytes;
        self.items.push(waiting);
    }
}

/// Stores what was gathered.
async fn commit<S: Sink>(sink: Arc<S>, items: Vec<Waiting<S::Ready>>) -> Committed {
    let mut ready = Vec::with_capacity(items.len());
    let mut waiting = Vec::with_capacity(items.len());
    for item in items {
        waiting.push(match item {
            Waiting::File(name, one) => {
                ready.push(one);
                Ok(name)
            }
            Waiting::Told(told) => Err(told),
        });
    }
    if ready.is_empty() {
        return (
            waiting.into_iter().filter_map(Result::err).collect(),
            Ok(()),
        );
    }
    let (outcomes, broken) = sink.store(ready).await;
    let mut outcomes = outcomes.into_iter();
    let unknown = || {
        broken
            .as_ref()
            .map_or_else(String::new, |broken| broken.error.clone())
    };
    let told = waiting.into_iter().map(|item| match item {
        Err(told) => told,
        Ok(name) => match outcomes.next().unwrap_or_else(|| Err(unknown())) {
            Ok((line, size)) => Told::Stored { name, line, size },
            Err(error) => Told::Failed { name, error },
        },
    });
    let told = told.collect();
    (told, broken.map_or(Ok(()), Err))
}

/// What is told of an entry.
enum Told {
    /// It is durable.
    Stored {
        name: String,
        line: Vec<u8>,
        size: u64,
    },
    /// It should have been.
    Failed { name: String, error: String },
    /// It is not to be stored; `harmless`: nothing is lost by it.
    Refused {
        name: String,
        why: String,
        harmless: bool,
    },
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
    fn tell(&self, answer: &mut Answer) {
        let (name, why) = match self {
            Self::Stored { line, size, .. } => {
                answer.totals.done += 1;
                answer.totals.bytes += size;
                return answer.raw_line(line);
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

    /// Why it makes an atomic batch fail, if it does.
    fn failure(&self) -> Option<String> {
        match self {
            Self::Stored { .. } | Self::Refused { harmless: true, .. } => None,
            Self::Refused {
                name, why: error, ..
            }
            | Self::Failed { name, error } => Some(format!("{name}: {error}")),
        }
    }

    /// What is told of it when the atomic batch that it is part of failed.
    fn undone(self) -> Self {
        match self {
            Self::Stored { name, .. } => Self::Failed {
                name,
                error: "not stored: the batch is atomic, and failed".into(),
            },
            other => other,
        }
    }
}
