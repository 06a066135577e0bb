//! Files by path: SeaweedFS's filer API on the file port (docs/http-api.md), done right where the original is not.

mod archive;
mod batch;
mod change;
mod entry_json;
pub mod error;
mod list;
pub mod mounted;
mod mounts_in;
mod page;
mod read;
mod shards;
mod target;
mod upload;

use std::sync::Arc;

use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, header};
use hyper::body::Incoming;
use moongate_cache::Caller;
use moongate_filer::FilerError;

use self::error::answer as error_answer;
use self::target::Target;
use super::exchange::{Exchange, declared_len};
use crate::files::FileError;
use crate::http::query::Query;
use crate::http::server::PeerInfo;
use crate::http::{Body, Response};
use crate::login::{self, Known};
use crate::metrics::Operation;
use crate::policy::gatekeeper::Deed;
use crate::policy::own;
use crate::protocol::batch::{self as batches, DELETE_PATH, DOWNLOAD_PATH};
use crate::protocol::webhdfs;
use crate::state::Gateway;
use crate::tenancy;

/// A request, as far as handlers look at it.
#[derive(Clone, Copy, Debug)]
pub struct Ask<'a> {
    /// Method.
    pub method: &'a Method,
    /// Headers.
    pub headers: &'a HeaderMap,
    /// Parameters.
    pub query: &'a Query<'a>,
    /// What it names.
    pub target: &'a Target,
    /// Who asks.
    pub caller: &'a Caller,
}

/// Answers one request of the file port.
pub async fn serve(gateway: Arc<Gateway>, request: Request<Incoming>, peer: PeerInfo) -> Response {
    let exchange = Exchange::begin(peer);
    let (parts, body) = request.into_parts();
    let is_webhdfs = webhdfs::is_path(parts.uri.path());
    let operation = if is_webhdfs {
        webhdfs::operation(&parts)
    } else {
        operation(&parts, &Query::parse(parts.uri.query()))
    };
    let mut response = match login::identify(&gateway, &parts, peer).await {
        Ok(known) => {
            let tenant = known.identity.tenant.clone();
            let from = (&known, peer);
            let answer = async {
                if let Err(fenced) =
                    tenancy::files::admit(&gateway, tenant.as_deref(), operation, &parts)
                {
                    return match is_webhdfs {
                        true => webhdfs::fence(&gateway, &parts, &fenced),
                        false => fenced.answer(),
                    };
                }
                if is_webhdfs {
                    return webhdfs::serve(&gateway, &parts, from, body).await;
                }
                plain(&gateway, operation, &parts, from, body).await
            };
            let mut response = Box::pin(answer).await;
            let received = declared_len(&parts.headers).unwrap_or(0);
            tenancy::charge(&gateway, tenant.as_deref(), received, &response);
            known.tell(&mut response);
            response
        }
        Err(_) if is_probe(parts.uri.path()) => Response::new(Body::empty()),
        Err(refused) if is_webhdfs => webhdfs::refuse(&gateway, &parts, refused),
        Err(refused) => login::answer::json(&gateway, &refused),
    };
    no_body_for_head(&parts, &mut response);
    exchange.end(&gateway, &parts, operation, response)
}

/// A plain path: of a mount, or of the gateway's own files.
async fn plain(
    gateway: &Arc<Gateway>,
    operation: Operation,
    parts: &Parts,
    (known, peer): (&Known, PeerInfo),
    body: Incoming,
) -> Response {
    let query = Query::parse(parts.uri.query());
    let caller = login::caller::of(&known.identity, peer, operation.name());
    let mounted = Some(operation)
        .filter(|operation| !spans_stores(*operation))
        .and_then(|_| mounted::path_of(gateway, parts, &query));
    if let Some(path) = mounted {
        return mounted::serve(gateway, operation, parts, &query, (path, caller), body).await;
    }
    let work = route(gateway, operation, parts, (&query, &caller), body);
    let answer = if own::is_governed(gateway) {
        own::as_caller(caller.clone(), work).await
    } else {
        work.await
    };
    answer.unwrap_or_else(|error| error_answer(operation, &error))
}

/// What Kubernetes asks without showing who it is.
fn is_probe(path: &str) -> bool {
    matches!(path, "/healthz" | "/readyz")
}

/// What a request is counted as.
fn operation(parts: &Parts, query: &Query<'_>) -> Operation {
    if let Some(operation) = lists(parts) {
        return operation;
    }
    let changes = ["mv.from", "cp.from", "tagging"]
        .iter()
        .any(|name| query.get(name).is_some());
    match parts.method {
        Method::GET | Method::HEAD => Operation::FileRead,
        Method::PUT | Method::POST if changes => Operation::FileChange,
        Method::POST if query.get("batch").is_some() => Operation::BatchPut,
        Method::PUT | Method::POST => Operation::FileWrite,
        Method::DELETE if changes => Operation::FileChange,
        Method::DELETE => Operation::FileDelete,
        _ => Operation::Other,
    }
}

/// What names many files, each in whichever store it is.
const fn spans_stores(operation: Operation) -> bool {
    matches!(
        operation,
        Operation::BatchPut | Operation::BatchGet | Operation::BatchDelete
    )
}

/// Lists of paths. A form or a file that is posted to such a path is stored there, as SeaweedFS does it.
fn lists(parts: &Parts) -> Option<Operation> {
    let operation = match parts.uri.path() {
        DOWNLOAD_PATH => Operation::BatchGet,
        DELETE_PATH => Operation::BatchDelete,
        _ => return None,
    };
    let content_type = parts.headers.get(header::CONTENT_TYPE);
    let is_form = content_type.is_some_and(|value| value.as_bytes().starts_with(b"multipart/"));
    (parts.method == Method::POST && !is_form).then_some(operation)
}

async fn route(
    gateway: &Arc<Gateway>,
    operation: Operation,
    parts: &Parts,
    (query, caller): (&Query<'_>, &Caller),
    body: Incoming,
) -> Result<Response, FileError> {
    let path = parts.uri.path();
    if parts.method == Method::OPTIONS {
        return Ok(options());
    }
    let target = Target::parse(path)?;
    let ask = Ask {
        method: &parts.method,
        headers: &parts.headers,
        query,
        target: &target,
        caller,
    };
    let at = target.path.as_str();
    let is_probe = operation == Operation::FileRead && is_probe(path);
    // Whoever may not read a file of that name is told that all is well, as if there were none.
    if is_probe && own::may(gateway, Deed::Read, at).await.is_err() {
        return Ok(Response::new(Body::empty()));
    }
    match operation {
        Operation::FileRead if is_probe => {}
        Operation::FileRead => own::may(gateway, read_deed(query), at).await?,
        Operation::FileDelete => own::may(gateway, Deed::Delete, at).await?,
        // What these change is known later: they ask there.
        _ => {}
    }
    match operation {
        Operation::FileRead if is_probe => healthy(gateway, ask).await,
        Operation::FileRead => read::get(gateway, ask).await,
        Operation::FileWrite => upload::put(gateway, ask, body).await,
        Operation::FileDelete => change::delete(gateway, ask).await,
        Operation::FileChange => change::change(gateway, ask).await,
        Operation::BatchPut => batch::upload(gateway, ask, body).await,
        Operation::BatchGet => {
            Ok(batches::get::get(gateway, caller, ask.headers, query, body).await?)
        }
        Operation::BatchDelete => {
            Ok(batches::delete::delete(gateway, caller, ask.headers, query, body).await?)
        }
        _ => Ok(empty(StatusCode::METHOD_NOT_ALLOWED)),
    }
}

/// What a read reads: an archive and shards all that is in a folder.
fn read_deed(query: &Query<'_>) -> Deed<'static> {
    let whole = ["archive", "shards", "usage"]
        .iter()
        .any(|name| query.get(name).is_some());
    if whole || query.is_true("recursive") {
        Deed::ReadTree
    } else {
        Deed::Read
    }
}

/// Says that the names can be read. Who has stored a file of that name gets the file: it would be lost to them.
async fn healthy(gateway: &Arc<Gateway>, ask: Ask<'_>) -> Result<Response, FileError> {
    match read::get(gateway, ask).await {
        Err(FileError::Filer(FilerError::NotFound(_))) => Ok(Response::new(Body::empty())),
        answer => answer,
    }
}

/// The answer to a browser that asks what it may do.
fn options() -> Response {
    let mut response = Response::new(Body::empty());
    let headers = response.headers_mut();
    headers.insert(
        header::ACCESS_CONTROL_ALLOW_METHODS,
        HeaderValue::from_static("PUT, POST, GET, HEAD, DELETE, OPTIONS"),
    );
    headers.insert(
        header::ACCESS_CONTROL_ALLOW_HEADERS,
        HeaderValue::from_static("*"),
    );
    response
}

fn empty(status: StatusCode) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

/// An answer to HEAD says how long the body would be, and has none: nothing is read for it.
fn no_body_for_head(parts: &Parts, response: &mut Response) {
    if parts.method != Method::HEAD {
        return;
    }
    let len_bytes = response.body().len_bytes();
    *response.body_mut() = Body::empty();
    let has_body = !matches!(
        response.status(),
        StatusCode::NOT_MODIFIED | StatusCode::NO_CONTENT
    );
    if let Some(len_bytes) = len_bytes.filter(|_| has_body) {
        let headers = response.headers_mut();
        if !headers.contains_key(header::CONTENT_LENGTH) {
            headers.insert(header::CONTENT_LENGTH, len_bytes.into());
        }
    }
}
