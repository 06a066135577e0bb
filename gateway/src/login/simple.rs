//! Hadoop's "simple" authentication: `user.name=` says who it is, and is believed. Only where that was asked for by name, and beyond
//! this machine only where it was asked for twice.

use std::sync::Arc;

use moongate_auth::{Failure, Groups, Identity, Method};

use super::{Known, Refusal};
use crate::config::AuthMethod;
use crate::http::server::PeerInfo;
use crate::state::Gateway;

/// Somebody of this name, of no group.
pub(super) fn identity(user: &str, method: Method) -> Identity {
    let user: Arc<str> = user.into();
    Identity {
        principal: Arc::clone(&user),
        user,
        groups: Groups::known::<Arc<str>>([]),
        real_user: None,
        tenant: None,
        method,
    }
}

/// Takes a name for true, if that is how it is here.
pub(super) fn believe(gateway: &Gateway, user: &str, peer: PeerInfo) -> Result<Known, Refusal> {
    let login = &gateway.login;
    if !login.is_open() && !login.allows(AuthMethod::Simple) {
        let text = "Authentication required: user.name= is not believed here (auth.methods does not name \"simple\")";
        return Err(Refusal::new(Failure::NotAllowed, text));
    }
    let is_near = peer.addr.ip().to_canonical().is_loopback();
    if !is_near && !gateway.config.auth.simple.beyond_loopback {
        let text = "Authentication required: user.name= is believed from the gateway's own machine only; \
                    auth.simple.beyond_loopback = true would believe everybody";
        return Err(Refusal::new(Failure::NotAllowed, text));
    }
    Ok(Known::new(identity(user, Method::Simple)))
}
