//! One download of Ranger Admin: the contract that its plugins speak, plain.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use parking_lot::Mutex;

/// Largest body that is read.
const BODY_BYTES_MAX: usize = 1 << 30;
/// Most of an error's text that is told.
const REASON_CHARS_MAX: usize = 200;
/// Times that all addresses are tried before the next poll.
const TRIES: usize = 3;
const TRY_AGAIN_AFTER: Duration = Duration::from_secs(1);
/// The session that Ranger Admin gives, so that the next poll need not begin another.
const SESSION: &str = "RANGERADMINSESSIONID";
/// What we honour, as bits: tags, macros, audit mode, validity, priority, zones, policy conditions, deny-all-else, roles, audit-excluded users,
/// superuser, user store, audit policy, additional resources.
const CAPABILITIES: &str = "5d7ed";

/// What a poll found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// A body.
    New(Bytes),
    /// What is held is the newest.
    Unchanged,
    /// The service is not there any more.
    Gone(String),
}

/// What is downloaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// Policies, tag policies, zones.
    Policies,
    /// Which paths have which tags.
    Tags,
    /// Who has which roles.
    Roles,
    /// Ranger's users and groups.
    UserStore,
}

impl What {
    /// All.
    pub const ALL: [Self; 4] = [Self::Policies, Self::Tags, Self::Roles, Self::UserStore];

    /// In words, as `moongate policy status` shows it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Policies => "policies",
            Self::Tags => "tags",
            Self::Roles => "roles",
            Self::UserStore => "userstore",
        }
    }

    const fn path(self) -> &'static str {
        match self {
            Self::Policies => "/service/plugins/policies/download/",
            Self::Tags => "/service/tags/download/",
            Self::Roles => "/service/roles/download/",
            Self::UserStore => "/service/xusers/download/",
        }
    }

    const fn version_key(self) -> &'static str {
        match self {
            Self::Policies | Self::Tags => "lastKnownVersion",
            Self::Roles => "lastKnownRoleVersion",
            Self::UserStore => "lastKnownUserStoreVersion",
        }
    }
}

/// What is held already.
#[derive(Clone, Copy, Debug)]
pub struct Known {
    /// Its version; -1 for nothing.
    pub version: i64,
    /// When it went live, in milliseconds since 1970.
    pub since_ms: u64,
}

/// Asks Ranger Admin.
#[derive(Debug)]
pub struct Downloader {
    client: Client<HttpConnector, Full<Bytes>>,
    addresses: Vec<String>,
    service: String,
    plugin: String,
    timeout: Duration,
    session: Mutex<Option<String>>,
}

impl Downloader {
    /// Of one service.
    pub fn new(
        addresses: &[String],
        service: &str,
        host: &str,
        connect: Duration,
        read: Duration,
    ) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(connect));
        let addresses = addresses
            .iter()
            .map(|url| url.trim_end_matches('/').to_owned());
        Self {
            client: Client::builder(TokioExecutor::new()).build(connector),
            addresses: addresses.collect(),
            service: service.to_owned(),
            plugin: format!("hdfs@{host}-{service}"),
            timeout: connect.saturating_add(read),
            session: Mutex::new(None),
        }
    }

    /// Asks each address in turn until one answers; all of them a few times.
    ///
    /// # Errors
    /// Why there is no answer that can be used; what is held stays.
    pub async fn download(&self, what: What, known: Known) -> Result<Found, String> {
        let mut last = String::new();
        for attempt in 0..TRIES {
            if attempt > 0 {
                tokio::time::sleep(TRY_AGAIN_AFTER).await;
            }
            for address in &self.addresses {
                match tokio::time::timeout(self.timeout, self.ask(address, what, known)).await {
                    Ok(Ok(found)) => return Ok(found),
                    Ok(Err(Refused::Final(text))) => return Err(text),
                    Ok(Err(Refused::Unreachable(text))) => last = text,
                    Err(_) => last = format!("{address}: no answer within {:?}", self.timeout),
                }
            }
        }
        Err(last)
    }

    async fn ask(&self, address: &str, what: What, known: Known) -> Result<Found, Refused> {
        let unreachable =
            |error: &dyn std::fmt::Display| Refused::Unreachable(format!("{address}: {error}"));
        let request = self
            .request(address, what, known)
            .map_err(|error| Refused::Final(format!("{address}: {error}")))?;
        let answer = self
            .client
            .request(request)
            .await
            .map_err(|error| unreachable(&error))?;
        let (parts, body) = answer.into_parts();
        self.keep_session(&parts);
        let body = Limited::new(body, BODY_BYTES_MAX).collect().await;
        let body = body.map_err(|error| unreachable(&error))?.to_bytes();
        match parts.status {
            StatusCode::OK if body.is_empty() => Ok(Found::Unchanged),
            StatusCode::OK => Ok(Found::New(body)),
            StatusCode::NOT_MODIFIED | StatusCode::NO_CONTENT => Ok(Found::Unchanged),
            StatusCode::NOT_FOUND if says_gone(&body) => Ok(Found::Gone(reason(&body))),
            status => Err(Refused::Final(format!(
                "{address}: {} answered {status}: {}",
                what.name(),
                reason(&body)
            ))),
        }
    }

    fn request(
        &self,
        address: &str,
        what: What,
        known: Known,
    ) -> http::Result<Request<Full<Bytes>>> {
        let query = form_urlencoded::Serializer::new(String::new())
            .append_pair(what.version_key(), &known.version.to_string())
            .append_pair("lastActivationTime", &known.since_ms.to_string())
            .append_pair("pluginId", &self.plugin)
            .append_pair("clusterName", "")
            .append_pair("supportsPolicyDeltas", "false")
            .append_pair("supportsTagDeltas", "false")
            .append_pair("pluginCapabilities", CAPABILITIES)
            .finish();
        let service: String = form_urlencoded::byte_serialize(self.service.as_bytes()).collect();
        let mut request = Request::get(format!("{address}{}{service}?{query}", what.path()))
            .header(header::ACCEPT, "application/json");
        if let Some(session) = &*self.session.lock() {
            request = request.header(header::COOKIE, format!("{SESSION}={session}"));
        }
        request.body(Full::default())
    }

    fn keep_session(&self, parts: &http::response::Parts) {
        if parts.status == StatusCode::UNAUTHORIZED {
            *self.session.lock() = None;
            return;
        }
        for cookie in parts.headers.get_all(header::SET_COOKIE) {
            let value = cookie
                .to_str()
                .ok()
                .and_then(|text| text.strip_prefix(SESSION)?.strip_prefix('='));
            if let Some(value) = value {
                *self.session.lock() = value.split(';').next().map(str::to_owned);
            }
        }
    }
}

/// Why there is nothing.
enum Refused {
    /// Another address may answer.
    Unreachable(String),
    /// It answered, and no other will say more.
    Final(String),
}

/// Ranger's text when a service was deleted; any other 404 is of somebody else.
fn says_gone(body: &[u8]) -> bool {
    let text = String::from_utf8_lossy(body).to_lowercase();
    text.contains("not found") && text.contains("service")
}

fn reason(body: &[u8]) -> String {
    String::from_utf8_lossy(body)
        .chars()
        .take(REASON_CHARS_MAX)
        .collect()
}
