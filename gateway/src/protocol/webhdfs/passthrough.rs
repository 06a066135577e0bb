//! What only a NameNode has goes to the mount's own WebHDFS (`webhdfs = "http://…"`), with the paths that it knows.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use moongate_auth::kerberos::Initiator;
use moongate_cache::{BackendError, ErrorKind};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::Asked;
use super::error::Refusal;
use crate::http::{Body, Response};
use crate::namespace::path as paths;
use crate::namespace::table::Mount;
use crate::policy::gatekeeper::Deed;

/// A connection that takes longer to be made is given up.
const CONNECT_MAX: Duration = Duration::from_secs(5);
/// Connections that are kept for the next request.
const KEPT_MAX: usize = 16;
/// Most that is taken of an answer.
const ANSWER_BYTES_MAX: usize = 64 << 20;
/// A NameNode sends on to a DataNode, once.
const REDIRECTS_MAX: usize = 2;
/// What a path keeps in a URL.
const KEPT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'/')
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');
/// Parameters that name who asks: they are ours to say.
const WHO: [&str; 3] = ["user.name", "doas", "delegation"];

/// A client of NameNodes.
#[derive(Clone, Debug)]
pub struct NameNodes {
    client: Client<HttpConnector, Empty<Bytes>>,
}

impl Default for NameNodes {
    fn default() -> Self {
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(CONNECT_MAX));
        connector.set_nodelay(true);
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_max_idle_per_host(KEPT_MAX)
            .build(connector);
        Self { client }
    }
}

/// Whether the mount of this path names its NameNode.
pub fn has_namenode(asked: &Asked<'_>) -> bool {
    let table = asked.namespace().table();
    let mount = table.resolve(&asked.path);
    mount.is_some_and(|(mount, _)| !mount.config.webhdfs.is_empty())
}

/// Asks the NameNode and hands on what it says.
pub async fn forward(asked: &Asked<'_>, op: &str) -> Result<Response, Refusal> {
    let table = asked.namespace().table();
    let Some((mount, inner)) = table
        .resolve(&asked.path)
        .filter(|(mount, _)| !mount.config.webhdfs.is_empty())
    else {
        return Err(Refusal::Unsupported(format!(
            "op={op} is not supported here: only a mount of HDFS that names its NameNode (webhdfs = \"http://…\") has it"
        )));
    };
    if mount.config.read_only && asked.parts.method != http::Method::GET {
        let text = format!("{} is mounted read-only", mount.path());
        return Err(BackendError::new(ErrorKind::PermissionDenied, text).into());
    }
    let deed = deed(op, &asked.parts.method);
    let namespace = asked.namespace();
    drop(namespace.may(&asked.caller, deed, &asked.path).await?);
    let url = url(asked, mount, inner)?;
    let mut request = Request::builder()
        .method(asked.parts.method.clone())
        .uri(url);
    if let Some(ticket) = ticket(mount).await? {
        request = request.header(header::AUTHORIZATION, ticket);
    }
    let request = request
        .body(Empty::new())
        .map_err(|error| Refusal::Illegal(error.to_string()))?;
    let answering = exchange(&asked.gateway.namenodes, request);
    let answered = tokio::time::timeout(mount.config.timeout.duration(), answering).await;
    let late = |_| {
        let text = format!("the NameNode at {} does not answer", mount.config.webhdfs);
        BackendError::new(ErrorKind::TimedOut, text)
    };
    let answered = answered.map_err(late)?;
    if asked.parts.method != http::Method::GET
        && let Some(cached) = &mount.cached
    {
        // What the NameNode changed, the cache has not seen.
        cached.invalidate(inner);
    }
    answered
}

/// What shows a NameNode that wants tickets who the gateway is.
async fn ticket(mount: &Mount) -> Result<Option<HeaderValue>, Refusal> {
    let config = &mount.config;
    if config.principal.is_empty() {
        return Ok(None);
    }
    let initiator = Initiator::of_keytab(&config.keytab, &config.principal);
    let host = config.webhdfs.parse::<http::Uri>().ok();
    let host = host.and_then(|uri| uri.host().map(str::to_owned));
    let host = host.unwrap_or_default();
    // It may ask a KDC, and waits for it.
    let asked = tokio::task::spawn_blocking(move || initiator.authorization(&host));
    let asked = tokio::time::timeout(config.timeout.duration(), asked).await;
    let unavailable = |text: String| {
        let text = format!("the NameNode at {} wants a ticket: {text}", config.webhdfs);
        Refusal::from(BackendError::new(ErrorKind::Unavailable, text))
    };
    let asked = asked.map_err(|_| unavailable("the KDC does not answer".to_owned()))?;
    let shown = asked.map_err(|error| unavailable(error.to_string()))?;
    let mut shown = HeaderValue::from_str(&shown.map_err(unavailable)?)
        .map_err(|error| unavailable(error.to_string()))?;
    shown.set_sensitive(true);
    Ok(Some(shown))
}

/// Who asks, as the NameNode is told it: the gateway's ticket says who acts, and it acts for the caller where the mount lets it.
fn who(mount: &Mount, caller: &str, query: &mut form_urlencoded::Serializer<'_, String>) {
    match (mount.config.principal.is_empty(), mount.config.impersonate) {
        (true, _) => query.append_pair("user.name", caller),
        (false, true) => query.append_pair("doas", caller),
        (false, false) => query,
    };
}

/// What the caller must be allowed here, whatever the NameNode says to the gateway.
fn deed(op: &str, method: &http::Method) -> Deed<'static> {
    match op {
        "ALLOWSNAPSHOT" | "DISALLOWSNAPSHOT" => Deed::GiveAway,
        _ if *method != http::Method::GET => Deed::Write,
        _ if op.contains("XATTR") => Deed::Read,
        _ => Deed::Look,
    }
}

/// What the store itself lacks, asked of its NameNode where the mount names it; else the store's refusal stands.
pub async fn instead(asked: &Asked<'_>, op: &str, refused: Refusal) -> Result<Response, Refusal> {
    let lacks = matches!(
        refused,
        Refusal::Store {
            kind: ErrorKind::Unsupported,
            ..
        }
    );
    if lacks && has_namenode(asked) {
        return forward(asked, op).await;
    }
    Err(refused)
}

async fn exchange(
    namenodes: &NameNodes,
    request: Request<Empty<Bytes>>,
) -> Result<Response, Refusal> {
    let unavailable = |error: &dyn std::fmt::Display| {
        let text = format!("the NameNode's WebHDFS does not answer: {error}");
        Refusal::from(BackendError::new(ErrorKind::Unavailable, text))
    };
    let method = request.method().clone();
    let mut answer = namenodes.client.request(request).await;
    for _ in 0..REDIRECTS_MAX {
        let location = answer
            .as_ref()
            .ok()
            .filter(|answer| answer.status().is_redirection());
        let location =
            location.and_then(|answer| answer.headers().get(header::LOCATION)?.to_str().ok());
        let Some(url) = location else { break };
        let request = Request::builder()
            .method(method.clone())
            .uri(url)
            .body(Empty::new());
        let request = request.map_err(|error| unavailable(&error))?;
        answer = namenodes.client.request(request).await;
    }
    let (head, body) = answer.map_err(|error| unavailable(&error))?.into_parts();
    let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await;
    let body = body.map_err(|error| unavailable(&error))?.to_bytes();
    let mut response = Response::new(Body::full(body));
    *response.status_mut() = match head.status {
        // A redirect would lead the client past this gateway.
        status if status.is_redirection() => StatusCode::BAD_GATEWAY,
        status => status,
    };
    let kind = head.headers.get(header::CONTENT_TYPE).cloned();
    let kind = kind.unwrap_or(HeaderValue::from_static("application/json"));
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    Ok(response)
}

/// The request's URL at the NameNode.
fn url(asked: &Asked<'_>, mount: &Mount, inner: &str) -> Result<String, Refusal> {
    let mut query = form_urlencoded::Serializer::new(String::new());
    who(mount, &asked.caller.user, &mut query);
    for (name, value) in asked.params.0.iter() {
        if WHO.iter().any(|who| who.eq_ignore_ascii_case(name)) {
            continue;
        }
        if name.eq_ignore_ascii_case("destination") {
            query.append_pair(name, &of_mount(mount, value)?);
        } else if name.eq_ignore_ascii_case("sources") {
            let sources: Result<Vec<_>, _> =
                value.split(',').map(|path| of_mount(mount, path)).collect();
            query.append_pair(name, &sources?.join(","));
        } else {
            query.append_pair(name, value);
        }
    }
    let path = in_store(mount, inner);
    let path = utf8_percent_encode(&path, KEPT);
    Ok(format!(
        "{}/webhdfs/v1{path}?{}",
        mount.config.webhdfs,
        query.finish()
    ))
}

/// Another path of the namespace, as the store has it.
fn of_mount(mount: &Mount, path: &str) -> Result<String, Refusal> {
    let path = paths::normal(path)?;
    match paths::within(&path, mount.path()) {
        Some(inner) => Ok(in_store(mount, inner)),
        None => Err(Refusal::Unsupported(format!(
            "{path} is not in the mount {}",
            mount.path()
        ))),
    }
}

/// A path of the mount, behind the folder that is mounted.
fn in_store(mount: &Mount, inner: &str) -> String {
    let store = mount
        .config
        .store
        .strip_prefix("hdfs://")
        .unwrap_or_default();
    let folder = store
        .find('/')
        .and_then(|at| store.get(at..))
        .unwrap_or_default();
    let folder = folder.trim_end_matches('/');
    match inner {
        "/" if !folder.is_empty() => folder.to_owned(),
        inner => format!("{folder}{inner}"),
    }
}
