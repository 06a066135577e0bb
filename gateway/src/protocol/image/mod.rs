//! The image API: SeaweedFS's master and volume server on one port (docs/http-api.md).

pub mod batch;
pub mod entity_tag;
pub mod error;
pub mod lane;
pub mod load;
pub mod manifest;
pub mod master;
pub mod path;
mod prepare;
pub mod read;
mod status;
mod uploads;
mod visit;
mod who;
pub mod write;

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, header};
use hyper::body::Incoming;
use moongate_auth::policy::FsAction;

use self::error::{ImageError, answer as error_answer};
use self::path::ObjectPath;
use self::read::ReadRequest;
use self::who::Caller;
use self::write::WriteRequest;
use super::batch as batches;
use super::exchange::{Exchange, declared_len};
use crate::http::intake;
use crate::http::json::{error_json, json};
use crate::http::query::Query;
use crate::http::server::PeerInfo;
use crate::http::{Body, Response};
use crate::login::whoami;
use crate::metrics::Operation;
use crate::policy::own;
use crate::state::Gateway;
use crate::tenancy;

pub use self::status::{disks, vacuum, version};

const URLENCODED: &str = "application/x-www-form-urlencoded";

/// Answers one request of the image port.
pub async fn serve(gateway: Arc<Gateway>, request: Request<Incoming>, peer: PeerInfo) -> Response {
    let exchange = Exchange::begin(peer);
    let (parts, body) = request.into_parts();
    let operation = operation(&parts.method, parts.uri.path());
    let response = match who::calls(&gateway, operation, &parts, peer).await {
        Ok(caller) => {
            let work = route(&gateway, operation, &parts, &caller, body);
            let result = if own::is_governed(&gateway) {
                let named = caller.named(operation);
                Box::pin(own::as_caller(named, work)).await
            } else {
                work.await
            };
            let mut response = result.unwrap_or_else(|error| error_answer(operation, &error));
            caller.finish(&gateway, &parts, &mut response);
            response
        }
        Err(_) if is_probe(parts.uri.path()) => master::healthy(),
        Err(refused) => refused,
    };
    exchange.end(&gateway, &parts, operation, response)
}

/// What a request is counted as.
fn operation(method: &Method, path: &str) -> Operation {
    match (path::is_object(path), method) {
        (true, &Method::GET | &Method::HEAD) => Operation::Read,
        (true, &Method::PUT | &Method::POST) => Operation::Write,
        (true, &Method::DELETE) => Operation::Delete,
        (false, _) if path == "/submit" => Operation::Write,
        (false, _) if path == "/dir/assign" => Operation::Assign,
        (false, &Method::POST) => match path {
            batches::UPLOAD_PATH => Operation::BatchPut,
            batches::DOWNLOAD_PATH => Operation::BatchGet,
            batches::DELETE_PATH => Operation::BatchDelete,
            _ => Operation::Other,
        },
        _ => Operation::Other,
    }
}

async fn route(
    gateway: &Arc<Gateway>,
    operation: Operation,
    parts: &http::request::Parts,
    caller: &Caller,
    body: Incoming,
) -> Result<Response, ImageError> {
    let path = parts.uri.path();
    let query = Query::parse(parts.uri.query());
    caller.admit(gateway, operation, parts, &query)?;
    match operation {
        Operation::Read => {
            let object = object(path)?;
            own::may_image(gateway, &object.fid, FsAction::READ)?;
            read::read(
                gateway,
                ReadRequest {
                    method: &parts.method,
                    headers: &parts.headers,
                    query: &query,
                    object: &object,
                },
            )
            .await
        }
        // Boxed, so that the future of a read, which is most requests, stays small: hyper moves it about.
        Operation::Write if path == "/submit" => {
            let (request, wish) = (write_request(parts, &query), master::wish(&query)?);
            may_fill(gateway, &query)?;
            Box::pin(write::submit(gateway, request, wish, body)).await
        }
        Operation::Write => {
            let (request, object) = (write_request(parts, &query), object(path)?);
            own::may_image(gateway, &object.fid, FsAction::WRITE)?;
            Box::pin(write::put(gateway, request, &object, body)).await
        }
        Operation::Delete => {
            let (request, object) = (write_request(parts, &query), object(path)?);
            own::may_image(gateway, &object.fid, FsAction::WRITE)?;
            Box::pin(write::delete(gateway, request, &object)).await
        }
        Operation::BatchPut => {
            let request = write_request(parts, &query);
            may_fill(gateway, &query)?;
            Box::pin(batch::upload(gateway, request, body)).await
        }
        Operation::BatchGet => {
            let caller = caller.named(operation);
            let sent = batches::get::get(gateway, &caller, &parts.headers, &query, body);
            Ok(Box::pin(sent).await?)
        }
        Operation::BatchDelete => Ok(Box::pin(batches::delete::delete(
            gateway,
            &caller.named(operation),
            &parts.headers,
            &query,
            body,
        ))
        .await?),
        // Operations of the file port are never counted here.
        Operation::Assign
        | Operation::Other
        | Operation::FileRead
        | Operation::FileWrite
        | Operation::FileDelete
        | Operation::FileChange
        | Operation::HdfsRead
        | Operation::HdfsWrite
        | Operation::HdfsStatus
        | Operation::HdfsChange => Box::pin(page(gateway, parts, query, caller, body)).await,
    }
}

/// What Kubernetes asks without showing who it is.
fn is_probe(path: &str) -> bool {
    matches!(path, "/cluster/healthz" | "/healthz" | "/readyz")
}

/// Whether the caller may store into the collection that a request names, or do to it what else changes it.
fn may_fill(gateway: &Gateway, query: &Query<'_>) -> Result<(), ImageError> {
    let name = query.get("collection").unwrap_or_default();
    Ok(own::may_collection(gateway, name, FsAction::WRITE)?)
}

fn object(path: &str) -> Result<ObjectPath<'_>, ImageError> {
    ObjectPath::parse(path).map_err(|e| ImageError::BadRequest(e.to_string()))
}

const fn write_request<'a>(
    parts: &'a http::request::Parts,
    query: &'a Query<'a>,
) -> WriteRequest<'a> {
    WriteRequest {
        method: &parts.method,
        headers: &parts.headers,
        query,
    }
}

/// Everything that is no object.
async fn page(
    gateway: &Arc<Gateway>,
    parts: &http::request::Parts,
    mut query: Query<'_>,
    caller: &Caller,
    body: Incoming,
) -> Result<Response, ImageError> {
    if parts.method == Method::OPTIONS {
        return Ok(options());
    }
    if !matches!(
        parts.method,
        Method::GET | Method::HEAD | Method::POST | Method::PUT
    ) {
        return Err(ImageError::BadRequest(format!(
            "unsupported method {}",
            parts.method
        )));
    }
    let form = form(gateway, parts, body).await?;
    let mut merged = Query::default();
    if !form.is_empty() {
        merged = Query::parse(parts.uri.query());
        merged.merge_form(&form);
    }
    if !merged.is_empty() {
        std::mem::swap(&mut query, &mut merged);
    }
    tenancy::images::page(gateway, caller.tenant(), parts.uri.path(), &query)?;
    let pretty = query.get_set("pretty").is_some();
    let urls = gateway.urls(asked_host(&parts.headers));
    let status = |value: serde_json::Value| Ok(json(StatusCode::OK, &value, pretty));
    if matches!(
        parts.uri.path(),
        "/dir/assign" | "/vol/grow" | "/vol/vacuum" | "/col/delete"
    ) {
        may_fill(gateway, &query)?;
    }
    match parts.uri.path() {
        "/dir/assign" => master::dir_assign(gateway, urls, &query).await,
        "/dir/lookup" => Ok(master::dir_lookup(gateway, urls, &query)),
        "/dir/status" => status(status::dir_status(gateway)),
        "/vol/status" => status(status::vol_status(gateway)),
        "/status" => status(status::volume_server(gateway)),
        "/vol/grow" => master::vol_grow(gateway, &query).await,
        "/vol/vacuum" => master::vol_vacuum(gateway, &query),
        "/col/delete" => master::col_delete(gateway, &query).await,
        "/collection/info" => master::collection_info(gateway, &query),
        "/cluster/status" => Ok(master::cluster_status(gateway, urls, &query)),
        whoami::PATH => Ok(whoami::answered(&caller.known)),
        path if is_probe(path) => Ok(master::healthy()),
        "/" | "/ui/index.html" => Ok(status::page(gateway, urls)),
        _ => Ok(error_json(
            StatusCode::NOT_FOUND,
            "no such page: see / for what is served here",
        )),
    }
}

/// The host that a client asked, as it wrote it.
fn asked_host(headers: &HeaderMap) -> Option<&str> {
    headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok())
}

/// Parameters may come as an urlencoded form.
async fn form(
    gateway: &Gateway,
    parts: &http::request::Parts,
    body: Incoming,
) -> Result<Bytes, ImageError> {
    let is_form = parts
        .headers
        .get(header::CONTENT_TYPE)
        .is_some_and(|t| t.as_bytes().starts_with(URLENCODED.as_bytes()));
    if !is_form {
        return Ok(Bytes::new());
    }
    const FORM_BYTES_MAX: u64 = 64 << 10;
    let mut limits = gateway.intake.clone();
    limits.len_bytes_max = FORM_BYTES_MAX;
    let declared = declared_len(&parts.headers);
    Ok(intake::collect(body, declared, &limits, &gateway.budget)
        .await?
        .bytes)
}

fn options() -> Response {
    let mut response = Response::new(Body::empty());
    let headers = response.headers_mut();
    headers.insert(
        header::ACCESS_CONTROL_ALLOW_METHODS,
        HeaderValue::from_static("PUT, POST, GET, DELETE, OPTIONS"),
    );
    headers.insert(
        header::ACCESS_CONTROL_ALLOW_HEADERS,
        HeaderValue::from_static("*"),
    );
    response
}
