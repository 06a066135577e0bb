//! Block tokens: who may read which block of which version of which file until when, sealed with a key of this process, or one that several
//! gateways share.
//!
//! A client returns to the data port what it was told with a block's location; it cannot make one. The file is opened again in the name that
//! the token holds, so rights that were taken away are gone there too (after [`OPENED_FOR`](super::opened::OPENED_FOR)).

use std::io;
use std::path::Path;

use bytes::Bytes;
use hmac::{Hmac, KeyInit as _, Mac as _};
use moongate_cache::{Status, Version};
use prost::Message;
use sha2::{Digest as _, Sha256};

use super::proto::common::TokenProto;
use crate::namespace::now_ms;
use crate::protocol::webhdfs::locations::Block;

/// How long a token is good: as HDFS's own (`dfs.block.access.token.lifetime`).
const LIFETIME_MS: u64 = 10 * 60 * 60 * 1000;
const KIND: &str = "HDFS_BLOCK_TOKEN";
/// Shortest secret of a file, in bytes.
const SECRET_BYTES_MIN: usize = 32;
/// What a file's secret is for here, in case that somebody uses it for something else as well.
const PURPOSE: &[u8] = b"moongate block tokens 1\0";

/// What a token says.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct BlockToken {
    /// In the namespace.
    #[prost(string, tag = "1")]
    pub path: String,
    /// Length of the file.
    #[prost(uint64, tag = "2")]
    pub len: u64,
    /// When it was changed.
    #[prost(uint64, tag = "3")]
    pub modified_ms: u64,
    /// The store's own word for its content.
    #[prost(string, optional, tag = "4")]
    pub etag: Option<String>,
    /// First byte of the block.
    #[prost(uint64, tag = "5")]
    pub block_start: u64,
    /// Its bytes.
    #[prost(uint64, tag = "6")]
    pub block_len: u64,
    /// Whose read it is.
    #[prost(string, tag = "7")]
    pub user: String,
    /// Who acts for them.
    #[prost(string, optional, tag = "8")]
    pub real_user: Option<String>,
    /// Milliseconds since 1970.
    #[prost(uint64, tag = "9")]
    pub expires_ms: u64,
}

impl BlockToken {
    /// For a block of a file as it is.
    pub fn new(path: &str, status: &Status, block: Block, user: &str, real: Option<&str>) -> Self {
        Self {
            path: path.to_owned(),
            len: status.len,
            modified_ms: status.modified_ms,
            etag: status.etag.as_deref().map(str::to_owned),
            block_start: block.start,
            block_len: block.len,
            user: user.to_owned(),
            real_user: real.map(str::to_owned),
            expires_ms: now_ms().saturating_add(LIFETIME_MS),
        }
    }

    /// Which content of the path it is for.
    pub fn version(&self) -> Version {
        Version {
            len: self.len,
            modified_ms: self.modified_ms,
            etag: self.etag.as_deref().map(Into::into),
        }
    }

    /// The block's number: another one for each place, path and version, so that a client notices that a file was replaced. HDFS's are
    /// positive.
    pub fn block_id(&self) -> u64 {
        let of_block = Self {
            user: String::new(),
            real_user: None,
            expires_ms: 0,
            ..self.clone()
        };
        number(&of_block.encode_to_vec())
    }
}

/// A number of 62 bits that stands for these bytes; never 0.
pub fn number(bytes: &[u8]) -> u64 {
    let digest = Sha256::digest(bytes);
    let head = digest.first_chunk::<8>().copied().unwrap_or_default();
    (u64::from_be_bytes(head) >> 2) | 1
}

/// Makes tokens and checks them.
pub struct Tokens {
    key: [u8; 32],
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tokens")
    }
}

impl Tokens {
    /// With a key that nobody knows.
    pub fn new() -> Self {
        Self {
            key: rand::random(),
        }
    }

    /// With the key of a file, or that of nobody where none is named.
    ///
    /// # Errors
    /// The file cannot be read, or its secret is too short.
    pub fn of_file(file: &Path) -> io::Result<Self> {
        if file.as_os_str().is_empty() {
            return Ok(Self::new());
        }
        let failed = |kind, why: String| {
            let text = format!("hdfs.secret_file = {}: {why}", file.display());
            io::Error::new(kind, text)
        };
        let secret =
            std::fs::read(file).map_err(|error| failed(error.kind(), error.to_string()))?;
        let secret = secret.trim_ascii();
        if secret.len() < SECRET_BYTES_MIN {
            let why = format!(
                "a secret of {} characters can be guessed: write at least {SECRET_BYTES_MIN}",
                secret.len()
            );
            return Err(failed(io::ErrorKind::InvalidData, why));
        }
        let key = Sha256::new().chain_update(PURPOSE).chain_update(secret);
        Ok(Self {
            key: key.finalize().into(),
        })
    }

    fn mac(&self, identifier: &[u8]) -> Option<Hmac<Sha256>> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.key).ok()?;
        mac.update(identifier);
        Some(mac)
    }

    /// Sealed, as a client is told it.
    pub fn seal(&self, token: &BlockToken) -> TokenProto {
        let identifier = token.encode_to_vec();
        let password = self.mac(&identifier);
        let password = password.map(|mac| mac.finalize().into_bytes().to_vec());
        TokenProto {
            identifier: identifier.into(),
            password: password.unwrap_or_default().into(),
            kind: KIND.to_owned(),
            service: String::new(),
        }
    }

    /// What a client returned, if it is ours and still good.
    pub fn open(&self, token: &TokenProto) -> Option<BlockToken> {
        let mac = self.mac(&token.identifier)?;
        mac.verify_slice(&token.password).ok()?;
        let token = BlockToken::decode(Bytes::clone(&token.identifier)).ok()?;
        (token.expires_ms > now_ms()).then_some(token)
    }
}

impl Default for Tokens {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token() -> BlockToken {
        let status = crate::namespace::folder_status("a");
        let block = Block { start: 5, len: 6 };
        BlockToken::new("/a", &status, block, "alice", None)
    }

    #[test]
    fn only_what_was_sealed_here_is_opened() {
        let (ours, theirs, token) = (Tokens::new(), Tokens::new(), token());
        let sealed = ours.seal(&token);
        assert_eq!(ours.open(&sealed), Some(token.clone()));
        assert_eq!(theirs.open(&sealed), None);
        for at in 0..sealed.identifier.len() {
            let mut changed = sealed.identifier.to_vec();
            changed[at] ^= 1;
            let forged = TokenProto {
                identifier: changed.into(),
                ..sealed.clone()
            };
            assert_eq!(ours.open(&forged), None, "byte {at}");
        }
        let late = BlockToken {
            expires_ms: now_ms(),
            ..token
        };
        assert_eq!(ours.open(&ours.seal(&late)), None);
    }

    #[test]
    fn gateways_with_the_same_secret_take_each_others() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "x".repeat(SECRET_BYTES_MIN) + "\n").unwrap();
        let of = |path: &Path| Tokens::of_file(path);
        let (ours, theirs) = (of(file.path()).unwrap(), of(file.path()).unwrap());
        let (token, alone) = (token(), of(Path::new("")).unwrap());
        assert_eq!(theirs.open(&ours.seal(&token)), Some(token.clone()));
        assert_eq!(alone.open(&ours.seal(&token)), None);
        std::fs::write(file.path(), "too short").unwrap();
        for path in [file.path(), Path::new("/nowhere")] {
            let error = of(path).unwrap_err().to_string();
            assert!(error.contains("hdfs.secret_file"), "{error}");
        }
    }

    #[test]
    fn another_version_is_another_block() {
        let one = token();
        let for_bob = BlockToken {
            user: "bob".into(),
            expires_ms: 1,
            ..one.clone()
        };
        assert_eq!(one.block_id(), for_bob.block_id());
        for other in [
            BlockToken {
                modified_ms: 1,
                ..one.clone()
            },
            BlockToken {
                etag: Some("x".into()),
                ..one.clone()
            },
            BlockToken {
                block_start: 6,
                ..one.clone()
            },
            BlockToken {
                path: "/b".into(),
                ..one.clone()
            },
        ] {
            assert_ne!(one.block_id(), other.block_id());
        }
        assert!(one.block_id() >> 62 == 0 && one.block_id() > 0);
    }
}
