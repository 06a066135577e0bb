//! WebHDFS, under `/webhdfs/v1` on the file port: Hadoop's file system over HTTP, answered as the NameNode answers it, over the namespace.
//!
//! **Owns:** operations ([`op`]), parameters ([`params`]), shapes of answers ([`json`]) and the table of errors ([`error`]). **Refuses to
//! own:** anything of a store: each operation is one call to the namespace. What only a NameNode has goes to the mount's own, if it names
//! one ([`passthrough`]).
//!
//! Reads are answered directly, without a redirect, on a connection that is kept. Writes redirect to themselves with `data=true`.

pub mod access;
mod acl;
mod change;
pub mod error;
mod json;
mod listings;
pub mod locations;
pub mod op;
mod params;
pub mod passthrough;
mod read;
pub mod status;
mod token;
pub mod tree;
mod write;

use std::sync::Arc;

use http::request::Parts;
use http::{HeaderValue, Method, StatusCode, header};
use hyper::body::Incoming;
use moongate_auth::Identity;
use moongate_cache::{Caller, Freshness};
use percent_encoding::percent_decode_str;

use self::error::Refusal;
pub use self::listings::Listings;
pub use self::op::Op;
pub use self::params::Params;
pub use self::read::body as body_of;
pub use self::write::carry;
use crate::config::JsonContentType;
use crate::http::query::Query;
use crate::http::server::PeerInfo;
use crate::http::{Body, Response};
use crate::login::{self, Known, answer as login_answer, caller};
use crate::metrics::Operation;
use crate::namespace::{Namespace, path as paths};
use crate::state::Gateway;
use crate::tenancy::Fenced;

/// Where it is.
pub const PREFIX: &str = "/webhdfs/v1";
const OCTETS: HeaderValue = HeaderValue::from_static("application/octet-stream");

/// A request, understood.
#[derive(Clone)]
pub struct Asked<'a> {
    /// The running gateway.
    pub gateway: &'a Arc<Gateway>,
    /// What is asked.
    pub op: Op,
    /// Who asks.
    pub caller: Caller,
    /// Who that is.
    pub identity: &'a Identity,
    /// Of what, in its normal form.
    pub path: String,
    /// With these parameters.
    pub params: Params<'a>,
    /// As it came.
    pub parts: &'a Parts,
}

impl Asked<'_> {
    /// The tree.
    pub fn namespace(&self) -> &Namespace {
        &self.gateway.namespace
    }

    /// How old an answer may be.
    pub fn freshness(&self) -> Freshness {
        freshness(self.parts)
    }

    /// `http://host:port`, or `https://…` where the ports speak TLS.
    pub fn origin(&self) -> String {
        let is_tls = self.gateway.config.tls.is_on();
        let scheme = if is_tls { "https" } else { "http" };
        format!("{scheme}://{}", self.host())
    }

    /// `host:port` by which the client reaches this gateway.
    pub fn host(&self) -> String {
        let configured = &self.gateway.config.webhdfs.public_host;
        if !configured.is_empty() {
            return configured.clone();
        }
        let asked = self
            .parts
            .headers
            .get(header::HOST)
            .and_then(|host| host.to_str().ok());
        let listen = || self.gateway.config.file.listen.to_string();
        asked
            .filter(|host| !host.is_empty())
            .map_or_else(listen, str::to_owned)
    }
}

/// What the request's `Cache-Control` says of how old an answer may be.
pub fn freshness(parts: &Parts) -> Freshness {
    let values = parts.headers.get_all(header::CACHE_CONTROL).iter();
    let now = values.filter_map(|value| value.to_str().ok()).any(|value| {
        value
            .split(',')
            .any(|word| word.trim().eq_ignore_ascii_case("no-cache"))
    });
    if now {
        Freshness::Now
    } else {
        Freshness::Cached
    }
}

/// Whether a URL's path is one of WebHDFS.
pub fn is_path(path: &str) -> bool {
    path.strip_prefix(PREFIX)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// What a request is counted as.
pub fn operation(parts: &Parts) -> Operation {
    let query = Query::parse(parts.uri.query());
    let op = Op::parse(&parts.method, Params(&query).given("op"));
    match (op, &parts.method) {
        (Ok(Op::Open), _) => Operation::HdfsRead,
        (Ok(Op::Create | Op::Append), _) => Operation::HdfsWrite,
        (_, &Method::GET | &Method::HEAD) => Operation::HdfsStatus,
        _ => Operation::HdfsChange,
    }
}

/// Answers one request.
pub async fn serve(
    gateway: &Arc<Gateway>,
    parts: &Parts,
    from: (&Known, PeerInfo),
    body: Incoming,
) -> Response {
    let query = Query::parse(parts.uri.query());
    if parts.method == Method::OPTIONS {
        return options();
    }
    let op = match Op::parse(&parts.method, Params(&query).given("op")) {
        Ok(op) => op,
        Err(refusal) => return typed(gateway, parts, error::response(&refusal, Op::Open)),
    };
    let answered = match asked(gateway, parts, op, (&query, from)) {
        Ok(asked) => dispatch(&asked, body).await,
        Err(refusal) => Err(refusal),
    };
    let response = answered.unwrap_or_else(|refusal| error::response(&refusal, op));
    typed(gateway, parts, response)
}

/// Answers who is not let in.
pub fn refuse(gateway: &Gateway, parts: &Parts, refused: login::Refusal) -> Response {
    let refusal = token::refusal(parts, refused.clone());
    let mut response = error::response(&refusal, Op::Open);
    login_answer::challenge(gateway, &refused, &mut response);
    typed(gateway, parts, response)
}

/// Answers whoever may not touch what they ask for, or not now.
pub fn fence(gateway: &Gateway, parts: &Parts, fenced: &Fenced) -> Response {
    let refusal = Refusal::from(fenced);
    let mut response = error::response(&refusal, Op::Open);
    *response.status_mut() = fenced.status();
    fenced.when(&mut response);
    typed(gateway, parts, response)
}

fn asked<'a>(
    gateway: &'a Arc<Gateway>,
    parts: &'a Parts,
    op: Op,
    (query, (known, peer)): (&'a Query<'a>, (&'a Known, PeerInfo)),
) -> Result<Asked<'a>, Refusal> {
    let params = Params(query);
    let encoded = parts.uri.path().strip_prefix(PREFIX).unwrap_or_default();
    let decoded = percent_decode_str(encoded)
        .decode_utf8()
        .map_err(|_| Refusal::Illegal(format!("Invalid path name {encoded}: it is not UTF-8")))?;
    let path = if decoded.is_empty() { "/" } else { &*decoded };
    Ok(Asked {
        gateway,
        op,
        caller: caller::of(&known.identity, peer, op.name()),
        identity: &known.identity,
        path: paths::normal(path)?,
        params,
        parts,
    })
}

async fn dispatch(asked: &Asked<'_>, body: Incoming) -> Result<Response, Refusal> {
    match asked.op {
        Op::Open => read::open(asked).await,
        Op::GetFileStatus => status::file(asked).await,
        Op::ListStatus => status::list(asked).await,
        Op::ListStatusBatch => status::batch(asked).await,
        Op::GetContentSummary => status::summary(asked).await,
        Op::GetQuotaUsage => status::quota_usage(asked).await,
        Op::GetFileChecksum => status::checksum(asked).await,
        Op::GetHomeDirectory => Ok(status::home(asked)),
        Op::GetTrashRoot => Ok(status::trash_root(asked)),
        Op::GetDelegationToken => token::get(asked),
        Op::GetServerDefaults => Ok(status::server_defaults()),
        Op::GetAclStatus => status::acl(asked).await,
        Op::CheckAccess => access::check(asked).await,
        Op::GetFileBlockLocations => locations::blocks(asked).await,
        Op::GetBlockLocations => locations::located_blocks(asked).await,
        Op::Create => write::create(asked, body).await,
        Op::Append => write::append(asked, body).await,
        Op::MakeDirs => tree::make_dirs(asked).await,
        Op::Rename => tree::rename(asked).await,
        Op::Delete => tree::delete(asked).await,
        Op::Concat => tree::concat(asked).await,
        Op::Truncate => tree::truncate(asked).await,
        Op::SetPermission
        | Op::SetOwner
        | Op::SetTimes
        | Op::ModifyAclEntries
        | Op::RemoveAclEntries
        | Op::RemoveDefaultAcl
        | Op::RemoveAcl
        | Op::SetAcl => change::apply(asked).await,
        Op::SetReplication => change::replication(asked).await,
        Op::RenewDelegationToken => token::renew(asked).await,
        Op::CancelDelegationToken => token::cancel(asked).await,
        Op::NameNodes(name) => passthrough::forward(asked, name).await,
    }
}

/// An answer without a body.
fn done(status: StatusCode) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, OCTETS);
    response
}

fn options() -> Response {
    let mut response = done(StatusCode::OK);
    let methods = HeaderValue::from_static("OPTIONS,HEAD,DELETE,POST,GET,PUT");
    response.headers_mut().insert(header::ALLOW, methods);
    response
}

/// JSON without saying so, for clients that fail on the header.
fn typed(gateway: &Gateway, parts: &Parts, mut response: Response) -> Response {
    let quiet = match gateway.config.webhdfs.json_content_type {
        JsonContentType::Always => false,
        JsonContentType::Never => true,
        JsonContentType::NotToJava => {
            let agent = parts.headers.get(header::USER_AGENT);
            agent.is_some_and(|agent| agent.as_bytes().starts_with(b"Java/"))
        }
    };
    let is_json = response
        .headers()
        .get(header::CONTENT_TYPE)
        .is_some_and(|value| value.as_bytes().starts_with(b"application/json"));
    if quiet && is_json {
        response.headers_mut().remove(header::CONTENT_TYPE);
    }
    response
}
