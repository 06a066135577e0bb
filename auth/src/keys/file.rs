//! The file of access keys.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::SystemTime;

use serde::Deserialize;

use super::secret::{self, Secret};
use crate::Groups;

/// One key.
#[derive(Debug)]
pub struct Key {
    /// Its id.
    pub id: Arc<str>,
    /// Its secret.
    pub secret: Secret,
    /// Whom it stands for.
    pub user: Arc<str>,
    /// The user's groups, where they are told.
    pub groups: Option<Groups>,
    /// The user's tenant.
    pub tenant: Option<Arc<str>>,
    /// When it ends.
    pub expires: Option<SystemTime>,
}

/// All keys by id.
#[derive(Debug)]
pub struct KeyFile {
    keys: HashMap<Arc<str>, Key>,
    /// What an unknown id is compared with.
    pub(super) decoy: Secret,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(default)]
    key: Vec<WrittenKey>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenKey {
    id: String,
    user: String,
    secret_hash: Option<String>,
    secret: Option<String>,
    groups: Option<Vec<String>>,
    tenant: Option<String>,
    expires: Option<String>,
}

impl KeyFile {
    /// Reads TOML.
    ///
    /// # Errors
    /// What is wrong, with the key's id; never with a secret.
    pub fn parse(text: &[u8]) -> Result<Self, String> {
        let text = std::str::from_utf8(text).map_err(|_| "it is not UTF-8".to_owned())?;
        // The error's own text would show the line, with the secret in it.
        let written: Written = toml::from_str(text).map_err(|error| {
            let line = error.span().map_or(0, |span| {
                text.get(..span.start).unwrap_or_default().lines().count()
            });
            format!("near line {line}: {}", error.message())
        })?;
        let mut keys = HashMap::new();
        for written in written.key {
            let id = written.id.clone();
            let key = key(written).map_err(|reason| format!("key {id:?}: {reason}"))?;
            if keys.insert(Arc::clone(&key.id), key).is_some() {
                return Err(format!("key {id:?} is there twice"));
            }
        }
        let decoy = Secret::parse_hash(&secret::hash(&secret::make()?.1)?)?;
        Ok(Self { keys, decoy })
    }

    /// The key with this id.
    pub fn key(&self, id: &str) -> Option<&Key> {
        self.keys.get(id)
    }
}

fn key(written: WrittenKey) -> Result<Key, String> {
    let fit = |name: &str| {
        !name.is_empty() && !name.contains(|c: char| c.is_control() || c.is_whitespace())
    };
    if !fit(&written.id) || written.id.contains(':') {
        return Err("an id has no space and no ':', and is not empty".to_owned());
    }
    if !fit(&written.user) {
        return Err("user is a name without spaces".to_owned());
    }
    Ok(Key {
        id: written.id.into(),
        secret: kept(written.secret_hash, written.secret)?,
        user: written.user.into(),
        groups: written.groups.map(Groups::known),
        tenant: written.tenant.map(Into::into),
        expires: written.expires.map(|text| moment(&text)).transpose()?,
    })
}

fn kept(hash: Option<String>, clear: Option<String>) -> Result<Secret, String> {
    match (hash, clear) {
        (Some(hash), None) => Secret::parse_hash(&hash),
        (None, Some(clear)) if clear.len() >= secret::SECRET_BYTES_MIN => {
            Ok(Secret::Clear(clear.into()))
        }
        (None, Some(_)) => Err(format!(
            "secret: at least {} characters",
            secret::SECRET_BYTES_MIN
        )),
        _ => Err("needs secret_hash or secret: one of them".to_owned()),
    }
}

fn moment(text: &str) -> Result<SystemTime, String> {
    let help = |_| format!("expires = {text:?} is no moment such as 2027-01-01T00:00:00Z");
    humantime::parse_rfc3339(text).map_err(help)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_mistake_is_told_without_the_secret() {
        let clear = "secret = 'a-very-secret-secret-value'";
        for (text, says) in [
            (format!("[[key]]\nid = 'A'\n{clear}"), "user"),
            (
                format!("[[key]]\nid = 'A'\nuser = 'u'\n{clear}\nother = 1"),
                "other",
            ),
            (
                format!("[[key]]\nid = 'A'\nuser = 'u'\n{clear} x"),
                "near line",
            ),
            (
                "[[key]]\nid = 'A'\nuser = 'u'".to_owned(),
                "secret_hash or secret",
            ),
            (
                "[[key]]\nid = 'A'\nuser = 'u'\nsecret = 'short'".to_owned(),
                "at least 20",
            ),
            (format!("[[key]]\nid = 'A:B'\nuser = 'u'\n{clear}"), "':'"),
            (
                format!("[[key]]\nid = 'A'\nuser = 'u'\nexpires = 'soon'\n{clear}"),
                "no moment",
            ),
            (
                format!(
                    "[[key]]\nid = 'A'\nuser = 'u'\n{clear}\n[[key]]\nid = 'A'\nuser = 'v'\n{clear}"
                ),
                "twice",
            ),
        ] {
            let error = KeyFile::parse(text.as_bytes()).unwrap_err();
            assert!(
                error.contains(says) && !error.contains("very-secret"),
                "{text}: {error}"
            );
        }
        assert!(KeyFile::parse(b"").is_ok());
        assert!(KeyFile::parse(b"\xff").is_err());
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = KeyFile::parse(&bytes);
        }
    }
}
