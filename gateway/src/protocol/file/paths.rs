//! Lists of paths: JSON lines, each a path in quotes or an object with `path` and, to be called so in an archive, `name`; and what is done to them.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use http::HeaderMap;
use hyper::body::Incoming;
use moongate_filer::{FilePath, Filer};
use moongate_haystack::store::now_ns;
use serde::{Deserialize, Serialize};

use super::{Ask, archive};
use crate::archive::names;
use crate::files::FileError;
use crate::http::Response;
use crate::http::intake::{self, BudgetPermit, IntakeError};
use crate::metrics::Operation;
use crate::protocol::batch::BUDGET_WAIT;
use crate::protocol::batch::answer::{Answer, Done};
use crate::protocol::exchange::declared_len;
use crate::state::Gateway;

/// Paths that are deleted in one go.
const WINDOW_LEN: usize = 512;

/// One file that a client asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Where it is.
    pub path: FilePath,
    name: Option<Box<str>>,
}

impl Wanted {
    /// What it is called in an archive: as asked, else its path.
    pub fn name(&self) -> String {
        let by_path = || self.path.as_str().trim_start_matches('/').to_owned();
        self.name.as_deref().map_or_else(by_path, str::to_owned)
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Line<'a> {
    #[serde(borrow)]
    Path(Cow<'a, str>),
    Named {
        #[serde(borrow)]
        path: Cow<'a, str>,
        #[serde(borrow, default)]
        name: Option<Cow<'a, str>>,
    },
}

/// `POST /batch/get`
pub async fn get(
    gateway: &Arc<Gateway>,
    ask: Ask<'_>,
    body: Incoming,
) -> Result<Response, FileError> {
    let (wanted, _permit) = read(gateway, ask.headers, body).await?;
    archive::list(gateway, ask, wanted).await
}

/// `POST /batch/delete`
pub async fn delete(
    gateway: &Arc<Gateway>,
    ask: Ask<'_>,
    body: Incoming,
) -> Result<Response, FileError> {
    let (wanted, permit) = read(gateway, ask.headers, body).await?;
    let recursive = ask.query.is_true("recursive");
    let (answer, head) = Answer::new(Done::Deleted, gateway.budget.clone());
    let gateway = Arc::clone(gateway);
    // A task of its own: a client that leaves must not stop it between two steps.
    tokio::spawn(async move {
        delete_all(&gateway, wanted, recursive, answer).await;
        drop(permit);
    });
    let ended = |_| FileError::Conflict("the deletes ended without an answer: see the log".into());
    head.await.map_err(ended)
}

#[derive(Serialize)]
struct Deleted<'a> {
    path: &'a str,
    size: u64,
}

#[derive(Serialize)]
struct Failed<'a> {
    path: &'a str,
    error: String,
}

async fn delete_all(
    gateway: &Arc<Gateway>,
    wanted: Vec<Wanted>,
    recursive: bool,
    mut answer: Answer,
) {
    for window in wanted.chunks(WINDOW_LEN) {
        let paths: Vec<FilePath> = window.iter().map(|wanted| wanted.path.clone()).collect();
        let done = gateway
            .files
            .change(move |filer| Ok::<_, FileError>(delete_some(filer, paths, recursive)));
        let done = match done.await {
            Ok(done) => done,
            Err(error) => window.iter().map(|_| Err(error.to_string())).collect(),
        };
        for (wanted, outcome) in window.iter().zip(done) {
            let path = wanted.path.as_str();
            match outcome {
                Ok(size) => {
                    answer.totals.done += 1;
                    answer.totals.bytes += size;
                    answer.line(&Deleted { path, size });
                }
                Err(error) => {
                    answer.totals.failed += 1;
                    answer.line(&Failed { path, error });
                }
            }
        }
        if answer.flush().await.is_err() {
            return;
        }
    }
    let totals = answer.totals;
    gateway.metrics.batch(
        Operation::BatchDelete,
        totals.done,
        totals.failed,
        totals.bytes,
    );
    answer.end(None).await;
}

fn delete_some(filer: &Filer, paths: Vec<FilePath>, recursive: bool) -> Vec<Result<u64, String>> {
    let one = |path: &FilePath| {
        filer
            .delete(path, recursive, now_ns())
            .map(|entry| entry.size())
            .map_err(|error| error.to_string())
    };
    paths.iter().map(one).collect()
}

/// Reads a list whole: a mistake in it is told before anything is done.
async fn read(
    gateway: &Gateway,
    headers: &HeaderMap,
    body: Incoming,
) -> Result<(Vec<Wanted>, [BudgetPermit; 2]), FileError> {
    let mut limits = gateway.intake.clone();
    limits.len_bytes_max = gateway.config.image.batch_list_bytes_max.bytes();
    let collected = intake::collect(body, declared_len(headers), &limits, &gateway.budget).await?;
    let lines = collected
        .bytes
        .iter()
        .filter(|byte| **byte == b'\n')
        .count()
        + 1;
    let held = lines * (size_of::<Wanted>() + 64);
    let permit = gateway.budget.take(held as u64, BUDGET_WAIT).await;
    let permit = permit.ok_or(IntakeError::Busy)?;
    Ok((parse(&collected.bytes, lines)?, [collected.permit, permit]))
}

fn parse(text: &Bytes, lines: usize) -> Result<Vec<Wanted>, FileError> {
    let mut wanted = Vec::with_capacity(lines);
    for (number, line) in text.split(|byte| *byte == b'\n').enumerate() {
        let line = line.trim_ascii();
        if line.is_empty() {
            continue;
        }
        let one = of_line(line).map_err(|reason| {
            FileError::BadRequest(format!("line {} of the list: {reason}", number + 1))
        })?;
        wanted.push(one);
    }
    Ok(wanted)
}

fn of_line(line: &[u8]) -> Result<Wanted, String> {
    const SHAPES: &str = r#"write "/a/b.jpg" or {"path":"/a/b.jpg","name":"b.jpg"}; lists of file ids go to the image port"#;
    let line: Line<'_> = serde_json::from_slice(line).map_err(|_| SHAPES.to_owned())?;
    let (path, name) = match line {
        Line::Path(path) => (path, None),
        Line::Named { path, name } => (path, name),
    };
    if !path.starts_with('/') {
        return Err(SHAPES.to_owned());
    }
    let path = FilePath::parse(&path).map_err(|error| error.to_string())?;
    match name {
        Some(name) if !names::is_safe(&name) => Err(format!(
            "{name:?} cannot be a name in an archive: no / at its ends, no .., no control characters"
        )),
        name => Ok(Wanted {
            path,
            name: name.map(|name| name.into_owned().into_boxed_str()),
        }),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn list(text: &str) -> Result<Vec<Wanted>, String> {
        parse(&Bytes::copy_from_slice(text.as_bytes()), 1).map_err(|error| error.to_string())
    }

    #[test]
    fn both_shapes() {
        let wanted =
            list("\"/a/b.jpg\"\r\n\n{\"path\":\"/c\",\"name\":\"x/c.jpg\"}\n{\"path\":\"/d\"}")
                .unwrap();
        let names: Vec<String> = wanted.iter().map(Wanted::name).collect();
        assert_eq!(names, ["a/b.jpg", "x/c.jpg", "d"]);
    }

    #[test]
    fn a_mistake_is_told_with_its_line() {
        for (text, says) in [
            ("\"/a\"\nx", "line 2"),
            ("\"3,01637037d6\"", "image port"),
            ("\"/a/../b\"", "line 1"),
            ("{\"path\":\"/a\",\"name\":\"../x\"}", "cannot be a name"),
        ] {
            let error = list(text).unwrap_err();
            assert!(error.contains(says), "{error}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "(?s).{0,200}") {
            let _ = list(&text);
        }
    }
}
