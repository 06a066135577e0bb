//! Who calls: from a request of any port to an [`Identity`], before it is routed.
//!
//! **Owns:** where a request shows who it comes from, and in which order that is looked at. **Refuses to own:** how it is proved
//! ([`moongate_auth`]), and what they may do then (the namespace).
//!
//! What is looked at, in this order; the first that is there decides, and if it is wrong nothing after it is tried: the `Authorization`
//! header, the cookie, `delegation=`, a client certificate, `user.name=`. Then `doas=`; then groups and tenant are found.

pub mod answer;
pub mod caller;
mod doas;
pub mod fid;
pub mod hdfs;
pub mod kerberos;
mod name;
pub mod remembered;
mod shown;
mod simple;
pub mod tokens;
pub mod whoami;

use std::sync::Arc;

use http::request::Parts;
use http::{HeaderName, HeaderValue};
use moongate_auth::proxy::ProxyUsers;
use moongate_auth::{Failure, Identity, LoginError, Method};

use self::kerberos::Kerberos;
use self::shown::Shown;
use self::tokens::Tokens;
use crate::config::{AuthMethod, Config};
use crate::http::Response;
use crate::http::query::Query;
use crate::http::server::PeerInfo;
use crate::policy::source::Policies;
use crate::protocol::webhdfs::Params;
use crate::state::Gateway;

/// Why somebody is not let in.
pub type Refusal = LoginError;

/// What is needed to tell who calls, made once from the configuration.
#[derive(Debug)]
pub struct Login {
    id: remembered::Id,
    methods: Vec<AuthMethod>,
    anonymous: Identity,
    proxies: ProxyUsers,
    /// Tickets, cookies and delegation tokens, where they are taken.
    pub kerberos: Option<Kerberos>,
    /// Tokens, access keys, client certificates; and groups.
    pub tokens: Tokens,
}

/// Somebody who is known.
#[derive(Clone, Debug)]
pub struct Known {
    /// Who.
    pub identity: Identity,
    /// What the answer tells the client: a cookie, the proof of who we are.
    reply: Vec<(HeaderName, HeaderValue)>,
    /// The login itself told the groups, so that they are not looked up.
    groups_told: bool,
    /// Groups and tenant were found already.
    is_complete: bool,
}

impl Known {
    pub(crate) const fn new(identity: Identity) -> Self {
        Self {
            identity,
            reply: Vec::new(),
            groups_told: false,
            is_complete: false,
        }
    }

    /// Adds to the answer what the login has to tell the client.
    pub fn tell(self, response: &mut Response) {
        for (name, value) in self.reply {
            response.headers_mut().append(name, value);
        }
    }
}

impl Login {
    /// As configured.
    ///
    /// # Errors
    /// What is configured cannot be used: a keytab, rules, the file of secrets.
    pub fn new(config: &Config, policies: &Arc<Policies>) -> anyhow::Result<Self> {
        Ok(Self {
            kerberos: Kerberos::open(config)?,
            tokens: Tokens::open(config, policies)?,
            id: remembered::Id::new(),
            methods: config.auth.methods.clone(),
            anonymous: simple::identity(&config.webhdfs.anonymous_user, Method::Anonymous),
            proxies: doas::rules(config),
        })
    }

    /// Who calls where nobody need say so.
    pub const fn anonymous(&self) -> &Identity {
        &self.anonymous
    }

    /// Whether a way of logging in is switched on by name.
    fn allows(&self, method: AuthMethod) -> bool {
        self.methods.contains(&method)
    }

    /// Whether nothing is said of logging in: everybody is served, and believed on loopback.
    pub const fn is_open(&self) -> bool {
        self.methods.is_empty()
    }
}

/// Who sent a request.
///
/// # Errors
/// What was shown is wrong, or nothing was shown that is enough here.
pub async fn identify(
    gateway: &Arc<Gateway>,
    parts: &Parts,
    peer: PeerInfo,
) -> Result<Known, Refusal> {
    let known = told(gateway, parts, peer).await;
    gateway.metrics.login(&known);
    Ok(completed(gateway, known?).await)
}

/// As [`identify`], of somebody who is told on the long way what is wrong: nothing is counted. `None` too where the answer would have to tell
/// them something.
pub async fn recognize(gateway: &Arc<Gateway>, parts: &Parts, peer: PeerInfo) -> Option<Identity> {
    let known = told(gateway, parts, peer).await.ok()?;
    let is_quiet = known.reply.is_empty();
    is_quiet.then_some(())?;
    Some(completed(gateway, known).await.identity)
}

/// Who a request says and proves that it comes from.
async fn told(gateway: &Arc<Gateway>, parts: &Parts, peer: PeerInfo) -> Result<Known, Refusal> {
    let query = Query::parse(parts.uri.query());
    let params = Params(&query);
    let known = prove(gateway, parts, params, peer).await?;
    doas::act(gateway, known, params, peer).await
}

/// With groups and tenant.
async fn completed(gateway: &Gateway, known: Known) -> Known {
    if known.is_complete {
        return known;
    }
    let mut identity = known.identity;
    let is_asked = !gateway.login.is_open() && identity.method != Method::Anonymous;
    if is_asked && !known.groups_told {
        identity.groups = gateway.login.tokens.groups_of(&identity.user).await;
    }
    identity.tenant = gateway.tenants.of(&identity);
    Known {
        identity,
        is_complete: true,
        ..known
    }
}

/// The first thing that is shown.
async fn prove(
    gateway: &Arc<Gateway>,
    parts: &Parts,
    params: Params<'_>,
    peer: PeerInfo,
) -> Result<Known, Refusal> {
    let login = &gateway.login;
    // Where nobody is asked, what clients show of themselves for others is not looked at.
    if !login.is_open()
        && let Some(shown) = Shown::of(parts, params)
    {
        if let Some(known) = remembered::known(login.id, shown) {
            return name::agrees(known, params);
        }
        let known = completed(gateway, login.believe(shown).await?).await;
        remembered::remember(login.id, shown, &known);
        return name::agrees(known, params);
    }
    if let Some(certified) = login.tokens.certified(parts) {
        return name::agrees(certified?, params);
    }
    if let Some(user) = name::given(params, "user.name")? {
        return simple::believe(gateway, user, peer);
    }
    if login.is_open() || login.allows(AuthMethod::Anonymous) {
        return Ok(Known::new(login.anonymous.clone()));
    }
    let text = "Authentication required: nothing in the request says who it comes from";
    Err(Refusal::new(Failure::Missing, text))
}
