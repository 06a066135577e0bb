//! One download of Ranger Admin: the contract that its plugins speak, plain or `secure` (with a ticket, by SPNEGO), over HTTP or HTTPS.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use moongate_auth::fetch::{client_config, trusting_nobody};
use moongate_auth::kerberos::Initiator;
use moongate_auth::watched::FileError;
use parking_lot::Mutex;

use crate::config::PolicyConfig;

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

    const fn path(self, secure: bool) -> &'static str {
        match (self, secure) {
            (Self::Policies, false) => "/service/plugins/policies/download/",
            (Self::Policies, true) => "/service/plugins/secure/policies/download/",
            (Self::Tags, false) => "/service/tags/download/",
            (Self::Tags, true) => "/service/tags/secure/download/",
            (Self::Roles, false) => "/service/roles/download/",
            (Self::Roles, true) => "/service/roles/secure/download/",
            (Self::UserStore, false) => "/service/xusers/download/",
            (Self::UserStore, true) => "/service/xusers/secure/download/",
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
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    addresses: Vec<String>,
    service: String,
    plugin: String,
    timeout: Duration,
    session: Mutex<Option<String>>,
    /// Who asks, where Ranger Admin wants a ticket.
    initiator: Option<Initiator>,
}

impl Downloader {
    /// Of the service that is configured.
    ///
    /// # Errors
    /// The file of authorities (`policy.ca`).
    pub fn new(config: &PolicyConfig, host: &str) -> Result<Self, FileError> {
        let mut connector = HttpConnector::new();
        connector.enforce_http(false);
        connector.set_connect_timeout(Some(config.connect_timeout.duration()));
        let addresses = config.admin.iter();
        let addresses: Vec<String> = addresses
            .map(|url| url.trim_end_matches('/').to_owned())
            .collect();
        let of_keytab = !config.principal.is_empty();
        let connect = config.connect_timeout.duration();
        Ok(Self {
            client: Client::builder(TokioExecutor::new()).build(tls(config, connector)?),
            addresses,
            service: config.service.clone(),
            plugin: format!("hdfs@{host}-{}", config.service),
            timeout: connect.saturating_add(config.read_timeout.duration()),
            session: Mutex::new(None),
            initiator: of_keytab.then(|| Initiator::of_keytab(&config.keytab, &config.principal)),
        })
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
        let ticket = self.ticket(address).await?;
        let shown = ticket.is_some();
        let request = self
            .request(address, what, known, ticket)
            .map_err(|error| Refused::Final(format!("{address}: {error}")))?;
        let answer = self
            .client
            .request(request)
            .await
            .map_err(|error| unreachable(&error))?;
        let (parts, body) = answer.into_parts();
        self.keep_session(&parts);
        if parts.status == StatusCode::UNAUTHORIZED && self.initiator.is_some() && !shown {
            return Err(unreachable(&"the session has ended"));
        }
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

    /// What shows who asks, unless a session does: Ranger Admin gives one for the first ticket.
    async fn ticket(&self, address: &str) -> Result<Option<String>, Refused> {
        let Some(initiator) = self.initiator.clone() else {
            return Ok(None);
        };
        if self.session.lock().is_some() {
            return Ok(None);
        }
        let host = address.parse::<http::Uri>().ok();
        let host = host.and_then(|uri| uri.host().map(str::to_owned));
        let host = host.unwrap_or_default();
        // It may ask a KDC, and waits for it.
        let asked = tokio::task::spawn_blocking(move || initiator.authorization(&host)).await;
        let asked = asked.map_err(|error| Refused::Final(error.to_string()))?;
        let ticket = asked.map_err(|text| Refused::Final(format!("{address}: {text}")))?;
        Ok(Some(ticket))
    }

    fn request(
        &self,
        address: &str,
        what: What,
        known: Known,
        ticket: Option<String>,
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
        let mut request = Request::get(format!(
            "{address}{}{service}?{query}",
            what.path(self.initiator.is_some())
        ))
        .header(header::ACCEPT, "application/json");
        if let Some(session) = &*self.session.lock() {
            request = request.header(header::COOKIE, format!("{SESSION}={session}"));
        }
        if let Some(ticket) = ticket {
            request = request.header(header::AUTHORIZATION, ticket);
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

/// Plain for `http://`, TLS for `https://`: by the authorities of `policy.ca`, or those of the system.
fn tls(
    config: &PolicyConfig,
    connector: HttpConnector,
) -> Result<HttpsConnector<HttpConnector>, FileError> {
    let secure = config.admin.iter().any(|url| url.starts_with("https://"));
    let ca = (!config.ca.as_os_str().is_empty()).then_some(config.ca.as_path());
    let settings = match secure {
        true => client_config(ca)?,
        // Whoever asks no HTTPS needs no authorities, which a small machine may not have.
        false => trusting_nobody()?,
    };
    let builder = HttpsConnectorBuilder::new().with_tls_config(settings);
    Ok(builder
        .https_or_http()
        .enable_http1()
        .wrap_connector(connector))
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
