//! DIGEST-MD5 (RFC 2831), by which Hadoop's clients prove that they hold a token: its identifier in base64 is the name of the user, its
//! password in base64 the password. Only what Hadoop's clients send is taken: md5-sess, one response, no other name to act as.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use md5::{Digest as _, Md5};
use subtle::ConstantTimeEq as _;

use super::sealed::Sealed;
use super::{Protection, Qop, directives, forged, malformed};
use crate::LoginError;

/// A longer response is not looked at.
const RESPONSE_BYTES_MAX: usize = 64 << 10;

/// One login: its challenge is good for one response.
#[derive(Debug)]
pub struct Digest {
    uri: String,
    realm: &'static str,
    qops: Vec<Qop>,
    nonce: String,
}

/// What a client answers to a challenge.
#[derive(Debug)]
pub struct Response {
    user: String,
    cnonce: String,
    nc: String,
    qop: Qop,
    uri: String,
    response: String,
}

/// A client that holds the token.
pub struct Accepted {
    /// By which the client knows that we have the token's password too.
    pub reply: Vec<u8>,
    /// What was agreed.
    pub qop: Qop,
    /// What protects the connection from now on.
    pub protection: Protection,
}

impl Response {
    /// The identifier of the token that the client says it holds.
    ///
    /// # Errors
    /// What is there for it, is none.
    pub fn identifier(&self) -> Result<Vec<u8>, LoginError> {
        let decoded = STANDARD.decode(&self.user);
        decoded.map_err(|_| malformed("the user of DIGEST-MD5 is no token's identifier in base64"))
    }
}

impl Digest {
    /// For a service of Hadoop, with these kinds of protection on offer.
    pub fn new(protocol: &str, realm: &'static str, qops: &[Qop]) -> Self {
        Self {
            uri: format!("{protocol}/{realm}"),
            realm,
            qops: qops.to_vec(),
            nonce: STANDARD.encode(rand::random::<[u8; 32]>()),
        }
    }

    /// What the client is sent.
    pub fn challenge(&self) -> Vec<u8> {
        let qops: Vec<&str> = self.qops.iter().rev().map(|qop| qop.name()).collect();
        let cipher = if self.qops.contains(&Qop::Privacy) {
            ",cipher=\"3des\""
        } else {
            ""
        };
        format!(
            "realm=\"{}\",nonce=\"{}\",qop=\"{}\",charset=utf-8{cipher},algorithm=md5-sess",
            self.realm,
            self.nonce,
            qops.join(",")
        )
        .into_bytes()
    }

    /// Reads what the client answers, and holds it to the challenge.
    ///
    /// # Errors
    /// It is something else, or for another challenge or service.
    pub fn read(&self, response: &[u8]) -> Result<Response, LoginError> {
        if response.len() > RESPONSE_BYTES_MAX {
            return Err(malformed("the response of DIGEST-MD5 is too long"));
        }
        let text = std::str::from_utf8(response).ok();
        let mut said = text
            .and_then(directives::parse)
            .ok_or_else(|| malformed("the response of DIGEST-MD5 cannot be read"))?;
        let mut take = |name: &str| {
            let missing = || malformed(format!("the response of DIGEST-MD5 lacks {name}"));
            said.remove(name).ok_or_else(missing)
        };
        let (nonce, realm, qop) = (take("nonce")?, take("realm")?, take("qop")?);
        let read = Response {
            user: take("username")?,
            cnonce: take("cnonce")?,
            nc: take("nc")?,
            uri: take("digest-uri")?,
            response: take("response")?,
            qop: Qop::named(&qop)
                .filter(|qop| self.qops.contains(qop))
                .ok_or_else(|| malformed(format!("qop={qop} was not offered: No common protection layer between client and server")))?,
        };
        if take("authzid").is_ok() {
            return Err(malformed("authzid: a token stands for its own user only"));
        }
        if read.qop == Qop::Privacy && take("cipher")? != "3des" {
            return Err(malformed("3des is the cipher that was offered"));
        }
        if nonce != self.nonce || read.nc != "00000001" {
            return Err(forged(
                "the response is for another challenge: it may have been sent before",
            ));
        }
        if realm != self.realm || read.uri != self.uri {
            return Err(forged(format!(
                "the response is for {} and not for {}",
                read.uri, self.uri
            )));
        }
        Ok(read)
    }

    /// Whether the client knows the token's password.
    ///
    /// # Errors
    /// It does not.
    pub fn accept(&self, response: &Response, password: &[u8]) -> Result<Accepted, LoginError> {
        let h_a1 = self.h_a1(response, &STANDARD.encode(password));
        let known = self.answer(&h_a1, response, "AUTHENTICATE");
        if !bool::from(known.as_bytes().ct_eq(response.response.as_bytes())) {
            return Err(forged(
                "DIGEST-MD5: digest response format violation, or the password of the token is another: Mismatched response.",
            ));
        }
        let is_private = response.qop == Qop::Privacy;
        let protection: Protection = if response.qop == Qop::Authentication {
            None
        } else {
            let sealed = Sealed::new(&h_a1, is_private);
            Some(Box::new(
                sealed.ok_or_else(|| forged("no keys can be made of the token"))?,
            ))
        };
        Ok(Accepted {
            reply: format!("rspauth={}", self.answer(&h_a1, response, "")).into_bytes(),
            qop: response.qop,
            protection,
        })
    }

    fn h_a1(&self, response: &Response, password: &str) -> [u8; 16] {
        let secret = Md5::digest(format!("{}:{}:{password}", response.user, self.realm));
        let session = format!(":{}:{}", self.nonce, response.cnonce);
        Md5::new()
            .chain_update(secret)
            .chain_update(session)
            .finalize()
            .into()
    }

    fn answer(&self, h_a1: &[u8; 16], response: &Response, method: &str) -> String {
        let tail = match response.qop {
            Qop::Authentication => "",
            _ => ":00000000000000000000000000000000",
        };
        let h_a2 = hex(&Md5::digest(format!("{method}:{}{tail}", self.uri)));
        let Response {
            nc, cnonce, qop, ..
        } = response;
        let text = format!(
            "{}:{}:{nc}:{cnonce}:{}:{h_a2}",
            hex(h_a1),
            self.nonce,
            qop.name()
        );
        hex(&Md5::digest(text))
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn digest() -> Digest {
        Digest::new("", "default", &[Qop::Authentication, Qop::Privacy])
    }

    fn response(digest: &Digest, password: &[u8], qop: &str, more: &str) -> String {
        let mut said = Response {
            user: STANDARD.encode("id"),
            cnonce: "c".into(),
            nc: "00000001".into(),
            qop: Qop::named(qop).unwrap(),
            uri: "/default".into(),
            response: String::new(),
        };
        let h_a1 = digest.h_a1(&said, &STANDARD.encode(password));
        said.response = digest.answer(&h_a1, &said, "AUTHENTICATE");
        format!(
            "username=\"{}\",realm=\"default\",nonce=\"{}\",cnonce=\"c\",nc=00000001,qop={qop},digest-uri=\"/default\",response={},charset=utf-8{more}",
            said.user, digest.nonce, said.response
        )
    }

    #[test]
    fn the_example_of_the_rfc() {
        let digest = Digest {
            uri: "imap/elwood.innosoft.com".into(),
            realm: "elwood.innosoft.com",
            qops: vec![Qop::Authentication],
            nonce: "OA6MG9tEQGm2hh".into(),
        };
        let said = Response {
            user: "chris".into(),
            cnonce: "OA6MHXh6VqTrRk".into(),
            nc: "00000001".into(),
            qop: Qop::Authentication,
            uri: digest.uri.clone(),
            response: String::new(),
        };
        let h_a1 = digest.h_a1(&said, "secret");
        let answer = |method| digest.answer(&h_a1, &said, method);
        assert_eq!(answer("AUTHENTICATE"), "d388dad90d4bbd760a152321f2143af7");
        assert_eq!(answer(""), "ea40f60335c427b5527b84dbabcdfffd");
    }

    #[test]
    fn who_holds_the_token_is_let_in_once() {
        let digest = digest();
        let text = response(&digest, b"secret", "auth", "");
        let read = digest.read(text.as_bytes()).unwrap();
        assert_eq!(read.identifier().unwrap(), b"id");
        assert!(digest.accept(&read, b"secret").is_ok());
        assert!(digest.accept(&read, b"other").is_err());
        // Sent again to another challenge.
        assert!(self::digest().read(text.as_bytes()).is_err());
        let sealed = response(&digest, b"secret", "auth-conf", ",cipher=\"3des\"");
        let read = digest.read(sealed.as_bytes()).unwrap();
        assert!(
            digest
                .accept(&read, b"secret")
                .unwrap()
                .protection
                .is_some()
        );
    }

    #[test]
    fn what_was_not_offered_is_refused() {
        let digest = digest();
        for (qop, more) in [
            ("auth-int", ""),
            ("auth-conf", ""),
            ("auth-conf", ",cipher=rc4"),
            ("auth", ",authzid=\"root\""),
            ("auth", ",nonce=\"x\""),
        ] {
            let text = response(&digest, b"secret", qop, more);
            assert!(digest.read(text.as_bytes()).is_err(), "{qop} {more}");
        }
        let long = vec![b'a'; RESPONSE_BYTES_MAX + 1];
        assert!(digest.read(&long).is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..200), cut in any::<prop::sample::Index>()) {
            let digest = digest();
            prop_assert!(digest.read(&bytes).is_err());
            let text = response(&digest, b"secret", "auth", "");
            let short = text.get(..cut.index(text.len())).unwrap_or_default();
            let accepted = digest.read(short.as_bytes()).and_then(|read| digest.accept(&read, b"secret"));
            // Only the character set may be missing.
            prop_assert!(accepted.is_err() || short.len() + ",charset=utf-8".len() >= text.len());
        }
    }
}
