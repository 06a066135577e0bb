//! What all gateways that share their cookies and tokens must know: secrets that sign them, and which tokens were renewed or cancelled.
//! A plain value that is given the time and randomness; [`kept`](super::kept) keeps it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::kept::Lifetimes;
use super::token::{self, Identifier, Token};
use crate::{Failure, LoginError};

/// A secret of this many bytes is made.
pub const SECRET_BYTES: usize = 32;
const NOT_OURS: &str = "the delegation token was not given by this gateway, or its key has been rolled away: get a new one";

/// See the module. Times are milliseconds since 1970.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Secrets {
    /// Keys, the newest last. The newest signs; all verify.
    pub keys: Vec<Key>,
    /// Tokens that were renewed, and until when they are good.
    pub renewed: BTreeMap<String, i64>,
    /// Tokens that were cancelled, and until when that must be remembered.
    pub cancelled: BTreeMap<String, i64>,
}

/// A key of cookies and tokens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Key {
    /// Its number in tokens.
    pub id: i32,
    /// When it was made.
    pub made_ms: i64,
    /// For tokens.
    pub token: Vec<u8>,
    /// For cookies.
    pub cookie: Vec<u8>,
}

/// A token that is good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Good {
    /// What it says.
    pub identifier: Identifier,
    /// Until when it is good unless it is renewed.
    pub until_ms: i64,
}

impl Secrets {
    /// Whether it is time for a new key.
    pub fn wants_key(&self, now_ms: i64, roll_ms: i64) -> bool {
        let newest = self.keys.last();
        newest.is_none_or(|key| now_ms.saturating_sub(key.made_ms) >= roll_ms)
    }

    /// Adds a key, and forgets what nobody can still hold.
    pub fn roll(&mut self, now_ms: i64, lifetimes: &Lifetimes, random: [[u8; SECRET_BYTES]; 2]) {
        let [token, cookie] = random.map(|bytes| bytes.to_vec());
        let id = self.keys.last().map_or(0, |key| key.id).wrapping_add(1);
        self.keys.push(Key {
            id,
            made_ms: now_ms,
            token,
            cookie,
        });
        let held_ms = lifetimes.roll_ms + lifetimes.token_max_ms.max(lifetimes.cookie_ms);
        let newest = self.keys.len().saturating_sub(1);
        let mut at = 0;
        self.keys.retain(|key| {
            at += 1;
            at > newest || now_ms.saturating_sub(key.made_ms) < held_ms
        });
        self.renewed.retain(|_, until| *until > now_ms);
        self.cancelled.retain(|_, until| *until > now_ms);
    }

    /// The secrets of cookies, the one that signs first. Older ones than a cookie lives are not among them.
    pub fn cookie_secrets(&self, now_ms: i64, lifetimes: &Lifetimes) -> Vec<&[u8]> {
        let held_ms = lifetimes.roll_ms + lifetimes.cookie_ms;
        let mut keys: Vec<&Key> = self.keys.iter().rev().collect();
        let first = keys.first().map(|key| key.id);
        keys.retain(|key| Some(key.id) == first || now_ms - key.made_ms < held_ms);
        keys.into_iter().map(|key| &key.cookie[..]).collect()
    }

    /// A new token.
    pub fn issue(&self, mut identifier: Identifier, service: &str) -> Option<Token> {
        let key = self.keys.last()?;
        identifier.key_id = key.id;
        let identifier = identifier.encode();
        let password = token::password(&key.token, &identifier)?.to_vec();
        Some(Token {
            identifier,
            password,
            kind: token::WEBHDFS.to_owned(),
            service: service.to_owned(),
        })
    }

    /// The token of this identifier, which whoever proves to hold it need not show.
    ///
    /// # Errors
    /// As of [`Self::genuine`].
    pub fn token_of(&self, identifier: Vec<u8>, kind: &str) -> Result<Token, LoginError> {
        let read = Identifier::decode(&identifier);
        let key = read.and_then(|read| self.keys.iter().find(|key| key.id == read.key_id));
        let password = key.and_then(|key| token::password(&key.token, &identifier));
        let unknown = || LoginError::new(Failure::Forged, NOT_OURS);
        Ok(Token {
            password: password.ok_or_else(unknown)?.to_vec(),
            identifier,
            kind: kind.to_owned(),
            service: String::new(),
        })
    }

    /// What a token says, if one of our keys made it. Whether its time is over is not asked.
    ///
    /// # Errors
    /// [`Failure::Malformed`] and [`Failure::Forged`].
    pub fn genuine(&self, token: &Token) -> Result<Identifier, LoginError> {
        let malformed = || {
            LoginError::new(
                Failure::Malformed,
                "the identifier of the delegation token cannot be read",
            )
        };
        let identifier = Identifier::decode(&token.identifier).ok_or_else(malformed)?;
        let key = self.keys.iter().find(|key| key.id == identifier.key_id);
        let is_ours = key
            .is_some_and(|key| token::is_password(&key.token, &token.identifier, &token.password));
        if is_ours {
            return Ok(identifier);
        }
        Err(LoginError::new(Failure::Forged, NOT_OURS))
    }

    /// Whom a token stands for now.
    ///
    /// # Errors
    /// As of [`Self::genuine`]; [`Failure::Expired`] for what is over or cancelled.
    pub fn verify(
        &self,
        token: &Token,
        now_ms: i64,
        lifetimes: &Lifetimes,
    ) -> Result<Good, LoginError> {
        let identifier = self.genuine(token)?;
        let name = name(token);
        let expired = |text: String| Err(LoginError::new(Failure::Expired, text));
        if self.cancelled.contains_key(&name) {
            return expired("the delegation token was cancelled: get a new one".to_owned());
        }
        let renewed = self.renewed.get(&name).copied();
        let first_ms = identifier
            .issued_ms
            .saturating_add(lifetimes.token_renew_ms);
        let until_ms = renewed.unwrap_or(first_ms).min(identifier.max_ms);
        if until_ms <= now_ms {
            let ago = now_ms.saturating_sub(until_ms) / 1000;
            return expired(format!(
                "the delegation token has expired {ago} s ago: renew it in time, or get a new one"
            ));
        }
        Ok(Good {
            identifier,
            until_ms,
        })
    }

    /// Makes a token good for longer: until when is told.
    ///
    /// # Errors
    /// As of [`Self::verify`]; [`Failure::Impersonation`] for who may not renew it.
    pub fn renew(
        &mut self,
        token: &Token,
        by: &str,
        now_ms: i64,
        lifetimes: &Lifetimes,
    ) -> Result<i64, LoginError> {
        let identifier = self.genuine(token)?;
        if identifier.renewer.is_empty() || identifier.renewer != by {
            let text = format!(
                "{by} tries to renew a token with renewer {:?}: only the renewer may",
                identifier.renewer
            );
            return Err(LoginError::new(Failure::Impersonation, text));
        }
        let good = self.verify(token, now_ms, lifetimes)?;
        let until_ms = now_ms
            .saturating_add(lifetimes.token_renew_ms)
            .min(good.identifier.max_ms);
        self.renewed.insert(name(token), until_ms);
        Ok(until_ms)
    }

    /// Ends a token.
    ///
    /// # Errors
    /// As of [`Self::verify`]; [`Failure::Impersonation`] for who may not cancel it.
    pub fn cancel(
        &mut self,
        token: &Token,
        by: &str,
        now_ms: i64,
        lifetimes: &Lifetimes,
    ) -> Result<(), LoginError> {
        let Identifier {
            owner,
            renewer,
            real_user,
            max_ms,
            ..
        } = self.genuine(token)?;
        if ![owner, renewer, real_user].iter().any(|may| may == by) {
            let text = format!(
                "{by} is not authorized to cancel the token: its owner and its renewer are"
            );
            return Err(LoginError::new(Failure::Impersonation, text));
        }
        self.verify(token, now_ms, lifetimes)?;
        let name = name(token);
        self.renewed.remove(&name);
        self.cancelled.insert(name, max_ms);
        Ok(())
    }
}

/// What a token is called in the lists: not the token itself, which would let in.
fn name(token: &Token) -> String {
    let digest = Sha256::digest(&token.identifier);
    digest
        .iter()
        .take(16)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIFETIMES: Lifetimes = Lifetimes {
        cookie_ms: 100,
        token_renew_ms: 1000,
        token_max_ms: 7000,
        roll_ms: 1000,
    };

    fn secrets() -> Secrets {
        let mut secrets = Secrets::default();
        assert!(secrets.wants_key(0, LIFETIMES.roll_ms));
        secrets.roll(0, &LIFETIMES, [[1; SECRET_BYTES], [2; SECRET_BYTES]]);
        secrets
    }

    fn token(secrets: &Secrets, sequence: i32) -> Token {
        let identifier = Identifier {
            owner: "alice".into(),
            renewer: "yarn".into(),
            real_user: "hue".into(),
            issued_ms: 0,
            max_ms: 7000,
            sequence,
            key_id: 0,
        };
        secrets.issue(identifier, "h:1").unwrap()
    }

    #[test]
    fn a_life() {
        let mut secrets = secrets();
        let token = token(&secrets, 1);
        let good = secrets.verify(&token, 999, &LIFETIMES).unwrap();
        assert_eq!((good.until_ms, &*good.identifier.owner), (1000, "alice"));
        let failed = |done: Result<(), LoginError>| done.unwrap_err().failure;
        let verify = |secrets: &Secrets, now| secrets.verify(&token, now, &LIFETIMES).map(drop);
        assert_eq!(failed(verify(&secrets, 1000)), Failure::Expired);
        for not in ["alice", "hue", ""] {
            let renewed = secrets.renew(&token, not, 500, &LIFETIMES).map(drop);
            assert_eq!(failed(renewed), Failure::Impersonation);
        }
        assert_eq!(secrets.renew(&token, "yarn", 500, &LIFETIMES), Ok(1500));
        assert!(verify(&secrets, 1400).is_ok());
        let late = secrets.renew(&token, "yarn", 1600, &LIFETIMES).map(drop);
        assert_eq!(failed(late), Failure::Expired);
        let not = secrets.cancel(&token, "bob", 600, &LIFETIMES);
        assert_eq!(failed(not), Failure::Impersonation);
        secrets.cancel(&token, "hue", 600, &LIFETIMES).unwrap();
        assert_eq!(failed(verify(&secrets, 700)), Failure::Expired);
        let twice = secrets.cancel(&token, "alice", 700, &LIFETIMES);
        assert_eq!(failed(twice), Failure::Expired);
        let renewed = secrets.renew(&token, "yarn", 700, &LIFETIMES).map(drop);
        assert_eq!(failed(renewed), Failure::Expired);
    }

    #[test]
    fn never_beyond_the_end_of_its_life() {
        let mut secrets = secrets();
        let token = token(&secrets, 1);
        for now in (900..6900).step_by(900) {
            secrets.renew(&token, "yarn", now, &LIFETIMES).unwrap();
        }
        assert!(secrets.verify(&token, 6999, &LIFETIMES).is_ok());
        assert!(secrets.verify(&token, 7000, &LIFETIMES).is_err());
    }

    #[test]
    fn keys_are_rolled_and_kept_as_long_as_they_are_needed() {
        let mut secrets = secrets();
        let old = token(&secrets, 1);
        assert!(!secrets.wants_key(999, 1000) && secrets.wants_key(1000, 1000));
        for now in [1000, 2000, 3000] {
            secrets.roll(now, &LIFETIMES, [[3; SECRET_BYTES], [4; SECRET_BYTES]]);
        }
        assert!(secrets.genuine(&old).is_ok());
        assert_eq!(secrets.cookie_secrets(3000, &LIFETIMES).len(), 2);
        assert_eq!(
            secrets.cookie_secrets(3000, &LIFETIMES)[0],
            [4; SECRET_BYTES]
        );
        secrets.roll(8000, &LIFETIMES, [[5; SECRET_BYTES], [6; SECRET_BYTES]]);
        assert_eq!(secrets.genuine(&old).unwrap_err().failure, Failure::Forged);
        let new = token(&secrets, 2);
        assert!(secrets.genuine(&new).is_ok());
        let forged = Token {
            password: vec![0; 20],
            ..new
        };
        assert_eq!(
            secrets.genuine(&forged).unwrap_err().failure,
            Failure::Forged
        );
    }
}
