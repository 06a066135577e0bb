//! Folders: listings as JSON, as JSON lines, or as a page. All stream: a folder of a million entries takes no more memory than one of ten.

use std::sync::Arc;

use http::{HeaderMap, HeaderValue, StatusCode, header};
use moongate_filer::{Entry, FilePath, Filer, FilerError, ListOptions, Name, Pattern};
use moongate_haystack::store::now_ns;
use serde_json::json;
use tokio::sync::OwnedSemaphorePermit;

use super::entry_json::{self, Described};
use super::mounts_in::Merged;
use super::{Ask, mounts_in, page};
use crate::files::FileError;
use crate::http::body::FrameSender;
use crate::http::intake::IntakeError;
use crate::http::{Body, Response};
use crate::state::Gateway;

/// Entries in one answer, unless a request says otherwise: as SeaweedFS has it.
pub const LIMIT: usize = 100_000;
/// Entries of a page for people.
const PAGE_LIMIT: usize = 1000;
/// Output is sent on in pieces of about this size.
const PIECE_BYTES: usize = 64 << 10;
const PIECES_WAITING: usize = 4;
const JSON: HeaderValue = HeaderValue::from_static("application/json");
const JSON_LINES: HeaderValue = HeaderValue::from_static("application/x-ndjson");
const HTML: HeaderValue = HeaderValue::from_static("text/html; charset=utf-8");

/// In what form a folder is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// One object, as SeaweedFS has it.
    Json,
    /// An object a line.
    Lines,
    /// For people.
    Page,
}

impl Form {
    /// Its media type.
    pub const fn content_type(self) -> HeaderValue {
        match self {
            Self::Json => JSON,
            Self::Lines => JSON_LINES,
            Self::Page => HTML,
        }
    }
}

/// Answers a GET of a folder.
pub async fn folder(gateway: &Arc<Gateway>, ask: Ask<'_>) -> Result<Response, FileError> {
    if ask.query.is_true("usage") {
        return usage(gateway, ask).await;
    }
    let form = form_of(ask.headers);
    let wish = wish(&ask, form)?;
    let recursive = ask.query.is_true("recursive");
    if recursive && form != Form::Lines {
        return Err(FileError::BadRequest(
            "a recursive listing is JSON lines: ask with Accept: application/x-ndjson".into(),
        ));
    }
    let path = ask.target.path.clone();
    let lister = Lister {
        filer: Arc::clone(gateway.files.filer()),
        mounts: mounts_in::wished(&gateway.namespace, path.as_str(), &wish),
        path,
        wish,
    };
    let turn = gateway.files.listing_turn().await;
    let turn = turn.ok_or(IntakeError::Busy)?;
    let body = streamed(turn, move |out| match (form, recursive) {
        (Form::Json, _) => lister.as_json(out),
        (Form::Lines, false) => lister.as_lines(out),
        (Form::Lines, true) => lister.tree_as_lines(out),
        (Form::Page, _) => lister.as_page(out),
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

async fn usage(gateway: &Arc<Gateway>, ask: Ask<'_>) -> Result<Response, FileError> {
    let path = ask.target.path.clone();
    let usage = gateway
        .files
        .run(move |filer| filer.usage(&path, now_ns()))
        .await?;
    let said = json!({
        "Path": ask.target.path.as_str(), "Files": usage.files, "Folders": usage.folders, "Bytes": usage.bytes,
    });
    Ok(crate::http::json::json(
        StatusCode::OK,
        &said,
        ask.query.get_set("pretty").is_some(),
    ))
}

/// The form that a request's `Accept` asks for.
pub fn form_of(headers: &HeaderMap) -> Form {
    let accept = headers.get_all(header::ACCEPT);
    let types = accept
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','));
    for media_type in types {
        match media_type.split(';').next().unwrap_or_default().trim() {
            "application/json" => return Form::Json,
            "application/x-ndjson" | "application/jsonl" => return Form::Lines,
            "text/html" => return Form::Page,
            _ => {}
        }
    }
    Form::Page
}

/// How many entries are wanted at most.
///
/// # Errors
/// What is given is no number.
pub fn limit_of(given: Option<&str>, form: Form) -> Result<Option<usize>, FileError> {
    match (given, form) {
        (None, Form::Json) => Ok(Some(LIMIT)),
        (None, Form::Lines) => Ok(None),
        (None, Form::Page) => Ok(Some(PAGE_LIMIT)),
        (Some(limit), _) => {
            let number = limit.parse().map(Some);
            number.map_err(|_| FileError::BadRequest(format!("limit={limit:?} is not a number")))
        }
    }
}

fn wish(ask: &Ask<'_>, form: Form) -> Result<ListOptions, FileError> {
    let query = ask.query;
    let limit = limit_of(query.get_set("limit"), form)?;
    let after = query.get_set("lastFileName").map(Name::parse).transpose()?;
    let pattern = query.get_set("namePattern").map(Pattern::new);
    let prefix = pattern.as_ref().map(Pattern::prefix).unwrap_or_default();
    Ok(ListOptions {
        after,
        inclusive: false,
        prefix,
        pattern,
        exclude: query.get_set("namePatternExclude").map(Pattern::new),
        limit,
    })
}

/// Runs `write` on a thread of its own and streams what it writes. What breaks off cuts the connection: no listing is short unseen.
fn streamed(
    turn: OwnedSemaphorePermit,
    write: impl FnOnce(&mut Out) -> Result<(), FilerError> + Send + 'static,
) -> Body {
    let (sender, body) = Body::frames(PIECES_WAITING);
    tokio::task::spawn_blocking(move || {
        let _turn = turn;
        let mut out = Out {
            bytes: Vec::with_capacity(PIECE_BYTES * 2),
            sender,
        };
        match write(&mut out).and_then(|()| out.flush()) {
            Ok(()) => out.sender.finish(HeaderMap::new()),
            Err(_) if out.sender.is_closed() => {}
            Err(error) => tracing::warn!(%error, "a listing is cut"),
        }
    });
    body
}

/// Where a listing is written to.
pub struct Out {
    /// What was not sent yet.
    pub bytes: Vec<u8>,
    sender: FrameSender,
}

impl Out {
    /// Sends what has gathered, if it is enough.
    pub fn pace(&mut self) -> Result<(), FilerError> {
        if self.bytes.len() >= PIECE_BYTES {
            self.flush()
        } else {
            Ok(())
        }
    }

    fn flush(&mut self) -> Result<(), FilerError> {
        if self.bytes.is_empty() {
            return Ok(());
        }
        let piece = std::mem::replace(&mut self.bytes, Vec::with_capacity(PIECE_BYTES * 2));
        let sent = self.sender.send_blocking(piece.into());
        sent.map_err(|_| FilerError::Storage("the client left".into()))
    }

    fn push(&mut self, text: &str) {
        self.bytes.extend_from_slice(text.as_bytes());
    }

    fn json(&mut self, value: &serde_json::Value) {
        self.push(&value.to_string());
    }

    fn entry(&mut self, described: &Described<'_>) -> Result<(), FilerError> {
        entry_json::push(described, &mut self.bytes)
            .map_err(|error| FilerError::Storage(error.to_string().into()))
    }
}

struct Lister {
    filer: Arc<Filer>,
    path: FilePath,
    wish: ListOptions,
    /// Mounts in the folder.
    mounts: Vec<(Name, Entry)>,
}

impl Lister {
    /// Entries and mounts, as wished.
    fn listed(
        &self,
        wish: ListOptions,
    ) -> Result<impl Iterator<Item = mounts_in::Item> + '_, FilerError> {
        let limit = wish.limit.unwrap_or(usize::MAX);
        let listing = match self.filer.list(&self.path, wish, now_ns()) {
            Ok(listing) => Some(listing),
            Err(FilerError::NotFound(_)) if !self.mounts.is_empty() => None,
            Err(error) => return Err(error),
        };
        let merged = Merged::new(listing.into_iter().flatten(), self.mounts.clone());
        Ok(merged.take(limit))
    }

    /// The full path of a name in the folder, in a buffer that is used again.
    fn full_path<'b>(&self, name: &str, buffer: &'b mut String) -> &'b str {
        buffer.clear();
        if !self.path.is_root() {
            buffer.push_str(self.path.as_str());
        }
        buffer.push('/');
        buffer.push_str(name);
        buffer
    }

    fn as_json(&self, out: &mut Out) -> Result<(), FilerError> {
        let (mut count, mut last, mut path) = (0, None, String::new());
        out.push("{\"Version\":\"");
        out.push(env!("CARGO_PKG_VERSION"));
        out.push("\",\"Path\":");
        out.json(&json!(self.path.as_str()));
        out.push(",\"Entries\":");
        let mut more = false;
        for item in self.listed(self.one_more())? {
            let (name, entry) = item?;
            if self.wish.limit == Some(count) {
                more = true;
                break;
            }
            out.push(if count == 0 { "[" } else { "," });
            let path = self.full_path(name.as_str(), &mut path);
            out.entry(&Described {
                path,
                entry: &entry,
                with_chunks: true,
            })?;
            out.pace()?;
            count += 1;
            last = Some(name);
        }
        out.push(if count == 0 { "null" } else { "]" });
        let limit = self.wish.limit.unwrap_or(LIMIT);
        let last = last.as_ref().map_or("", |name| name.as_str());
        out.push(&format!(
            ",\"Limit\":{limit},\"LastFileName\":{},\"ShouldDisplayLoadMore\":{more},\"EmptyFolder\":{}}}",
            json!(last),
            count == 0 && !more && self.wish.after.is_none()
        ));
        Ok(())
    }

    /// The wish, for one entry beyond the limit: it tells whether there are more.
    fn one_more(&self) -> ListOptions {
        let mut wish = self.wish.clone();
        wish.limit = wish.limit.map(|limit| limit.saturating_add(1));
        wish
    }

    fn as_lines(&self, out: &mut Out) -> Result<(), FilerError> {
        let (mut count, mut path) = (0u64, String::new());
        for item in self.listed(self.wish.clone())? {
            let (name, entry) = item?;
            let path = self.full_path(name.as_str(), &mut path);
            out.entry(&Described {
                path,
                entry: &entry,
                with_chunks: false,
            })?;
            out.push("\n");
            out.pace()?;
            count += 1;
        }
        out.push(&format!("{{\"end\":true,\"entries\":{count}}}\n"));
        Ok(())
    }

    fn tree_as_lines(&self, out: &mut Out) -> Result<(), FilerError> {
        let (mut count, mut path) = (0u64, String::new());
        for item in self.filer.walk(&self.path, now_ns())? {
            let (relative, entry) = item?;
            let path = self.full_path(&relative, &mut path);
            out.entry(&Described {
                path,
                entry: &entry,
                with_chunks: false,
            })?;
            out.push("\n");
            out.pace()?;
            count += 1;
        }
        out.push(&format!("{{\"end\":true,\"entries\":{count}}}\n"));
        Ok(())
    }

    fn as_page(&self, out: &mut Out) -> Result<(), FilerError> {
        page::head(&self.path, &mut out.bytes);
        let link = page::link(&self.path);
        let (mut count, mut last, mut more) = (0, None, false);
        for item in self.listed(self.one_more())? {
            let (name, entry) = item?;
            if self.wish.limit == Some(count) {
                more = true;
                break;
            }
            page::row(&link, &name, &entry, &mut out.bytes);
            out.pace()?;
            count += 1;
            last = Some(name);
        }
        let last = last.filter(|_| more);
        page::foot(count, last.as_ref(), &mut out.bytes);
        Ok(())
    }
}
