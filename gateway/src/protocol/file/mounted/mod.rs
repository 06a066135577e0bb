//! Plain paths that a mount serves: the file port's own calls, over the namespace.

mod across;
mod change;
mod copy;
mod error;
mod list;
mod read;
mod shape;
mod write;

use std::sync::Arc;

use http::request::Parts;
use http::{HeaderMap, Method, StatusCode};
use hyper::body::Incoming;
use moongate_cache::{Caller, Freshness};
use percent_encoding::percent_decode_str;

use self::error::MountedError;
pub use self::error::status_of;
pub use self::shape::{entry_of, tag};
pub use self::write::store;
use crate::http::query::Query;
use crate::http::{Body, Response};
use crate::metrics::Operation;
use crate::namespace::{Namespace, path as paths};
use crate::protocol::webhdfs;
use crate::state::Gateway;

/// What the file port does with its own files alone.
const OWN_FILES_ONLY: [&str; 1] = ["tagging"];
/// What it does so when it writes: to take these for nothing would replace a file that was to be changed.
const WRITES_OF_OWN_FILES: [&str; 2] = ["op", "offset"];

/// Of folders that are made on the way.
const FOLDER_PERMISSION: u16 = 0o755;

/// A request about a mounted path.
#[derive(Clone)]
pub struct Ask<'a> {
    /// The running gateway.
    pub gateway: &'a Arc<Gateway>,
    /// As it came.
    pub parts: &'a Parts,
    /// Its parameters.
    pub query: &'a Query<'a>,
    /// Who asks.
    pub caller: Caller,
    /// What it names, in the normal form.
    pub path: String,
    /// Whether it was written as a folder, with a slash at its end.
    pub as_folder: bool,
}

impl Ask<'_> {
    /// The tree.
    pub fn namespace(&self) -> &Namespace {
        &self.gateway.namespace
    }

    /// How old an answer may be.
    pub fn freshness(&self) -> Freshness {
        webhdfs::freshness(self.parts)
    }

    /// The request's headers.
    pub fn headers(&self) -> &HeaderMap {
        &self.parts.headers
    }
}

/// The path of a request in its normal form, if a mount serves it, or the file that is moved or copied to or from a mount.
pub fn path_of(gateway: &Gateway, parts: &Parts, query: &Query<'_>) -> Option<String> {
    if gateway.namespace.table().is_empty() {
        return None;
    }
    let decoded = percent_decode_str(parts.uri.path()).decode_utf8().ok()?;
    let path = paths::normal(&decoded).ok()?;
    let source = ["mv.from", "cp.from"]
        .iter()
        .find_map(|name| query.get(name));
    let from_mount = source.is_some_and(|source| {
        paths::normal(source).is_ok_and(|source| gateway.namespace.is_mounted(&source))
    });
    (from_mount || gateway.namespace.is_mounted(&path)).then_some(path)
}

/// Answers one request.
pub async fn serve(
    gateway: &Arc<Gateway>,
    operation: Operation,
    parts: &Parts,
    query: &Query<'_>,
    (path, caller): (String, Caller),
    body: Incoming,
) -> Response {
    let answered = route(gateway, operation, parts, query, (path, caller), body).await;
    answered.unwrap_or_else(|refused| error::answer(operation, &refused))
}

async fn route(
    gateway: &Arc<Gateway>,
    operation: Operation,
    parts: &Parts,
    query: &Query<'_>,
    (path, caller): (String, Caller),
    body: Incoming,
) -> Result<Response, MountedError> {
    let ask = Ask {
        gateway,
        parts,
        query,
        caller,
        path,
        as_folder: parts.uri.path().ends_with('/'),
    };
    let writes = operation == Operation::FileWrite;
    let lacking = OWN_FILES_ONLY
        .iter()
        .chain(WRITES_OF_OWN_FILES.iter().filter(|_| writes));
    if let Some(name) = lacking.into_iter().find(|name| query.get(name).is_some()) {
        return Err(MountedError::NotHere(format!(
            "{}: ?{name} is for the gateway's own files, not for mounts",
            ask.path
        )));
    }
    match operation {
        Operation::FileRead => read::get(&ask).await,
        Operation::FileWrite => write::put(&ask, body).await,
        Operation::FileDelete => change::delete(&ask).await,
        Operation::FileChange => change::transfer(&ask).await,
        _ if parts.method == Method::OPTIONS => Ok(empty(StatusCode::OK)),
        _ => Ok(empty(StatusCode::METHOD_NOT_ALLOWED)),
    }
}

fn empty(status: StatusCode) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}
