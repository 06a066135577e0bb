//! A Hadoop delegation token: its identifier, its password, and its form in a URL
//! (`org.apache.hadoop.security.token.{Token,delegation.AbstractDelegationTokenIdentifier}`).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha1::Sha1;

use super::writable::{Reader, push_bytes, push_vlong};
use crate::{Failure, LoginError};

/// The kind of the tokens that WebHDFS gives.
pub const WEBHDFS: &str = "WEBHDFS delegation";
/// The kind of the tokens that a NameNode gives.
pub const HDFS: &str = "HDFS_DELEGATION_TOKEN";
/// Kinds that are taken back: the client over TLS and the NameNode name theirs otherwise.
pub const KINDS: [&str; 3] = [WEBHDFS, "SWEBHDFS delegation", HDFS];
/// A longer form is not looked at.
pub const URL_BYTES_MAX: usize = 8192;
const VERSION: u8 = 0;

/// Whose token it is, and when and with which key it was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identifier {
    /// The user it stands for.
    pub owner: String,
    /// Who may renew it; empty: nobody.
    pub renewer: String,
    /// Who got it for the owner (`doas`); empty: the owner.
    pub real_user: String,
    /// When it was made: milliseconds since 1970.
    pub issued_ms: i64,
    /// After which it cannot be renewed: milliseconds since 1970.
    pub max_ms: i64,
    /// A number of its own.
    pub sequence: i32,
    /// The master key that its password is made with.
    pub key_id: i32,
}

impl Identifier {
    /// As bytes, which the password is made of.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![VERSION];
        for text in [&self.owner, &self.renewer, &self.real_user] {
            push_bytes(&mut out, text.as_bytes());
        }
        push_vlong(&mut out, self.issued_ms);
        push_vlong(&mut out, self.max_ms);
        push_vlong(&mut out, self.sequence.into());
        push_vlong(&mut out, self.key_id.into());
        out
    }

    /// Reads the bytes; nothing may follow.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader(bytes);
        if reader.byte()? != VERSION {
            return None;
        }
        let identifier = Self {
            owner: reader.text()?.to_owned(),
            renewer: reader.text()?.to_owned(),
            real_user: reader.text()?.to_owned(),
            issued_ms: reader.vlong()?,
            max_ms: reader.vlong()?,
            sequence: reader.vint()?,
            key_id: reader.vint()?,
        };
        (reader.0.is_empty() && !identifier.owner.is_empty()).then_some(identifier)
    }
}

/// The password of an identifier: HMAC-SHA1 with the master key.
pub fn password(key: &[u8], identifier: &[u8]) -> Option<[u8; 20]> {
    let mac = mac(key, identifier)?;
    Some(mac.finalize().into_bytes().into())
}

/// Whether this is the password of an identifier. In constant time.
pub fn is_password(key: &[u8], identifier: &[u8], password: &[u8]) -> bool {
    mac(key, identifier).is_some_and(|mac| mac.verify_slice(password).is_ok())
}

fn mac(key: &[u8], identifier: &[u8]) -> Option<Hmac<Sha1>> {
    let mut mac = Hmac::<Sha1>::new_from_slice(key).ok()?;
    mac.update(identifier);
    Some(mac)
}

/// A token as it travels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// An [`Identifier`], encoded.
    pub identifier: Vec<u8>,
    /// Its password.
    pub password: Vec<u8>,
    /// One of [`KINDS`].
    pub kind: String,
    /// `host:port` of the service that it is for: clients choose by it.
    pub service: String,
}

impl Token {
    /// The form for `delegation=` and `token=`.
    pub fn to_url(&self) -> String {
        let mut out = Vec::new();
        for part in [&self.identifier[..], &self.password] {
            push_bytes(&mut out, part);
        }
        for part in [&self.kind, &self.service] {
            push_bytes(&mut out, part.as_bytes());
        }
        URL_SAFE_NO_PAD.encode(out)
    }

    /// Reads that form.
    ///
    /// # Errors
    /// [`Failure::Malformed`]
    pub fn from_url(text: &str) -> Result<Self, LoginError> {
        let wrong =
            |why: &str| LoginError::new(Failure::Malformed, format!("the delegation token {why}"));
        if text.len() > URL_BYTES_MAX {
            return Err(wrong("is too long"));
        }
        let bytes = URL_SAFE_NO_PAD.decode(text.trim_end_matches('='));
        let bytes = bytes.map_err(|_| wrong("is not base64 as URLs have it"))?;
        Self::decode(&bytes).ok_or_else(|| wrong("is cut short, or is something else"))
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader(bytes);
        let token = Self {
            identifier: reader.bytes()?.to_owned(),
            password: reader.bytes()?.to_owned(),
            kind: reader.text()?.to_owned(),
            service: reader.text()?.to_owned(),
        };
        let fits = reader.0.is_empty() && KINDS.contains(&token.kind.as_str());
        fits.then_some(token)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    const VECTORS: &str = include_str!("../../../tests/samples/auth/hadoop-auth-vectors.json");

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn as_hadoop_makes_them() {
        let vectors: Value = serde_json::from_str(VECTORS).unwrap();
        for case in vectors["delegationToken"].as_array().unwrap() {
            let text = |key: &str| case[key].as_str().unwrap().to_owned();
            let number = |key: &str| case[key].as_i64().unwrap();
            let identifier = Identifier {
                owner: text("owner"),
                renewer: text("renewer"),
                real_user: text("realUser"),
                issued_ms: number("issueDate"),
                max_ms: number("maxDate"),
                sequence: number("sequenceNumber").try_into().unwrap(),
                key_id: number("masterKeyId").try_into().unwrap(),
            };
            let encoded = identifier.encode();
            assert_eq!(hex(&encoded), text("identifierHex"));
            assert_eq!(Identifier::decode(&encoded).unwrap(), identifier);
            let key = text("hmacKeyAscii").into_bytes();
            let secret = password(&key, &encoded).unwrap();
            assert_eq!(hex(&secret), text("passwordHex"));
            assert!(is_password(&key, &encoded, &secret));
            let token = Token {
                identifier: encoded,
                password: secret.to_vec(),
                kind: text("kind"),
                service: text("service"),
            };
            assert_eq!(token.to_url(), text("urlString"));
            assert_eq!(Token::from_url(&text("urlString")).unwrap(), token);
        }
    }

    proptest! {
        #[test]
        fn any_text_is_survived(text in "[A-Za-z0-9_-]{0,200}", bytes in prop::collection::vec(any::<u8>(), 0..99)) {
            let _ = Token::from_url(&text);
            let _ = Token::from_url(&URL_SAFE_NO_PAD.encode(&bytes));
            let _ = Identifier::decode(&bytes);
        }

        #[test]
        fn what_is_cut_is_refused(cut in 1..60_usize) {
            let identifier = Identifier {
                owner: "alice".into(), renewer: String::new(), real_user: String::new(),
                issued_ms: 1, max_ms: 2, sequence: 3, key_id: 4,
            };
            let token = Token { identifier: identifier.encode(), password: vec![7; 20], kind: WEBHDFS.into(), service: "h:1".into() };
            let url = token.to_url();
            let short = url.get(..url.len().saturating_sub(cut)).unwrap_or_default();
            prop_assert!(Token::from_url(short).is_err());
        }
    }
}
