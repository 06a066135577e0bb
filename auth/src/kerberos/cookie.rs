//! The `hadoop.auth` cookie: who showed a ticket, until when, signed
//! (`org.apache.hadoop.security.authentication.util.{AuthToken,Signer}` with HMAC-SHA256).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use crate::{Failure, LoginError};

/// The cookie's name.
pub const NAME: &str = "hadoop.auth";
/// The type that is signed for a Kerberos login.
pub const KERBEROS: &str = "kerberos";
/// A longer value is not looked at.
pub const VALUE_BYTES_MAX: usize = 4096;

const SIGNATURE: &str = "&s=";

/// What the cookie says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ticket {
    /// Short user name.
    pub user: String,
    /// Full principal.
    pub principal: String,
    /// How it was shown: [`KERBEROS`].
    pub kind: String,
    /// Until when it is good: milliseconds since 1970.
    pub expires_ms: i64,
}

impl Ticket {
    /// The value without its signature; `None` for names that would not be read back.
    pub fn text(&self) -> Option<String> {
        let plain = |text: &str| {
            !text.is_empty()
                && !text.contains(['&', '=', '"', ';', ','])
                && text.bytes().all(|byte| byte.is_ascii_graphic())
        };
        let Self {
            user,
            principal,
            kind,
            expires_ms,
        } = self;
        [user, principal, kind]
            .into_iter()
            .all(|text| plain(text))
            .then(|| format!("u={user}&p={principal}&t={kind}&e={expires_ms}"))
    }

    /// The signed value.
    pub fn signed(&self, secret: &[u8]) -> Option<String> {
        let text = self.text()?;
        let signature = STANDARD.encode(mac(secret, &text)?.finalize().into_bytes());
        Some(format!("{text}{SIGNATURE}{signature}"))
    }

    /// Reads a value that one of the secrets signed, and that is good at this time.
    ///
    /// # Errors
    /// [`Failure::Malformed`], [`Failure::Forged`] or [`Failure::Expired`].
    pub fn verify(
        value: &str,
        secrets: &[impl AsRef<[u8]>],
        now_ms: i64,
    ) -> Result<Self, LoginError> {
        let value = value.trim_matches('"');
        let wrong = |failure, text: &str| {
            Err(LoginError::new(
                failure,
                format!("the cookie {NAME} {text}"),
            ))
        };
        if value.len() > VALUE_BYTES_MAX {
            return wrong(Failure::Malformed, "is too long");
        }
        let Some((text, signature)) = value.rsplit_once(SIGNATURE) else {
            return wrong(Failure::Malformed, "is not signed");
        };
        let Ok(signature) = STANDARD.decode(signature) else {
            return wrong(Failure::Malformed, "is not signed");
        };
        let by = |secret: &[u8]| {
            // In constant time: the signature cannot be found byte by byte.
            mac(secret, text).is_some_and(|mac| mac.verify_slice(&signature).is_ok())
        };
        if !secrets.iter().any(|secret| by(secret.as_ref())) {
            return wrong(
                Failure::Forged,
                "is not signed with a secret of this gateway: log in again without it",
            );
        }
        let Some(ticket) = Self::parse(text) else {
            return wrong(Failure::Malformed, "cannot be read");
        };
        if ticket.expires_ms <= now_ms {
            return wrong(Failure::Expired, "has expired: log in again without it");
        }
        Ok(ticket)
    }

    fn parse(text: &str) -> Option<Self> {
        let (mut user, mut principal, mut kind, mut expires) = (None, None, None, None);
        for pair in text.split('&') {
            let (name, value) = pair.split_once('=')?;
            let slot = match name {
                "u" => &mut user,
                "p" => &mut principal,
                "t" => &mut kind,
                "e" => &mut expires,
                _ => continue,
            };
            *slot = Some(value);
        }
        Some(Self {
            user: user.filter(|user| !user.is_empty())?.to_owned(),
            principal: principal?.to_owned(),
            kind: kind?.to_owned(),
            expires_ms: expires?.parse().ok()?,
        })
    }
}

fn mac(secret: &[u8], text: &str) -> Option<Hmac<Sha256>> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).ok()?;
    mac.update(text.as_bytes());
    Some(mac)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    const VECTORS: &str = include_str!("../../../tests/samples/auth/hadoop-auth-vectors.json");

    fn ticket() -> Ticket {
        Ticket {
            user: "alice".into(),
            principal: "alice@LAB.TEST".into(),
            kind: KERBEROS.into(),
            expires_ms: 2000,
        }
    }

    #[test]
    fn as_hadoop_signs() {
        let vectors: Value = serde_json::from_str(VECTORS).unwrap();
        for case in vectors["cookie"].as_array().unwrap() {
            let text = |key: &str| case[key].as_str().unwrap().to_owned();
            let ticket = Ticket {
                user: text("user"),
                principal: text("principal"),
                kind: text("type"),
                expires_ms: case["expires"].as_i64().unwrap(),
            };
            assert_eq!(ticket.text().unwrap(), text("token"));
            assert_eq!(
                ticket.signed(text("secret").as_bytes()).unwrap(),
                text("signed")
            );
            let read = Ticket::verify(&format!("\"{}\"", text("signed")), &[text("secret")], 0);
            assert_eq!(read.unwrap(), ticket);
        }
    }

    #[test]
    fn what_is_refused() {
        let signed = ticket().signed(b"new").unwrap();
        assert!(Ticket::verify(&signed, &["other", "new"], 1999).is_ok());
        let failure = |value: &str, secrets: &[&str], now| {
            Ticket::verify(value, secrets, now).unwrap_err().failure
        };
        assert_eq!(failure(&signed, &["new"], 2000), Failure::Expired);
        assert_eq!(failure(&signed, &["other"], 0), Failure::Forged);
        assert_eq!(failure(&signed, &[], 0), Failure::Forged);
        assert_eq!(failure("", &["new"], 0), Failure::Malformed);
        assert_eq!(failure(&signed[..20], &["new"], 0), Failure::Malformed);
        assert_eq!(failure(&"x".repeat(5000), &["new"], 0), Failure::Malformed);
        let admin = signed.replace("u=alice", "u=hdfs");
        assert_eq!(failure(&admin, &["new"], 0), Failure::Forged);
        let odd = Ticket {
            user: "a&u=b".into(),
            ..ticket()
        };
        assert_eq!(odd.signed(b"new"), None);
    }

    proptest! {
        #[test]
        fn a_change_of_one_byte_is_noticed(at in 0..100_usize, to in any::<u8>()) {
            let signed = ticket().signed(b"secret").unwrap();
            let mut bytes = signed.clone().into_bytes();
            let at = at % bytes.len();
            prop_assume!(bytes[at] != to && to != b'"');
            bytes[at] = to;
            if let Ok(text) = String::from_utf8(bytes) {
                prop_assert!(Ticket::verify(&text, &["secret"], 0).is_err());
            }
        }

        #[test]
        fn any_text_is_survived(text in ".{0,200}") {
            prop_assert!(Ticket::verify(&text, &["secret"], 0).is_err());
        }
    }
}
