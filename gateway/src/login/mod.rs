//! Who calls: from a request of any port to an [`Identity`], before it is routed.
//!
//! **Owns:** where a request shows who it comes from, and in which order that is looked at. **Refuses to own:** how it is proved
//! ([`moongate_auth`]), and what they may do then (the namespace).
//!
//! What is looked at, in this order; the first that is there decides, and if it is wrong nothing after it is tried: the `Authorization`
//! header, the cookie, `delegation=`, `user.name=`. Then `doas=`.

pub mod answer;
pub mod caller;
mod doas;
mod name;
mod simple;

use std::sync::Arc;

use http::request::Parts;
use moongate_auth::proxy::ProxyUsers;
use moongate_auth::{Failure, Identity, LoginError, Method};

use crate::config::{AuthMethod, Config};
use crate::http::Response;
use crate::http::query::Query;
use crate::http::server::PeerInfo;
use crate::protocol::webhdfs::Params;
use crate::state::Gateway;

/// Why somebody is not let in.
pub type Refusal = LoginError;

/// What is needed to tell who calls, made once from the configuration.
#[derive(Debug)]
pub struct Login {
    methods: Vec<AuthMethod>,
    anonymous: Identity,
    proxies: ProxyUsers,
}

/// Somebody who is known.
#[derive(Clone, Debug)]
pub struct Known {
    /// Who.
    pub identity: Identity,
}

impl Known {
    const fn new(identity: Identity) -> Self {
        Self { identity }
    }

    /// Adds to the answer what the login has to tell the client.
    pub const fn tell(&self, _response: &mut Response) {}
}

impl Login {
    /// As configured.
    pub fn new(config: &Config) -> Self {
        Self {
            methods: config.auth.methods.clone(),
            anonymous: simple::identity(&config.webhdfs.anonymous_user, Method::Anonymous),
            proxies: doas::rules(config),
        }
    }

    /// Whether a way of logging in is switched on by name.
    fn allows(&self, method: AuthMethod) -> bool {
        self.methods.contains(&method)
    }

    /// Whether nothing is said of logging in: everybody is served, and believed on loopback.
    const fn is_open(&self) -> bool {
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
    let query = Query::parse(parts.uri.query());
    let params = Params(&query);
    let known =
        prove(gateway, params, peer).and_then(|known| doas::act(gateway, known, params, peer));
    gateway.metrics.login(&known);
    known
}

/// The first thing that is shown.
fn prove(gateway: &Arc<Gateway>, params: Params<'_>, peer: PeerInfo) -> Result<Known, Refusal> {
    if let Some(user) = name::given(params, "user.name")? {
        return simple::believe(gateway, user, peer);
    }
    let login = &gateway.login;
    if login.is_open() || login.allows(AuthMethod::Anonymous) {
        return Ok(Known::new(login.anonymous.clone()));
    }
    let text = "Authentication required: nothing in the request says who it comes from";
    Err(Refusal::new(Failure::Missing, text))
}
