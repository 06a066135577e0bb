//! SeaweedFS's tokens for one file id: HS256 over `{"exp":…,"fid":"3,01637037d6"}`, signed with a secret that the gateway and those who
//! give tokens out share. They say nothing of who calls.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;
use serde::{Deserialize, Serialize};

use super::claims;
use super::token::Token;

/// The header of tokens that are made here.
const HEADER: &str = r#"{"alg":"HS256","typ":"JWT"}"#;

/// Why a token does not open a file id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FidRefused {
    /// There is none.
    #[error("a token for this file id is needed: Authorization: Bearer, or ?jwt=")]
    Missing,
    /// No token, or not signed with the secret.
    #[error("wrong jwt")]
    Wrong,
    /// It was good.
    #[error("wrong jwt: expired {0} s ago")]
    Expired(u64),
    /// It is for another.
    #[error("wrong jwt: it is for another file id")]
    OtherFid,
}

/// The secret, and how long tokens made with it live.
pub struct FidKey {
    key: hmac::Key,
    lives_secs: u64,
}

impl std::fmt::Debug for FidKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FidKey")
            .field("lives_secs", &self.lives_secs)
            .finish_non_exhaustive()
    }
}

#[derive(Deserialize, Serialize)]
struct Claims<'a> {
    exp: u64,
    fid: &'a str,
}

impl FidKey {
    /// By a secret; tokens made live `lives_secs` (SeaweedFS: 10).
    pub fn new(secret: &[u8], lives_secs: u64) -> Self {
        Self {
            key: hmac::Key::new(hmac::HMAC_SHA256, secret),
            lives_secs,
        }
    }

    /// A token for `fid`, from now (seconds since 1970).
    pub fn make(&self, fid: &str, now_secs: u64) -> String {
        let claims = Claims {
            exp: now_secs.saturating_add(self.lives_secs),
            fid,
        };
        let claims = serde_json::to_string(&claims).unwrap_or_default();
        let signed = format!(
            "{}.{}",
            URL_SAFE_NO_PAD.encode(HEADER),
            URL_SAFE_NO_PAD.encode(claims)
        );
        let signature = hmac::sign(&self.key, signed.as_bytes());
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    /// Whether `token` opens `fid` now (seconds since 1970). One made for `fid` opens `fid_1`, `fid_2` … too: keys that were assigned
    /// together. A token without a file id opens none.
    ///
    /// # Errors
    /// Each [`FidRefused`].
    pub fn check(&self, token: Option<&str>, fid: &str, now_secs: u64) -> Result<(), FidRefused> {
        let token =
            Token::parse(token.ok_or(FidRefused::Missing)?).map_err(|_| FidRefused::Wrong)?;
        if token.header.alg != "HS256" {
            return Err(FidRefused::Wrong);
        }
        // In constant time.
        hmac::verify(&self.key, token.signed.as_bytes(), &token.signature)
            .map_err(|_| FidRefused::Wrong)?;
        let until = claims::seconds(token.claims.get("exp")).ok_or(FidRefused::Wrong)?;
        if until <= now_secs {
            return Err(FidRefused::Expired(now_secs - until));
        }
        match token.text("fid") {
            Some(own) if own == without_suffix(fid) || own == fid => Ok(()),
            _ => Err(FidRefused::OtherFid),
        }
    }
}

fn without_suffix(fid: &str) -> &str {
    fid.split_once('_').map_or(fid, |(fid, _)| fid)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key() -> FidKey {
        FidKey::new(b"secret", 10)
    }

    #[test]
    fn a_token_opens_its_file_id_for_ten_seconds() {
        let token = key().make("3,01637037d6", 1000);
        let check = |fid, now| key().check(Some(&token), fid, now);
        assert_eq!(check("3,01637037d6", 1009), Ok(()));
        assert_eq!(check("3,01637037d6_2", 1000), Ok(()));
        assert_eq!(check("3,01637037d6", 1012), Err(FidRefused::Expired(2)));
        assert_eq!(check("3,01637037d7", 1000), Err(FidRefused::OtherFid));
        assert_eq!(check("4,01637037d6", 1000), Err(FidRefused::OtherFid));
        assert_eq!(key().check(None, "3,01", 1000), Err(FidRefused::Missing));
    }

    #[test]
    fn a_token_of_another_secret_or_none_is_wrong() {
        let other = FidKey::new(b"other", 10).make("3,01", 1000);
        let none = format!(
            "{}.{}.",
            URL_SAFE_NO_PAD.encode(r#"{"alg":"none"}"#),
            URL_SAFE_NO_PAD.encode(r#"{"exp":2000,"fid":"3,01"}"#)
        );
        for wrong in [other.as_str(), &none, "", "a.b.c"] {
            assert_eq!(
                key().check(Some(wrong), "3,01", 1000),
                Err(FidRefused::Wrong),
                "{wrong}"
            );
        }
    }

    #[test]
    fn a_token_that_seaweedfs_made_is_good() {
        // What Go's jwt makes of security.SeaweedFileIdClaims: other order of the header's members is the issuer's business.
        let signed = format!(
            "{}.{}",
            URL_SAFE_NO_PAD.encode(r#"{"typ":"JWT","alg":"HS256"}"#),
            URL_SAFE_NO_PAD.encode(r#"{"fid":"3,01","exp":2000}"#)
        );
        let signature = hmac::sign(
            &hmac::Key::new(hmac::HMAC_SHA256, b"secret"),
            signed.as_bytes(),
        );
        let token = format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature));
        assert_eq!(key().check(Some(&token), "3,01", 1000), Ok(()));
    }

    proptest! {
        #[test]
        fn a_changed_token_is_never_good(at in 0usize..100, to in "[A-Za-z0-9_-]") {
            let good = key().make("3,01637037d6", 1000);
            let at = at % good.len();
            let mut bad = good.clone();
            bad.replace_range(at..=at, &to);
            prop_assume!(bad != good);
            // The last character of base64 carries bits that mean nothing: decoding must refuse these, too.
            prop_assert!(key().check(Some(&bad), "3,01637037d6", 1000).is_err());
        }
    }
}
