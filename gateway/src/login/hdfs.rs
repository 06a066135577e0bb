//! Who a connection of Hadoop's own RPC comes from: by a ticket or a token when it begins, or believed by name where `user.name=` is. Its
//! context then says for whom it acts.

use moongate_auth::kerberos::Token;
use moongate_auth::{Failure, Identity, LoginError, Method};

use super::kerberos::{self, Kerberos};
use super::{Known, Refusal, completed, doas, name, simple};
use crate::config::AuthMethod;
use crate::http::server::PeerInfo;
use crate::state::Gateway;

/// Whom a connection says that it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// Who acts.
    pub user: String,
    /// Who is let in for them, where somebody acts for another.
    pub real_user: Option<String>,
}

/// Whether names are believed at all.
///
/// # Errors
/// Something else is asked for.
pub fn takes_names(gateway: &Gateway) -> Result<(), Refusal> {
    if gateway.login.is_open() || gateway.login.allows(AuthMethod::Simple) {
        return Ok(());
    }
    let text = match gateway.login.kerberos {
        Some(_) => "SIMPLE authentication is not enabled.  Available:[TOKEN, KERBEROS]",
        None => {
            "SIMPLE authentication is not enabled here (auth.methods does not name \"simple\"), and this port takes nothing else but Kerberos, \
                 which is not in use"
        }
    };
    Err(LoginError::new(Failure::NotAllowed, text))
}

/// Who it is, with groups and tenant.
///
/// # Errors
/// Names are not believed here, or not this one; or one may not act for the other.
pub async fn believe(gateway: &Gateway, said: &Said, peer: PeerInfo) -> Result<Known, Refusal> {
    let known = prove(gateway, said, peer).await;
    gateway.metrics.login(&known);
    Ok(completed(gateway, known?).await)
}

async fn prove(gateway: &Gateway, said: &Said, peer: PeerInfo) -> Result<Known, Refusal> {
    takes_names(gateway)?;
    for user in [Some(&said.user), said.real_user.as_ref()]
        .into_iter()
        .flatten()
    {
        if !name::is_name(user) {
            let text = format!("{user:?} is not the name of a user");
            return Err(LoginError::new(Failure::BadName, text));
        }
    }
    match &said.real_user {
        Some(real) if *real != said.user => {
            let known = simple::believe(gateway, real, peer)?;
            doas::act_for(gateway, known, &said.user, peer).await
        }
        _ => simple::believe(gateway, &said.user, peer),
    }
}

/// Kerberos, where it is in use.
///
/// # Errors
/// It is not.
pub fn kerberos(gateway: &Gateway) -> Result<&Kerberos, Refusal> {
    let kerberos = gateway.login.kerberos.as_ref();
    kerberos.ok_or_else(|| kerberos::not_in_use("a ticket or a delegation token"))
}

/// Who has shown a ticket.
///
/// # Errors
/// No rule makes a user of the principal.
pub fn by_ticket(gateway: &Gateway, principal: &str) -> Result<Known, Refusal> {
    Ok(Known::new(kerberos(gateway)?.identity(principal)?))
}

/// Who has shown that they hold a token of ours.
///
/// # Errors
/// Its time is over, or it was cancelled.
pub fn by_token(gateway: &Gateway, token: &Token) -> Result<Known, Refusal> {
    kerberos::tokens::verified(kerberos(gateway)?, token)
}

/// Counts a login that failed.
pub fn failed(gateway: &Gateway, refused: Refusal) -> Refusal {
    gateway.metrics.login(&Err(refused.clone()));
    refused
}

/// Who it is that has proved to be somebody, and may act for another; with groups and tenant.
///
/// # Errors
/// They may not act for whom they say.
pub async fn acting(
    gateway: &Gateway,
    known: Known,
    said: &Said,
    peer: PeerInfo,
) -> Result<Known, Refusal> {
    let known = for_whom(gateway, known, said, peer).await;
    gateway.metrics.login(&known);
    Ok(completed(gateway, known?).await)
}

async fn for_whom(
    gateway: &Gateway,
    known: Known,
    said: &Said,
    peer: PeerInfo,
) -> Result<Known, Refusal> {
    let is_self = kerberos(gateway)?.is_called(&known.identity, &said.user);
    if said.user.is_empty() || is_self {
        return Ok(known);
    }
    if known.identity.method == Method::DelegationToken {
        let text = format!(
            "Authenticated user ({}) doesn't match what the client claims to be ({})",
            known.identity.user, said.user
        );
        return Err(LoginError::new(Failure::Impersonation, text));
    }
    if !name::is_name(&said.user) {
        let text = format!("{:?} is not the name of a user", said.user);
        return Err(LoginError::new(Failure::BadName, text));
    }
    doas::act_for(gateway, known, &said.user, peer).await
}

/// Who a token of ours was made for, with groups and tenant as they are now.
pub async fn again(gateway: &Gateway, user: &str, real_user: Option<&str>) -> Identity {
    let mut identity = simple::identity(user, Method::Simple);
    identity.real_user = real_user.map(Into::into);
    completed(gateway, Known::new(identity)).await.identity
}
