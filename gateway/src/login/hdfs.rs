//! Who a connection of Hadoop's own RPC comes from: its users are named once, in its context, and believed where `user.name=` is.

use moongate_auth::{Failure, Identity, LoginError, Method};

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
/// Something else is asked for, which this port does not take yet.
pub fn takes_names(gateway: &Gateway) -> Result<(), Refusal> {
    if gateway.login.is_open() || gateway.login.allows(AuthMethod::Simple) {
        return Ok(());
    }
    let text = "SIMPLE authentication is not enabled here (auth.methods does not name \"simple\"), and Kerberos and tokens are not taken by \
                this port yet: use webhdfs:// with them";
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

/// Who a token of ours was made for, with groups and tenant as they are now.
pub async fn again(gateway: &Gateway, user: &str, real_user: Option<&str>) -> Identity {
    let mut identity = simple::identity(user, Method::Simple);
    identity.real_user = real_user.map(Into::into);
    completed(gateway, Known::new(identity)).await.identity
}
