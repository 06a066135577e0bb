//! Delegation tokens: `delegation=` in any request, and the operations that give, renew and cancel them.

use moongate_auth::kerberos::Token;
use moongate_auth::kerberos::token::Identifier;
use moongate_auth::{Failure, Identity, LoginError, Method};

use super::{Kerberos, now_ms};
use crate::login::{Known, simple};

/// Whom a token stands for.
///
/// # Errors
/// It is not ours, or no longer good.
pub fn verify(kerberos: &Kerberos, url: &str) -> Result<Known, LoginError> {
    let token = Token::from_url(url)?;
    let kept = &kerberos.kept;
    let good = kept.secrets().verify(&token, now_ms(), kept.lifetimes())?;
    let Identifier {
        owner, real_user, ..
    } = good.identifier;
    Ok(Known::new(Identity {
        real_user: Some(real_user.into()).filter(|real: &std::sync::Arc<str>| !real.is_empty()),
        ..simple::identity(&owner, Method::DelegationToken)
    }))
}

impl Kerberos {
    /// A new token in its form for URLs, for who has shown a ticket.
    ///
    /// # Errors
    /// The renewer has a name that no rule is for.
    pub fn issue(
        &self,
        identity: &Identity,
        renewer: Option<&str>,
        service: &str,
    ) -> Result<String, LoginError> {
        let renewer = match renewer {
            Some(renewer) => self.rules.short(renewer)?,
            None => identity.user.to_string(),
        };
        let (now_ms, lifetimes) = (now_ms(), self.kept.lifetimes());
        let identifier = Identifier {
            owner: identity.user.to_string(),
            renewer,
            real_user: identity.real_user.as_deref().unwrap_or_default().to_owned(),
            issued_ms: now_ms,
            max_ms: now_ms.saturating_add(lifetimes.token_max_ms),
            // Two tokens of one user and millisecond must differ, on whichever gateway.
            sequence: rand::random::<i32>() & i32::MAX,
            key_id: 0,
        };
        let token = self.kept.secrets().issue(identifier, service);
        let token = token
            .ok_or_else(|| LoginError::new(Failure::Unavailable, "there is no key for tokens"))?;
        Ok(token.to_url())
    }

    /// Makes a token good for longer; until when, in milliseconds since 1970.
    ///
    /// # Errors
    /// It is not ours, over, or not this user's to renew.
    pub async fn renew(&self, url: &str, by: &str) -> Result<i64, LoginError> {
        let token = Token::from_url(url)?;
        let lifetimes = *self.kept.lifetimes();
        tokio::task::block_in_place(|| {
            let changed = self
                .kept
                .change(|secrets| secrets.renew(&token, by, now_ms(), &lifetimes));
            changed.map_err(|error| not_kept(&error))?
        })
    }

    /// Ends a token.
    ///
    /// # Errors
    /// It is not ours, over, or not this user's to end.
    pub async fn cancel(&self, url: &str, by: &str) -> Result<(), LoginError> {
        let token = Token::from_url(url)?;
        let lifetimes = *self.kept.lifetimes();
        tokio::task::block_in_place(|| {
            let changed = self
                .kept
                .change(|secrets| secrets.cancel(&token, by, now_ms(), &lifetimes));
            changed.map_err(|error| not_kept(&error))?
        })
    }
}

fn not_kept(error: &std::io::Error) -> LoginError {
    tracing::error!(%error, "the file of tokens (auth.kerberos.secrets) cannot be changed");
    LoginError::new(
        Failure::Unavailable,
        "the change of the token could not be kept; try again later",
    )
}
