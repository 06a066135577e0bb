//! Secrets of access keys: made at random, kept as a salted SHA-256.
//!
//! SHA-256 is fast, which would be wrong for passwords: a secret that is made here has 240 random bits, and no computer guesses these.
//! One that a person brings must have at least 20 characters.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::digest::{Context, SHA256};
use ring::rand::{SecureRandom as _, SystemRandom};
use subtle::ConstantTimeEq as _;

/// Shortest secret that is taken, in bytes.
pub const SECRET_BYTES_MIN: usize = 20;
/// Random bytes in a secret that is made: 40 characters, as Amazon's have.
const SECRET_RANDOM_BYTES: usize = 30;
/// Random bytes in an id.
const ID_RANDOM_BYTES: usize = 12;
const SALT_BYTES: usize = 16;
const FORM: &str =
    "secret_hash is sha256:SALT:HASH: make one with `moongate token key` or `moongate token hash`";

/// A secret as it is kept.
#[derive(Clone)]
pub enum Secret {
    /// Salt and SHA-256 over salt and secret.
    Hashed(Vec<u8>, Vec<u8>),
    /// Itself.
    Clear(Arc<str>),
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret")
    }
}

impl Secret {
    /// From its written form `sha256:SALT:HASH`.
    ///
    /// # Errors
    /// What it should look like.
    pub fn parse_hash(text: &str) -> Result<Self, String> {
        let parts = text
            .strip_prefix("sha256:")
            .and_then(|rest| rest.split_once(':'));
        let (salt, hash) = parts.ok_or(FORM)?;
        let decode = |part| URL_SAFE_NO_PAD.decode(part).map_err(|_| FORM.to_owned());
        let (salt, hash) = (decode(salt)?, decode(hash)?);
        if salt.len() < 8 || hash.len() != 32 {
            return Err(FORM.to_owned());
        }
        Ok(Self::Hashed(salt, hash))
    }

    /// Whether it is `shown`, in a time that tells nothing of where they differ.
    pub fn is(&self, shown: &str) -> bool {
        match self {
            Self::Hashed(salt, hash) => hash.ct_eq(&digest(salt, shown)).into(),
            // Hashes of both: their lengths are told by no clock either.
            Self::Clear(secret) => digest(b"", secret).ct_eq(&digest(b"", shown)).into(),
        }
    }

    /// The secret, where it is kept as it is.
    pub fn in_clear(&self) -> Option<Arc<str>> {
        match self {
            Self::Hashed(..) => None,
            Self::Clear(secret) => Some(Arc::clone(secret)),
        }
    }
}

/// A secret as a line of the key file has it.
///
/// # Errors
/// It is too short.
pub fn hash(secret: &str) -> Result<String, String> {
    if secret.len() < SECRET_BYTES_MIN {
        return Err(format!(
            "a secret of {} characters can be guessed: take at least {SECRET_BYTES_MIN}, or let `moongate token key` make one",
            secret.len()
        ));
    }
    let salt = random(SALT_BYTES)?;
    let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    Ok(format!(
        "sha256:{}:{}",
        encode(&salt),
        encode(&digest(&salt, secret))
    ))
}

/// A new id and a new secret.
///
/// # Errors
/// The system has no randomness.
pub fn make() -> Result<(String, String), String> {
    let id = URL_SAFE_NO_PAD.encode(random(ID_RANDOM_BYTES)?);
    let secret = URL_SAFE_NO_PAD.encode(random(SECRET_RANDOM_BYTES)?);
    Ok((format!("MG{id}"), secret))
}

fn random(bytes: usize) -> Result<Vec<u8>, String> {
    let mut random = vec![0; bytes];
    SystemRandom::new()
        .fill(&mut random)
        .map_err(|_| "the system has no randomness (getrandom)".to_owned())?;
    Ok(random)
}

fn digest(salt: &[u8], secret: &str) -> Vec<u8> {
    let mut context = Context::new(&SHA256);
    context.update(salt);
    context.update(secret.as_bytes());
    context.finish().as_ref().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_known_by_its_hash() {
        let (id, secret) = make().unwrap();
        assert!(id.starts_with("MG") && secret.len() == 40);
        let (one, other) = (hash(&secret).unwrap(), hash(&secret).unwrap());
        assert_ne!(one, other, "each has its salt");
        let kept = Secret::parse_hash(&one).unwrap();
        assert!(kept.is(&secret) && !kept.is("") && !kept.is(&secret[1..]));
        assert!(kept.in_clear().is_none() && !one.contains(&secret));
    }

    #[test]
    fn what_can_be_guessed_or_is_no_hash_is_refused() {
        assert!(hash("password").is_err());
        for text in [
            "",
            "sha256:",
            "sha256:AAAA",
            "sha256:AAAA:AAAA",
            "md5:x:y",
            "sha256:!!:!!",
        ] {
            assert!(Secret::parse_hash(text).is_err(), "{text}");
        }
    }
}
