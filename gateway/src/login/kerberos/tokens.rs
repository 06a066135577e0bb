//! Delegation tokens: `delegation=` in any request, and the operations that give, renew and cancel them.

use moongate_auth::kerberos::Token;
use moongate_auth::kerberos::token::{HDFS, Identifier};
use moongate_auth::{Failure, Identity, LoginError, Method};

use super::{Kerberos, now_ms};
use crate::login::{Known, simple};

/// Whom a token stands for.
///
/// # Errors
/// It is not ours, or no longer good.
pub fn verify(kerberos: &Kerberos, url: &str) -> Result<Known, LoginError> {
    verified(kerberos, &Token::from_url(url)?)
}

/// Whom a token of ours stands for, of which the client has shown that it holds it.
///
/// # Errors
/// It is not ours, or no longer good.
pub fn verified(kerberos: &Kerberos, token: &Token) -> Result<Known, LoginError> {
    let kept = &kerberos.kept;
    let good = kept.secrets().verify(token, now_ms(), kept.lifetimes())?;
    let Identifier {
        owner, real_user, ..
    } = good.identifier;
    Ok(Known::new(Identity {
        real_user: Some(real_user.into()).filter(|real: &std::sync::Arc<str>| !real.is_empty()),
        ..simple::identity(&owner, Method::DelegationToken)
    }))
}

impl Kerberos {
    /// The token of this identifier, with its password.
    ///
    /// # Errors
    /// It is not ours.
    pub fn token_of(&self, identifier: Vec<u8>) -> Result<Token, LoginError> {
        self.kept.secrets().token_of(identifier, HDFS)
    }

    /// A new token, for who has shown a ticket.
    ///
    /// # Errors
    /// The renewer has a name that no rule is for.
    pub fn issue(
        &self,
        identity: &Identity,
        renewer: Option<&str>,
        service: &str,
    ) -> Result<Token, LoginError> {
        let renewer = match renewer {
            // Nobody may renew it.
            Some("") => String::new(),
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
        token.ok_or_else(|| LoginError::new(Failure::Unavailable, "there is no key for tokens"))
    }

    /// Makes a token good for longer; until when, in milliseconds since 1970.
    ///
    /// # Errors
    /// It is not ours, over, or not this user's to renew.
    pub async fn renew(&self, token: &Token, by: &str) -> Result<i64, LoginError> {
        let lifetimes = *self.kept.lifetimes();
        tokio::task::block_in_place(|| {
            let changed = self
                .kept
                .change(|secrets| secrets.renew(token, by, now_ms(), &lifetimes));
            changed.map_err(|error| not_kept(&error))?
        })
    }

    /// Ends a token.
    ///
    /// # Errors
    /// It is not ours, over, or not this user's to end.
    pub async fn cancel(&self, token: &Token, by: &str) -> Result<(), LoginError> {
        let lifetimes = *self.kept.lifetimes();
        tokio::task::block_in_place(|| {
            let changed = self
                .kept
                .change(|secrets| secrets.cancel(token, by, now_ms(), &lifetimes));
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
