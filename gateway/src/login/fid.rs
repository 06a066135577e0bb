//! SeaweedFS's tokens of one file id (`[image.jwt]`): who shows a good one need not log in, for that image.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use http::Method;
use http::header::{AUTHORIZATION, COOKIE};
use http::request::Parts;
use moongate_auth::jwt::fid::{FidKey, FidRefused};
use moongate_auth::watched::FileError;
use moongate_haystack::id::FileId;

use crate::config::{Config, Span};
use crate::http::query::Query;
use crate::protocol::image::path::ObjectPath;

/// Shortest secret, in bytes: a shorter one can be found by trying.
const SECRET_BYTES_MIN: usize = 16;
/// The cookie that SeaweedFS's web pages keep a token in.
const COOKIE_NAME: &str = "AT";

/// The secrets, where there are any.
#[derive(Debug, Default)]
pub struct FidTokens {
    write: Option<FidKey>,
    read: Option<FidKey>,
}

impl FidTokens {
    /// Reads the secrets.
    ///
    /// # Errors
    /// A file cannot be read, or its secret is too short.
    pub fn open(config: &Config) -> Result<Self, FileError> {
        let jwt = &config.image.jwt;
        Ok(Self {
            write: key(&jwt.write_key_file, jwt.write_expires)?,
            read: key(&jwt.read_key_file, jwt.read_expires)?,
        })
    }

    /// Whether a token of this image is shown, and good. `None`: none is needed for this, or the caller is to show otherwise who they are.
    ///
    /// # Errors
    /// There is none, or it is not good.
    pub fn shown(&self, parts: &Parts, query: &Query<'_>) -> Option<Result<(), FidRefused>> {
        let key = self.key_for(&parts.method)?;
        let object = ObjectPath::parse(parts.uri.path()).ok()?;
        let token = token(parts, query);
        Some(key.check(token, &object.fid.to_string(), now_secs()))
    }

    /// Whether images that are listed (batches) may be touched by callers who have not logged in.
    pub const fn guards(&self, changes: bool) -> bool {
        if changes {
            self.write.is_some()
        } else {
            self.read.is_some()
        }
    }

    const fn key_for(&self, method: &Method) -> Option<&FidKey> {
        match *method {
            Method::GET | Method::HEAD => self.read.as_ref(),
            Method::PUT | Method::POST | Method::DELETE => self.write.as_ref(),
            _ => None,
        }
    }

    /// A token to write an image, or to read it.
    pub fn make(&self, fid: &FileId, to_read: bool) -> Option<String> {
        let key = if to_read { &self.read } else { &self.write };
        Some(key.as_ref()?.make(&fid.to_string(), now_secs()))
    }
}

fn key(path: &Path, lives: Span) -> Result<Option<FidKey>, FileError> {
    if path.as_os_str().is_empty() {
        return Ok(None);
    }
    let secret = std::fs::read(path).map_err(|error| FileError::new(path, error))?;
    let secret = secret.trim_ascii();
    if secret.len() < SECRET_BYTES_MIN {
        let reason = format!(
            "a secret of {} characters can be guessed: write at least {SECRET_BYTES_MIN}",
            secret.len()
        );
        return Err(FileError::new(path, reason));
    }
    Ok(Some(FidKey::new(secret, lives.duration().as_secs())))
}

/// Where SeaweedFS looks: `?jwt=`, `Authorization: Bearer`, a cookie.
fn token<'a>(parts: &'a Parts, query: &'a Query<'_>) -> Option<&'a str> {
    if let Some(token) = query.get_set("jwt") {
        return Some(token);
    }
    let header = parts
        .headers
        .get(AUTHORIZATION)
        .and_then(|value| value.to_str().ok());
    if let Some((scheme, token)) = header.and_then(|value| value.split_once(' '))
        && scheme.eq_ignore_ascii_case("bearer")
    {
        return Some(token.trim());
    }
    let cookies = parts
        .headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok());
    let mut pairs = cookies
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='));
    pairs
        .find(|(name, _)| *name == COOKIE_NAME)
        .map(|(_, token)| token)
}

fn now_secs() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |now| now.as_secs())
}
