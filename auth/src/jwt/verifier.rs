//! From a token to an identity.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use moka::sync::Cache;
use ring::digest::{SHA256, digest};

use super::claims::check_expiry;
use super::issuer::is_named;
use super::jwk::{Algorithm, Key};
use super::rules::Subject;
use super::token::Token;
use super::{Issuer, Refused};
use crate::{Groups, Identity, Method};

/// Tokens that were found good and are remembered.
const REMEMBERED_MAX: u64 = 10_000;

/// What a good token shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// Who calls. Its groups are unknown where `groups_told` is false.
    pub identity: Identity,
    /// Whether token or rules told of groups; else they are to be looked up.
    pub groups_told: bool,
    /// Until when the token is good, in seconds since 1970.
    pub until_secs: u64,
}

/// Checks tokens of all issuers that are configured.
#[derive(Debug)]
pub struct Verifier {
    issuers: Vec<Arc<Issuer>>,
    remembered: Cache<[u8; 32], Arc<Remembered>>,
}

#[derive(Debug)]
struct Remembered {
    verified: Verified,
    issuer: usize,
    /// The keys that it was checked by: with others it is checked again.
    keys: Arc<Vec<Key>>,
}

impl Verifier {
    /// Believes these.
    pub fn new(issuers: Vec<Arc<Issuer>>) -> Self {
        Self {
            issuers,
            remembered: Cache::new(REMEMBERED_MAX),
        }
    }

    /// The issuers, for who asks how they do.
    pub fn issuers(&self) -> &[Arc<Issuer>] {
        &self.issuers
    }

    /// Who shows `token` now.
    ///
    /// # Errors
    /// Each [`Refused`].
    pub async fn verify(&self, token: &str) -> Result<Verified, Refused> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        self.verify_at(token, now.map_or(0, |now| now.as_secs()))
            .await
    }

    /// Who shows `token` at a time, in seconds since 1970.
    ///
    /// # Errors
    /// Each [`Refused`].
    pub async fn verify_at(&self, token: &str, now_secs: u64) -> Result<Verified, Refused> {
        let fingerprint = fingerprint(token);
        if let Some(known) = self.remembered.get(&fingerprint)
            && let Some(issuer) = self.issuers.get(known.issuer)
            && Arc::ptr_eq(&known.keys, &issuer.known())
        {
            let leeway = issuer.config.required.leeway_secs;
            check_expiry(known.verified.until_secs, leeway, now_secs)?;
            return Ok(known.verified.clone());
        }
        let fresh = self.checked(token, now_secs).await?;
        let verified = fresh.verified.clone();
        self.remembered.insert(fingerprint, Arc::new(fresh));
        Ok(verified)
    }

    async fn checked(&self, token: &str, now_secs: u64) -> Result<Remembered, Refused> {
        let token = Token::parse(token)?;
        let name = token.text("iss").ok_or(Refused::Issuer)?;
        let found = self
            .issuers
            .iter()
            .enumerate()
            .find(|(_, issuer)| issuer.config.name == name);
        let (index, issuer) = found.ok_or(Refused::Issuer)?;
        let keys = signed_by(issuer, &token).await?;
        let until_secs = issuer.config.required.check(&token.claims, now_secs)?;
        let subject = issuer.config.mapping.subject(&token.claims)?;
        let principal = token.text("sub").unwrap_or(&subject.user).into();
        Ok(Remembered {
            verified: Verified {
                groups_told: subject.groups.is_some(),
                identity: identity(subject, principal),
                until_secs,
            },
            issuer: index,
            keys,
        })
    }
}

fn fingerprint(token: &str) -> [u8; 32] {
    let mut fingerprint = [0; 32];
    for (to, from) in fingerprint
        .iter_mut()
        .zip(digest(&SHA256, token.as_bytes()).as_ref())
    {
        *to = *from;
    }
    fingerprint
}

/// The keys by one of which the token is signed.
async fn signed_by(issuer: &Arc<Issuer>, token: &Token<'_>) -> Result<Arc<Vec<Key>>, Refused> {
    let algorithm = Algorithm::named(&token.header.alg).ok_or(Refused::Algorithm)?;
    let allowed = &issuer.config.algorithms;
    if !allowed.is_empty() && !allowed.contains(&algorithm) {
        return Err(Refused::Algorithm);
    }
    let kid = token.header.kid.as_deref();
    let keys = issuer.keys_named(kid).await;
    if keys.is_empty() {
        return Err(Refused::KeysAway);
    }
    let named: Vec<&Key> = keys.iter().filter(|key| is_named(key, kid)).collect();
    if named.is_empty() {
        return Err(Refused::UnknownKey);
    }
    if !named.iter().any(|key| key.fits(algorithm)) {
        return Err(Refused::Algorithm);
    }
    let text = token.signed.as_bytes();
    let signed = named
        .iter()
        .any(|key| key.signed(algorithm, text, &token.signature));
    drop(named);
    signed.then_some(keys).ok_or(Refused::Signature)
}

fn identity(subject: Subject, principal: Arc<str>) -> Identity {
    Identity {
        user: subject.user.into(),
        principal,
        groups: subject.groups.map_or(Groups::Unknown, Groups::known),
        real_user: None,
        tenant: subject.tenant.map(Into::into),
        method: Method::Jwt,
    }
}

#[cfg(test)]
#[path = "verifier_tests.rs"]
mod tests;
