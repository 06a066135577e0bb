//! `POST /batch/delete`: many images and files deleted, many a commit, one line each, on both ports.

mod images;

use std::sync::Arc;

use http::HeaderMap;
use hyper::body::Incoming;
use moongate_filer::{FilePath, Filer};
use moongate_haystack::id::FileId;
use moongate_haystack::store::now_ns;
use serde::Serialize;

use super::answer::{Answer, Done, Gone};
use super::list::{self, List, ListError, Wanted, What};
use crate::files::FileError;
use crate::http::Response;
use crate::http::query::Query;
use crate::metrics::Operation;
use crate::policy::own;
use crate::state::Gateway;

/// Images and files that are deleted at once.
const WINDOW_LEN: usize = 512;

/// Deletes what a list names; folders that are not empty only with `recursive=true`.
///
/// # Errors
/// The list is none; what cannot be deleted is told in its line.
pub async fn delete(
    gateway: &Arc<Gateway>,
    tenant: Option<&str>,
    headers: &HeaderMap,
    query: &Query<'_>,
    body: Incoming,
) -> Result<Response, ListError> {
    let list = list::read(gateway, tenant, headers, body).await?;
    own::may_all(gateway, &list.wanted, true).await?;
    let (answer, head) = Answer::new(Done::Deleted, gateway.budget.clone());
    let deletes = Deletes {
        gateway: Arc::clone(gateway),
        recursive: query.is_true("recursive"),
        answer,
    };
    // A task of its own: a client that leaves must not stop it between two steps.
    tokio::spawn(deletes.run(list));
    head.await.map_err(|_| ListError::Ended)
}

/// Deletes under way.
struct Deletes {
    gateway: Arc<Gateway>,
    recursive: bool,
    answer: Answer,
}

/// A line of the answer.
#[derive(Serialize)]
struct Line<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    fid: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

impl Deletes {
    async fn run(mut self, list: List) {
        let mut gone = Ok(());
        for wanted in list.wanted.chunks(WINDOW_LEN) {
            gone = self.window(wanted).await;
            if gone.is_err() {
                break;
            }
        }
        let (totals, metrics) = (self.answer.totals, &self.gateway.metrics);
        metrics.batch(
            Operation::BatchDelete,
            totals.done,
            totals.failed,
            totals.bytes,
        );
        if gone.is_ok() {
            self.answer.end(None).await;
        }
    }

    async fn window(&mut self, wanted: &[Wanted]) -> Result<(), Gone> {
        let mut images = self.images(wanted).await.into_iter();
        let mut files = self.files(wanted).await.into_iter();
        for wanted in wanted {
            match &wanted.what {
                What::Fid(fid) => self.tell(Some(fid), None, images.next()),
                What::Path(path) => self.tell(None, Some(path.as_str()), files.next()),
            }
        }
        self.answer.flush().await
    }

    async fn images(&self, wanted: &[Wanted]) -> Vec<Result<u64, String>> {
        let fids = wanted.iter().filter_map(|wanted| match &wanted.what {
            What::Fid(fid) => Some(*fid),
            What::Path(_) => None,
        });
        let fids: Vec<FileId> = fids.collect();
        let done = images::delete(&self.gateway, &fids).await.into_iter();
        done.map(|one| one.map_err(|error| error.to_string()))
            .collect()
    }

    async fn files(&self, wanted: &[Wanted]) -> Vec<Result<u64, String>> {
        let paths = wanted.iter().filter_map(|wanted| match &wanted.what {
            What::Fid(_) => None,
            What::Path(path) => Some(path.clone()),
        });
        let (paths, recursive): (Vec<FilePath>, bool) = (paths.collect(), self.recursive);
        if paths.is_empty() {
            return Vec::new();
        }
        let len = paths.len();
        let files = &self.gateway.files;
        let done = files.change(move |filer| {
            let one = |path: &FilePath| delete_one(filer, path, recursive);
            Ok::<_, FileError>(paths.iter().map(one).collect())
        });
        let failed = |error: FileError| vec![Err(error.to_string()); len];
        done.await.unwrap_or_else(failed)
    }

    fn tell(
        &mut self,
        fid: Option<&FileId>,
        path: Option<&str>,
        outcome: Option<Result<u64, String>>,
    ) {
        let outcome = outcome.unwrap_or_else(|| Err("it was passed over".to_owned()));
        let totals = &mut self.answer.totals;
        match &outcome {
            Ok(size) => (totals.done, totals.bytes) = (totals.done + 1, totals.bytes + size),
            Err(_) => totals.failed += 1,
        }
        self.answer.line(&Line {
            fid: fid.map(FileId::to_string),
            path,
            size: outcome.as_ref().ok().copied(),
            error: outcome.err(),
        });
    }
}

fn delete_one(filer: &Filer, path: &FilePath, recursive: bool) -> Result<u64, String> {
    let deleted = filer.delete(path, recursive, now_ns());
    deleted
        .map(|entry| entry.size())
        .map_err(|error| error.to_string())
}
