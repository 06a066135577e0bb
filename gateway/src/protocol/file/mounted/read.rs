//! GET and HEAD of a mounted path: a file, what is said of it, or a folder.

use http::{Method, StatusCode, header};
use moongate_cache::{Backend as _, BackendError, BackendFile, ErrorKind, Freshness};
use serde_json::json;

use super::super::entry_json::Described;
use super::super::target::Target;
use super::super::{archive, shards};
use super::error::MountedError;
use super::{Ask, list, shape};
use crate::files::FileError;
use crate::http::conditional::{self, Outcome, Validators};
use crate::http::json::json as answer;
use crate::http::range::{self, ByteRange, RangeOutcome};
use crate::http::{Body, Response};
use crate::namespace::walk::Walk;
use crate::policy::gatekeeper::Deed;
use crate::protocol::batch::gather::Order;
use crate::protocol::webhdfs::body_of;

/// A file that changes while it is opened is opened again so many times.
const TRIES: usize = 3;

/// Answers GET and HEAD.
pub async fn get(ask: &Ask<'_>) -> Result<Response, MountedError> {
    if ask.query.is_true("metadata") {
        return metadata(ask).await;
    }
    if ask.query.is_true("usage") {
        return usage(ask).await;
    }
    if ask.query.get("shards").is_some() {
        return shard(ask).await;
    }
    if let Some(word) = ask.query.get("archive") {
        return tree(ask, word).await;
    }
    if ask.as_folder {
        return list::folder(ask).await;
    }
    let mut freshness = ask.freshness();
    for _ in 1..TRIES {
        match file(ask, freshness).await {
            Err(MountedError::Store(error)) if error.kind == ErrorKind::Changed => {
                freshness = Freshness::Now;
            }
            Err(MountedError::Store(error)) if error.kind == ErrorKind::IsADirectory => {
                return list::folder(ask).await;
            }
            answered => return answered,
        }
    }
    file(ask, freshness).await
}

async fn metadata(ask: &Ask<'_>) -> Result<Response, MountedError> {
    let found = ask
        .namespace()
        .status(&ask.caller, &ask.path, ask.freshness());
    let entry = shape::entry_of(&found.await?);
    let described = Described {
        path: &ask.path,
        entry: &entry,
        with_chunks: false,
    };
    Ok(answer(
        StatusCode::OK,
        &described,
        ask.query.get_set("pretty").is_some(),
    ))
}

async fn usage(ask: &Ask<'_>) -> Result<Response, MountedError> {
    let sum = ask.namespace().summary(&ask.caller, &ask.path).await?;
    let said = json!({
        "Path": ask.path, "Files": sum.files, "Folders": sum.directories.saturating_sub(1), "Bytes": sum.len,
    });
    Ok(answer(
        StatusCode::OK,
        &said,
        ask.query.get_set("pretty").is_some(),
    ))
}

async fn shard(ask: &Ask<'_>) -> Result<Response, MountedError> {
    let target = Target::parse(ask.parts.uri.path()).map_err(FileError::from)?;
    let of_folder = super::super::Ask {
        method: &ask.parts.method,
        headers: ask.headers(),
        query: ask.query,
        target: &target,
        caller: &ask.caller,
    };
    Ok(shards::shard(ask.gateway, of_folder).await?)
}

async fn tree(ask: &Ask<'_>, word: &str) -> Result<Response, MountedError> {
    let format = archive::format(word).map_err(MountedError::BadRequest)?;
    // Stores tell no order of theirs: `stored` is as good as `asked`.
    Order::of(ask.query).map_err(FileError::from)?;
    // What is wrong with the folder is told before anything is sent.
    let (namespace, caller) = (ask.namespace(), &ask.caller);
    Walk::of(namespace, caller, &ask.path, ask.freshness()).await?;
    drop(namespace.may(caller, Deed::ReadTree, &ask.path).await?);
    archive::may_read_mounts(ask.gateway, caller, &ask.path).await?;
    let sent = archive::tree(ask.gateway, format, &ask.path, caller.clone()).await;
    Ok(sent.map_err(FileError::from)?)
}

async fn file(ask: &Ask<'_>, freshness: Freshness) -> Result<Response, MountedError> {
    let file = ask
        .namespace()
        .open(&ask.caller, &ask.path, freshness)
        .await?;
    let status = file.status();
    let tag = shape::tag(status);
    let validators = shape::validators(status, &tag);
    let mut response = Response::new(Body::empty());
    *response.headers_mut() = shape::headers(status, &tag, &ask.path);
    let method = &ask.parts.method;
    match conditional::evaluate(method, ask.headers(), Some(&validators)) {
        Outcome::Proceed => {}
        Outcome::NotModified => {
            response.headers_mut().remove(header::CONTENT_TYPE);
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            return Ok(response);
        }
        Outcome::PreconditionFailed => return Err(MountedError::PreconditionFailed),
    }
    send(ask, &*file, &validators, &mut response).await?;
    Ok(response)
}

async fn send(
    ask: &Ask<'_>,
    file: &dyn BackendFile,
    validators: &Validators<'_>,
    response: &mut Response,
) -> Result<(), BackendError> {
    let len = file.status().len;
    let (status, range) = match wanted(ask, validators, len) {
        Some(Ok(range)) => (StatusCode::PARTIAL_CONTENT, range),
        Some(Err(())) => {
            *response.status_mut() = StatusCode::RANGE_NOT_SATISFIABLE;
            let value = format!("bytes */{len}");
            shape::insert(response.headers_mut(), header::CONTENT_RANGE, &value);
            return Ok(());
        }
        None => (StatusCode::OK, ByteRange { start: 0, len }),
    };
    let end = range.start + range.len;
    if status == StatusCode::PARTIAL_CONTENT {
        let value = format!("bytes {}-{}/{len}", range.start, end - 1);
        shape::insert(response.headers_mut(), header::CONTENT_RANGE, &value);
    }
    *response.status_mut() = status;
    let head_only = ask.parts.method == Method::HEAD;
    *response.body_mut() = body_of(file, range.start..end, head_only).await?;
    Ok(())
}

/// The one range that is asked for; several are answered with the whole, as RFC 9110 (14.2) allows. `Err`: there is no such byte.
fn wanted(ask: &Ask<'_>, validators: &Validators<'_>, len: u64) -> Option<Result<ByteRange, ()>> {
    let value = ask.headers().get(header::RANGE)?.to_str().ok()?;
    let allowed =
        ask.parts.method == Method::GET && conditional::if_range_allows(ask.headers(), validators);
    if !allowed {
        return None;
    }
    match range::parse(value, len) {
        RangeOutcome::Partial(ranges) => match ranges[..] {
            [one] => Some(Ok(one)),
            _ => None,
        },
        RangeOutcome::Unsatisfiable => Some(Err(())),
        RangeOutcome::Full => None,
    }
}
