//! From who somebody is to who asks the namespace.

use std::sync::Arc;

use moongate_auth::{Groups, Identity, Method};
use moongate_cache::{Caller, Who};

use crate::http::server::PeerInfo;

/// The caller of an operation.
pub fn of(identity: &Identity, peer: PeerInfo, operation: &'static str) -> Caller {
    let groups = match &identity.groups {
        Groups::Known(groups) => Some(Arc::clone(groups)),
        Groups::Unknown => None,
    };
    Who {
        user: Arc::clone(&identity.user),
        groups,
        real_user: identity.real_user.clone(),
        tenant: identity.tenant.clone(),
        address: Some(peer.addr.ip().to_canonical()),
        operation,
        method: method_name(identity.method),
    }
    .into()
}

/// As it is called in metrics, logs and audit records.
pub const fn method_name(method: Method) -> &'static str {
    match method {
        Method::Anonymous => "anonymous",
        Method::Simple => "simple",
        Method::Kerberos => "kerberos",
        Method::DelegationToken => "delegation_token",
        Method::Jwt => "jwt",
        Method::AccessKey => "access_key",
        Method::Certificate => "certificate",
    }
}
