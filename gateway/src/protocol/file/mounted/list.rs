//! Folders of mounts: the same listings as those of the gateway's own folders, in the same shapes, streamed page by page.

use http::{HeaderMap, HeaderValue, header};
use moongate_cache::{Backend as _, BackendError, Caller, Freshness, Status};
use moongate_filer::{FilePath, Name, Pattern};
use serde_json::json;
use std::sync::Arc;

use super::super::entry_json::{self, Described};
use super::super::list::{self, Form};
use super::super::page;
use super::error::MountedError;
use super::{Ask, shape};
use crate::http::body::FrameSender;
use crate::http::{Body, Response};
use crate::namespace::path as paths;
use crate::namespace::walk::Walk;
use crate::state::Gateway;

/// Entries that are asked of the store at once.
const PAGE_LEN: usize = 1000;
/// Output is sent on in pieces of about this size.
const PIECE_BYTES: usize = 64 << 10;
const PIECES_WAITING: usize = 4;

/// Answers a GET of a folder.
pub async fn folder(ask: &Ask<'_>) -> Result<Response, MountedError> {
    let form = list::form_of(ask.headers());
    let recursive = ask.query.is_true("recursive");
    if recursive && form != Form::Lines {
        return Err(MountedError::BadRequest(
            "a recursive listing is JSON lines: ask with Accept: application/x-ndjson".into(),
        ));
    }
    let limit = list::limit_of(ask.query.get_set("limit"), form);
    let mut lister = Lister {
        gateway: Arc::clone(ask.gateway),
        caller: ask.caller.clone(),
        freshness: ask.freshness(),
        path: ask.path.clone(),
        limit: limit.map_err(|error| MountedError::BadRequest(error.to_string()))?,
        pattern: ask.query.get_set("namePattern").map(Pattern::new),
        exclude: ask.query.get_set("namePatternExclude").map(Pattern::new),
        after: ask.query.get_set("lastFileName").map(str::to_owned),
    };
    // What is wrong with the folder is told before anything is sent.
    let first = lister.page(&ask.path, lister.after.as_deref()).await?;
    if first.0.first().is_some_and(|entry| entry.name.is_empty()) {
        let text = format!("{} is a file, not a folder", ask.path);
        return Err(BackendError::new(moongate_cache::ErrorKind::NotADirectory, text).into());
    }
    let (sender, body) = Body::frames(PIECES_WAITING);
    tokio::spawn(async move {
        let mut out = Out {
            bytes: Vec::with_capacity(2 * PIECE_BYTES),
            sender,
        };
        let written = match (form, recursive) {
            (Form::Lines, true) => lister.tree(&mut out).await,
            _ => lister.write(form, first, &mut out).await,
        };
        match written.and(out.flush().await) {
            Ok(()) => out.sender.finish(HeaderMap::new()),
            Err(_) if out.sender.is_closed() => {}
            Err(error) => tracing::warn!(%error, "a listing is cut"),
        }
    });
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, form.content_type());
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    headers.insert(header::VARY, HeaderValue::from_static("Accept"));
    Ok(response)
}

/// Where a listing goes.
struct Out {
    bytes: Vec<u8>,
    sender: FrameSender,
}

impl Out {
    fn push(&mut self, text: &str) {
        self.bytes.extend_from_slice(text.as_bytes());
    }

    fn entry(&mut self, path: &str, status: &Status) -> Result<(), BackendError> {
        let entry = shape::entry_of(status);
        let described = Described {
            path,
            entry: &entry,
            with_chunks: false,
        };
        entry_json::push(&described, &mut self.bytes).map_err(|error| failed(&error))
    }

    async fn pace(&mut self) -> Result<(), BackendError> {
        if self.bytes.len() >= PIECE_BYTES {
            self.flush().await?;
        }
        Ok(())
    }

    async fn flush(&mut self) -> Result<(), BackendError> {
        if self.bytes.is_empty() {
            return Ok(());
        }
        let piece = std::mem::take(&mut self.bytes);
        let sent = self.sender.send(piece.into()).await;
        sent.map_err(|_| failed(&"the client left"))
    }
}

fn failed(why: &dyn std::fmt::Display) -> BackendError {
    BackendError::new(moongate_cache::ErrorKind::Failed, why.to_string())
}

/// Entries, and whether there are more.
type Page = (Vec<Status>, bool);

struct Lister {
    gateway: Arc<Gateway>,
    caller: Caller,
    freshness: Freshness,
    path: String,
    limit: Option<usize>,
    pattern: Option<Pattern>,
    exclude: Option<Pattern>,
    after: Option<String>,
}

/// How a listing went.
#[derive(Default)]
struct Told {
    count: usize,
    last: String,
    more: bool,
}

impl Lister {
    async fn page(&self, folder: &str, after: Option<&str>) -> Result<Page, BackendError> {
        let namespace = &self.gateway.namespace;
        let listed = namespace
            .list(&self.caller, folder, after, PAGE_LEN, self.freshness)
            .await?;
        Ok((listed.entries.to_vec(), listed.more))
    }

    fn wants(&self, name: &str) -> bool {
        let matches = |pattern: &Pattern| pattern.matches(name);
        self.pattern.as_ref().is_none_or(matches) && !self.exclude.as_ref().is_some_and(matches)
    }

    async fn write(&mut self, form: Form, first: Page, out: &mut Out) -> Result<(), BackendError> {
        let path = FilePath::parse_reserved(&self.path).map_err(|error| failed(&error))?;
        match form {
            Form::Json => out.push(&format!(
                "{{\"Version\":\"{}\",\"Path\":{},\"Entries\":",
                env!("CARGO_PKG_VERSION"),
                json!(self.path)
            )),
            Form::Page => page::head(&path, &mut out.bytes),
            Form::Lines => {}
        }
        let told = self.entries(form, first, &page::link(&path), out).await?;
        match form {
            Form::Json => self.json_end(&told, out),
            Form::Lines => out.push(&format!("{{\"end\":true,\"entries\":{}}}\n", told.count)),
            Form::Page => {
                let last = told.more.then(|| Name::parse(&told.last).ok()).flatten();
                page::foot(told.count, last.as_ref(), &mut out.bytes);
            }
        }
        Ok(())
    }

    fn json_end(&self, told: &Told, out: &mut Out) {
        let empty = told.count == 0 && !told.more && self.after.is_none();
        out.push(if told.count == 0 { "null" } else { "]" });
        out.push(&format!(
            ",\"Limit\":{},\"LastFileName\":{},\"ShouldDisplayLoadMore\":{},\"EmptyFolder\":{empty}}}",
            self.limit.unwrap_or(list::LIMIT),
            json!(told.last),
            told.more
        ));
    }

    async fn entries(
        &self,
        form: Form,
        first: Page,
        link: &str,
        out: &mut Out,
    ) -> Result<Told, BackendError> {
        let mut told = Told::default();
        let mut page = first;
        loop {
            for status in page.0.iter().filter(|status| self.wants(&status.name)) {
                if self.limit == Some(told.count) {
                    told.more = true;
                    return Ok(told);
                }
                self.entry(form, status, told.count == 0, link, out)?;
                told.count += 1;
                told.last.clone_from(&status.name);
                out.pace().await?;
            }
            let Some(last) = page.0.last().filter(|_| page.1) else {
                return Ok(told);
            };
            page = self.page(&self.path, Some(&last.name)).await?;
        }
    }

    fn entry(
        &self,
        form: Form,
        status: &Status,
        is_first: bool,
        link: &str,
        out: &mut Out,
    ) -> Result<(), BackendError> {
        let path = paths::join(&self.path, &status.name);
        match form {
            Form::Json => {
                out.push(if is_first { "[" } else { "," });
                out.entry(&path, status)
            }
            Form::Lines => {
                out.entry(&path, status)?;
                out.push("\n");
                Ok(())
            }
            Form::Page => {
                if let Ok(name) = Name::parse(&status.name) {
                    page::row(link, &name, &shape::entry_of(status), &mut out.bytes);
                }
                Ok(())
            }
        }
    }

    /// All that is below, a folder before what is in it.
    async fn tree(&self, out: &mut Out) -> Result<(), BackendError> {
        let namespace = &self.gateway.namespace;
        let mut walk = Walk::of(namespace, &self.caller, &self.path, self.freshness).await?;
        let mut count = 0u64;
        while let Some((path, status)) = walk.next().await? {
            out.entry(&path, &status)?;
            out.push("\n");
            out.pace().await?;
            count += 1;
        }
        out.push(&format!("{{\"end\":true,\"entries\":{count}}}\n"));
        Ok(())
    }
}
