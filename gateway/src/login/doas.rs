//! `doas=`: one user acts for another, where the rules of proxy users allow it.

use std::sync::Arc;

use moongate_auth::proxy::{ProxyRule, ProxyUsers};
use moongate_auth::{Failure, Groups, Identity, Method};

use super::{Known, Refusal, name};
use crate::config::Config;
use crate::http::server::PeerInfo;
use crate::protocol::webhdfs::Params;
use crate::state::Gateway;

/// The rules: those of `[auth.proxy_user.NAME]`, and `webhdfs.proxy_users`, who may act for anybody from anywhere.
pub(super) fn rules(config: &Config) -> ProxyUsers {
    let any = || vec!["*".to_owned()];
    let everything = || ProxyRule {
        users: any(),
        groups: any(),
        hosts: any(),
    };
    let old = config.webhdfs.proxy_users.iter();
    let old = old.map(|name| (name.clone(), everything()));
    let new = config.auth.proxy_user.iter().map(|(name, rule)| {
        let rule = ProxyRule {
            users: rule.users.clone(),
            groups: rule.groups.clone(),
            hosts: rule.hosts.clone(),
        };
        (name.clone(), rule)
    });
    ProxyUsers::new(old.chain(new).collect())
}

/// The user for whom is acted, if the request names one.
pub(super) async fn act(
    gateway: &Gateway,
    known: Known,
    params: Params<'_>,
    peer: PeerInfo,
) -> Result<Known, Refusal> {
    match name::given(params, "doas")? {
        Some(other) => act_for(gateway, known, other, peer).await,
        None => Ok(known),
    }
}

/// This user, by whoever was let in.
pub(super) async fn act_for(
    gateway: &Gateway,
    known: Known,
    other: &str,
    peer: PeerInfo,
) -> Result<Known, Refusal> {
    if known.identity.method == Method::DelegationToken {
        let text = "doas= goes with a ticket or its cookie: a delegation token stands for its own user only";
        return Err(Refusal::new(Failure::Impersonation, text));
    }
    let real = known.identity.user.clone();
    let groups = if gateway.login.is_open() {
        Groups::known::<Arc<str>>([])
    } else {
        gateway.login.tokens.groups_of(other).await
    };
    gateway
        .login
        .proxies
        .check(&real, other, &groups, peer.addr.ip())?;
    let identity = Identity {
        user: other.into(),
        groups,
        real_user: Some(real),
        tenant: None,
        ..known.identity
    };
    Ok(Known {
        identity,
        groups_told: false,
        is_complete: false,
        ..known
    })
}
