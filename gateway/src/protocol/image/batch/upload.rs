//! `POST /batch`: many images in one body, many needles a commit, one line an image once it is durable.

use std::pin::Pin;
use std::sync::Arc;

use hyper::body::Incoming;
use moongate_haystack::HaystackError;
use moongate_haystack::needle::NAME_BYTES_MAX;
use moongate_haystack::store::layout::Wish;
use tokio::time::Instant;

use super::super::error::ImageError;
use super::super::master;
use super::super::write::{self, Terms, Upload, WriteRequest};
use super::answer::{Answer, Broken, Done, Gone};
use super::commit::{Committed, GATHER_BYTES, Gathered, Told, Waiting, commit};
use super::entries::{Bounds, Entries, File, Item};
use crate::archive::{ArchiveReader, names};
use crate::http::Response;
use crate::http::arriving::Arriving;
use crate::http::disposition;
use crate::http::intake::{BudgetPermit, IntakeError};
use crate::metrics::Operation;
use crate::state::Gateway;

/// What an upload may hold but for large files: one commit being gathered, one being written, and the reader's own.
const HELD_BYTES: u64 = 2 * GATHER_BYTES + ArchiveReader::HELD_BYTES_MAX;
/// After damage this much more of the body is read and thrown away, so that a client that sends all before it reads gets its answer.
const DRAIN_BYTES_MAX: u64 = 256 << 20;

/// Stores the entries of a tar or of a form.
pub async fn upload(
    gateway: &Arc<Gateway>,
    request: WriteRequest<'_>,
    body: Incoming,
) -> Result<Response, ImageError> {
    let terms = Terms::of(&request)?;
    if terms.chunk_manifest {
        return Err(ImageError::BadRequest(
            "a batch takes no chunk manifests: PUT them one by one".into(),
        ));
    }
    let wish = master::wish(request.query)?;
    let budget = gateway.budget.clone();
    let bounds = Bounds {
        file_bytes_max: gateway.config.image.upload_bytes_max.bytes(),
        budget: budget.clone(),
    };
    let body = Arriving::new(body, &gateway.intake);
    let entries = Entries::of(request.headers, body, bounds)?;
    let share = HELD_BYTES.min(budget.total_bytes() / 2);
    let permit = budget.take(share, super::BUDGET_WAIT).await;
    let permit = permit.ok_or(IntakeError::Busy)?;
    let (answer, head) = Answer::new(Done::Stored, budget);
    let run = Run {
        gateway: Arc::clone(gateway),
        terms,
        wish,
        entries,
        answer,
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

/// One upload.
struct Run {
    gateway: Arc<Gateway>,
    terms: Terms,
    wish: Wish,
    entries: Entries,
    answer: Answer,
    gathered: Gathered,
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

impl Run {
    async fn run(mut self) {
        let mut outcome = self.store_all().await;
        // What came before the end, or the damage, is stored and told.
        if !matches!(outcome, Err(Ended::Gone)) {
            let rest = self.settle().await;
            outcome = outcome.and(rest);
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
        if self.gathered.is_empty() {
            return;
        }
        let gathered = std::mem::take(&mut self.gathered);
        let (gateway, wish) = (Arc::clone(&self.gateway), self.wish.clone());
        self.committing = Some(Box::pin(commit(gateway, wish, gathered, self.terms.fsync)));
    }

    /// Makes a needle of an entry.
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
            Item::File(file) => prepare(file, &self.terms).await,
        };
        self.gathered.push(waiting, self.entries.read_bytes());
    }

    /// Adds the lines of a commit to the answer.
    async fn tell(&mut self, (told, outcome): Committed) -> Result<(), Ended> {
        self.committing = None;
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

async fn prepare(file: File, terms: &Terms) -> Waiting {
    let stored_name = stored_name(&file.name);
    let upload = Upload {
        mime: file
            .mime
            .unwrap_or_else(|| write::mime_by_name(&stored_name)),
        name: stored_name,
        data: file.data,
        gzip: file.gzip,
        md5: file.md5,
    };
    let name = file.name;
    match write::prepare(upload, terms, file.mtime_secs).await {
        Ok((draft, mut stored)) => {
            stored.name = name;
            Waiting::File(stored, draft)
        }
        Err(error) => Waiting::Told(Told::Refused {
            name,
            why: error.to_string(),
            harmless: false,
        }),
    }
}

/// The name that is kept: with its folders if it fits into a needle, else without.
fn stored_name(name: &str) -> String {
    let path = names::safe(name);
    if path.len() <= NAME_BYTES_MAX {
        return path;
    }
    disposition::strip_path(&path).unwrap_or_default()
}
