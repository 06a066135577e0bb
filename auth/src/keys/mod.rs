//! Access keys: an id and a secret, for programs that can do no more than HTTP Basic, `Bearer ID:SECRET`, or later S3's signatures.
//!
//! They stand in a TOML file that is read again when it changes:
//!
//! ```toml
//! [[key]]
//! id = "AKmf1C6d0fKQb2hN"
//! secret_hash = "sha256:SALT:HASH"   # by `moongate token key`; or, where S3's signatures need it, secret = "…" in clear
//! user = "ann"
//! groups = ["research"]              # optional; else they are looked up
//! tenant = "a"                       # optional
//! expires = "2027-01-01T00:00:00Z"   # optional
//! ```

mod file;
pub mod secret;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use crate::jwt::Verified;
use crate::watched::{FileError, Watched};
use crate::{Failure, Groups, Identity, LoginError, Method};

pub use file::{Key, KeyFile};

/// The longest id or secret that is looked at, in bytes.
const PART_BYTES_MAX: usize = 256;

/// Why a key does not open.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyRefused {
    /// No such id, or another secret: which of them is not told.
    #[error("the access key is not known, or its secret is another")]
    Wrong,
    /// Right, but over.
    #[error("the access key has expired {0} s ago: ask for a new one")]
    Expired(u64),
    /// It is not `ID:SECRET`.
    #[error("an access key is ID:SECRET")]
    Malformed,
}

impl From<KeyRefused> for LoginError {
    fn from(refused: KeyRefused) -> Self {
        let failure = match refused {
            KeyRefused::Wrong => Failure::Forged,
            KeyRefused::Expired(_) => Failure::Expired,
            KeyRefused::Malformed => Failure::Malformed,
        };
        Self::new(failure, refused.to_string())
    }
}

/// The keys that are known, as they are now.
#[derive(Debug)]
pub struct Keys {
    file: Watched<KeyFile>,
}

impl Keys {
    /// Reads the file.
    ///
    /// # Errors
    /// It cannot be read, or is no such file.
    pub fn open(path: PathBuf) -> Result<Self, FileError> {
        let name = path.clone();
        let parse = move |files: &[Vec<u8>]| {
            let text = files.first().map(Vec::as_slice).unwrap_or_default();
            KeyFile::parse(text).map_err(|reason| FileError::new(&name, reason))
        };
        Watched::open(vec![path], parse).map(|file| Self { file })
    }

    /// Who has this key.
    ///
    /// # Errors
    /// [`KeyRefused::Wrong`], [`KeyRefused::Expired`].
    pub fn verify(&self, id: &str, secret: &str) -> Result<Verified, KeyRefused> {
        self.verify_at(id, secret, SystemTime::now())
    }

    /// As [`Self::verify`], of `ID:SECRET`.
    ///
    /// # Errors
    /// Each [`KeyRefused`].
    pub fn verify_pair(&self, pair: &str) -> Result<Verified, KeyRefused> {
        let (id, secret) = pair.split_once(':').ok_or(KeyRefused::Malformed)?;
        self.verify(id, secret)
    }

    fn verify_at(&self, id: &str, secret: &str, now: SystemTime) -> Result<Verified, KeyRefused> {
        if id.len() > PART_BYTES_MAX || secret.len() > PART_BYTES_MAX {
            return Err(KeyRefused::Wrong);
        }
        let file = self.file.get();
        let key = file.key(id);
        // An id that is not known takes as long as one that is.
        let right = match key {
            Some(key) => key.secret.is(secret),
            None => {
                let _ = file.decoy.is(secret);
                false
            }
        };
        let key = key.filter(|_| right).ok_or(KeyRefused::Wrong)?;
        if let Some(late) = key.expires.and_then(|end| now.duration_since(end).ok()) {
            return Err(KeyRefused::Expired(late.as_secs()));
        }
        Ok(verified(key))
    }

    /// The key with this id, for protocols that prove a secret without sending it (S3's signatures need it in clear).
    pub fn get(&self, id: &str) -> Option<(Verified, Option<Arc<str>>)> {
        let file = self.file.get();
        let key = file.key(id)?;
        let over = key.expires.is_some_and(|end| end <= SystemTime::now());
        (!over).then(|| (verified(key), key.secret.in_clear()))
    }

    /// Looks at the file now.
    pub fn refresh(&self) {
        self.file.refresh();
    }
}

fn verified(key: &Key) -> Verified {
    Verified {
        identity: Identity {
            user: Arc::clone(&key.user),
            principal: Arc::clone(&key.id),
            groups: key.groups.clone().unwrap_or(Groups::Unknown),
            real_user: None,
            tenant: key.tenant.clone(),
            method: Method::AccessKey,
        },
        groups_told: key.groups.is_some(),
        until_secs: u64::MAX,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn keys(text: &str) -> (tempfile::TempDir, Keys) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys.toml");
        std::fs::write(&path, text).unwrap();
        (folder, Keys::open(path).unwrap())
    }

    fn entry(id: &str, rest: &str) -> String {
        let hash = secret::hash("0123456789abcdefghij").unwrap();
        format!("[[key]]\nid = '{id}'\nuser = 'ann'\nsecret_hash = '{hash}'\n{rest}\n")
    }

    #[test]
    fn a_key_is_its_user() {
        let (_folder, keys) = keys(&entry("A", "groups = ['g']\ntenant = 't'"));
        let verified = keys.verify_pair("A:0123456789abcdefghij").unwrap();
        assert_eq!(&*verified.identity.user, "ann");
        assert_eq!(verified.identity.groups, Groups::known(["g"]));
        assert_eq!(verified.identity.tenant.as_deref(), Some("t"));
        assert!(verified.groups_told && verified.identity.method == Method::AccessKey);
        for wrong in [
            "A:",
            "A:0123456789abcdefghiJ",
            "B:0123456789abcdefghij",
            ":",
            "A:0123456789abcdefghij:",
        ] {
            assert_eq!(keys.verify_pair(wrong), Err(KeyRefused::Wrong), "{wrong}");
        }
        assert_eq!(keys.verify_pair("A"), Err(KeyRefused::Malformed));
        let long = "x".repeat(10_000);
        assert_eq!(keys.verify(&long, &long), Err(KeyRefused::Wrong));
    }

    #[test]
    fn a_key_that_is_over_says_so_to_its_owner_only() {
        let (_folder, keys) = keys(&entry("A", "expires = '2020-01-01T00:00:00Z'"));
        let end = SystemTime::UNIX_EPOCH + Duration::from_secs(1_577_836_800);
        let at = |secret, secs| keys.verify_at("A", secret, end + Duration::from_secs(secs));
        assert_eq!(at("0123456789abcdefghij", 7), Err(KeyRefused::Expired(7)));
        assert_eq!(at("wrong", 7), Err(KeyRefused::Wrong));
        assert!(
            keys.verify_at("A", "0123456789abcdefghij", end - Duration::from_secs(1))
                .is_ok()
        );
        assert!(keys.get("A").is_none());
    }

    #[test]
    fn a_key_is_withdrawn_by_a_change_of_the_file() {
        let (folder, keys) = keys(&entry("A", ""));
        assert!(keys.verify("A", "0123456789abcdefghij").is_ok());
        std::fs::write(folder.path().join("keys.toml"), entry("B", "")).unwrap();
        keys.refresh();
        assert!(keys.verify("A", "0123456789abcdefghij").is_err());
        assert!(keys.verify("B", "0123456789abcdefghij").is_ok());
    }
}
